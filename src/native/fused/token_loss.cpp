// The cross-entropy of scores of all tokens, which are a product with the word embeddings. They
// are far more numbers than anything else of a batch: here they are in memory once, and their
// gradient takes their place before the next row is looked at.

#include <ATen/ops/full.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "../guard.h"
#include "dense_products.h"
#include "tensors.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace bertfit {
namespace {

// As libtorch's `cross_entropy_loss` has it.
constexpr int64_t IGNORED = -100;

// So many scores for each of the tokens, and what is added to each. Of what is to be learnt,
// `smoothing` is spread over all scores.
struct Scores {
    const float* bias;
    int64_t count;
    float smoothing;
};

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
    const double of_all = highest + std::log(total);
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

FOR_EACH_PROCESSOR void loss_of(const Scores& scores, float* rows, int64_t stride,
                                const int64_t* targets, double* losses, float* bias_gradient,
                                int64_t begin, int64_t end) {
    loss_of_rows(scores, rows, stride, targets, losses, bias_gradient, begin, end);
}
FOR_EACH_PROCESSOR void loss_of(const Scores& scores, Short* rows, int64_t stride,
                                const int64_t* targets, double* losses, float* bias_gradient,
                                int64_t begin, int64_t end) {
    loss_of_rows(scores, rows, stride, targets, losses, bias_gradient, begin, end);
}

// Rows that begin at whole lines of the cache, where tiles are made of them.
at::Tensor room_for_scores(const at::Tensor& x, int64_t count) {
    const int64_t line = uses_tiles(x) ? 2 * WIDTH : 1;
    return empty({x.size(0), at::divup(count, line) * line}, x.scalar_type()).narrow(1, 0, count);
}

struct TokenLoss : torch::autograd::Function<TokenLoss> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                              const at::Tensor& words, const at::Tensor& bias,
                              const at::Tensor& targets, double smoothing, bool has_graph) {
        const Quiet quiet;
        const Weights used = for_products({words}, x, false);
        const int64_t rows = x.size(0), count = words.size(0);
        const at::Tensor y = room_for_scores(x, count);
        const at::Tensor losses = empty({rows}, at::kDouble);
        const Sums sums(threads(), has_graph ? 1 : 0, count);
        const Scores scores{data<const float>(bias), count, static_cast<float>(smoothing)};
        by_kind(x.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            forward_product(x, used, y, [&](int64_t part, int64_t begin, int64_t end) {
                loss_of(scores, data<E>(y), y.stride(0), data<const int64_t>(targets),
                        data<double>(losses), has_graph ? sums.of(part) : nullptr, begin, end);
            });
        });
        if (has_graph) context->save_for_backward({x, used[0], y, sums.row(0)});
        // One after another, whatever the number of threads.
        double total = 0;
        for (int64_t row = 0; row < rows; ++row) total += data<const double>(losses)[row];
        return at::full({}, total, at::TensorOptions().dtype(at::kFloat));
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const Quiet quiet;
        const variable_list saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &used = saved[1], &y = saved[2];
        const auto factor = gradients[0].item<float>();
        const auto scaled = [&](at::Tensor gradient) {
            return factor == 1 ? gradient : gradient.mul_(factor);
        };
        variable_list results(6);
        if (context->needs_input_grad(0)) results[0] = scaled(backward_product(y, {used}));
        if (context->needs_input_grad(1)) results[1] = scaled(weight_gradient(y, x));
        if (context->needs_input_grad(2)) results[2] = factor == 1 ? saved[3] : saved[3] * factor;
        return results;
    }
};

}  // namespace
}  // namespace bertfit

// The sum of the cross-entropies of x Wᵀ + bias: x `[M, H]`, W `[V, H]`, bias `[V]`, and for
// each row of x the number of the right score, or -100 for none.
DOOR char* bertfit_token_loss(const at::Tensor* const* inputs, double smoothing, Take take,
                              void* context) {
    return guarded([&] {
        const at::Tensor &x = *inputs[0], &words = *inputs[1], &bias = *inputs[2];
        const at::Tensor& targets = *inputs[3];
        bertfit::check_matrix(x, "x");
        const int64_t count = bias.numel();
        bertfit::check_weight(words, {count, x.size(1)}, "the word embeddings");
        bertfit::check_weight(bias, {count}, "bias");
        TORCH_CHECK(targets.sizes() == x.sizes().slice(0, 1) &&
                        targets.scalar_type() == at::kLong && targets.is_contiguous() &&
                        targets.device().is_cpu(),
                    "targets are no integers, one for each row of x, in order on the CPU");
        for (int64_t row = 0; row < targets.numel(); ++row) {
            const int64_t target = bertfit::data<const int64_t>(targets)[row];
            TORCH_CHECK((target >= 0 && target < count) || target == bertfit::IGNORED, "target ",
                        target, " of row ", row, " is not below ", count, ", the scores");
        }
        TORCH_CHECK(smoothing >= 0 && smoothing < 1, "smoothing is not from 0 to below 1");
        bertfit::copy_with_graph(words, x);
        take(context, new at::Tensor(bertfit::TokenLoss::apply(x, words, bias, targets, smoothing,
                                                               at::GradMode::is_enabled())));
    });
}
