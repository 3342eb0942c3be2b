// The gradient of a dense layer's weight.
#pragma once

#include <climits>

#include "bf16_product.h"
#include "tensors.h"

#ifdef BF16_UNITS
#include <dlfcn.h>
#endif

namespace bertfit {
namespace {

#ifdef BF16_UNITS
// Row-major C `[m, n]` of bfloat16 A and B, summed and stored in float32 (oneAPI MKL).
using GemmBf16 = void (*)(int layout, int a_transposed, int b_transposed, int m, int n, int k,
                          float alpha, const uint16_t* a, int a_row, const uint16_t* b, int b_row,
                          float beta, float* c, int c_row);

// MKL's, where libtorch brings it and it computes with tiles; without them it is slow.
GemmBf16 find_gemm_bf16() {
    if (bf16_unit() != Bf16Unit::Tiles) return nullptr;
    return reinterpret_cast<GemmBf16>(dlsym(RTLD_DEFAULT, "cblas_gemm_bf16bf16f32"));
}
#endif

inline bool fits_gemm(const at::Tensor& matrix) {
    return matrix.stride(1) == 1 && matrix.stride(0) >= matrix.size(1) &&
           matrix.stride(0) <= INT_MAX && matrix.size(0) > 0 && matrix.size(0) <= INT_MAX;
}

// dyᵀ x in float32: dy `[T, N]` and x `[T, K]` to `[N, K]`. libtorch's product of bfloat16
// numbers would be rounded to such, and then copied into float32.
inline at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x) {
#ifdef BF16_UNITS
    static const GemmBf16 gemm = find_gemm_bf16();
    if (gemm != nullptr && dy.scalar_type() == at::kBFloat16 && fits_gemm(dy) && fits_gemm(x)) {
        constexpr int ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112;
        const auto int_of = [](int64_t size) { return static_cast<int>(size); };
        const at::Tensor gradient = empty({dy.size(1), x.size(1)}, at::kFloat);
        gemm(ROW_MAJOR, TRANSPOSED, PLAIN, int_of(dy.size(1)), int_of(x.size(1)),
             int_of(dy.size(0)), 1.0f, data<const uint16_t>(dy), int_of(dy.stride(0)),
             data<const uint16_t>(x), int_of(x.stride(0)), 0.0f, data<float>(gradient),
             int_of(x.size(1)));
        return gradient;
    }
#endif
    return at::mm(dy.t(), x).to(at::kFloat);
}

}  // namespace
}  // namespace bertfit
