// What follows a dense layer, row by row: GELU, or dropout, the residual and a layer norm, and
// their gradients. See `KernelsOf` for what goes in and out.
#pragma once

#include "dropout.h"

namespace bertfit {
namespace {

// `slope`, where that is wanted, becomes the derivative. y may be x.
template <typename X, typename E>
INLINE void gelu(const X* x, const float* bias, E* y, E* slope, int64_t rows, int64_t width) {
    for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < width; i += WIDTH) {
            const int64_t place = row * width + i;
            const Floats z = load(x + place) + load(bias + i);
            const Normal at = normal(z);
            store(y + place, z * at.integral);
            if (slope != nullptr) store(slope + place, at.integral + z * at.density);
        }
    }
}

// `bias_gradient` collects the sums of the columns.
template <typename E>
INLINE void gelu_backward(const E* slope, const E* dy, E* dx, float* bias_gradient, int64_t rows,
                          int64_t width) {
    for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < width; i += WIDTH) {
            const int64_t place = row * width + i;
            const Floats gradient = load(dy + place) * load(slope + place);
            store(dx + place, gradient);
            store(bias_gradient + i, load(bias_gradient + i) + gradient);
        }
    }
}

// y = norm(residual + dropout(x + bias)); `normal` is y before gamma and beta, `rstd` one
// over the standard deviation, `y_short` y as bfloat16, where that is wanted.
template <typename E>
INLINE void add_norm(const Norm& norm, const E* x, const float* residual, float* y, Short* y_short,
                     float* normal, float* rstd, float* factors, int64_t begin, int64_t end) {
    const int64_t width = norm.width;
    for (int64_t row = begin; row < end; ++row) {
        if (norm.dropout.is_on()) mask(norm.dropout, row, 0, width, factors);
        float* into = normal + row * width;
        Floats total{};
        for (int64_t i = 0; i < width; i += WIDTH) {
            Floats z = load(x + row * width + i) + load(norm.bias + i);
            if (norm.dropout.is_on()) z *= load(factors + i);
            z += load(residual + row * width + i);
            store(into + i, z);
            total += z;
        }
        const float mean = sum(total) / width;
        Floats squares{};
        for (int64_t i = 0; i < width; i += WIDTH) {
            const Floats z = load(into + i) - mean;
            squares += z * z;
        }
        const float scale = 1.0f / __builtin_sqrtf(sum(squares) / width + static_cast<float>(norm.eps));
        rstd[row] = scale;
        for (int64_t i = 0; i < width; i += WIDTH) {
            const Floats z = (load(into + i) - mean) * scale;
            store(into + i, z);
            const Floats out = z * load(norm.gamma + i) + load(norm.beta + i);
            store(y + row * width + i, out);
            if (y_short != nullptr) store(y_short + row * width + i, out);
        }
    }
}

// `sums` collects the gradients of gamma, beta and the bias. Either of `dy` and `dy_short`
// may be absent.
template <typename E>
INLINE void add_norm_backward(const Norm& norm, const float* dy, const E* dy_short,
                              const float* normal, const float* rstd, E* dx, float* residual,
                              float* sums, float* factors, int64_t begin, int64_t end) {
    const int64_t width = norm.width;
    for (int64_t row = begin; row < end; ++row) {
        if (norm.dropout.is_on()) mask(norm.dropout, row, 0, width, factors);
        float* into = residual + row * width;
        const float* z = normal + row * width;
        Floats total{}, along{};
        for (int64_t i = 0; i < width; i += WIDTH) {
            Floats gradient{};
            if (dy != nullptr) gradient += load(dy + row * width + i);
            if (dy_short != nullptr) gradient += load(dy_short + row * width + i);
            const Floats at = load(z + i);
            store(sums + i, load(sums + i) + gradient * at);
            store(sums + width + i, load(sums + width + i) + gradient);
            gradient *= load(norm.gamma + i);
            store(into + i, gradient);
            total += gradient;
            along += gradient * at;
        }
        const float mean = sum(total) / width, slope = sum(along) / width;
        for (int64_t i = 0; i < width; i += WIDTH) {
            Floats gradient = (load(into + i) - mean - load(z + i) * slope) * rstd[row];
            store(into + i, gradient);
            if (norm.dropout.is_on()) gradient *= load(factors + i);
            store(dx + row * width + i, gradient);
            store(sums + 2 * width + i, load(sums + 2 * width + i) + gradient);
        }
    }
}

}  // namespace
}  // namespace bertfit
