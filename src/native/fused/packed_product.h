// Products of whole float32 matrices by the blocks of the path, on all threads.
#pragma once

#include <ATen/Parallel.h>

#include <thread>

#include "factor.h"
#include "kernels.h"

namespace bertfit {
namespace {

// Panels of the left factor that a thread multiplies at a time, at most, and how much of the sum at
// once: both lie in a core's second cache then, and a panel of the right factor in the first.
constexpr int64_t MOST_PANELS_AT_ONCE = 16, DEPTH_AT_ONCE = 256;
// Columns of the right factor that a thread packs at a time.
constexpr int64_t COLUMNS_PACKED = 128;

// Parts of so many rows, whose borders are those of panels. A quarter of the rows is left for
// small parts at the end, so that no thread waits long for the last part of another one.
struct Parts {
    int64_t rows, panel, panels, large, large_count, small, count;

    explicit Parts(int64_t rows)
        : rows(rows), panel(kernels().products->panel_rows), panels(at::divup(rows, panel)) {
        large = std::clamp(panels / (4 * threads()), int64_t{1}, MOST_PANELS_AT_ONCE);
        large_count = panels * 3 / 4 / large;
        small = at::divup(large, 4);
        count = large_count + at::divup(panels - large_count * large, small);
    }
    int64_t begin(int64_t part) const {
        const int64_t larges = std::min(part, large_count);
        return std::min(rows, (larges * large + (part - larges) * small) * panel);
    }
};

// Packs lines `first` to `last` of a factor, and of these so much of the sum from `inner` on.
inline void pack(const BlockProducts& by, const Factor<float>& factor, int64_t first, int64_t last,
                 int64_t inner, int64_t count, int64_t panel, float* to) {
    const Stack<float>& stack = factor.stack;
    const int64_t to_stride = panel * count;
    if (factor.along) {
        // A panel is of one place.
        for (int64_t line = first; line < last;) {
            const int64_t of_place = stack.rows_of_each - line % stack.rows_of_each;
            const int64_t lines = std::min(last - line, of_place);
            by.pack(stack.row(line) + inner, stack.stride, 1, lines, count, panel, to, to_stride);
            to += at::divup(lines, panel) * to_stride;
            line += lines;
        }
        return;
    }
    for (int64_t k = inner; k < inner + count;) {
        const int64_t of_place = stack.rows_of_each - k % stack.rows_of_each;
        const int64_t rows = std::min(inner + count - k, of_place);
        by.pack(stack.row(k) + first, 1, stack.stride, last - first, rows, panel,
                to + (k - inner) * panel, to_stride);
        k += rows;
    }
}

// C = A B, where the inner sides of both factors are the sum. `before` works on rows of A that are
// to be read, `after` on rows of C that are complete: each is called with the number of one of the
// `Parts` of the rows, its first row and the one after its last.
//
// The right factor is packed for all threads, which read all of it; of the left one each thread
// packs the rows that it comes to.
template <typename Before = Nothing, typename After = Nothing>
void packed_product(const Factor<float>& a, const Factor<float>& b, const Result<float>& c,
                    const Before& before = {}, const After& after = {}) {
    const BlockProducts& by = *kernels().products;
    const int64_t inner = a.inner(), width = padded(c.columns);
    const int64_t depths = at::divup(inner, DEPTH_AT_ONCE);
    const int64_t groups = at::divup(c.columns, COLUMNS_PACKED);
    const int64_t packs = depths * groups;
    const Parts parts(c.rows);
    // Vectors are written over the end of a panel.
    const int64_t own = MOST_PANELS_AT_ONCE * parts.panel * DEPTH_AT_ONCE + PADDING;
    const at::Tensor packed = empty({width * inner + threads() * own}, at::kFloat);
    float *right = data<float>(packed), *left = right + width * inner;
    std::atomic<int64_t> packs_done{0};
    in_turns(packs + parts.count, [&](int64_t thread, int64_t turn) {
        if (turn < packs) {
            const int64_t k = turn / groups * DEPTH_AT_ONCE;
            const int64_t first = turn % groups * COLUMNS_PACKED;
            const int64_t count = std::min(DEPTH_AT_ONCE, inner - k);
            pack(by, b, first, std::min(c.columns, first + COLUMNS_PACKED), k, count,
                 by.panel_columns, right + k * width + first * count);
            packs_done.fetch_add(1, std::memory_order_release);
            return;
        }
        // The last packs may still be on their way on other threads.
        for (int64_t tries = 0; packs_done.load(std::memory_order_acquire) < packs; ++tries)
            if (tries > 1000) std::this_thread::yield();
        const int64_t part = turn - packs;
        const int64_t first = parts.begin(part), last = parts.begin(part + 1);
        before(part, first, last);
        float* rows = left + thread * own;
        for (int64_t k = 0; k < inner; k += DEPTH_AT_ONCE) {
            const int64_t count = std::min(DEPTH_AT_ONCE, inner - k);
            pack(by, a, first, last, k, count, by.panel_rows, rows);
            by.multiply(rows, by.panel_rows * count, right + k * width, by.panel_columns * count,
                        c.numbers + first * c.stride, c.stride, last - first, c.columns, count,
                        k > 0);
        }
        after(part, first, last);
    });
}

}  // namespace
}  // namespace bertfit
