// Two halves of a transformer's layer, each a dense layer with all that follows it in one
// pass over its output: GELU, or dropout, the residual and a layer norm.

#include <torch/csrc/autograd/custom_function.h>

#include "../guard.h"
#include "dense_products.h"
#include "dense_rows.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace bertfit {
namespace {

template <typename E>
const E* data_or_null(const at::Tensor& tensor) {
    return tensor.defined() ? data<const E>(tensor) : nullptr;
}

#ifdef BF16_UNITS

// GELU of a square of a dense layer's output, as its sums are complete.
struct SquareGelu {
    const float* bias;
    void* slope;

    template <typename C>
    __attribute__((noinline, TILE_TARGET)) void operator()(const float* sums, const Result<C>& y,
                                                           int64_t row, int64_t column) const {
        const int64_t rows = std::min(SQUARE, y.rows - row);
        const int64_t columns = std::min(SQUARE, y.columns - column);
        for (int64_t i = 0; i < rows; ++i) {
            const int64_t place = (row + i) * y.stride + column;
            C* into = slope == nullptr ? nullptr : static_cast<C*>(slope) + place;
            gelu(sums + i * SQUARE, bias + column, y.numbers + place, into, 1, columns);
        }
    }
};

#else

struct SquareGelu {
    const float* bias;
    void* slope;
};

#endif

// The gradients of a dense layer `x · weightᵀ`, where they are wanted.
struct DenseGradients {
    at::Tensor x, weight;
};

// `make_dy` computes rows of dy.
template <typename F>
DenseGradients dense_backward(AutogradContext* context, const at::Tensor& dy, const F& make_dy,
                              const at::Tensor& x, const at::Tensor& weight) {
    DenseGradients gradients;
    if (context->needs_input_grad(0)) gradients.x = backward_product(dy, {weight}, make_dy);
    else in_parts(parts_of(x), dy.size(0), make_dy);
    if (context->needs_input_grad(1)) gradients.weight = weight_gradient(dy, x);
    return gradients;
}

struct DenseGelu : torch::autograd::Function<DenseGelu> {
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                              const at::Tensor& weight, const at::Tensor& bias, bool has_graph) {
        const Quiet quiet;
        const Weights used = for_products({weight}, x, false);
        const int64_t width = weight.size(0);
        const at::Tensor y = empty({x.size(0), width}, x.scalar_type());
        const at::Tensor slope = has_graph ? at::empty_like(y) : at::Tensor();
        const float* biases = data<const float>(bias);
        if (uses_tiles(x) && is_one_sum(x)) {
            const SquareGelu finish{biases, has_graph ? slope.data_ptr() : nullptr};
            dense_by_tiles(x, used, true, y, finish, Nothing{}, Nothing{});
        } else {
            by_kind(x.scalar_type(), [&](auto* type) {
                using E = std::remove_pointer_t<decltype(type)>;
                forward_product(x, used, y, [&](int64_t, int64_t begin, int64_t end) {
                    E* from = data<E>(y) + begin * width;
                    E* into = has_graph ? data<E>(slope) + begin * width : nullptr;
                    kernels_of<E>().gelu(from, biases, from, into, end - begin, width);
                });
            });
        }
        if (has_graph) context->save_for_backward({x, used[0], slope});
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const Quiet quiet;
        refuse_second_order();
        const variable_list saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &used = saved[1], &slope = saved[2];
        const at::Tensor dy = gradients[0].contiguous();
        const at::Tensor inner = at::empty_like(slope);
        const int64_t width = slope.size(1);
        const Sums sums(parts_of(x), 1, width);
        DenseGradients dense;
        by_kind(slope.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto make_inner = [&](int64_t part, int64_t begin, int64_t end) {
                const int64_t skipped = begin * width;
                kernels_of<E>().gelu_backward(data<const E>(slope) + skipped, data<const E>(dy) + skipped,
                                 data<E>(inner) + skipped, sums.of(part), end - begin, width);
            };
            dense = dense_backward(context, inner, make_inner, x, used);
        });
        return {dense.x, dense.weight, sums.row(0), at::Tensor()};
    }
};

