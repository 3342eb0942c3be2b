// Multi-head self-attention: the three dense layers, and then one row and head
// after another.

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "../guard.h"
#include "dense_products.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace bertfit {
namespace {

// The rows of a batch, as numbers that autograd can keep: the first token of each and its
// length, one after another.
using Rows = std::vector<int64_t>;

struct Attention {
    at::ScalarType kind;
    Rows rows;
    int64_t heads, head_size;
    Dropout dropout;

    // Calls `work` with each unit, on all threads, and the room of the thread. Each token is of
    // one row, so that the order of the units means nothing.
    template <typename E, typename F>
    void for_each_unit(const F& work) const {
        int64_t longest = 0;
        for (size_t row = 0; row < rows.size(); row += 2)
            longest = std::max(longest, rows[row + 1]);
        const int64_t of_thread = padded(kernels_of<E>().room_for(longest, head_size));
        const at::Tensor rooms = empty({threads() * of_thread + PADDING}, at::kFloat);
        float* start = at_line(data<float>(rooms));
        in_turns(heads * static_cast<int64_t>(rows.size() / 2), [&](int64_t thread, int64_t number) {
            const int64_t row = number / heads * 2;
            const Unit unit{head_size,
                            1.0f / std::sqrt(static_cast<float>(head_size)),
                            dropout,
                            {rows[row], rows[row + 1]},
                            number % heads,
                            number};
            if (unit.row.length > 0) work(unit, Room{start + thread * of_thread, 0});
        });
    }

    // The next line of the cache.
    static float* at_line(float* place) {
        const auto address = reinterpret_cast<uintptr_t>(place);
        return place + (0 - address) % (PADDING * sizeof(float)) / sizeof(float);
    }

    // Whether every token belongs to a row.
    bool covers(int64_t tokens) const {
        int64_t covered = 0;
        for (size_t row = 0; row < rows.size(); row += 2) covered += rows[row + 1];
        return covered == tokens;
    }
};

// Matrices `[T, H]` of queries, keys and values: parts of one matrix `[T, 3H]`.
using Three = std::array<at::Tensor, 3>;

Three thirds_of(const at::Tensor& joined) {
    const int64_t width = joined.size(1) / 3;
    return {joined.narrow(1, 0, width), joined.narrow(1, width, width),
            joined.narrow(1, 2 * width, width)};
}

template <typename E>
Matrix<E> matrix_of(const at::Tensor& tensor, const float* bias = nullptr) {
    return {data<E>(tensor), tensor.stride(0), bias};
}

struct SelfAttention : torch::autograd::Function<SelfAttention> {
    // Weights and biases of query, key and value; for `joined` see `for_products`.
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& wq,
                              const at::Tensor& bq, const at::Tensor& wk, const at::Tensor& bk,
                              const at::Tensor& wv, const at::Tensor& bv, const Rows& rows,
                              int64_t heads, double share, bool joined) {
        const Quiet quiet;
        const int64_t width = x.size(1);
        const at::ScalarType kind = x.scalar_type();
        const Attention attention{kind, rows, heads, width / heads, new_dropout(share)};
        const Weights weights = for_products({wq, wk, wv}, x, joined);
        const at::Tensor parts_joined = empty({x.size(0), 3 * width}, kind);
        forward_product(x, weights, parts_joined);
        variable_list saved{x, bq, bk, bv, parts_joined};
        saved.insert(saved.end(), weights.begin(), weights.end());
        const at::Tensor mixed =
            attention.covers(x.size(0)) ? at::empty_like(x) : at::zeros_like(x);
        by_kind(kind, [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto parts = matrices_of<E>(saved);
            attention.for_each_unit<E>([&](const Unit& unit, Room room) {
                kernels_of<E>().attend(unit, room, parts.data(), matrix_of<E>(mixed));
            });
        });
        context->save_for_backward(std::move(saved));
        context->saved_data["rows"] = rows;
        context->saved_data["heads"] = heads;
        context->saved_data["share"] = share;
        context->saved_data["seed"] = static_cast<int64_t>(attention.dropout.seed);
        return mixed;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const Quiet quiet;
        refuse_second_order();
        const variable_list saved = context->get_saved_variables();
        const at::Tensor& x = saved[0];
        const int64_t tokens = x.size(0), width = x.size(1);
        const at::ScalarType kind = x.scalar_type();
        auto& numbers = context->saved_data;
        const int64_t heads = numbers["heads"].toInt();
        const Attention attention{
            kind,
            numbers["rows"].toIntVector(),
            heads,
            width / heads,
            {numbers["share"].toDouble(), static_cast<uint64_t>(numbers["seed"].toInt())}};
        const at::Tensor mixed = gradients[0].contiguous();
        const at::Tensor all_parts = attention.covers(tokens)
                                         ? empty({tokens, 3 * width}, kind)
                                         : at::zeros({tokens, 3 * width}, kind);
        const Three parts_gradients = thirds_of(all_parts);
        const Sums sums(parts_of(x), 3, width);
        by_kind(kind, [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto parts = matrices_of<E>(saved);
            const Matrix<E> results[3] = {matrix_of<E>(parts_gradients[0]),
                                          matrix_of<E>(parts_gradients[1]),
                                          matrix_of<E>(parts_gradients[2])};
            attention.for_each_unit<E>([&](const Unit& unit, Room room) {
                kernels_of<E>().attend_backward(unit, room, parts.data(), matrix_of<E>(mixed),
                                                results);
            });
            in_parts(parts_of(x), tokens, [&](int64_t part, int64_t begin, int64_t end) {
                for (int64_t i = 0; i < 3; ++i)
                    kernels_of<E>().add_rows(results[i], begin, end, width,
                                             sums.of(part) + i * width);
            });
        });
        variable_list results(11);
        const bool all_trained = context->needs_input_grad(1) && context->needs_input_grad(3) &&
                                 context->needs_input_grad(5);
        at::Tensor weights;
        if (all_trained) weights = weight_gradient(all_parts, x);
        for (int64_t i = 0; i < 3; ++i) {
            if (all_trained) {
                results[1 + 2 * i] = weights.narrow(0, i * width, width);
            } else if (context->needs_input_grad(1 + 2 * i)) {
                results[1 + 2 * i] = weight_gradient(parts_gradients[i], x);
            }
            results[2 + 2 * i] = sums.row(i);
        }
        if (context->needs_input_grad(0))
            results[0] = backward_product(all_parts, {saved.begin() + 5, saved.end()});
        return results;
    }

