// Matrices as products take them.
#pragma once

#include <ATen/core/Tensor.h>

#include "tensors.h"

namespace bertfit {

// Rows of numbers, as many in each of up to three places; they are `stride` numbers apart.
template <typename E>
struct Stack {
    const E* places[3];
    int64_t rows_of_each, columns, stride;
    int64_t rows;

    const E* row(int64_t row) const {
        int64_t place = 0;
        for (; row >= rows_of_each; row -= rows_of_each) ++place;
        return places[place] + row * stride;
    }
};

template <typename E>
Stack<E> stack_of(const at::Tensor* tensors, size_t count) {
    Stack<E> stack{};
    for (size_t i = 0; i < count; ++i) stack.places[i] = data<const E>(tensors[i]);
    stack.rows_of_each = tensors[0].size(0);
    stack.rows = stack.rows_of_each * static_cast<int64_t>(count);
    stack.columns = tensors[0].size(1);
    stack.stride = tensors[0].stride(0);
    return stack;
}

// A factor of a product: the sum is along its rows, or across them.
template <typename E>
struct Factor {
    Stack<E> stack;
    bool along;

    int64_t outer() const { return along ? stack.rows : stack.columns; }
    int64_t inner() const { return along ? stack.columns : stack.rows; }
};

// C `[rows, columns]`, whose rows are `stride` numbers apart.
template <typename C>
struct Result {
    C* numbers;
    int64_t rows, columns, stride;
};

template <typename C>
Result<C> result_of(const at::Tensor& c) {
    return {data<C>(c), c.size(0), c.size(1), c.stride(0)};
}

}  // namespace bertfit
