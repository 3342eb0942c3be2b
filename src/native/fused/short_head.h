// One row and one head of self-attention in bfloat16, by the products of `bf16_product.h`; sums,
// softmax and dropout are float32. What `head.h` does for all others.
#pragma once

#include "bf16_product.h"
#include "head.h"

#ifdef BF16_UNITS

#define SHORT static inline __attribute__((always_inline, BF16_TARGET))

namespace bertfit {
namespace {

// The numbers of a vector of words.
constexpr int64_t PAIRED = 2 * WIDTH;
// Queries at a time.
constexpr int64_t QUERIES = PAIRED;

inline int64_t whole(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

// Sixteen or thirty-two numbers as bfloat16.
SHORT __m256i halves(Floats x) { return (__m256i)_mm512_cvtneps_pbh((__m512)x); }
SHORT Floats words(Floats first, Floats second) {
    return (Floats)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}
// Words of a number of each.
SHORT Floats paired(Floats low, Floats high) {
    const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves(high)), 16);
    return (Floats)_mm512_or_si512(_mm512_cvtepu16_epi32(halves(low)), upper);
}

// 2^x, with the series of e^x up to the fifth power: within 3e-6 of it.
SHORT Floats power_of_two(Floats x) {
    const __m512 n = _mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
    const Floats r = (x - (Floats)n) * 0.69314718055994531f;
    Floats p = all(1.0f / 120);
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return (Floats)_mm512_scalef_ps((__m512)p, n);
}

// Sixteen numbers of the head's part of a token; zeros for no token and beyond the head.
SHORT Floats some_of(const Unit& unit, const Matrix<Short>& matrix, int64_t token, int64_t at) {
    const int64_t left = unit.head_size - at;
    if (token >= unit.row.length || left <= 0) return Floats{};
    const Floats x = load_some(unit.place(matrix, unit.row, token) + at, left);
    if (matrix.bias == nullptr) return x;
    return x + load_some(matrix.bias + unit.head * unit.head_size + at, left);
}

// A head in the forms that products want. `tokens` and `size` are padded to whole pairs.
struct Head {
    const Unit& unit;
    int64_t tokens, size, columns;

