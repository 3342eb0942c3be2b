// Products of whole matrices by tiles (AMX), several times as fast as those that libtorch
// brings. Numbers are bfloat16; a float32 number is the sum of three of them, and of the nine
// products of two such sums the six largest are computed, so that the result is as exact as
// one in float32.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>

#include "../parallel.h"
#include "bf16_product.h"
#include "factor.h"

#ifdef BF16_UNITS

namespace bertfit {
namespace {

#define TILE_TARGET target(BF16_FEATURES ",amx-tile,amx-bf16")
#define IN_TILES static inline __attribute__((always_inline, TILE_TARGET))

// A tile has sixteen lines of 32 numbers; C is made of squares of two by two tiles.
constexpr int64_t LINES = 16, DEPTH = 32, TILE = LINES * DEPTH, SQUARE = 2 * LINES;

// So many bfloat16 numbers make one number.
template <typename E>
constexpr int PARTS = sizeof(E) == sizeof(float) ? 3 : 1;

// Chooses the first `count` of sixteen numbers.
IN_TILES __mmask16 first_of(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1;
}

IN_TILES __m512 wide(__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// 32 numbers as lines of bfloat16 parts: each part is what the ones before it leave over.
IN_TILES void split(__m512 low, __m512 high, __m512i parts[3]) {
#pragma GCC unroll 3
    for (int part = 0; part < 3; ++part) {
        parts[part] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        low = _mm512_sub_ps(low, wide(_mm512_castsi512_si256(parts[part])));
        high = _mm512_sub_ps(high, wide(_mm512_extracti64x4_epi64(parts[part], 1)));
    }
}

// Up to sixteen numbers of each of two places, as lines of parts.
IN_TILES void line(const float* low, int64_t lows, const float* high, int64_t highs, int parts,
                   __m512i to[3]) {
    const __m512 first = _mm512_maskz_loadu_ps(first_of(lows), low);
    const __m512 second = _mm512_maskz_loadu_ps(first_of(highs), high);
    if (parts == 1) to[0] = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    else split(first, second, to);
}
IN_TILES void line(const Short* low, int64_t lows, const Short* high, int64_t highs, int,
                   __m512i to[3]) {
    const __m256i first = _mm256_maskz_loadu_epi16(first_of(lows), low);
    const __m256i second = _mm256_maskz_loadu_epi16(first_of(highs), high);
    to[0] = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

// The tile of a factor whose first line is `outer` and whose first number is `inner`, in so
// many parts, which are `part_size` numbers apart. A word is two neighbours along the sum.
// Words of a line lie along the sum for the left factor, across it for the right one.
template <int COUNT, typename E>
IN_TILES void pack_tile(const Factor<E>& factor, int64_t outer, int64_t inner, bool left,
                        Short* to, int64_t part_size) {
    __m512i lines[COUNT][LINES];
    const Stack<E>& stack = factor.stack;
    alignas(64) static const uint16_t PAIRS[32] = {
        0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i pairs = _mm512_load_si512(PAIRS);
    for (int64_t i = 0; i < LINES; ++i) {
        __m512i parts[3] = {};
        if (factor.along) {
            if (outer + i < stack.rows) {
                const E* row = stack.row(outer + i) + inner;
                const int64_t left_over = stack.columns - inner;
                line(row, left_over, row + 16, left_over - 16, COUNT, parts);
            }
        } else {
            const int64_t first = inner + 2 * i, columns = stack.columns - outer;
            if (first < stack.rows) {
                const E* low = stack.row(first) + outer;
                const bool more = first + 1 < stack.rows;
                const E* high = more ? stack.row(first + 1) + outer : low;
                line(low, columns, high, more ? columns : 0, COUNT, parts);
            }
            for (int part = 0; part < COUNT; ++part)
                parts[part] = _mm512_permutexvar_epi16(pairs, parts[part]);
        }
        for (int part = 0; part < COUNT; ++part) lines[part][i] = parts[part];
    }
#pragma GCC unroll 3
    for (int part = 0; part < COUNT; ++part) {
        Floats words[LINES];
        std::memcpy(words, lines[part], sizeof(words));
        if (factor.along != left) mirror(words);
        std::memcpy(to + part * part_size, words, sizeof(words));
    }
}

// `count` pairs of tiles beside each other, from `outer` on, each in so many steps along the
// sum; a step has all parts of both tiles, and pairs are `strip` numbers apart.
template <int COUNT, typename E>
__attribute__((noinline, TILE_TARGET)) void pack(const Factor<E>& factor, int64_t outer,
                                                 int64_t count, int64_t inner, int64_t steps,
                                                 bool left, Short* to, int64_t strip) {
    const auto one = [&](int64_t pair, int64_t step) __attribute__((always_inline, TILE_TARGET)) {
        for (int64_t tile = 0; tile < 2; ++tile)
            pack_tile<COUNT>(factor, outer + pair * SQUARE + tile * LINES, inner + step * DEPTH,
                             left, to + pair * strip + (step * COUNT * 2 + tile) * TILE, 2 * TILE);
    };
    // In the order of the numbers in memory.
    if (factor.along) {
        for (int64_t pair = 0; pair < count; ++pair)
            for (int64_t step = 0; step < steps; ++step) one(pair, step);
    } else {
        for (int64_t step = 0; step < steps; ++step)
            for (int64_t pair = 0; pair < count; ++pair) one(pair, step);
    }
}

#define LOAD_PAIR(first, second, from)   \
    _tile_loadd(first, (from), 64);      \
    _tile_loadd(second, (from) + TILE, 64)
#define MULTIPLY()           \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    _tile_dpbf16ps(2, 5, 6); \
    _tile_dpbf16ps(3, 5, 7)

// What is needed next, and how many lines of the cache of it are fetched with each step.
struct Coming {
    const Short* place;
    int64_t lines;
};

// A square of C: A B of packed factors, added to what is `before`, if that is anything.
template <int COUNT>
__attribute__((noinline, TILE_TARGET)) void square(const Short* a, const Short* b, int64_t steps,
                                                   Numbers before, Numbers after,
                                                   Coming coming) {
    asm volatile("" ::: "memory");  // the compiler does not know what tiles read
    if (before.x != nullptr) {
        const int64_t bytes = 4 * before.row;
        const float *high = before.x, *low = high + LINES * before.row;
        _tile_loadd(0, high, bytes);
        _tile_loadd(1, high + LINES, bytes);
        _tile_loadd(2, low, bytes);
        _tile_loadd(3, low + LINES, bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t step = 0; step < steps; ++step) {
        for (int64_t line = 0; line < coming.lines; ++line, coming.place += DEPTH)
            _mm_prefetch(coming.place, _MM_HINT_T1);
        if constexpr (COUNT == 1) {
            LOAD_PAIR(4, 5, a);
            LOAD_PAIR(6, 7, b);
            MULTIPLY();
        } else {
            // Parts by their size: the smallest products first.
            LOAD_PAIR(4, 5, a + 4 * TILE);
            LOAD_PAIR(6, 7, b);
            MULTIPLY();
            LOAD_PAIR(4, 5, a + 2 * TILE);
            MULTIPLY();
            LOAD_PAIR(6, 7, b + 2 * TILE);
            MULTIPLY();
            LOAD_PAIR(4, 5, a);
            MULTIPLY();
            LOAD_PAIR(6, 7, b + 4 * TILE);
            MULTIPLY();
            LOAD_PAIR(6, 7, b);
            MULTIPLY();
        }
        a += COUNT * 2 * TILE;
        b += COUNT * 2 * TILE;
    }
    const int64_t bytes = 4 * after.row;
    float *high = after.x, *low = high + LINES * after.row;
    _tile_stored(0, high, bytes);
    _tile_stored(1, high + LINES, bytes);
    _tile_stored(2, low, bytes);
    _tile_stored(3, low + LINES, bytes);
    asm volatile("" ::: "memory");
}

IN_TILES void copy_line(const float* from, float* to, int64_t count) {
    _mm512_mask_storeu_ps(to, first_of(count), _mm512_loadu_ps(from));
    _mm512_mask_storeu_ps(to + 16, first_of(count - 16), _mm512_loadu_ps(from + 16));
}
IN_TILES void copy_line(const float* from, Short* to, int64_t count) {
    const __m512 low = _mm512_loadu_ps(from), high = _mm512_loadu_ps(from + 16);
    const __mmask32 some = first_of(count) | static_cast<__mmask32>(first_of(count - 16)) << 16;
    _mm512_mask_storeu_epi16(to, some, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

// The part of a square that C has, and back.
inline void copy_square(const Result<float>& from, int64_t row, int64_t column, float* to) {
    const int64_t rows = std::min(SQUARE, from.rows - row);
    const int64_t columns = std::min(SQUARE, from.columns - column);
    for (int64_t i = 0; i < rows; ++i)
        std::memcpy(to + i * SQUARE, from.numbers + (row + i) * from.stride + column,
                    columns * sizeof(float));
}
template <typename C>
__attribute__((noinline, TILE_TARGET)) void copy_square(const float* from, const Result<C>& to,
                                                        int64_t row, int64_t column) {
    const int64_t rows = std::min(SQUARE, to.rows - row), columns = to.columns - column;
    for (int64_t i = 0; i < rows; ++i)
        copy_line(from + i * SQUARE, to.numbers + (row + i) * to.stride + column, columns);
}

// So many steps of the sum have their packed factors in the nearest cache, and so many in
// the next; longer sums are continued.
template <int COUNT>
constexpr int64_t NEAR = COUNT == 1 ? 8 : 24;
template <int COUNT>
constexpr int64_t FAR = COUNT == 1 ? 128 : 24;

// The most squares whose own packed factor a thread keeps, and the bytes that these have.
constexpr int64_t MOST_KEPT = 16, BYTES_KEPT = 768 << 10;

inline at::Tensor shorts(int64_t count) {
    return at::empty({count}, at::TensorOptions().dtype(at::kBFloat16));
}

// What becomes of a square whose sum is complete.
struct Stored {
    template <typename C>
    void operator()(const float* sums, const Result<C>& c, int64_t row, int64_t column) const {
        copy_square(sums, c, row, column);
    }
};

// What a part of a sum is of the whole: its first one, its last one, or both.
struct Stretch {
    bool is_first, is_last;
};

// Steps of the sum of one square of C, a part of those that are packed, which are a part of all.
// Where the packed ones begin and end, the sum is in C, unless all begin or end there; between,
// it is in `sums`.
template <int COUNT, typename C, typename Finish>
void continue_square(const Short* a, const Short* b, int64_t steps, Coming coming,
                     const Result<C>& c, int64_t row, int64_t column, float* sums,
                     Stretch of_packed, Stretch of_all, const Finish& finish) {
    const bool begins = of_packed.is_first, ends = of_packed.is_last;
    const Numbers own{sums, SQUARE};
    Numbers before = begins ? Numbers{} : own, after = own;
    if constexpr (sizeof(C) == sizeof(float)) {
        const Numbers in_c{c.numbers + row * c.stride + column, c.stride};
        const bool whole = row + SQUARE <= c.rows && column + SQUARE <= c.columns;
        if (begins && !of_all.is_first) {
            before = whole ? in_c : own;
            if (!whole) copy_square(c, row, column, sums);
        }
        const bool is_stored = std::is_same_v<Finish, Stored> || !of_all.is_last;
        if (ends && whole && is_stored) after = in_c;
    }
    square<COUNT>(a, b, steps, before, after, coming);
    if (!ends || after.x != sums) return;
    if (of_all.is_last) finish(sums, c, row, column);
    else copy_square(sums, c, row, column);
}

// C = A B, where the inner sides of both factors are the sum and the columns of C a multiple
// of sixteen. A sum of more than FAR steps needs C in float32. `before` works on rows of A that
// are to be read, `after` on rows of C that are complete: each is called with the number of a
// thread, and rows from the first to before the last.
//
// The smaller factor is packed for all threads, which read all of it; of the other one each
// thread packs a share, as it comes to it.
template <typename A, typename B, typename C, typename Finish = Stored, typename Before = Nothing,
          typename After = Nothing>
void tile_product(const Factor<A>& a, const Factor<B>& b, const Result<C>& c,
                  const Finish& finish = {}, const Before& before = {}, const After& after = {}) {
    constexpr int COUNT = std::min(PARTS<A>, PARTS<B>);
    constexpr int64_t STEP = COUNT * 2 * TILE;
    const int64_t heights = at::divup(c.rows, SQUARE), widths = at::divup(c.columns, SQUARE);
    const bool shares_a = c.rows < c.columns;
    const int64_t shared_count = shares_a ? heights : widths;
    const int64_t own_count = shares_a ? widths : heights;
    const int64_t all_steps = at::divup(a.inner(), DEPTH);
    const int64_t most = std::min(all_steps, FAR<COUNT>), strip = most * STEP;
    const int64_t bytes = strip * static_cast<int64_t>(sizeof(Short));
    const int64_t threads = at::get_num_threads();
    const int64_t each = std::min(at::divup(own_count, threads),
                                  std::clamp<int64_t>(BYTES_KEPT / bytes, 1, MOST_KEPT));
    const at::Tensor packed = shorts((shared_count + threads * each) * strip);
    Short* shared = static_cast<Short*>(packed.data_ptr());
    for (int64_t done = 0; done < all_steps; done += most) {
        const int64_t steps = std::min(most, all_steps - done);
        const Stretch of_all{done == 0, done + steps == all_steps};
        const auto pack_a = [&](int64_t part, int64_t begin, int64_t end, Short* to) {
            if (of_all.is_first) before(part, begin * SQUARE, std::min(c.rows, end * SQUARE));
            pack<COUNT>(a, begin * SQUARE, end - begin, done * DEPTH, steps, true, to, strip);
        };
        const auto pack_b = [&](int64_t begin, int64_t end, Short* to) {
            pack<COUNT>(b, begin * SQUARE, end - begin, done * DEPTH, steps, false, to, strip);
        };
        in_parts(threads, shared_count, [&](int64_t part, int64_t begin, int64_t end) {
            if (shares_a) pack_a(part, begin, end, shared + begin * strip);
            else pack_b(begin, end, shared + begin * strip);
        });
        in_parts(threads, own_count, [&](int64_t part, int64_t begin, int64_t end) {
            Short* own = shared + (shared_count + part * each) * strip;
            alignas(64) float sums[MOST_KEPT][SQUARE * SQUARE];
            begin_tiles();
            for (int64_t first = begin; first < end; first += each) {
                const int64_t last = std::min(end, first + each);
                if (shares_a) pack_b(first, last, own);
                else pack_a(part, first, last, own);
                for (int64_t j = 0; j < shared_count; ++j) {
                    for (int64_t step = 0; step < steps; step += NEAR<COUNT>) {
                        const int64_t next = std::min(steps, step + NEAR<COUNT>);
                        const Stretch of_packed{step == 0, next == steps};
                        // All squares need the same shared numbers, and fetch an even part of
                        // those that come after them; six products take longer than that does.
                        const int64_t lines =
                            COUNT == 1 ? at::divup(STEP / DEPTH, last - first) : 0;
                        const Short* coming = shared + j * strip + next * STEP;
                        for (int64_t i = first; i < last; ++i) {
                            const Short* theirs = shared + j * strip + step * STEP;
                            const Short* ours = own + (i - first) * strip + step * STEP;
                            continue_square<COUNT>(
                                shares_a ? theirs : ours, shares_a ? ours : theirs, next - step,
                                {coming, lines}, c, (shares_a ? j : i) * SQUARE,
                                (shares_a ? i : j) * SQUARE, sums[i - first], of_packed, of_all,
                                finish);
                            coming += (next - step) * lines * DEPTH;
                        }
                    }
                }
                if (of_all.is_last && !shares_a)
                    after(part, first * SQUARE, std::min(c.rows, last * SQUARE));
            }
            end_tiles();
        });
    }
    if (shares_a) in_parts(threads, c.rows, after);
}

}  // namespace
}  // namespace bertfit

#endif
