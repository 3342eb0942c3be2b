// Work on libtorch's own threads, as many as it has. Its iterator hands the parts out, since
// these files cannot be compiled with OpenMP: libtorch brings an OpenMP of its own, and a
// second one would compete with it.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace bertfit {

// Calls `work` with parts of 0..count.
template <typename F>
void in_parallel(int64_t count, const F& work) {
    if (count == 0) return;
    if (at::get_num_threads() == 1) return work(0, count);
    const at::Tensor places = at::empty({count}, at::TensorOptions().dtype(at::kByte));
    const char* base = static_cast<const char*>(places.data_ptr());
    auto iterator = at::TensorIteratorConfig()
                        .check_all_same_dtype(false)
                        .resize_outputs(false)
                        .declare_static_shape({count})
                        .add_output(places)
                        .build();
    const auto loop = [&](char** pointers, const int64_t*, int64_t size) {
        const int64_t begin = pointers[0] - base;
        work(begin, begin + size);
    };
    iterator.for_each(loop, 1);
}

// Calls `work` with each of so many even parts of 0..count, and its number.
template <typename F>
void in_parts(int64_t parts, int64_t count, const F& work) {
    in_parallel(parts, [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part)
            work(part, count * part / parts, count * (part + 1) / parts);
    });
}

// Work on a part, where there is none.
struct Nothing {
    void operator()(int64_t, int64_t, int64_t) const {}
};
inline void in_parts(int64_t, int64_t, const Nothing&) {}

}  // namespace bertfit
