// The cross-entropy of rows of scores of all tokens, and its gradient in their place.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace bertfit {
namespace {

// Scores from the i-th on; those past the last one weigh nothing.
template <typename E>
INLINE Floats scores_at(const Scores& scores, const E* row, int64_t i) {
    const int64_t left = scores.count - i;
    if (left >= WIDTH) return load(row + i) + load(scores.bias + i);
    Floats z = load_some(row + i, left) + load_some(scores.bias + i, left);
    for (int64_t lane = left; lane < WIDTH; ++lane) z[lane] = -1e30f;
    return z;
}

// The loss of a row. Where `bias_gradient` is given, the gradient takes the place of the
// scores, and is added to it.
template <typename E>
INLINE double row_loss(const Scores& scores, E* row, int64_t target, float* bias_gradient) {
    const int64_t count = scores.count;
    if (target == IGNORED) {
        if (bias_gradient != nullptr) std::memset(row, 0, count * sizeof(E));
        return 0;
    }
    Floats most = scores_at(scores, row, 0);
    for (int64_t i = WIDTH; i < count; i += WIDTH) most = larger(most, scores_at(scores, row, i));
    const float highest = largest(most);
    Floats sums{};
    for (int64_t i = 0; i < count; i += WIDTH)
        sums += exponential(scores_at(scores, row, i) - highest);
    const double total = sum(sums);
    const double of_all = highest + __builtin_log(total);
    Floats one{};
    one[0] = load_some(row + target, 1)[0] + scores.bias[target];
    const double of_target = of_all - one[0];
    double loss = of_target;
    const float spread = scores.smoothing / count;
    if (scores.smoothing > 0) {
        Floats parts{};
        for (int64_t i = 0; i < count; i += WIDTH) {
            Floats z = scores_at(scores, row, i);
            for (int64_t lane = count - i; lane < WIDTH; ++lane) z[lane] = 0;
            parts += z;
        }
        loss = (1 - scores.smoothing) * of_target + spread * (count * of_all - sum(parts));
    }
    if (bias_gradient == nullptr) return loss;
    const float share = 1 / total;
    for (int64_t i = 0; i < count; i += WIDTH) {
        const int64_t left = count - i;
        const Floats gradient =
            exponential(scores_at(scores, row, i) - highest) * share - spread;
        store_some(row + i, gradient, left);
        store_some(bias_gradient + i, load_some(bias_gradient + i, left) + gradient, left);
    }
    const float of_label = 1 - scores.smoothing;
    const Floats gradient = exponential(one - highest) * share - spread - of_label;
    store_some(row + target, gradient, 1);
    bias_gradient[target] -= of_label;
    return loss;
}

template <typename E>
INLINE void loss_of_rows(const Scores& scores, E* rows, int64_t stride, const int64_t* targets,
                         double* losses, float* bias_gradient, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
        losses[row] = row_loss(scores, rows + row * stride, targets[row], bias_gradient);
}

}  // namespace
}  // namespace bertfit
