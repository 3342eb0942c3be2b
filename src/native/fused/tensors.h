// What the fused layers share: checks of tensors, weights in the numbers of the products,
// libtorch's threads and its random generator.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

#include <mutex>

#include "../parallel.h"
#include "kernels.h"

namespace bertfit {

template <typename E>
E* data(const at::Tensor& tensor) {
    return static_cast<E*>(tensor.data_ptr());
}

inline at::Tensor empty(at::IntArrayRef size, at::ScalarType kind) {
    return at::empty(size, at::TensorOptions().dtype(kind));
}

// While it lives, products are computed in the numbers that they are given.
struct Quiet {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
};

// The backward passes have no gradients of their own.
inline void refuse_second_order() {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "the layers of a model on the CPU have no gradients of gradients; with the "
                "environment variable BERTFIT_CPU_PATH=operators they are computed by libtorch's "
                "operators, which have them");
}

// The sums of `rows` columns that were collected in parts, `[parts, rows · size]`. The parts do not
// depend on which thread has worked on them, so that the sums are the same in each run.
struct Sums {
    int64_t size;
    at::Tensor parts;

    Sums(int64_t parts, int64_t rows, int64_t size)
        : size(size), parts(at::zeros({parts, rows * size}, at::kFloat)) {}
    float* of(int64_t part) const { return data<float>(parts) + part * parts_stride(); }
    at::Tensor row(int64_t row) const {
        return parts.narrow(1, row * size, size).sum(0);
    }
    int64_t parts_stride() const { return parts.size(1); }
};

// A use of dropout, with a seed that libtorch's generator draws.
inline Dropout new_dropout(double share) {
    if (share <= 0) return {0, 0};
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    return {share, at::check_generator<at::CPUGeneratorImpl>(generator)->random64()};
}

// Calls `work` with a null pointer of the type of the numbers in memory.
template <typename F>
void by_kind(at::ScalarType kind, const F& work) {
    if (kind == at::kFloat) work(static_cast<float*>(nullptr));
    else work(static_cast<Short*>(nullptr));
}

// Numbers in order on the CPU, float32 or bfloat16, in rows of whole vectors.
inline void check_matrix(const at::Tensor& x, const char* name) {
    TORCH_CHECK(x.dim() == 2 && x.is_contiguous() && x.device().is_cpu(), name,
                " is not a contiguous matrix on the CPU");
    TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, name,
                " is neither float32 nor bfloat16");
}

inline void check_weight(const at::Tensor& weight, at::IntArrayRef size, const char* name) {
    TORCH_CHECK(weight.sizes() == size && weight.scalar_type() == at::kFloat &&
                    weight.is_contiguous() && weight.device().is_cpu(),
                name, " is not float32 of the size ", size, " in order on the CPU");
}

}  // namespace bertfit
