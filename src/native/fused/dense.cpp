// Two halves of a transformer's layer, each a dense layer with all that follows it in one
// pass over its output: GELU, or dropout, the residual and a layer norm.

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "../guard.h"
#include "dense_products.h"
#include "tensors.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

struct Norm {
    const float *bias, *gamma, *beta;
    double eps;
    Dropout dropout;
    int64_t width;
};

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
        const float scale = 1.0f / std::sqrt(sum(squares) / width + static_cast<float>(norm.eps));
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

FOR_EACH_PROCESSOR void gelu_of(const float* x, const float* bias, float* y, float* slope,
                                int64_t rows, int64_t width) {
    gelu(x, bias, y, slope, rows, width);
}
FOR_EACH_PROCESSOR void gelu_of(const Short* x, const float* bias, Short* y, Short* slope,
                                int64_t rows, int64_t width) {
    gelu(x, bias, y, slope, rows, width);
}
FOR_EACH_PROCESSOR void gelu_backward_of(const float* slope, const float* dy, float* dx,
                                         float* db, int64_t rows, int64_t width) {
    gelu_backward(slope, dy, dx, db, rows, width);
}
FOR_EACH_PROCESSOR void gelu_backward_of(const Short* slope, const Short* dy, Short* dx,
                                         float* db, int64_t rows, int64_t width) {
    gelu_backward(slope, dy, dx, db, rows, width);
}
FOR_EACH_PROCESSOR void add_norm_of(const Norm& norm, const float* x, const float* residual,
                                    float* y, Short* y_short, float* normal, float* rstd,
                                    float* factors, int64_t begin, int64_t end) {
    add_norm(norm, x, residual, y, y_short, normal, rstd, factors, begin, end);
}
FOR_EACH_PROCESSOR void add_norm_of(const Norm& norm, const Short* x, const float* residual,
                                    float* y, Short* y_short, float* normal, float* rstd,
                                    float* factors, int64_t begin, int64_t end) {
    add_norm(norm, x, residual, y, y_short, normal, rstd, factors, begin, end);
}
FOR_EACH_PROCESSOR void add_norm_backward_of(const Norm& norm, const float* dy,
                                             const float* dy_short, const float* normal,
                                             const float* rstd, float* dx, float* residual,
                                             float* sums, float* factors, int64_t begin,
                                             int64_t end) {
    add_norm_backward(norm, dy, dy_short, normal, rstd, dx, residual, sums, factors, begin, end);
}
FOR_EACH_PROCESSOR void add_norm_backward_of(const Norm& norm, const float* dy,
                                             const Short* dy_short, const float* normal,
                                             const float* rstd, Short* dx, float* residual,
                                             float* sums, float* factors, int64_t begin,
                                             int64_t end) {
    add_norm_backward(norm, dy, dy_short, normal, rstd, dx, residual, sums, factors, begin, end);
}

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
    else in_parts(threads(), dy.size(0), make_dy);
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
                    gelu_of(from, biases, from, into, end - begin, width);
                });
            });
        }
        if (has_graph) context->save_for_backward({x, used[0], slope});
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const Quiet quiet;
        const variable_list saved = context->get_saved_variables();
        const at::Tensor &x = saved[0], &used = saved[1], &slope = saved[2];
        const at::Tensor dy = gradients[0].contiguous();
        const at::Tensor inner = at::empty_like(slope);
        const int64_t width = slope.size(1);
        const Sums sums(threads(), 1, width);
        DenseGradients dense;
        by_kind(slope.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto make_inner = [&](int64_t part, int64_t begin, int64_t end) {
                const int64_t skipped = begin * width;
                gelu_backward_of(data<const E>(slope) + skipped, data<const E>(dy) + skipped,
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
        const at::Tensor factors = empty({threads(), room_for_mask(width)}, at::kFloat);
        by_kind(kind, [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            forward_product(x, used, dense, [&](int64_t part, int64_t begin, int64_t end) {
                add_norm_of(norm, data<const E>(dense), data<const float>(residual),
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
        const at::Tensor factors = empty({threads(), room_for_mask(width)}, at::kFloat);
        const Sums sums(threads(), 3, width);
        DenseGradients dense;
        by_kind(x.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto make_inner = [&](int64_t part, int64_t begin, int64_t end) {
                add_norm_backward_of(norm, data_or_null<float>(gradients[0]),
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
    TORCH_CHECK(outputs % WIDTH == 0, "a dense layer's outputs are not a multiple of ", WIDTH);
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
