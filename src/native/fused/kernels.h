// What a path of the processor computes, as functions that are compiled for each path
// (`for_*.cpp`), and what they take. The path is chosen when the first of them is called.
#pragma once

#include "numbers.h"

// Where a compiler and a system can use a processor's units for bfloat16.
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define BF16_UNITS
#endif

namespace bertfit {

// The share that is dropped, and the seed of one use of dropout.
struct Dropout {
    double share;
    uint64_t seed;

    INLINED bool is_on() const { return share > 0; }
};

// Room for the factors of so many numbers, which are made in blocks of 64.
INLINE int64_t room_for_mask(int64_t count) { return (count + 63) / 64 * 64; }

// Where the tokens of a row lie.
struct Row {
    int64_t first, length;
};

// A matrix `[T, H]` whose rows are so many numbers apart, and what is to be added to each.
template <typename E>
struct Matrix {
    E* x;
    int64_t stride;
    const float* bias;
};

// One head of one row: its tokens, and those of them whose queries are asked, which may lie in
// a matrix of their own.
struct Unit {
    int64_t head_size;
    float scale;
    Dropout dropout;
    Row queries, row;
    int64_t head, number;

    // Where the head's part of a token is, of one of the two.
    template <typename E>
    INLINED E* place(const Matrix<E>& matrix, const Row& row, int64_t token) const {
        return matrix.x + (row.first + token) * matrix.stride + head * head_size;
    }
};

// The memory that a thread computes in, cut into matrices, which begin at lines of the cache.
struct Room {
    float* start;
    int64_t used;

    INLINED float* matrix(int64_t rows, int64_t columns) {
        float* matrix = start + used;
        used += padded(rows * columns);
        return matrix;
    }
};

// What follows a dense layer `[T, H]` before its residual is normalized.
struct Norm {
    const float *bias, *gamma, *beta;
    double eps;
    Dropout dropout;
    int64_t width;
};

// So many scores for each of the tokens, and what is added to each. Of what is to be learnt,
// `smoothing` is spread over all scores.
struct Scores {
    const float* bias;
    int64_t count;
    float smoothing;
};

// The target of a row that does not count, as libtorch's `cross_entropy_loss` has it.
constexpr int64_t IGNORED = -100;

// Functions on numbers of one kind in memory. Ranges of rows are from `begin` to before `end`.
template <typename E>
struct KernelsOf {
    // Numbers of room that a unit needs, at most.
    int64_t (*room_for)(int64_t length, int64_t head_size);
    // Queries, keys and values to what is mixed of the values.
    void (*attend)(const Unit&, Room, const Matrix<E> parts[3], const Matrix<E>& mixed);
    // The gradient of what is mixed to those of queries, keys and values.
    void (*attend_backward)(const Unit&, Room, const Matrix<E> parts[3],
                            const Matrix<E>& gradient, const Matrix<E> gradients[3]);
    // Adds up the columns of a matrix `[T, H]`.
    void (*add_rows)(const Matrix<E>&, int64_t begin, int64_t end, int64_t width, float* sums);
    // GELU of x + bias, and its derivative where `slope` is given; y may be x.
    void (*gelu)(const E* x, const float* bias, E* y, E* slope, int64_t rows, int64_t width);
    // dx = dy · slope, whose columns are added to `sums`.
    void (*gelu_backward)(const E* slope, const E* dy, E* dx, float* sums, int64_t rows,
                          int64_t width);
    // y = norm(residual + dropout(x + bias)); `normal` is y before gamma and beta, `rstd` one
    // over the standard deviation, `y_short` y as bfloat16, where that is wanted.
    void (*add_norm)(const Norm&, const E* x, const float* residual, float* y, Short* y_short,
                     float* normal, float* rstd, float* factors, int64_t begin, int64_t end);
    // Adds the gradients of gamma, beta and the bias to `sums`. Either of `dy` and `dy_short`
    // may be absent.
    void (*add_norm_backward)(const Norm&, const float* dy, const E* dy_short,
                              const float* normal, const float* rstd, E* dx, float* residual,
                              float* sums, float* factors, int64_t begin, int64_t end);
    // The cross-entropy of each row of scores with its target. Where `bias_gradient` is given,
    // the gradient takes the place of the scores, and its columns are added to it.
    void (*losses)(const Scores&, E* rows, int64_t stride, const int64_t* targets,
                   double* losses, float* bias_gradient, int64_t begin, int64_t end);
};

// Products of float32 matrices by blocks. A panel is PANEL_ROWS lines of the left factor or
// PANEL_COLUMNS of the right one, beside each other for each number along the sum.
struct BlockProducts {
    int64_t panel_rows, panel_columns;
    // Packs `lines` lines of a factor, of whose `count` numbers along the sum each is `stride`
    // from the next, and each line `line_stride` from the next, into panels of `panel` lines,
    // which are `to_stride` numbers apart; a last panel is filled up with zeros.
    void (*pack)(const float* from, int64_t line_stride, int64_t stride, int64_t lines,
                 int64_t count, int64_t panel, float* to, int64_t to_stride);
    // C `[rows, columns]` = A B of panels, or += where `add` is set.
    void (*multiply)(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c,
                     int64_t c_stride, int64_t rows, int64_t columns, int64_t inner, bool add);
};

struct Kernels {
    KernelsOf<float> f32;
    KernelsOf<Short> bf16;
    // Absent where libtorch's are at least as fast.
    const BlockProducts* products;
};

// The paths, each of which has what those before it have.
enum class Path { Operators, Base, Avx2, Avx512, Bf16Dots, Bf16Tiles };

// The best path that this processor can go, or a lower one by BERTFIT_CPU_PATH, for tests.
Path path();

// Those of the path.
const Kernels& kernels();

template <typename E>
INLINE const KernelsOf<E>& kernels_of() {
    if constexpr (sizeof(E) == sizeof(float)) return kernels().f32;
    else return kernels().bf16;
}

}  // namespace bertfit
