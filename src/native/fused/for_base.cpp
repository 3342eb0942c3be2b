// What every processor of the target has: vectors of 16 bytes (SSE2, NEON).
#define LANES 4
#include "kernels_of.h"

namespace bertfit {
extern const Kernels BASE_KERNELS;
const Kernels BASE_KERNELS{Compiled<float>::table(), Compiled<Short>::table(), nullptr};
}  // namespace bertfit
