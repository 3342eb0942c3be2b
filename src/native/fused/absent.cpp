// Stands in where the compiler has no vectors. Nobody calls these: `fused::is_available` says
// that they are none.

#include "../guard.h"

DOOR char* bertfit_attention(const at::Tensor* const*, const at::Tensor*, const int64_t*,
                             const int64_t*, size_t, int64_t, double, Take, void*) {
    return copy_of("no fused layers with this compiler");
}

DOOR char* bertfit_dense_gelu(const at::Tensor* const*, Take, void*) {
    return copy_of("no fused layers with this compiler");
}

DOOR char* bertfit_dense_add_norm(const at::Tensor* const*, double, double, Take, void*) {
    return copy_of("no fused layers with this compiler");
}

DOOR char* bertfit_token_loss(const at::Tensor* const*, double, Take, void*) {
    return copy_of("no fused layers with this compiler");
}
