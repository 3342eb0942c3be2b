// Products of bfloat16 numbers on processors with units for them: tiles (AMX) or dot products
// of pairs (AVX512_BF16). Operands are words of two neighbours along the sum, in float32's place.
#pragma once

#include "kernels.h"
#include "vectors.h"

#ifdef BF16_UNITS

#include <immintrin.h>

#define BF16_FEATURES "avx2,fma,bmi2,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16"
#define BF16_TARGET target(BF16_FEATURES)

namespace bertfit {
namespace {

// C = A B, or C += A B: words A `[rows, inner]` and B `[inner, columns]`, float32 C `[rows,
// columns]`, whose rows are so many numbers apart. All sizes are multiples of 16.
struct Words {
    const float* words;
    int64_t row;
};
struct Numbers {
    float* x;
    int64_t row;
};
struct Size {
    int64_t rows, columns, inner;
};
using Product = void (*)(Words a, Words b, Numbers c, Size size, bool add);

__attribute__((noinline, BF16_TARGET)) void product_by_dots(Words a, Words b, Numbers c,
                                                            Size size, bool add) {
    constexpr int ROWS = 8;
    for (int64_t m = 0; m < size.rows; m += ROWS) {
        for (int64_t n = 0; n < size.columns; n += WIDTH) {
            float* to = c.x + m * c.row + n;
            __m512 sums[ROWS];
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r)
                sums[r] = add ? _mm512_loadu_ps(to + r * c.row) : _mm512_setzero_ps();
            for (int64_t k = 0; k < size.inner; ++k) {
                const auto right = (__m512bh)_mm512_loadu_ps(b.words + k * b.row + n);
#pragma GCC unroll 8
                for (int r = 0; r < ROWS; ++r) {
                    const auto left = _mm512_set1_ps(a.words[(m + r) * a.row + k]);
                    sums[r] = _mm512_dpbf16_ps(sums[r], (__m512bh)left, right);
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < ROWS; ++r) _mm512_storeu_ps(to + r * c.row, sums[r]);
        }
    }
}

#define TILES static inline __attribute__((always_inline, target("amx-tile,amx-bf16")))

// All eight tiles have sixteen rows of sixteen words.
const struct {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
} TILE_SIZES;
__attribute__((target("amx-tile,amx-bf16"))) void begin_tiles() { _tile_loadconfig(&TILE_SIZES); }
__attribute__((target("amx-tile,amx-bf16"))) void end_tiles() { _tile_release(); }

// Up to two by two tiles of C, 0 to 3; those of A are 4 and 5, those of B 6 and 7.
template <int ROWS, int COLUMNS>
TILES void tiles(Words a, Words b, Numbers c, int64_t inner, bool add) {
    const int64_t a_step = 4 * a.row, b_step = 4 * b.row, c_step = 4 * c.row;
    float *low = c.x, *high = c.x + 16 * c.row;
    if (add) {
        _tile_loadd(0, low, c_step);
        if constexpr (COLUMNS == 2) _tile_loadd(1, low + 16, c_step);
        if constexpr (ROWS == 2) _tile_loadd(2, high, c_step);
        if constexpr (ROWS == 2 && COLUMNS == 2) _tile_loadd(3, high + 16, c_step);
    } else {
        _tile_zero(0);
        if constexpr (COLUMNS == 2) _tile_zero(1);
        if constexpr (ROWS == 2) _tile_zero(2);
        if constexpr (ROWS == 2 && COLUMNS == 2) _tile_zero(3);
    }
    for (int64_t k = 0; k < inner; k += 16) {
        _tile_loadd(4, a.words + k, a_step);
        _tile_loadd(6, b.words + k * b.row, b_step);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (COLUMNS == 2) {
            _tile_loadd(7, b.words + k * b.row + 16, b_step);
            _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (ROWS == 2) {
            _tile_loadd(5, a.words + k + 16 * a.row, a_step);
            _tile_dpbf16ps(2, 5, 6);
        }
        if constexpr (ROWS == 2 && COLUMNS == 2) _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, low, c_step);
    if constexpr (COLUMNS == 2) _tile_stored(1, low + 16, c_step);
    if constexpr (ROWS == 2) _tile_stored(2, high, c_step);
    if constexpr (ROWS == 2 && COLUMNS == 2) _tile_stored(3, high + 16, c_step);
}

template <int ROWS>
TILES void strip_of_tiles(Words a, Words b, Numbers c, Size size, bool add) {
    int64_t n = 0;
    for (; n + 32 <= size.columns; n += 32)
        tiles<ROWS, 2>(a, {b.words + n, b.row}, {c.x + n, c.row}, size.inner, add);
    if (n < size.columns)
        tiles<ROWS, 1>(a, {b.words + n, b.row}, {c.x + n, c.row}, size.inner, add);
}

__attribute__((noinline, target("amx-tile,amx-bf16"))) void product_by_tiles(Words a, Words b,
                                                                             Numbers c, Size size,
                                                                             bool add) {
    asm volatile("" ::: "memory");  // the compiler does not know what tiles read
    int64_t m = 0;
    for (; m + 32 <= size.rows; m += 32)
        strip_of_tiles<2>({a.words + m * a.row, a.row}, b, {c.x + m * c.row, c.row}, size, add);
    if (m < size.rows)
        strip_of_tiles<1>({a.words + m * a.row, a.row}, b, {c.x + m * c.row, c.row}, size, add);
    asm volatile("" ::: "memory");
}

// Calls `work` with the product of the path's unit, if it has one.
template <typename F>
void with_bf16_unit(const F& work) {
    if (path() == Path::Bf16Dots) work(product_by_dots);
    if (path() == Path::Bf16Tiles) {
        begin_tiles();
        work(product_by_tiles);
        end_tiles();
    }
}

}  // namespace
}  // namespace bertfit

#endif