    explicit Head(const Unit& unit)
        : unit(unit),
          tokens(whole(unit.row.length, PAIRED)),
          size(whole(unit.head_size, PAIRED)),
          columns(padded(unit.head_size)) {}
};

inline int64_t short_room_for(int64_t length, int64_t head_size) {
    const int64_t tokens = whole(length, PAIRED), size = whole(head_size, PAIRED);
    return 10 * tokens * size + 6 * QUERIES * tokens + QUERIES * size +
           room_for_mask(QUERIES * tokens);
}

// `[tokens, size / 2]` words of neighbours in the head.
SHORT Words along_head(const Head& head, Room& room, const Matrix<Short>& matrix) {
    const int64_t row = head.size / 2;
    float* to = room.matrix(head.tokens, row);
    for (int64_t i = 0; i < head.tokens; ++i)
        for (int64_t d = 0; d < head.size; d += PAIRED)
            store(to + i * row + d / 2, words(some_of(head.unit, matrix, i, d),
                                              some_of(head.unit, matrix, i, d + WIDTH)));
    return {to, row};
}

// `[tokens / 2, columns]` words of neighbouring tokens.
SHORT Words along_tokens(const Head& head, Room& room, const Matrix<Short>& matrix) {
    float* to = room.matrix(head.tokens / 2, head.columns);
    for (int64_t i = 0; i < head.tokens; i += 2)
        for (int64_t d = 0; d < head.columns; d += WIDTH)
            store(to + i / 2 * head.columns + d, paired(some_of(head.unit, matrix, i, d),
                                                        some_of(head.unit, matrix, i + 1, d)));
    return {to, head.columns};
}

// `[rows, columns]` words or numbers to `[columns, rows]`.
SHORT Words turned(Room& room, Words from, int64_t rows, int64_t columns) {
    float* to = room.matrix(columns, rows);
    for (int64_t i = 0; i < rows; i += WIDTH)
        for (int64_t j = 0; j < columns; j += WIDTH)
            mirror(from.words + i * from.row + j, from.row, WIDTH, to + j * rows + i, rows);
    return {to, rows};
}

// What the shares of some queries are multiplied by, `[queries, padded L]`, if anything.
SHORT const float* short_factors_of(const Unit& unit, int64_t first, int64_t count, float* room) {
    if (!unit.dropout.is_on()) return nullptr;
    const int64_t row = padded(unit.row.length);
    mask(unit.dropout, unit.number, first * row, count * row, room);
    return room;
}

// Scores to e^(score - highest), not yet divided by their sum, which it returns.
SHORT float short_exponentials(const Head& head, float* scores) {
    for (int64_t j = head.unit.row.length; j < head.tokens; ++j) scores[j] = -1e30f;
    Floats most = all(-1e30f);
    for (int64_t j = 0; j < head.tokens; j += WIDTH) most = larger(most, load(scores + j));
    const float unit = head.unit.scale * 1.44269504088896341f;
    const float highest = largest(most) * unit;
    Floats total{};
    for (int64_t j = 0; j < head.tokens; j += WIDTH) {
        const Floats share = power_of_two(load(scores + j) * unit - highest);
        store(scores + j, share);
        total += share;
    }
    return sum(total);
}

SHORT Floats kept(Floats share, const Unit& unit, const float* factors, int64_t key) {
    return factors == nullptr || key >= padded(unit.row.length) ? share : share * load(factors + key);
}

// One head of one row; `attend` in head.h is the same.
SHORT void short_attend(const Unit& unit, Room room, const Matrix<Short> parts[3],
                        const Matrix<Short>& mixed, Product product) {
    const Head head(unit);
    const int64_t length = unit.row.length, tokens = head.tokens, columns = head.columns;
    const Words query = along_head(head, room, parts[0]);
    const Words key = turned(room, along_head(head, room, parts[1]), tokens, head.size / 2);
    const Words value = along_tokens(head, room, parts[2]);
    float* scores = room.matrix(QUERIES, tokens);
    float* shares = room.matrix(QUERIES, tokens / 2);
    float* mix = room.matrix(QUERIES, columns);
    float* room_for_factors = room.matrix(1, room_for_mask(QUERIES * tokens));
    for (int64_t first = 0; first < length; first += QUERIES) {
        const int64_t count = at_most(length - first, QUERIES), rows = whole(count, WIDTH);
        const float* factors = short_factors_of(unit, first, count, room_for_factors);
        product({query.words + first * query.row, query.row}, key, {scores, tokens},
                {rows, tokens, head.size / 2}, false);
        float one_over[QUERIES];
        for (int64_t i = 0; i < count; ++i) {
            float* row = scores + i * tokens;
            const float* by = factors == nullptr ? nullptr : factors + i * padded(unit.row.length);
            one_over[i] = 1.0f / short_exponentials(head, row);
            for (int64_t j = 0; j < tokens; j += PAIRED)
                store(shares + (i * tokens + j) / 2,
                      words(kept(load(row + j), unit, by, j),
                            kept(load(row + j + WIDTH), unit, by, j + WIDTH)));
        }
        product({shares, tokens / 2}, value, {mix, columns}, {rows, columns, tokens / 2}, false);
        for (int64_t i = 0; i < count; ++i) {
            Short* to = unit.place(mixed, unit.row, first + i);
            for (int64_t d = 0; d < unit.head_size; d += WIDTH)
                store_some(to + d, load(mix + i * columns + d) * one_over[i], unit.head_size - d);
        }
    }
}

SHORT Words turned_along_tokens(const Head& head, Room& room, const Matrix<Short>& matrix) {
    return turned(room, along_tokens(head, room, matrix), head.tokens / 2, head.columns);
}

// `[count, tokens]` numbers of queries to `[QUERIES / 2, tokens]` words of neighbouring ones.
SHORT void pair_rows(const float* from, int64_t count, int64_t tokens, float* to) {
    for (int64_t i = 0; i < QUERIES; i += 2) {
        const float *low = from + i * tokens, *high = low + tokens;
        for (int64_t j = 0; j < tokens; j += WIDTH)
            store(to + i / 2 * tokens + j, paired(i < count ? load(low + j) : Floats{},
                                                  i + 1 < count ? load(high + j) : Floats{}));
    }
}

// `attend_backward` in head.h is the same.
SHORT void short_attend_backward(const Unit& unit, Room room, const Matrix<Short> parts[3],
                                 const Matrix<Short>& gradient, const Matrix<Short> gradients[3],
                                 Product product) {
    const Head head(unit);
    const int64_t length = unit.row.length, tokens = head.tokens, columns = head.columns;
    const int64_t inner = head.size / 2;
    const Words query = along_head(head, room, parts[0]);
    const Words key = along_head(head, room, parts[1]);
    const Words mix = along_head(head, room, gradient);
    const Words turned_key = turned(room, key, tokens, inner);
    const Words turned_value = turned(room, along_head(head, room, parts[2]), tokens, inner);
    const Words key_pairs = along_tokens(head, room, parts[1]);
    const Words query_pairs = turned_along_tokens(head, room, parts[0]);
    const Words mix_pairs = turned_along_tokens(head, room, gradient);
    float* scores = room.matrix(QUERIES, tokens);
    float* shares = room.matrix(QUERIES, tokens);  // times their factors
    float* slopes = room.matrix(QUERIES, tokens);
    float* slope_words = room.matrix(QUERIES, tokens / 2);
    float* share_pairs = room.matrix(QUERIES / 2, tokens);
    float* slope_pairs = room.matrix(QUERIES / 2, tokens);
    float* of_query = room.matrix(QUERIES, columns);
    float* of_key = room.matrix(columns, tokens);
    float* of_value = room.matrix(columns, tokens);
    float* room_for_factors = room.matrix(1, room_for_mask(QUERIES * tokens));
    for (int64_t first = 0; first < length; first += QUERIES) {
        const int64_t count = at_most(length - first, QUERIES), rows = whole(count, WIDTH);
        const float* factors = short_factors_of(unit, first, count, room_for_factors);
        product({query.words + first * query.row, query.row}, turned_key, {scores, tokens},
                {rows, tokens, inner}, false);
        product({mix.words + first * mix.row, mix.row}, turned_value, {slopes, tokens},
                {rows, tokens, inner}, false);
        for (int64_t i = 0; i < count; ++i) {
            float *score = scores + i * tokens, *slope = slopes + i * tokens;
            float* share = shares + i * tokens;
            const float* by = factors == nullptr ? nullptr : factors + i * padded(unit.row.length);
            const float one_over = 1.0f / short_exponentials(head, score);
            Floats total{};
            for (int64_t j = 0; j < tokens; j += WIDTH) {
                const Floats whole_share = load(score + j) * one_over;
                const Floats kept_share = kept(whole_share, unit, by, j);
                store(score + j, whole_share);
                store(share + j, kept_share);
                total += load(slope + j) * kept_share;
            }
            const float along = sum(total);
            for (int64_t j = 0; j < tokens; j += WIDTH)
                store(slope + j,
                      (load(slope + j) * load(share + j) - load(score + j) * along) * unit.scale);
            for (int64_t j = 0; j < tokens; j += PAIRED)
                store(slope_words + (i * tokens + j) / 2,
                      words(load(slope + j), load(slope + j + WIDTH)));
        }
        pair_rows(shares, count, tokens, share_pairs);
        pair_rows(slopes, count, tokens, slope_pairs);
        product({slope_words, tokens / 2}, key_pairs, {of_query, columns},
                {rows, columns, tokens / 2}, false);
        for (int64_t i = 0; i < count; ++i) {
            Short* to = unit.place(gradients[0], unit.row, first + i);
            for (int64_t d = 0; d < unit.head_size; d += WIDTH)
                store_some(to + d, load(of_query + i * columns + d), unit.head_size - d);
        }
        const Size size{columns, tokens, QUERIES / 2};
        product({query_pairs.words + first / 2, query_pairs.row}, {slope_pairs, tokens},
                {of_key, tokens}, size, first > 0);
        product({mix_pairs.words + first / 2, mix_pairs.row}, {share_pairs, tokens},
                {of_value, tokens}, size, first > 0);
    }
    write(unit, unit.row, turned(room, {of_key, tokens}, columns, tokens).words, 0, length, nullptr,
          gradients[1]);
    write(unit, unit.row, turned(room, {of_value, tokens}, columns, tokens).words, 0, length, nullptr,
          gradients[2]);
}

__attribute__((noinline, BF16_TARGET)) void short_attend_of(const Unit& unit, Room room,
                                                            const Matrix<Short> parts[3],
                                                            const Matrix<Short>& mixed,
                                                            Product product) {
    short_attend(unit, room, parts, mixed, product);
}
__attribute__((noinline, BF16_TARGET)) void short_attend_backward_of(
    const Unit& unit, Room room, const Matrix<Short> parts[3], const Matrix<Short>& gradient,
    const Matrix<Short> gradients[3], Product product) {
    short_attend_backward(unit, room, parts, gradient, gradients, product);
}

}  // namespace
}  // namespace bertfit

#endif