struct DenseAddNorm : torch::autograd::Function<DenseAddNorm> {
    static variable_list forward(AutogradContext* context, const at::Tensor& x,
                                 const at::Tensor& weight, const at::Tensor& bias,
                                 const at::Tensor& residual, const at::Tensor& gamma,
                                 const at::Tensor& beta, double eps, double share) {
        const Quiet quiet;
        const at::ScalarType kind = x.scalar_type();
        const Weights used = for_products({weight}, x, false);
        const int64_t rows = x.size(0), width = weight.size(0);
        const at::Tensor dense = empty({rows, width}, kind);
        const Norm norm = norm_of(bias, gamma, beta, eps, new_dropout(share), width);
        const at::Tensor y = empty({rows, width}, at::kFloat);
        const at::Tensor normal = empty({rows, width}, at::kFloat);
        const at::Tensor rstd = empty({rows}, at::kFloat);
        const bool is_short = kind == at::kBFloat16;
        const at::Tensor y_short = is_short ? empty({rows, width}, kind) : at::Tensor();
        const at::Tensor factors = empty({parts_of(x), room_for_mask(width)}, at::kFloat);
        by_kind(kind, [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            forward_product(x, used, dense, [&](int64_t part, int64_t begin, int64_t end) {
                kernels_of<E>().add_norm(norm, data<const E>(dense), data<const float>(residual),
                            data<float>(y), is_short ? data<Short>(y_short) : nullptr,
                            data<float>(normal), data<float>(rstd),
                            data<float>(factors) + part * factors.size(1), begin, end);
            });
        });
        context->save_for_backward({x, used[0], bias, gamma, beta, normal, rstd});
        context->saved_data["share"] = share;
        context->saved_data["seed"] = static_cast<int64_t>(norm.dropout.seed);
        context->set_materialize_grads(false);
        if (is_short) return {y, y_short};
        return {y};
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const Quiet quiet;
        refuse_second_order();
        const variable_list saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &used = saved[1], &normal = saved[5], &rstd = saved[6];
        const Dropout dropout{
            context->saved_data["share"].toDouble(),
            static_cast<uint64_t>(context->saved_data["seed"].toInt())};
        const int64_t rows = normal.size(0), width = normal.size(1);
        const Norm norm = norm_of(saved[2], saved[3], saved[4], 0, dropout, width);
        for (at::Tensor& gradient : gradients)
            if (gradient.defined()) gradient = gradient.contiguous();
        const at::Tensor dy_short = gradients.size() > 1 ? gradients[1] : at::Tensor();
        const at::Tensor inner = empty({rows, width}, x.scalar_type());
        const at::Tensor residual = empty({rows, width}, at::kFloat);
        const at::Tensor factors = empty({parts_of(x), room_for_mask(width)}, at::kFloat);
        const Sums sums(parts_of(x), 3, width);
        DenseGradients dense;
        by_kind(x.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto make_inner = [&](int64_t part, int64_t begin, int64_t end) {
                kernels_of<E>().add_norm_backward(norm, data_or_null<float>(gradients[0]),
                                     data_or_null<E>(dy_short), data<const float>(normal),
                                     data<const float>(rstd), data<E>(inner),
                                     data<float>(residual), sums.of(part),
                                     data<float>(factors) + part * factors.size(1), begin, end);
            };
            dense = dense_backward(context, inner, make_inner, x, used);
        });
        return {dense.x,     dense.weight, sums.row(2), residual,
                sums.row(0), sums.row(1),  at::Tensor(), at::Tensor()};
    }

    static Norm norm_of(const at::Tensor& bias, const at::Tensor& gamma, const at::Tensor& beta,
                        double eps, const Dropout& dropout, int64_t width) {
        return {data<const float>(bias), data<const float>(gamma), data<const float>(beta), eps,
                dropout, width};
    }
};

void check_dense(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    check_matrix(x, "x");
    const int64_t outputs = weight.size(0);
    TORCH_CHECK(outputs % PADDING == 0, "a dense layer's outputs are not a multiple of ", PADDING);
    check_weight(weight, {outputs, x.size(1)}, "weight");
    check_weight(bias, {outputs}, "bias");
}

}  // namespace
}  // namespace bertfit

// GELU (with erf) of a dense layer: x `[T, K]`, weight `[N, K]` and bias `[N]` to `[T, N]` in
// x's kind.
DOOR char* bertfit_dense_gelu(const at::Tensor* const* inputs, Take take, void* context) {
    return guarded([&] {
        const at::Tensor &x = *inputs[0], &weight = *inputs[1], &bias = *inputs[2];
        bertfit::check_dense(x, weight, bias);
        bertfit::copy_with_graph(weight, x);
        take(context, new at::Tensor(bertfit::DenseGelu::apply(
                          x, weight, bias, at::GradMode::is_enabled())));
    });
}

// norm(residual + dropout(dense(x))): x `[T, K]`, weight `[H, K]`, bias `[H]`, residual
// `[T, H]` (float32), gamma and beta `[H]` to `[T, H]` in float32, and also in bfloat16 if x
// is.
DOOR char* bertfit_dense_add_norm(const at::Tensor* const* inputs, double eps, double dropout,
                                  Take take, void* context) {
    return guarded([&] {
        const at::Tensor &x = *inputs[0], &weight = *inputs[1], &bias = *inputs[2];
        const at::Tensor &residual = *inputs[3], &gamma = *inputs[4], &beta = *inputs[5];
        bertfit::check_dense(x, weight, bias);
        bertfit::check_weight(residual, {x.size(0), weight.size(0)}, "residual");
        bertfit::check_weight(gamma, bias.sizes(), "gamma");
        bertfit::check_weight(beta, bias.sizes(), "beta");
        TORCH_CHECK(dropout >= 0 && dropout < 1, "dropout is not from 0 to below 1");
        bertfit::copy_with_graph(weight, x);
        for (const at::Tensor& result : bertfit::DenseAddNorm::apply(x, weight, bias, residual,
                                                                     gamma, beta, eps, dropout))
            take(context, new at::Tensor(result));
    });
}
