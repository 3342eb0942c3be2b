// Sixteen numbers at a time, for GCC and Clang, which make of them what the processor has.
// Numbers are float32 inside; in memory they may be bfloat16.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#define INLINE static inline __attribute__((always_inline))

// One version of a function for each kind of processor; the right one is chosen when the
// program starts. Only what is inlined into it is compiled for that processor too. Defined
// from outside, there is one version, for tests of what other processors would run.
#if defined(FOR_EACH_PROCESSOR)
#elif defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EACH_PROCESSOR \
    __attribute__((noinline, target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#elif defined(__x86_64__) && defined(__GLIBC__)
#define FOR_EACH_PROCESSOR __attribute__((noinline, target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR __attribute__((noinline))
#endif

// Sixteen of the 32 numbers of two vectors.
#if defined(__clang__) || __GNUC__ >= 12
#define CHOOSE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHOOSE(a, b, ...) __builtin_shuffle(a, b, bertfit::Ints{__VA_ARGS__})
#endif

namespace bertfit {

constexpr int64_t WIDTH = 16;

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

// A bfloat16 in memory: the upper half of a float32.
struct Short {
    uint16_t bits;
};

INLINE Floats all(float x) { return x - Floats{}; }

INLINE Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof(x));
    return x;
}

INLINE Floats load(const Short* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof(halves));
    return (Floats)(__builtin_convertvector(halves, Bits) << 16);
}

INLINE void store(float* to, Floats x) { std::memcpy(to, &x, sizeof(x)); }

INLINE Halves shortened(Floats x) {
    const Bits bits = (Bits)x;
    // To the nearest, ties to even; what is no number stays none.
    const Bits rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Bits result = x == x ? rounded : (Bits{} + 0x7fc0);
    return __builtin_convertvector(result, Halves);
}

INLINE void store(Short* to, Floats x) {
    const Halves halves = shortened(x);
    std::memcpy(to, &halves, sizeof(halves));
}

// The first `count` numbers, zeros after them.
template <typename E>
INLINE Floats load_some(const E* from, int64_t count) {
    if (count >= WIDTH) return load(from);
    E padded[WIDTH] = {};
    std::memcpy(padded, from, count * sizeof(E));
    return load(padded);
}

template <typename E>
INLINE void store_some(E* to, Floats x, int64_t count) {
    if (count >= WIDTH) return store(to, x);
    E padded[WIDTH];
    store(padded, x);
    std::memcpy(to, padded, count * sizeof(E));
}

using Lanes = std::make_integer_sequence<int, WIDTH>;

// Each number in the place of the one that is STEP away, a power of two.
template <int STEP, int... LANE>
INLINE Floats swapped(Floats x, std::integer_sequence<int, LANE...>) {
    return CHOOSE(x, x, (LANE ^ STEP)...);
}

INLINE float sum(Floats x) {
    x += swapped<8>(x, Lanes{});
    x += swapped<4>(x, Lanes{});
    x += swapped<2>(x, Lanes{});
    x += swapped<1>(x, Lanes{});
    return x[0];
}

INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }

INLINE float largest(Floats x) {
    x = larger(x, swapped<8>(x, Lanes{}));
    x = larger(x, swapped<4>(x, Lanes{}));
    x = larger(x, swapped<2>(x, Lanes{}));
    x = larger(x, swapped<1>(x, Lanes{}));
    return x[0];
}

// Of two rows that are STEP apart, the upper right and the lower left quarters of each
// square of 2 · STEP change places.
template <int STEP, int... LANE>
INLINE void exchange(Floats& a, Floats& b, std::integer_sequence<int, LANE...>) {
    const Floats upper = CHOOSE(a, b, (LANE & STEP ? 16 + LANE - STEP : LANE)...);
    b = CHOOSE(a, b, (LANE & STEP ? 16 + LANE : LANE + STEP)...);
    a = upper;
}

template <int STEP>
INLINE void exchange_all(Floats rows[WIDTH]) {
#pragma GCC unroll 16
    for (int row = 0; row < WIDTH; ++row)
        if ((row & STEP) == 0) exchange<STEP>(rows[row], rows[row + STEP], Lanes{});
}

// Sixteen rows, mirrored at the diagonal.
INLINE void mirror(Floats rows[WIDTH]) {
    exchange_all<8>(rows);
    exchange_all<4>(rows);
    exchange_all<2>(rows);
    exchange_all<1>(rows);
}

