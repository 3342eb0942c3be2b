// Dropout whose mask is a function of a seed and a place: the backward pass makes it anew,
// and it depends neither on the number of threads nor on the processor.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace bertfit {
namespace {

// Numbers are drawn in blocks: four words of each of sixteen counters.
constexpr int64_t COUNTERS = 16, DRAWS = 4 * COUNTERS;

INLINE Bits rotated(Bits x, int by) { return (x << by) | (x >> (32 - by)); }

// Random words of 32 bits of a unit: Threefry4x32 with twelve rounds (Salmon et al. 2011),
// of as many counters at a time as a vector has lanes.
INLINE void draw(uint64_t seed, uint64_t unit, uint32_t first_counter, Bits x[4]) {
    Bits lanes;
    for (int64_t i = 0; i < WIDTH; ++i) lanes[i] = static_cast<uint32_t>(i);
    x[0] = lanes + first_counter;
    x[1] = Bits{} + static_cast<uint32_t>(unit);
    x[2] = Bits{} + static_cast<uint32_t>(unit >> 32);
    x[3] = Bits{};
    const uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    const uint32_t keys[5] = {key0, key1, 0, 0, 0x1BD11BDAu ^ key0 ^ key1};
    const int turns[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5},
                             {6, 20},  {17, 11}, {25, 10}, {18, 20}};
    for (uint32_t i = 0; i < 4; ++i) x[i] += keys[i];
#pragma GCC unroll 12
    for (uint32_t round = 0; round < 12; ++round) {
        // The second and the fourth word change places in each round.
        const uint32_t second = round % 2 == 0 ? 1 : 3, fourth = 4 - second;
        x[0] += x[second];
        x[second] = rotated(x[second], turns[round % 8][0]) ^ x[0];
        x[2] += x[fourth];
        x[fourth] = rotated(x[fourth], turns[round % 8][1]) ^ x[2];
        if (round % 4 == 3) {
            const uint32_t step = round / 4 + 1;
            for (uint32_t i = 0; i < 4; ++i) x[i] += keys[(step + i) % 5];
            x[3] += step;
        }
    }
}

// A draw below it drops the number.
INLINE uint32_t threshold(const Dropout& dropout) {
    return static_cast<uint32_t>(dropout.share * 4294967296.0);
}

// What `count` numbers of a unit, from a whole block's first on, are multiplied by: 0, or the
// scale that keeps the mean. `factors` has room for whole blocks.
INLINE void mask(const Dropout& dropout, uint64_t unit, int64_t first, int64_t count,
                 float* factors) {
    const Bits limit = Bits{} + threshold(dropout);
    const Floats scale = all(static_cast<float>(1.0 / (1.0 - dropout.share)));
    for (int64_t place = 0; place < count; place += DRAWS) {
        const auto block = static_cast<uint32_t>((first + place) / DRAWS);
        for (int64_t counter = 0; counter < COUNTERS; counter += WIDTH) {
            Bits drawn[4];
            draw(dropout.seed, unit,
                 block * static_cast<uint32_t>(COUNTERS) + static_cast<uint32_t>(counter), drawn);
            for (int64_t v = 0; v < 4; ++v)
                store(factors + place + v * COUNTERS + counter,
                      drawn[v] < limit ? Floats{} : scale);
        }
    }
}

}  // namespace
}  // namespace bertfit
