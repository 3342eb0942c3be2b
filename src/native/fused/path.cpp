// Which path the fused layers take on this processor.

#include <cstdlib>
#include <cstring>

#include "kernels.h"

#ifdef BF16_UNITS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bertfit {

extern const Kernels BASE_KERNELS;
#ifdef X86_PATHS
extern const Kernels AVX2_KERNELS;
extern const Kernels AVX512_KERNELS;
#endif

namespace {

// In the order of `Path`; `src/native/fused.rs` has the same.
constexpr const char* NAMES[] = {"operators", "base", "avx2", "avx512", "bf16-dots", "bf16-tiles"};

#ifdef X86_PATHS

// What `build.rs` compiles `for_avx2.cpp` and `for_avx512.cpp` for.
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

#endif

#ifdef BF16_UNITS

bool has_bf16_dots() {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1);
}

// Linux lets a process use the tiles' large registers if it asks.
bool has_bf16_tiles() {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
    constexpr long REQUEST = 0x1023, TILE_DATA = 18;
    return (edx >> 22 & 1) && (edx >> 24 & 1) && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

#endif

Path best_path() {
    Path best = Path::Base;
#ifdef X86_PATHS
    if (!has_avx2()) return best;
    best = Path::Avx2;
    if (!has_avx512()) return best;
    best = Path::Avx512;
#endif
#ifdef BF16_UNITS
    if (!has_bf16_dots()) return best;
    best = has_bf16_tiles() ? Path::Bf16Tiles : Path::Bf16Dots;
#endif
    return best;
}

Path find_path() {
    const Path best = best_path();
    const char* wanted = std::getenv("BERTFIT_CPU_PATH");
    for (int i = 0; wanted != nullptr && i <= static_cast<int>(best); ++i)
        if (std::strcmp(wanted, NAMES[i]) == 0) return static_cast<Path>(i);
    return best;
}

}  // namespace

Path path() {
    static const Path chosen = find_path();
    return chosen;
}

const Kernels& kernels() {
#ifdef X86_PATHS
    if (path() >= Path::Avx512) return AVX512_KERNELS;
    if (path() == Path::Avx2) return AVX2_KERNELS;
#endif
    return BASE_KERNELS;
}

}  // namespace bertfit

// The place of the path among all of them.
extern "C" __attribute__((visibility("hidden"))) int bertfit_path() {
    return static_cast<int>(bertfit::path());
}
