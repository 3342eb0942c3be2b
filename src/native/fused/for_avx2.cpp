// AVX2 and FMA: vectors of 32 bytes.
#define LANES 8
#include "kernels_of.h"

namespace bertfit {
extern const Kernels AVX2_KERNELS;
const Kernels AVX2_KERNELS{Compiled<float>::table(), Compiled<Short>::table(), &BLOCK_PRODUCTS};
}  // namespace bertfit
