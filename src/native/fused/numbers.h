// What the paths of a processor have in common: bfloat16 in memory, and how functions are
// inlined. Nothing here may be compiled into a function of its own, since the linker would keep
// only one path's version of it.
#pragma once

#include <cstdint>

#define INLINE static inline __attribute__((always_inline))
// A member function.
#define INLINED inline __attribute__((always_inline))

namespace bertfit {

// Rows in the nearest caches are padded to so many numbers, on all paths.
constexpr int64_t PADDING = 16;

// A bfloat16 in memory: the upper half of a float32.
struct Short {
    uint16_t bits;
};

INLINE int64_t padded(int64_t count) { return (count + PADDING - 1) / PADDING * PADDING; }
INLINE int64_t at_most(int64_t count, int64_t limit) { return count < limit ? count : limit; }

}  // namespace bertfit