// The same of a square in memory; its rows are so many numbers apart.
INLINE void mirror(const float* from, int64_t from_row, int64_t count, float* to, int64_t to_row) {
    Floats rows[WIDTH];
#pragma GCC unroll 16
    for (int row = 0; row < WIDTH; ++row)
        rows[row] = row < count ? load(from + row * from_row) : Floats{};
    mirror(rows);
#pragma GCC unroll 16
    for (int row = 0; row < WIDTH; ++row) store(to + row * to_row, rows[row]);
}

// e^x, within two units of the last place: x = n ln 2 + r, and a polynomial in r (Cephes,
// expf). What is no number stays none.
INLINE Floats exponential(Floats x) {
    x = x < -87.0f ? all(-87.0f) : x;
    x = x > 88.0f ? all(88.0f) : x;
    const float magic = 12582912.0f;  // 1.5 · 2^23 rounds to a whole number
    const Floats n = (x * 1.44269504088896341f + magic) - magic;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
    return (p * r * r + r + 1.0f) * (Floats)power;
}

// 1 / x for x from 1 to 2^60, within a unit of the last place: a first guess from the bits,
// which each of Newton's steps squares the error of. Several times faster than a division.
INLINE Floats reciprocal(Floats x) {
    Floats y = (Floats)(0x7ef311c7 - (Ints)x);
    for (int step = 0; step < 3; ++step) y += y * (1.0f - x * y);
    return y;
}

// The normal distribution at x: its integral, within 1e-7, and its density. erf is
// Abramowitz and Stegun's 7.1.26.
struct Normal {
    Floats integral, density;
};

INLINE Normal normal(Floats x) {
    const Floats z = (x < 0.0f ? -x : x) * 0.70710678118654752f;
    const Floats t = reciprocal(1.0f + 0.3275911f * z);
    const Floats e = exponential(-z * z);
    Floats p = all(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Floats tail = 0.5f * p * t * e;
    return {x < 0.0f ? tail : 1.0f - tail, e * 0.39894228040143268f};
}

// C = A B in blocks that stay in registers: A is [M, K] with any strides, B [K, N] and C
// [M, N] have rows of whole vectors, `b_row` and `c_row` numbers apart.
template <int ROWS, int VECTORS>
INLINE void block(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row,
                  float* c, int64_t c_row, int64_t inner) {
    Floats sums[ROWS][VECTORS] = {};
    for (int64_t k = 0; k < inner; ++k) {
        Floats right[VECTORS];
        for (int v = 0; v < VECTORS; ++v) right[v] = load(b + k * b_row + v * WIDTH);
        for (int r = 0; r < ROWS; ++r) {
            const float left = a[r * a_row + k * a_column];
            for (int v = 0; v < VECTORS; ++v) sums[r][v] += left * right[v];
        }
    }
    for (int r = 0; r < ROWS; ++r)
        for (int v = 0; v < VECTORS; ++v) store(c + r * c_row + v * WIDTH, sums[r][v]);
}

template <int ROWS>
INLINE void strip(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row,
                  float* c, int64_t c_row, int64_t columns, int64_t inner) {
    int64_t n = 0;
    for (; n + 2 * WIDTH <= columns; n += 2 * WIDTH)
        block<ROWS, 2>(a, a_row, a_column, b + n, b_row, c + n, c_row, inner);
    if (n < columns) block<ROWS, 1>(a, a_row, a_column, b + n, b_row, c + n, c_row, inner);
}

INLINE void product(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row,
                    float* c, int64_t c_row, int64_t rows, int64_t columns, int64_t inner) {
    int64_t m = 0;
    for (; m + 8 <= rows; m += 8)
        strip<8>(a + m * a_row, a_row, a_column, b, b_row, c + m * c_row, c_row, columns, inner);
    if (m + 4 <= rows) {
        strip<4>(a + m * a_row, a_row, a_column, b, b_row, c + m * c_row, c_row, columns, inner);
        m += 4;
    }
    if (m + 2 <= rows) {
        strip<2>(a + m * a_row, a_row, a_column, b, b_row, c + m * c_row, c_row, columns, inner);
        m += 2;
    }
    if (m < rows)
        strip<1>(a + m * a_row, a_row, a_column, b, b_row, c + m * c_row, c_row, columns, inner);
}

}  // namespace bertfit
