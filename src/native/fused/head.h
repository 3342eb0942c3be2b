// One row and one head of self-attention: scores, softmax, dropout and the mix of values, all
// of which stay in the nearest cache. The backward pass computes the scores again.
#pragma once

#include <vector>

#include "dropout.h"

namespace bertfit {
namespace {

// Where the tokens of a row lie.
struct Row {
    int64_t first, length;
};

// A matrix `[T, H]` whose rows are so many numbers apart, and what is to be added to each.
template <typename E>
struct Matrix {
    E* x;
    int64_t stride;
    const float* bias;
};

// A piece of work: one head of one row.
struct Unit {
    int64_t head_size;
    float scale;
    Dropout dropout;
    Row row;
    int64_t head, number;

    // Where the head's part of a token is.
    template <typename E>
    E* place(const Matrix<E>& matrix, int64_t token) const {
        return matrix.x + (row.first + token) * matrix.stride + head * head_size;
    }
    int64_t padded_size() const { return (head_size + WIDTH - 1) / WIDTH * WIDTH; }
    int64_t padded_length() const { return (row.length + WIDTH - 1) / WIDTH * WIDTH; }
};

// The room that a thread computes in, cut into matrices, which begin at lines of the cache.
class Room {
    std::vector<float> numbers;
    float* start;
    int64_t used = 0;

