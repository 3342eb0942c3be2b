// Products of matrices that lie in the nearest caches, as those of one head are.
#pragma once

#include "vectors.h"

namespace bertfit {
namespace {

// The right factor B `[K, N]` lies in panels of sixteen columns: so many numbers after a panel
// is the next one.
constexpr int64_t PANEL = PADDING;
struct Panels {
    const float* x;
    int64_t stride;

    INLINED const float* at(int64_t column) const { return x + column / PANEL * stride; }
};

// The left factor A `[M, K]`, with any strides.
struct Left {
    const float* x;
    int64_t row, column;
};

// A block of so many rows, and of one panel or two, has its sums in registers.
constexpr int MOST_ROWS = LANES == 16 ? 8 : 6, MOST_PANELS = LANES == 16 ? 2 : 1;

template <int ROWS, int PANELS, bool ADD>
INLINE void block(Left a, Panels b, float* c, int64_t c_row, int64_t inner) {
    constexpr int VECTORS = PANELS * PANEL / LANES, OF_PANEL = PANEL / LANES;
    Floats sums[ROWS][VECTORS] = {};
    for (int64_t k = 0; k < inner; ++k) {
        Floats right[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
            right[v] = load(b.x + v / OF_PANEL * b.stride + k * PANEL + v % OF_PANEL * WIDTH);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) {
            const float left = a.x[r * a.row + k * a.column];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) sums[r][v] += left * right[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) {
            float* to = c + r * c_row + v * WIDTH;
            store(to, ADD ? load(to) + sums[r][v] : sums[r][v]);
        }
}

template <int ROWS, bool ADD>
INLINE void strip(Left a, Panels b, float* c, int64_t c_row, int64_t columns, int64_t inner) {
    constexpr int64_t STEP = MOST_PANELS * PANEL;
    int64_t n = 0;
    for (; n + STEP <= columns; n += STEP)
        block<ROWS, MOST_PANELS, ADD>(a, {b.at(n), b.stride}, c + n, c_row, inner);
    if (n < columns) block<ROWS, 1, ADD>(a, {b.at(n), b.stride}, c + n, c_row, inner);
}

// C `[rows, columns]` = A B, or += with ADD; its rows are `c_row` numbers apart, and `columns` is
// a multiple of sixteen.
template <bool ADD = false>
INLINE void product(Left a, Panels b, float* c, int64_t c_row, int64_t rows, int64_t columns,
                    int64_t inner) {
    const auto from = [&](int64_t row) { return Left{a.x + row * a.row, a.row, a.column}; };
    int64_t m = 0;
    for (; m + MOST_ROWS <= rows; m += MOST_ROWS)
        strip<MOST_ROWS, ADD>(from(m), b, c + m * c_row, c_row, columns, inner);
    if (m + 4 <= rows) {
        strip<4, ADD>(from(m), b, c + m * c_row, c_row, columns, inner);
        m += 4;
    }
    if (m + 2 <= rows) {
        strip<2, ADD>(from(m), b, c + m * c_row, c_row, columns, inner);
        m += 2;
    }
    if (m < rows) strip<1, ADD>(from(m), b, c + m * c_row, c_row, columns, inner);
}

}  // namespace
}  // namespace bertfit
