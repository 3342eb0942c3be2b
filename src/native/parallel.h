// Work on libtorch's own threads, as many as it has. Its iterator starts the threads, since
// these files cannot be compiled with OpenMP: libtorch brings an OpenMP of its own, and a
// second one would compete with it.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

namespace bertfit {

inline int64_t threads() { return at::get_num_threads(); }

// Calls `work` once on each of so many threads, with its number.
template <typename F>
void on_threads(int64_t count, const F& work) {
    if (count == 1) return work(0);
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
        for (int64_t thread = begin; thread < begin + size; ++thread) work(thread);
    };
    iterator.for_each(loop, 1);
}

// Calls `work` with each of 0..count and the number of the thread that it is on. A thread takes
// the next turn when it has done with its last one: one that another program keeps from its core
// holds the others for one turn at most.
template <typename F>
void in_turns(int64_t count, const F& work) {
    if (count == 0) return;
    std::atomic<int64_t> next{0};
    on_threads(std::min(count, threads()), [&](int64_t thread) {
        for (int64_t turn; (turn = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            work(thread, turn);
    });
}

// Calls `work` with each of so many even parts of 0..count, and its number.
template <typename F>
void in_parts(int64_t parts, int64_t count, const F& work) {
    in_turns(parts, [&](int64_t, int64_t part) {
        work(part, count * part / parts, count * (part + 1) / parts);
    });
}

// Work on a part, where there is none.
struct Nothing {
    void operator()(int64_t, int64_t, int64_t) const {}
};
inline void in_parts(int64_t, int64_t, const Nothing&) {}

}  // namespace bertfit
