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

// Where the tokens of the rows of a batch lie, as numbers that autograd can keep: the first of
// each row and how many, one after another.
using Rows = std::vector<int64_t>;

// Whether every one of `tokens` belongs to a row.
bool covers(const Rows& rows, int64_t tokens) {
    int64_t covered = 0;
    for (size_t row = 0; row < rows.size(); row += 2) covered += rows[row + 1];
    return covered == tokens;
}

at::Tensor rows_of(const Rows& rows, int64_t tokens, int64_t width, at::ScalarType kind) {
    if (covers(rows, tokens)) return empty({tokens, width}, kind);
    return at::zeros({tokens, width}, kind);
}

struct Attention {
    Rows queries, rows;
    int64_t heads, head_size;
    Dropout dropout;

    // Calls `work` with each unit, on all threads, and the room of the thread. Each token is of
    // one row, so that the order of the units means nothing.
    template <typename E, typename F>
    void for_each_unit(const F& work) const {
        int64_t longest = 0;
        for (size_t row = 0; row < rows.size(); row += 2)
            longest = std::max({longest, rows[row + 1], queries[row + 1]});
        const int64_t of_thread = padded(kernels_of<E>().room_for(longest, head_size));
        const at::Tensor rooms = empty({threads() * of_thread + PADDING}, at::kFloat);
        float* start = at_line(data<float>(rooms));
        in_turns(heads * static_cast<int64_t>(rows.size() / 2), [&](int64_t thread, int64_t number) {
            const int64_t row = number / heads * 2;
            const Unit unit{head_size,
                            1.0f / std::sqrt(static_cast<float>(head_size)),
                            dropout,
                            {queries[row], queries[row + 1]},
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
};

// Some of query, key and value in turn, which are dense layers of the same tokens.
struct Projection {
    int64_t first, count;
    at::Tensor x;
    Weights weights;    // as `for_products` makes them
    at::Tensor joined;  // `[T, count · H]`, without biases

    bool has(int64_t part) const { return part >= first && part < first + count; }

    // One of them of a matrix like `joined`.
    at::Tensor part(const at::Tensor& of, int64_t part) const {
        const int64_t width = of.size(1) / count;
        return of.narrow(1, (part - first) * width, width);
    }
};
using Projections = std::vector<Projection>;

template <typename E>
Matrix<E> matrix_of(const at::Tensor& tensor, const float* bias = nullptr) {
    return {data<E>(tensor), tensor.stride(0), bias};
}

// Matrices like those of the projections, `of` has one for each.
template <typename E>
std::array<Matrix<E>, 3> matrices_of(const Projections& projections, const variable_list& of,
                                     const variable_list& biases = {}) {
    std::array<Matrix<E>, 3> matrices;
    for (size_t p = 0; p < of.size(); ++p)
        for (int64_t i = 0; i < 3; ++i)
            if (projections[p].has(i))
                matrices[i] = matrix_of<E>(projections[p].part(of[p], i),
                                           biases.empty() ? nullptr : data<const float>(biases[i]));
    return matrices;
}

variable_list joined_of(const Projections& projections) {
    variable_list joined;
    for (const Projection& projection : projections) joined.push_back(projection.joined);
    return joined;
}

struct SelfAttention : torch::autograd::Function<SelfAttention> {
    // The tokens that ask, x itself if all do; weights and biases of query, key and value; for `joined`
    // see `for_products`.
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                              const at::Tensor& asking, const at::Tensor& wq, const at::Tensor& bq,
                              const at::Tensor& wk, const at::Tensor& bk, const at::Tensor& wv,
                              const at::Tensor& bv, const Rows& queries, const Rows& rows,
                              int64_t heads, double share, bool joined) {
        const Quiet quiet;
        const int64_t width = x.size(1);
        const at::ScalarType kind = x.scalar_type();
        const Attention attention{queries, rows, heads, width / heads, new_dropout(share)};
        Projections projections;
        const auto project = [&](const at::Tensor& x, int64_t first, Weights weights) {
            const auto count = static_cast<int64_t>(weights.size());
            const at::Tensor all = empty({x.size(0), count * width}, kind);
            weights = for_products(std::move(weights), x, joined);
            forward_product(x, weights, all);
            projections.push_back({first, count, x, std::move(weights), all});
        };
        if (!asking.is_same(x)) {
            project(asking, 0, {wq});
            project(x, 1, {wk, wv});
        } else {
            project(x, 0, {wq, wk, wv});
        }
        const at::Tensor mixed = rows_of(queries, projections[0].x.size(0), width, kind);
        by_kind(kind, [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto parts = matrices_of<E>(projections, joined_of(projections), {bq, bk, bv});
            attention.for_each_unit<E>([&](const Unit& unit, Room room) {
                kernels_of<E>().attend(unit, room, parts.data(), matrix_of<E>(mixed));
            });
        });
        save(context, {bq, bk, bv}, projections);
        context->saved_data["queries"] = queries;
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
        const variable_list biases{saved.begin(), saved.begin() + 3};
        const Projections projections = saved_projections(context, saved);
        auto& numbers = context->saved_data;
        const int64_t heads = numbers["heads"].toInt(), width = saved[0].size(0);
        const Attention attention{
            numbers["queries"].toIntVector(),
            numbers["rows"].toIntVector(),
            heads,
            width / heads,
            {numbers["share"].toDouble(), static_cast<uint64_t>(numbers["seed"].toInt())}};
        const at::Tensor mixed = gradients[0].contiguous();
        variable_list of_joined;
        for (const Projection& projection : projections)
            of_joined.push_back(rows_of(projection.has(0) ? attention.queries : attention.rows,
                                        projection.x.size(0), projection.joined.size(1),
                                        mixed.scalar_type()));
        variable_list results(13);
        by_kind(mixed.scalar_type(), [&](auto* type) {
            using E = std::remove_pointer_t<decltype(type)>;
            const auto parts = matrices_of<E>(projections, joined_of(projections), biases);
            const auto of_parts = matrices_of<E>(projections, of_joined);
            attention.for_each_unit<E>([&](const Unit& unit, Room room) {
                kernels_of<E>().attend_backward(unit, room, parts.data(), matrix_of<E>(mixed),
                                                of_parts.data());
            });
            for (size_t p = 0; p < projections.size(); ++p)
                dense_gradients<E>(context, projections[p], of_joined[p], results);
        });
        return results;
    }

    // The gradients of a projection's biases, weights and tokens.
    template <typename E>
    static void dense_gradients(AutogradContext* context, const Projection& projection,
                                const at::Tensor& of_joined, variable_list& results) {
        const at::Tensor& x = projection.x;
        const int64_t width = x.size(1);
        const Sums sums(parts_of(x), projection.count, width);
        const Matrix<E> all = matrix_of<E>(of_joined);
        const auto add_rows = [&](int64_t part, int64_t begin, int64_t end) {
            kernels_of<E>().add_rows(all, begin, end, projection.count * width, sums.of(part));
        };
        const size_t tokens = projection.has(2) ? 0 : 1;
        if (context->needs_input_grad(tokens))
            results[tokens] = backward_product(of_joined, projection.weights, add_rows);
        else in_parts(parts_of(x), x.size(0), add_rows);

        const auto place = [&](int64_t i) {
            return static_cast<size_t>(2 + 2 * (projection.first + i));
        };
        bool all_trained = true;
        for (int64_t i = 0; i < projection.count; ++i)
            all_trained &= context->needs_input_grad(place(i));
        at::Tensor weights;
        if (all_trained) weights = weight_gradient(of_joined, x);
        for (int64_t i = 0; i < projection.count; ++i) {
            results[place(i) + 1] = sums.row(i);
            if (all_trained) {
                results[place(i)] = weights.narrow(0, i * width, width);
            } else if (context->needs_input_grad(place(i))) {
                const at::Tensor part = projection.part(of_joined, projection.first + i);
                results[place(i)] = weight_gradient(part, x);
            }
        }
    }

    static void save(AutogradContext* context, variable_list saved,
                     const Projections& projections) {
        std::vector<int64_t> sizes;
        for (const Projection& projection : projections) {
            saved.push_back(projection.x);
            saved.push_back(projection.joined);
            saved.insert(saved.end(), projection.weights.begin(), projection.weights.end());
            sizes.insert(sizes.end(), {projection.first, projection.count,
                                       static_cast<int64_t>(projection.weights.size())});
        }
        context->save_for_backward(std::move(saved));
        context->saved_data["projections"] = std::move(sizes);
    }

    static Projections saved_projections(AutogradContext* context, const variable_list& saved) {
        const std::vector<int64_t> sizes = context->saved_data["projections"].toIntVector();
        Projections projections;
        auto next = saved.begin() + 3;
        for (size_t i = 0; i < sizes.size(); i += 3) {
            const auto end = next + 2 + sizes[i + 2];
            projections.push_back({sizes[i], sizes[i + 1], next[0], {next + 2, end}, next[1]});
            next = end;
        }
        return projections;
    }
};

}  // namespace
}  // namespace bertfit

// Self-attention of x `[T, H]`, of all tokens or only of those `asking`, `[Q, H]`: weights `[H, H]`
// and biases `[H]` of query, key and value in turn; `rows` holds the first token and the length of
// each of `count` rows, `queries` the same of those asking. `[Q or T, H]` in x's kind; zero for
// tokens that belong to no row.
DOOR char* bertfit_attention(const at::Tensor* const* inputs, const at::Tensor* asking,
                             const int64_t* queries, const int64_t* rows, size_t count,
                             int64_t heads, double dropout, Take take, void* context) {
    return guarded([&] {
        const at::Tensor& x = *inputs[0];
        const at::Tensor& chosen = asking == nullptr ? x : *asking;
        bertfit::check_matrix(x, "x");
        const int64_t width = x.size(1);
        TORCH_CHECK(heads > 0 && width % heads == 0 && width % bertfit::PADDING == 0,
                    "the state's width is no multiple of the heads and of ", bertfit::PADDING);
        bertfit::check_matrix(chosen, "the tokens asking");
        TORCH_CHECK(chosen.scalar_type() == x.scalar_type() && chosen.size(1) == width,
                    "the tokens asking are not like x");
        for (size_t i = 1; i < 7; i += 2) {
            bertfit::check_weight(*inputs[i], {width, width}, "weight");
            bertfit::check_weight(*inputs[i + 1], {width}, "bias");
        }
        const auto check_rows = [&](const int64_t* rows, int64_t tokens) {
            for (size_t row = 0; row < count; ++row) {
                const int64_t first = rows[2 * row], length = rows[2 * row + 1];
                TORCH_CHECK(first >= 0 && length >= 0 && first + length <= tokens,
                            "a row lies outside the tokens");
            }
            return std::vector<int64_t>(rows, rows + 2 * count);
        };
        TORCH_CHECK(dropout >= 0 && dropout < 1, "dropout is not from 0 to below 1");
        take(context, new at::Tensor(bertfit::SelfAttention::apply(
                          x, chosen, *inputs[1], *inputs[2], *inputs[3], *inputs[4], *inputs[5],
                          *inputs[6],
                          check_rows(queries, chosen.size(0)), check_rows(rows, x.size(0)), heads,
                          dropout, at::GradMode::is_enabled())));
    });
}