   public:
    explicit Room(int64_t size) : numbers(size + WIDTH) {
        const auto place = reinterpret_cast<uintptr_t>(numbers.data());
        start = numbers.data() + (0 - place) % (WIDTH * sizeof(float)) / sizeof(float);
    }
    void clear() { used = 0; }
    float* matrix(int64_t rows, int64_t columns) {
        float* matrix = start + used;
        used += (rows * columns + WIDTH - 1) / WIDTH * WIDTH;
        return matrix;
    }
};

// Of a unit of so many tokens, at most.
int64_t room_for(int64_t length, int64_t head_size) {
    const int64_t tokens = length + WIDTH, size = head_size + WIDTH;
    return 10 * tokens * size + 3 * tokens * tokens + room_for_mask(tokens * tokens);
}

// The head's part of a matrix, `[L, padded size]`, zeros where it was padded.
template <typename E>
INLINE void read(const Unit& unit, const Matrix<E>& matrix, float* to) {
    const int64_t size = unit.head_size, padded = unit.padded_size();
    for (int64_t i = 0; i < unit.row.length; ++i) {
        const E* from = unit.place(matrix, i);
        for (int64_t d = 0; d < size; d += WIDTH) {
            Floats z = load_some(from + d, size - d);
            if (matrix.bias != nullptr)
                z += load_some(matrix.bias + unit.head * size + d, size - d);
            store(to + i * padded + d, z);
        }
    }
}

// Writes `[L, padded size]` to the head's part of a matrix.
template <typename E>
INLINE void write(const Unit& unit, const float* from, const Matrix<E>& matrix) {
    const int64_t size = unit.head_size, padded = unit.padded_size();
    for (int64_t i = 0; i < unit.row.length; ++i) {
        E* to = unit.place(matrix, i);
        for (int64_t d = 0; d < size; d += WIDTH)
            store_some(to + d, load(from + i * padded + d), size - d);
    }
}

// `[L, padded size]` to `[padded size, padded L]`, zeros where it is padded.
INLINE void transpose(const Unit& unit, const float* from, float* to) {
    const int64_t size = unit.padded_size(), length = unit.padded_length();
    for (int64_t i = 0; i < length; i += WIDTH)
        for (int64_t d = 0; d < size; d += WIDTH)
            mirror(from + i * size + d, size, unit.row.length - i, to + d * length + i, length);
}

// Scores `[L, padded L]` to shares whose rows add up to 1.
INLINE void softmax(const Unit& unit, float* scores) {
    const int64_t length = unit.row.length, padded = unit.padded_length();
    for (int64_t i = 0; i < length; ++i) {
        float* row = scores + i * padded;
        for (int64_t j = length; j < padded; ++j) row[j] = -1e30f;
        Floats most = all(-1e30f);
        for (int64_t j = 0; j < padded; j += WIDTH) most = larger(most, load(row + j));
        const float highest = largest(most);
        Floats total{};
        for (int64_t j = 0; j < padded; j += WIDTH) {
            const Floats share = exponential((load(row + j) - highest) * unit.scale);
            store(row + j, share);
            total += share;
        }
        const float one = 1.0f / sum(total);
        for (int64_t j = 0; j < padded; j += WIDTH) store(row + j, load(row + j) * one);
        for (int64_t j = length; j < padded; ++j) row[j] = 0;
    }
}

// The shares `[L, padded L]` of queries and keys, and what dropout multiplies them by.
struct Shares {
    float *shares, *factors, *kept;
};

INLINE Shares shares_of(const Unit& unit, Room& room, const float* query, const float* key) {
    const int64_t length = unit.row.length, padded = unit.padded_length();
    const int64_t size = unit.padded_size(), count = length * padded;
    float* turned = room.matrix(size, padded);
    transpose(unit, key, turned);
    Shares of{room.matrix(length, padded), nullptr, nullptr};
    product(query, size, 1, turned, padded, of.shares, padded, length, padded, unit.head_size);
    softmax(unit, of.shares);
    of.kept = of.shares;
    if (unit.dropout.is_on()) {
        of.factors = room.matrix(1, room_for_mask(count));
        mask(unit.dropout, unit.number, 0, count, of.factors);
        of.kept = room.matrix(length, padded);
        for (int64_t i = 0; i < count; i += WIDTH)
            store(of.kept + i, load(of.shares + i) * load(of.factors + i));
    }
    return of;
}

template <typename E>
INLINE void attend(const Unit& unit, Room& room, const Matrix<E> parts[3], const Matrix<E>& mixed) {
    room.clear();
    const int64_t length = unit.row.length, padded = unit.padded_length();
    const int64_t size = unit.padded_size();
    float* heads[3];
    for (int64_t i = 0; i < 3; ++i) {
        heads[i] = room.matrix(length, size);
        read(unit, parts[i], heads[i]);
    }
    const Shares of = shares_of(unit, room, heads[0], heads[1]);
    float* mix = room.matrix(length, size);
    product(of.kept, padded, 1, heads[2], size, mix, size, length, size, length);
    write(unit, mix, mixed);
}

// `gradients` are those of queries, keys and values, `[T, H]`.
template <typename E>
INLINE void attend_backward(const Unit& unit, Room& room, const Matrix<E> parts[3],
                            const Matrix<E>& gradient, const Matrix<E> gradients[3]) {
    room.clear();
    const int64_t length = unit.row.length, padded = unit.padded_length();
    const int64_t size = unit.padded_size();
    float* heads[3];
    for (int64_t i = 0; i < 3; ++i) {
        heads[i] = room.matrix(length, size);
        read(unit, parts[i], heads[i]);
    }
    const Shares of = shares_of(unit, room, heads[0], heads[1]);
    float* mix = room.matrix(length, size);
    read(unit, gradient, mix);
    float* result = room.matrix(length, size);
    // Of the values.
    product(of.kept, 1, padded, mix, size, result, size, length, size, length);
    write(unit, result, gradients[2]);
    // Of the shares, then of the scores.
    float* turned = room.matrix(size, padded);
    transpose(unit, heads[2], turned);
    float* scores = room.matrix(length, padded);
    product(mix, size, 1, turned, padded, scores, padded, length, padded, unit.head_size);
    for (int64_t i = 0; i < length; ++i) {
        float* row = scores + i * padded;
        const float *shares = of.shares + i * padded, *kept = of.kept + i * padded;
        Floats total{};
        for (int64_t j = 0; j < padded; j += WIDTH) total += load(row + j) * load(kept + j);
        const float along = sum(total);
        for (int64_t j = 0; j < padded; j += WIDTH) {
            const Floats of_kept = load(row + j) * load(kept + j);
            store(row + j, (of_kept - load(shares + j) * along) * unit.scale);
        }
    }
    product(scores, padded, 1, heads[1], size, result, size, length, size, length);
    write(unit, result, gradients[0]);
    product(scores, 1, padded, heads[0], size, result, size, length, size, length);
    write(unit, result, gradients[1]);
}

// Adds up the columns of a matrix `[T, H]`.
template <typename E>
INLINE void add_rows(const Matrix<E>& matrix, int64_t begin, int64_t end, int64_t width,
                     float* sums) {
    for (int64_t row = begin; row < end; ++row)
        for (int64_t i = 0; i < width; i += WIDTH)
            store(sums + i, load(sums + i) + load(matrix.x + row * matrix.stride + i));
}

FOR_EACH_PROCESSOR void attend_of(const Unit& unit, Room& room, const Matrix<float> parts[3],
                                  const Matrix<float>& mixed) {
    attend(unit, room, parts, mixed);
}
FOR_EACH_PROCESSOR void attend_backward_of(const Unit& unit, Room& room,
                                           const Matrix<float> parts[3],
                                           const Matrix<float>& gradient,
                                           const Matrix<float> gradients[3]) {
    attend_backward(unit, room, parts, gradient, gradients);
}
FOR_EACH_PROCESSOR void add_rows_of(const Matrix<float>& matrix, int64_t begin, int64_t end,
                                    int64_t width, float* sums) {
    add_rows(matrix, begin, end, width, sums);
}
FOR_EACH_PROCESSOR void attend_of(const Unit& unit, Room& room, const Matrix<Short> parts[3],
                                  const Matrix<Short>& mixed) {
    attend(unit, room, parts, mixed);
}
FOR_EACH_PROCESSOR void attend_backward_of(const Unit& unit, Room& room,
                                           const Matrix<Short> parts[3],
                                           const Matrix<Short>& gradient,
                                           const Matrix<Short> gradients[3]) {
    attend_backward(unit, room, parts, gradient, gradients);
}
FOR_EACH_PROCESSOR void add_rows_of(const Matrix<Short>& matrix, int64_t begin, int64_t end,
                                    int64_t width, float* sums) {
    add_rows(matrix, begin, end, width, sums);
}

}  // namespace
}  // namespace bertfit
