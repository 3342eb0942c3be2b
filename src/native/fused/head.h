// One row and one head of self-attention: scores, softmax, dropout and the mix of values, all
// of which stay in the nearest caches. Queries are taken some at a time; the backward pass
// computes their scores again.
#pragma once

#include "dropout.h"
#include "small_product.h"

namespace bertfit {
namespace {

// Queries at a time: whole blocks of rows on all paths.
constexpr int64_t QUERIES_AT_ONCE = 48;

// Numbers of room that a unit needs, at most.
INLINE int64_t room_for_head(int64_t length, int64_t head_size) {
    const int64_t tokens = padded(length), size = padded(head_size);
    return 12 * tokens * size + 3 * QUERIES_AT_ONCE * tokens + QUERIES_AT_ONCE * size +
           room_for_mask(QUERIES_AT_ONCE * tokens) + PADDING;
}

// The head's part of a row of a matrix, `[L, padded size]`, zeros where it is padded.
template <typename E>
INLINE const float* read(const Unit& unit, const Row& row, Room& room, const Matrix<E>& matrix) {
    const int64_t size = unit.head_size, columns = padded(size);
    float* to = room.matrix(row.length, columns);
    for (int64_t i = 0; i < row.length; ++i) {
        const E* from = unit.place(matrix, row, i);
        for (int64_t d = 0; d < columns; d += WIDTH) {
            Floats z = load_some(from + d, size - d);
            if (matrix.bias != nullptr)
                z += load_some(matrix.bias + unit.head * size + d, size - d);
            store(to + i * columns + d, z);
        }
    }
    return to;
}

// Writes rows of `[…, padded size]` to the head's part of a matrix, times a number each where
// `factors` are given.
template <typename E>
INLINE void write(const Unit& unit, const Row& row, const float* from, int64_t first,
                  int64_t count, const float* factors, const Matrix<E>& matrix) {
    const int64_t size = unit.head_size, columns = padded(size);
    for (int64_t i = 0; i < count; ++i) {
        E* to = unit.place(matrix, row, first + i);
        const Floats factor = all(factors == nullptr ? 1.0f : factors[i]);
        for (int64_t d = 0; d < size; d += WIDTH)
            store_some(to + d, load(from + i * columns + d) * factor, size - d);
    }
}

// Panels `[size / 16, L, 16]` of `[L, padded size]`: a right factor whose sum is along tokens.
INLINE Panels by_tokens(const Unit& unit, int64_t length, Room& room, const float* from) {
    const int64_t columns = padded(unit.head_size);
    float* to = room.matrix(length, columns);
    for (int64_t panel = 0; panel < columns; panel += PANEL)
        for (int64_t i = 0; i < length; ++i)
            for (int64_t d = 0; d < PANEL; d += WIDTH)
                store(to + panel * length + i * PANEL + d, load(from + i * columns + panel + d));
    return {to, length * PANEL};
}

// Panels `[L / 16, size, 16]` of `[L, padded size]`: one whose sum is along the head. Zeros for
// tokens beyond the last.
INLINE Panels by_size(const Unit& unit, Room& room, const float* from) {
    const int64_t tokens = padded(unit.row.length), columns = padded(unit.head_size);
    float* to = room.matrix(tokens, columns);
    for (int64_t i = 0; i < tokens; i += WIDTH)
        for (int64_t d = 0; d < columns; d += WIDTH)
            mirror(from + i * columns + d, columns, unit.row.length - i,
                   to + i / PANEL * PANEL * columns + d * PANEL + i % PANEL, PANEL);
    return {to, columns * PANEL};
}

// What the shares of some queries are multiplied by, `[queries, padded L]`, if anything.
INLINE const float* factors_of(const Unit& unit, int64_t first, int64_t count, float* room) {
    if (!unit.dropout.is_on()) return nullptr;
    const int64_t columns = padded(unit.row.length);
    mask(unit.dropout, unit.number, first * columns, count * columns, room);
    return room;
}

// A row of scores to e^(scaled score - the highest), zeros beyond the last token, and one over
// their sum.
INLINE float exponentials(const Unit& unit, float* row) {
    const int64_t length = unit.row.length, columns = padded(length);
    for (int64_t j = length; j < columns; ++j) row[j] = -1e30f;
    Floats most = all(-1e30f);
    for (int64_t j = 0; j < columns; j += WIDTH) most = larger(most, load(row + j));
    const float highest = largest(most);
    Floats total{};
    for (int64_t j = 0; j < columns; j += WIDTH) {
        const Floats share = exponential((load(row + j) - highest) * unit.scale);
        store(row + j, share);
        total += share;
    }
    for (int64_t j = length; j < columns; ++j) row[j] = 0;
    return 1.0f / sum(total);
}

template <typename E>
INLINE void attend(const Unit& unit, Room room, const Matrix<E> parts[3], const Matrix<E>& mixed) {
    const Row &queries = unit.queries, &row = unit.row;
    const int64_t length = row.length, columns = padded(length), size = padded(unit.head_size);
    const float* query = read(unit, queries, room, parts[0]);
    const Panels key = by_size(unit, room, read(unit, row, room, parts[1]));
    const Panels value = by_tokens(unit, length, room, read(unit, row, room, parts[2]));
    float* scores = room.matrix(QUERIES_AT_ONCE, columns);
    float* mix = room.matrix(QUERIES_AT_ONCE, size);
    float* drawn = room.matrix(1, room_for_mask(QUERIES_AT_ONCE * columns));
    for (int64_t first = 0; first < queries.length; first += QUERIES_AT_ONCE) {
        const int64_t count = at_most(queries.length - first, QUERIES_AT_ONCE);
        product({query + first * size, size, 1}, key, scores, columns, count, columns,
                unit.head_size);
        const float* factors = factors_of(unit, first, count, drawn);
        float one_over[QUERIES_AT_ONCE];
        for (int64_t i = 0; i < count; ++i) {
            float* row = scores + i * columns;
            one_over[i] = exponentials(unit, row);
            for (int64_t j = 0; factors != nullptr && j < columns; j += WIDTH)
                store(row + j, load(row + j) * load(factors + i * columns + j));
        }
        product({scores, columns, 1}, value, mix, size, count, size, length);
        write(unit, queries, mix, first, count, one_over, mixed);
    }
}

// `gradients` are those of queries, keys and values, `[T, H]`.
template <typename E>
INLINE void attend_backward(const Unit& unit, Room room, const Matrix<E> parts[3],
                            const Matrix<E>& gradient, const Matrix<E> gradients[3]) {
    const Row &queries = unit.queries, &row = unit.row;
    const int64_t length = row.length, columns = padded(length), size = padded(unit.head_size);
    const float* query = read(unit, queries, room, parts[0]);
    const float* mix = read(unit, queries, room, gradient);
    const float* keys = read(unit, row, room, parts[1]);
    const Panels key_by_size = by_size(unit, room, keys), key = by_tokens(unit, length, room, keys);
    const Panels value_by_size = by_size(unit, room, read(unit, row, room, parts[2]));
    const Panels query_by_tokens = by_tokens(unit, queries.length, room, query);
    const Panels mix_by_tokens = by_tokens(unit, queries.length, room, mix);
    float* of_keys = room.matrix(length, size);
    float* of_values = room.matrix(length, size);
    float* of_queries = room.matrix(QUERIES_AT_ONCE, size);
    float* shares = room.matrix(QUERIES_AT_ONCE, columns);  // then times their factors
    float* slopes = room.matrix(QUERIES_AT_ONCE, columns);
    float* drawn = room.matrix(1, room_for_mask(QUERIES_AT_ONCE * columns));
    for (int64_t i = 0; queries.length == 0 && i < length * size; i += WIDTH) {
        store(of_keys + i, Floats{});
        store(of_values + i, Floats{});
    }
    for (int64_t first = 0; first < queries.length; first += QUERIES_AT_ONCE) {
        const int64_t count = at_most(queries.length - first, QUERIES_AT_ONCE);
        product({query + first * size, size, 1}, key_by_size, shares, columns, count, columns,
                unit.head_size);
        product({mix + first * size, size, 1}, value_by_size, slopes, columns, count, columns,
                unit.head_size);
        const float* factors = factors_of(unit, first, count, drawn);
        for (int64_t i = 0; i < count; ++i) {
            float *row = shares + i * columns, *slope = slopes + i * columns;
            const float one_over = exponentials(unit, row);
            const float* by = factors == nullptr ? nullptr : factors + i * columns;
            // The gradient of what was kept of a share, times what was kept.
            Floats total{};
            for (int64_t j = 0; j < columns; j += WIDTH) {
                Floats kept = load(row + j) * one_over;
                store(row + j, kept);
                if (by != nullptr) kept *= load(by + j);
                const Floats of_share = load(slope + j) * kept;
                store(slope + j, of_share);
                total += of_share;
            }
            const float along = sum(total);
            for (int64_t j = 0; j < columns; j += WIDTH) {
                const Floats share = load(row + j);
                store(slope + j, (load(slope + j) - share * along) * unit.scale);
                if (by != nullptr) store(row + j, share * load(by + j));
            }
        }
        product({slopes, columns, 1}, key, of_queries, size, count, size, length);
        write(unit, queries, of_queries, first, count, nullptr, gradients[0]);
        const auto from = [&](Panels panels) {
            return Panels{panels.x + first * PANEL, panels.stride};
        };
        const auto add = [&](const float* left, Panels right, float* to) {
            if (first == 0) product({left, 1, columns}, right, to, size, length, size, count);
            else product<true>({left, 1, columns}, right, to, size, length, size, count);
        };
        add(slopes, from(query_by_tokens), of_keys);
        add(shares, from(mix_by_tokens), of_values);
    }
    write(unit, row, of_keys, 0, length, nullptr, gradients[1]);
    write(unit, row, of_values, 0, length, nullptr, gradients[2]);
}

// Adds up the columns of a matrix `[T, H]`.
template <typename E>
INLINE void add_rows(const Matrix<E>& matrix, int64_t begin, int64_t end, int64_t width,
                     float* sums) {
    for (int64_t row = begin; row < end; ++row)
        for (int64_t i = 0; i < width; i += WIDTH)
            store(sums + i, load(sums + i) + load(matrix.x + row * matrix.stride + i));
}

}  // namespace
}  // namespace bertfit
