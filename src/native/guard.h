// How functions of C++ are called from Rust: no exception leaves them; each returns
// nullptr, or a message that the caller frees (`bertfit_free`).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <exception>

#if defined(_MSC_VER)
#define DOOR extern "C"
#else
#define DOOR extern "C" __attribute__((visibility("hidden")))
#endif

// Takes over a tensor that a function has made.
typedef void (*Take)(void*, at::Tensor*);

extern char bertfit_no_memory[];

inline char* copy_of(const char* message) {
    char* copy = static_cast<char*>(std::malloc(std::strlen(message) + 1));
    return copy == nullptr ? bertfit_no_memory : std::strcpy(copy, message);
}

template <typename F>
char* guarded(F f) noexcept {
    try {
        f();
        return nullptr;
    } catch (const c10::Error& e) {
        return copy_of(e.what_without_backtrace());
    } catch (const std::exception& e) {
        return copy_of(e.what());
    } catch (...) {
        return copy_of("an exception of an unknown kind");
    }
}