    // Queries, keys and values of what is saved: x, three biases, the result of the product and
    // its weights.
    template <typename E>
    static std::array<Matrix<E>, 3> matrices_of(const variable_list& saved) {
        const Three parts = thirds_of(saved[4]);
        std::array<Matrix<E>, 3> matrices;
        for (int64_t i = 0; i < 3; ++i)
            matrices[i] = matrix_of<E>(parts[i], data<const float>(saved[1 + i]));
        return matrices;
    }
};

}  // namespace
}  // namespace bertfit

// Self-attention of x `[T, H]`: weights `[H, H]` and biases `[H]` of query, key and value in
// turn; `rows` holds the first token and the length of each of `count` rows. In x's kind;
// zero for tokens that belong to no row.
DOOR char* bertfit_attention(const at::Tensor* const* inputs, const int64_t* rows, size_t count,
                             int64_t heads, double dropout, Take take, void* context) {
    return guarded([&] {
        const at::Tensor& x = *inputs[0];
        bertfit::check_matrix(x, "x");
        const int64_t tokens = x.size(0), width = x.size(1);
        TORCH_CHECK(heads > 0 && width % heads == 0 && width % bertfit::PADDING == 0,
                    "the state's width is no multiple of the heads and of ", bertfit::PADDING);
        for (size_t i = 1; i < 7; i += 2) {
            bertfit::check_weight(*inputs[i], {width, width}, "weight");
            bertfit::check_weight(*inputs[i + 1], {width}, "bias");
        }
        for (size_t row = 0; row < count; ++row) {
            const int64_t first = rows[2 * row], length = rows[2 * row + 1];
            TORCH_CHECK(first >= 0 && length >= 0 && first + length <= tokens,
                        "a row lies outside the tokens");
        }
        TORCH_CHECK(dropout >= 0 && dropout < 1, "dropout is not from 0 to below 1");
        take(context, new at::Tensor(bertfit::SelfAttention::apply(
                          x, *inputs[1], *inputs[2], *inputs[3], *inputs[4], *inputs[5],
                          *inputs[6], std::vector<int64_t>(rows, rows + 2 * count), heads,
                          dropout, at::GradMode::is_enabled())));
    });
}
