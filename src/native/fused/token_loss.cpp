// The cross-entropy of scores of all tokens, which are a product with the word embeddings. They
// are far more numbers than anything else of a batch: here they are in memory once, and their
// gradient takes their place before the next row is looked at.

#include <ATen/ops/full.h>
#include <torch/csrc/autograd/custom_function.h>

#include "../guard.h"
#include "dense_products.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace bertfit {
namespace {

// Rows that begin at whole lines of the cache, where tiles are made of them.
at::Tensor room_for_scores(const at::Tensor& x, int64_t count) {
    const int64_t line = uses_tiles(x) ? 2 * PADDING : 1;
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
        const Sums sums(parts_of(x), has_graph ? 1 : 0, count);
        const Scores scores{data<const float>(bias), count, static_cast<float>(smoothing)};
        by_kind(x.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            forward_product(x, used, y, [&](int64_t part, int64_t begin, int64_t end) {
                kernels_of<E>().losses(scores, data<E>(y), y.stride(0), data<const int64_t>(targets),
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
        refuse_second_order();
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
