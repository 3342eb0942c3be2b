// Products of float32 matrices of any size by blocks; see `BlockProducts`. The blocks are those
// of `small_product.h`, the order of the loops that of Goto and van de Geijn (2008): a panel of
// the right factor stays in the nearest cache, the left factor's panels in the next.
#pragma once

#include "small_product.h"

namespace bertfit {
namespace {

// The memory of numbers that are packed soon is fetched while others are: a few rows at a time are
// too short for the processor to see by itself what comes next.
constexpr int64_t ROWS_AHEAD = 8;
INLINE void fetch(const float* place) { __builtin_prefetch(place, 0, 2); }

// Numbers `[lines, count]`, each line's beside each other, turned into lines of a panel, of
// which there are `PANEL` beside each other.
template <int LINES>
INLINE void pack_turned(const float* from, int64_t line_stride, int64_t lines, int64_t count,
                        float* to) {
    for (int64_t k = 0; k < count; k += WIDTH) {
        const int64_t left = count - k;
        for (int64_t line = 0; line < LINES; line += WIDTH) {
            Floats square[WIDTH];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i)
                if (line + i < LINES) fetch(from + (line + i + LINES) * line_stride + k);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i)
                square[i] = line + i < LINES && line + i < lines
                                ? load_some(from + (line + i) * line_stride + k, left)
                                : Floats{};
            mirror(square);
            // Where a panel is no whole number of vectors, the next line is written over what is
            // too much of this one.
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i)
                if (i < left) store(to + (k + i) * LINES + line, square[i]);
        }
    }
}

// Numbers `[count, lines]`, the lines' beside each other, into panels.
template <int LINES>
INLINE void pack_copied(const float* from, int64_t stride, int64_t lines, int64_t count, float* to,
                        int64_t to_stride) {
    const auto pack_one = [&](int64_t k, auto store_one) {
        float* panel = to + k * LINES;
        for (int64_t line = 0; line < lines; line += PANEL)
            fetch(from + (k + ROWS_AHEAD) * stride + line);
        for (int64_t first = 0; first < lines; first += LINES, panel += to_stride)
            for (int64_t line = 0; line < LINES; line += WIDTH)
                store_one(panel + line,
                          load_some(from + k * stride + first + line, lines - first - line),
                          LINES - line);
    };
    // What is written over the end of a line is written over by the next one.
    for (int64_t k = 0; k < count - 1; ++k)
        pack_one(k, [](float* place, Floats x, int64_t) { store(place, x); });
    pack_one(count - 1, [](float* place, Floats x, int64_t left) { store_some(place, x, left); });
}

template <int LINES>
INLINE void pack_panels(const float* from, int64_t line_stride, int64_t stride, int64_t lines,
                        int64_t count, float* to, int64_t to_stride) {
    if (stride != 1) return pack_copied<LINES>(from, stride, lines, count, to, to_stride);
    for (int64_t line = 0; line < lines; line += LINES, to += to_stride)
        pack_turned<LINES>(from + line * line_stride, line_stride, lines - line, count, to);
}

void pack(const float* from, int64_t line_stride, int64_t stride, int64_t lines, int64_t count,
          int64_t panel, float* to, int64_t to_stride) {
    if (panel == PANEL)
        pack_panels<PANEL>(from, line_stride, stride, lines, count, to, to_stride);
    else pack_panels<MOST_ROWS>(from, line_stride, stride, lines, count, to, to_stride);
}

// Stretches of a sum that are added up by themselves first, so that rounding errors are those of
// sums of this length.
constexpr int64_t STRETCH = 128;

// What is needed next: so many lines of the cache are fetched with each stretch of a sum.
struct Coming {
    const float* place;
    int64_t lines;

    INLINED void fetch() {
        for (int64_t line = 0; line < lines; ++line, place += PANEL) bertfit::fetch(place);
    }
};

// A block of C from a panel of each factor.
template <bool ADD>
INLINE void block_of(const float* a, const float* b, float* c, int64_t c_stride, int64_t inner,
                     Coming& coming) {
    const auto stretch = [&](int64_t k) { return at_most(inner - k, STRETCH); };
    coming.fetch();
    block<MOST_ROWS, 1, ADD>({a, 1, MOST_ROWS}, {b, 0}, c, c_stride, stretch(0));
    for (int64_t k = STRETCH; k < inner; k += STRETCH) {
        coming.fetch();
        block<MOST_ROWS, 1, true>({a + k * MOST_ROWS, 1, MOST_ROWS}, {b + k * PANEL, 0}, c,
                                  c_stride, stretch(k));
    }
}

// The same of one that has fewer rows or columns than are computed.
template <bool ADD>
INLINE void edge(const float* a, const float* b, float* c, int64_t c_stride, int64_t rows,
                 int64_t columns, int64_t inner, Coming& coming) {
    alignas(64) float whole[MOST_ROWS * PANEL];
    block_of<false>(a, b, whole, PANEL, inner, coming);
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; column += WIDTH) {
            float* to = c + row * c_stride + column;
            Floats x = load(whole + row * PANEL + column);
            if (ADD) x += load_some(to, columns - column);
            store_some(to, x, columns - column);
        }
}

template <bool ADD>
INLINE void multiply_panels(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                            float* c, int64_t c_stride, int64_t rows, int64_t columns,
                            int64_t inner) {
    for (int64_t n = 0; n < columns; n += PANEL, b += b_stride) {
        const float* left = a;
        // The next panel is fetched evenly while this one is multiplied.
        const int64_t panels = (rows + MOST_ROWS - 1) / MOST_ROWS;
        Coming coming{b + b_stride, (STRETCH + panels - 1) / panels};
        for (int64_t m = 0; m < rows; m += MOST_ROWS, left += a_stride) {
            float* to = c + m * c_stride + n;
            if (m + MOST_ROWS <= rows && n + PANEL <= columns)
                block_of<ADD>(left, b, to, c_stride, inner, coming);
            else edge<ADD>(left, b, to, c_stride, at_most(rows - m, MOST_ROWS),
                           at_most(columns - n, PANEL), inner, coming);
        }
    }
}

void multiply(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
              int64_t c_stride, int64_t rows, int64_t columns, int64_t inner, bool add) {
    if (add) multiply_panels<true>(a, a_stride, b, b_stride, c, c_stride, rows, columns, inner);
    else multiply_panels<false>(a, a_stride, b, b_stride, c, c_stride, rows, columns, inner);
}

}  // namespace
}  // namespace bertfit
