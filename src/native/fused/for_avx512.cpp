// AVX512: vectors of 64 bytes, and attention in bfloat16 by the units that some of these
// processors have for it.
#define LANES 16
#include "kernels_of.h"
#include "short_head.h"

namespace bertfit {
namespace {

#ifdef BF16_UNITS

// A row that does not fill the words of bfloat16's units is faster in float32, as are a few
// queries.
bool by_unit(const Unit& unit) {
    const bool all_ask = unit.queries.first == unit.row.first &&
                         unit.queries.length == unit.row.length;
    return all_ask && unit.row.length > PAIRED && path() >= Path::Bf16Dots;
}

int64_t short_room(int64_t length, int64_t head_size) {
    const int64_t room = room_for_head(length, head_size), short_room =
        short_room_for(length, head_size);
    return room > short_room ? room : short_room;
}

void short_attend_by(const Unit& unit, Room room, const Matrix<Short> parts[3],
                     const Matrix<Short>& mixed) {
    if (!by_unit(unit)) return attend(unit, room, parts, mixed);
    with_bf16_unit([&](Product by) { short_attend_of(unit, room, parts, mixed, by); });
}

void short_attend_backward_by(const Unit& unit, Room room, const Matrix<Short> parts[3],
                              const Matrix<Short>& gradient, const Matrix<Short> gradients[3]) {
    if (!by_unit(unit)) return attend_backward(unit, room, parts, gradient, gradients);
    with_bf16_unit([&](Product by) {
        short_attend_backward_of(unit, room, parts, gradient, gradients, by);
    });
}

constexpr KernelsOf<Short> bf16_table() {
    KernelsOf<Short> table = Compiled<Short>::table();
    table.room_for = short_room;
    table.attend = short_attend_by;
    table.attend_backward = short_attend_backward_by;
    return table;
}

#else

constexpr KernelsOf<Short> bf16_table() { return Compiled<Short>::table(); }

#endif

}  // namespace

extern const Kernels AVX512_KERNELS;
const Kernels AVX512_KERNELS{Compiled<float>::table(), bf16_table(), nullptr};

}  // namespace bertfit
