// Vectors of float32 of the width that a path of the processor has: LANES numbers, 16 (AVX512),
// 8 (AVX2) or 4 (SSE2, NEON). For GCC and Clang. Numbers are float32 inside; in memory they may
// be bfloat16.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "numbers.h"

#ifndef LANES
#define LANES 16
#endif

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace bertfit {
namespace {

constexpr int64_t WIDTH = LANES;

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

// LANES of the numbers of two vectors.
#if defined(__clang__) || __GNUC__ >= 12
#define CHOOSE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHOOSE(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif

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
    if (count > 0) std::memcpy(padded, from, count * sizeof(E));
    return load(padded);
}

template <typename E>
INLINE void store_some(E* to, Floats x, int64_t count) {
    if (count >= WIDTH) return store(to, x);
    E padded[WIDTH];
    store(padded, x);
    if (count > 0) std::memcpy(to, padded, count * sizeof(E));
}

// Of two numbers the larger or the smaller one; the second where either is no number.
#if LANES == 16 && defined(__AVX512F__)
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
#elif LANES == 8 && defined(__AVX2__)
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }
#elif LANES == 4 && defined(__SSE2__)
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm_max_ps((__m128)a, (__m128)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm_min_ps((__m128)a, (__m128)b); }
#elif LANES == 4 && defined(__ARM_NEON)
INLINE Floats larger(Floats a, Floats b) {
    return (Floats)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a,
                             (float32x4_t)b);
}
INLINE Floats smaller(Floats a, Floats b) {
    return (Floats)vbslq_f32(vcltq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a,
                             (float32x4_t)b);
}
#else
INLINE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
INLINE Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
#endif

using Lanes = std::make_integer_sequence<int, LANES>;

// Each number in the place of the one that is STEP away, a power of two.
template <int STEP, int... LANE>
INLINE Floats swapped(Floats x, std::integer_sequence<int, LANE...>) {
    return CHOOSE(x, x, (LANE ^ STEP)...);
}

template <int STEP = LANES / 2>
INLINE float sum(Floats x) {
    x += swapped<STEP>(x, Lanes{});
    if constexpr (STEP > 1) return sum<STEP / 2>(x);
    else return x[0];
}

template <int STEP = LANES / 2>
INLINE float largest(Floats x) {
    x = larger(x, swapped<STEP>(x, Lanes{}));
    if constexpr (STEP > 1) return largest<STEP / 2>(x);
    else return x[0];
}

// Of two rows that are STEP apart, the upper right and the lower left quarters of each
// square of 2 · STEP change places.
template <int STEP, int... LANE>
INLINE void exchange(Floats& a, Floats& b, std::integer_sequence<int, LANE...>) {
    const Floats upper = CHOOSE(a, b, (LANE & STEP ? LANES + LANE - STEP : LANE)...);
    b = CHOOSE(a, b, (LANE & STEP ? LANES + LANE : LANE + STEP)...);
    a = upper;
}

// LANES rows, mirrored at the diagonal.
template <int STEP = LANES / 2>
INLINE void mirror(Floats rows[WIDTH]) {
#pragma GCC unroll 16
    for (int row = 0; row < LANES; ++row)
        if ((row & STEP) == 0) exchange<STEP>(rows[row], rows[row + STEP], Lanes{});
    if constexpr (STEP > 1) mirror<STEP / 2>(rows);
}

// The same of a square in memory, of whose rows the first `count` are there; its rows are so
// many numbers apart.
INLINE void mirror(const float* from, int64_t from_row, int64_t count, float* to, int64_t to_row) {
    Floats rows[WIDTH];
#pragma GCC unroll 16
    for (int row = 0; row < LANES; ++row)
        rows[row] = row < count ? load(from + row * from_row) : Floats{};
    mirror(rows);
#pragma GCC unroll 16
    for (int row = 0; row < LANES; ++row) store(to + row * to_row, rows[row]);
}

// e^x, within two units of the last place: x = n ln 2 + r, and a polynomial in r (Cephes,
// expf). What is no number stays none.
INLINE Floats exponential(Floats x) {
    x = smaller(all(88.0f), larger(all(-87.0f), x));
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
    const Floats z = (Floats)((Ints)x & 0x7fffffff) * 0.70710678118654752f;
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

}  // namespace
}  // namespace bertfit
