// The door to libtorch: any operator by the name of its schema, and what is no operator:
// gradients, generator states, autocasting.

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <mutex>
#include <utility>

#include "guard.h"
#include "parallel.h"

char bertfit_no_memory[] = "no memory is left for an error message";

namespace {

// The same order as `Tag` in mod.rs.
enum Tag : int32_t { TensorList, OneTensor, Double, Bool, Absent };

at::Generator generator_of(int gpu) {
    const c10::Device device = gpu < 0 ? c10::Device(c10::kCPU)
                                       : c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu));
    return at::globalContext().defaultGenerator(device);
}

}  // namespace

struct Argument {
    Tag tag;
    bool truth;
    double number;
    at::Tensor* const* tensors;
    size_t length;
};

// Finds an operator; `*found` is kept for the life of the process.
DOOR char* bertfit_find(const char* name, const char* overload, c10::OperatorHandle** found) {
    return guarded([&] {
        *found = new c10::OperatorHandle(
            c10::Dispatcher::singleton().findSchemaOrThrow(name, overload));
    });
}

// Calls an operator; hands each tensor that it returns, alone or in a list, to `take`.
DOOR char* bertfit_call(const c10::OperatorHandle* op, const Argument* arguments, size_t count,
                        Take take, void* context) {
    return guarded([&] {
        torch::jit::Stack stack;
        stack.reserve(count);
        for (size_t i = 0; i < count; ++i) {
            const Argument& argument = arguments[i];
            switch (argument.tag) {
                case TensorList: {
                    c10::List<at::Tensor> list;
                    list.reserve(argument.length);
                    for (size_t t = 0; t < argument.length; ++t) list.push_back(*argument.tensors[t]);
                    stack.emplace_back(std::move(list));
                    break;
                }
                case OneTensor: stack.emplace_back(*argument.tensors[0]); break;
                case Double: stack.emplace_back(argument.number); break;
                case Bool: stack.emplace_back(argument.truth); break;
                case Absent: stack.emplace_back(); break;
            }
        }
        // Checks number and types against the declaration, and fills in defaults.
        op->schema().checkAndNormalizeInputs(stack);
        op->callBoxed(&stack);
        for (const c10::IValue& result : stack) {
            if (result.isTensor()) {
                take(context, new at::Tensor(result.toTensor()));
            } else if (result.isTensorList()) {
                for (const at::Tensor& tensor : result.toTensorVector())
                    take(context, new at::Tensor(tensor));
            } else {
                TORCH_CHECK(result.isNone(), "a result is neither a tensor nor a list of tensors");
            }
        }
    });
}

// Takes the gradients of leaves away.
DOOR char* bertfit_drop_gradients(at::Tensor* const* tensors, size_t count) {
    return guarded([&] {
        for (size_t i = 0; i < count; ++i) tensors[i]->mutable_grad().reset();
    });
}

// The state of a device's default generator, uint8 on the CPU; a negative index is the
// CPU, any other a GPU.
DOOR char* bertfit_generator_state(int gpu, Take take, void* context) {
    return guarded([&] {
        at::Generator generator = generator_of(gpu);
        const std::lock_guard<std::mutex> lock(generator.mutex());
        take(context, new at::Tensor(generator.get_state()));
    });
}

DOOR char* bertfit_set_generator_state(int gpu, const at::Tensor* state) {
    return guarded([&] {
        at::Generator generator = generator_of(gpu);
        const std::lock_guard<std::mutex> lock(generator.mutex());
        generator.set_state(*state);
    });
}

// Whether this thread computes products on a device's type in bfloat16 now.
DOOR bool bertfit_autocast_is_on(bool gpu) noexcept {
    const at::DeviceType device = gpu ? at::kCUDA : at::kCPU;
    return at::autocast::is_autocast_enabled(device) &&
           at::autocast::get_autocast_dtype(device) == at::kBFloat16;
}

// From now on this thread computes products on a device's type in another kind of number, or in
// that of their inputs if it is not `on`; hands back what it did until now. `kind` is libtorch's
// number, a negative one stands for bfloat16.
DOOR char* bertfit_autocast(bool gpu, bool on, int kind, bool* was_on, int* was_kind) {
    return guarded([&] {
        const at::DeviceType device = gpu ? at::kCUDA : at::kCPU;
        *was_on = at::autocast::is_autocast_enabled(device);
        *was_kind = static_cast<int>(at::autocast::get_autocast_dtype(device));
        at::autocast::set_autocast_dtype(
            device, kind < 0 ? at::kBFloat16 : static_cast<at::ScalarType>(kind));
        at::autocast::set_autocast_enabled(device, on);
    });
}

// Begins or ends a time in which weights that were converted are kept; such times may nest.
DOOR char* bertfit_keep_converted(bool begin) {
    return guarded([&] {
        if (begin) {
            at::autocast::increment_nesting();
        } else if (at::autocast::decrement_nesting() == 0) {
            at::autocast::clear_cache();
        }
    });
}

// Sets the precision of float32 products; hands back what it was. The numbers are those
// of at::Float32MatmulPrecision: highest, high, medium.
DOOR char* bertfit_matmul_precision(int precision, int* was) {
    return guarded([&] {
        at::Context& context = at::globalContext();
        *was = static_cast<int>(context.float32MatmulPrecision());
        const char* names[] = {"highest", "high", "medium"};
        TORCH_CHECK(precision >= 0 && precision < 3, precision, " is no precision");
        context.setFloat32MatmulPrecision(names[precision]);
    });
}

// Calls `work` with parts of 0..count, on libtorch's threads. It throws nothing.
DOOR char* bertfit_in_parallel(int64_t count, void (*work)(void*, int64_t, int64_t),
                               void* context) {
    return guarded([&] {
        bertfit::in_turns(count, [&](int64_t, int64_t turn) { work(context, turn, turn + 1); });
    });
}

DOOR void bertfit_free(char* message) {
    if (message != bertfit_no_memory) std::free(message);
}
