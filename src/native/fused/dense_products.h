// The three products of dense layers: forward, and the gradients of input and weight. By
// tiles or by blocks where the processor's path has them and there is enough to do, else by
// libtorch.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/ops/cat.h>

#include <array>
#include <vector>

#include "packed_product.h"
#include "tile_product.h"

namespace bertfit {
namespace {

// Weights `[N, K]` of up to three layers with the same input, one below the other; float32,
// or as `for_products` makes them.
using Weights = std::vector<at::Tensor>;

#ifdef BF16_UNITS

// Fewer tokens are not worth the packing of weights.
int64_t least_tokens(at::ScalarType kind) { return kind == at::kFloat ? 96 : 32; }

bool uses_tiles(const at::Tensor& x) {
    return x.size(0) >= least_tokens(x.scalar_type()) && path() == Path::Bf16Tiles;
}

// Whether a product of x may be stored in x's kind as its sums are complete.
bool is_one_sum(const at::Tensor& x) {
    return x.scalar_type() == at::kFloat || x.size(1) <= DEPTH * FAR<1>;
}

// C = x Wᵀ (`along`: the sum is along the weights' rows) or x W, in x's kind, and work around it
// as `tile_product` has it; `finish` is for what is one sum.
template <typename Finish, typename Before, typename After>
void dense_by_tiles(const at::Tensor& x, const Weights& weights, bool along, const at::Tensor& c,
                    const Finish& finish, const Before& before, const After& after) {
    const Factor<float> right{stack_of<float>(weights.data(), weights.size()), along};
    if (x.scalar_type() == at::kFloat) {
        const Factor<float> left{stack_of<float>(&x, 1), true};
        return tile_product(left, right, result_of<float>(c), finish, before, after);
    }
    const Factor<Short> left{stack_of<Short>(&x, 1), true};
    if (is_one_sum(x)) return tile_product(left, right, result_of<Short>(c), finish, before, after);
    const at::Tensor sums = empty(c.sizes(), at::kFloat);
    tile_product(left, right, result_of<float>(sums), Stored{}, before);
    c.copy_(sums);
    in_parts(threads(), c.size(0), after);
}

// dyᵀ x in float32.
template <typename E>
at::Tensor gradient_by_tiles(const at::Tensor& dy, const at::Tensor& x) {
    const at::Tensor gradient = empty({dy.size(1), x.size(1)}, at::kFloat);
    tile_product(Factor<E>{stack_of<E>(&dy, 1), false}, Factor<E>{stack_of<E>(&x, 1), false},
                 result_of<float>(gradient));
    return gradient;
}

#else

struct Stored {};
bool uses_tiles(const at::Tensor&) { return false; }
bool is_one_sum(const at::Tensor&) { return true; }
template <typename... Work>
void dense_by_tiles(const at::Tensor&, const Weights&, bool, const at::Tensor&, const Work&...) {}
template <typename E>
at::Tensor gradient_by_tiles(const at::Tensor& dy, const at::Tensor&) {
    return dy;
}

#endif

// Fewer tokens are not worth the packing of weights.
bool uses_blocks(const at::Tensor& x) {
    return kernels().products != nullptr && x.scalar_type() == at::kFloat && x.size(0) >= 24;
}

// Parts of the rows of x in which the work around its products is done.
int64_t parts_of(const at::Tensor& x) {
    return uses_blocks(x) ? Parts(x.size(0)).count : threads();
}

// A weight in the kind of the numbers that it meets. In a region of autocasting the
// bfloat16 copy is kept for all its uses.
inline at::Tensor weight_as(const at::Tensor& weight, at::ScalarType kind) {
    if (kind == at::kFloat) return weight;
    return at::autocast::cached_cast(kind, weight, c10::DeviceType::CPU);
}

// Makes that copy before an operation does, inside of which nothing has a graph: the copy is
// also that of libtorch's operators, which need its graph where they have the same weight.
inline void copy_with_graph(const at::Tensor& weight, const at::Tensor& x) {
    const bool has_graph = at::GradMode::is_enabled() && weight.requires_grad();
    if (has_graph && !uses_tiles(x)) weight_as(weight, x.scalar_type());
}

// Weights as products with x take them: those that libtorch multiplies are in x's numbers, and
// `joined` into one matrix where no copy is kept. (Whether there will be a graph cannot be
// asked inside of an operation.)
Weights for_products(Weights weights, const at::Tensor& x, bool joined) {
    const at::ScalarType kind = x.scalar_type();
    if (kind == at::kFloat || uses_tiles(x)) return weights;
    if (!joined) {
        for (at::Tensor& weight : weights) weight = weight_as(weight, kind);
        return weights;
    }
    return {at::cat(weights, 0).to(kind)};
}

// y `[T, N]` = x Wᵀ of x `[T, K]`, in x's kind, for several weights beside each other; `after`
// works on rows of y, in `parts_of(x)` parts, as `in_parts` would call it.
template <typename After = Nothing>
void forward_product(const at::Tensor& x, const Weights& weights, const at::Tensor& y,
                     const After& after = {}) {
    if (uses_tiles(x)) return dense_by_tiles(x, weights, true, y, Stored{}, Nothing{}, after);
    if (uses_blocks(x))
        return packed_product({stack_of<float>(&x, 1), true},
                              {stack_of<float>(weights.data(), weights.size()), true},
                              result_of<float>(y), Nothing{}, after);
    const int64_t width = weights[0].size(0);
    for (size_t i = 0; i < weights.size(); ++i) {
        at::Tensor place = y.narrow(1, static_cast<int64_t>(i) * width, width);
        if (x.scalar_type() == at::kFloat) {
            // yᵀ = W xᵀ: the other way around, libtorch 2.4 multiplies in bfloat16 on processors
            // of ARM that have it (pytorch/pytorch#130919).
            at::Tensor transposed = place.t();
            at::mm_out(transposed, weights[i], x.t());
        } else if (weights.size() == 1) {
            at::mm_out(place, x, weights[i].t());
        } else {
            // A product whose rows have gaps between them is slower than a copy.
            place.copy_(at::mm(x, weights[i].t()));
        }
    }
    in_parts(parts_of(x), y.size(0), after);
}

// dy W `[T, K]` of dy `[T, N]`, in dy's kind; `before` works on rows of dy first.
template <typename Before = Nothing>
at::Tensor backward_product(const at::Tensor& dy, const Weights& weights,
                            const Before& before = {}) {
    at::Tensor dx = at::empty({dy.size(0), weights[0].size(1)}, dy.options());
    if (uses_tiles(dy)) {
        dense_by_tiles(dy, weights, false, dx, Stored{}, before, Nothing{});
        return dx;
    }
    if (uses_blocks(dy)) {
        packed_product({stack_of<float>(&dy, 1), true},
                       {stack_of<float>(weights.data(), weights.size()), false},
                       result_of<float>(dx), before);
        return dx;
    }
    in_parts(parts_of(dy), dy.size(0), before);
    const int64_t width = weights[0].size(0);
    at::mm_out(dx, dy.narrow(1, 0, width), weights[0]);
    for (size_t i = 1; i < weights.size(); ++i)
        dx.addmm_(dy.narrow(1, static_cast<int64_t>(i) * width, width), weights[i]);
    return dx;
}

// dyᵀ x in float32: dy `[T, N]` and x `[T, K]` to `[N, K]`.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x) {
    if (uses_blocks(x)) {
        const at::Tensor gradient = empty({dy.size(1), x.size(1)}, at::kFloat);
        packed_product({stack_of<float>(&dy, 1), false}, {stack_of<float>(&x, 1), false},
                       result_of<float>(gradient));
        return gradient;
    }
    if (!uses_tiles(x)) return at::mm(dy.t(), x).to(at::kFloat);
    return x.scalar_type() == at::kFloat ? gradient_by_tiles<float>(dy, x)
                                         : gradient_by_tiles<Short>(dy, x);
}

}  // namespace
}  // namespace bertfit
