// The functions of the path that this file is compiled for.
#pragma once

#include "block_product.h"
#include "dense_rows.h"
#include "head.h"
#include "loss_rows.h"

namespace bertfit {
namespace {

template <typename E>
struct Compiled {
    static int64_t room_for(int64_t length, int64_t head_size) {
        return room_for_head(length, head_size);
    }
    static void attend(const Unit& unit, Room room, const Matrix<E> parts[3],
                       const Matrix<E>& mixed) {
        bertfit::attend(unit, room, parts, mixed);
    }
    static void attend_backward(const Unit& unit, Room room, const Matrix<E> parts[3],
                                const Matrix<E>& gradient, const Matrix<E> gradients[3]) {
        bertfit::attend_backward(unit, room, parts, gradient, gradients);
    }
    static void add_rows(const Matrix<E>& matrix, int64_t begin, int64_t end, int64_t width,
                         float* sums) {
        bertfit::add_rows(matrix, begin, end, width, sums);
    }
    static void gelu(const E* x, const float* bias, E* y, E* slope, int64_t rows, int64_t width) {
        bertfit::gelu(x, bias, y, slope, rows, width);
    }
    static void gelu_backward(const E* slope, const E* dy, E* dx, float* sums, int64_t rows,
                              int64_t width) {
        bertfit::gelu_backward(slope, dy, dx, sums, rows, width);
    }
    static void add_norm(const Norm& norm, const E* x, const float* residual, float* y,
                         Short* y_short, float* normal, float* rstd, float* factors,
                         int64_t begin, int64_t end) {
        bertfit::add_norm(norm, x, residual, y, y_short, normal, rstd, factors, begin, end);
    }
    static void add_norm_backward(const Norm& norm, const float* dy, const E* dy_short,
                                  const float* normal, const float* rstd, E* dx, float* residual,
                                  float* sums, float* factors, int64_t begin, int64_t end) {
        bertfit::add_norm_backward(norm, dy, dy_short, normal, rstd, dx, residual, sums, factors,
                                   begin, end);
    }
    static void losses(const Scores& scores, E* rows, int64_t stride, const int64_t* targets,
                       double* losses, float* bias_gradient, int64_t begin, int64_t end) {
        loss_of_rows(scores, rows, stride, targets, losses, bias_gradient, begin, end);
    }

    static constexpr KernelsOf<E> table() {
        return {room_for,      attend,   attend_backward,   add_rows, gelu,
                gelu_backward, add_norm, add_norm_backward, losses};
    }
};

constexpr BlockProducts BLOCK_PRODUCTS{MOST_ROWS, PANEL, pack, multiply};

}  // namespace
}  // namespace bertfit
