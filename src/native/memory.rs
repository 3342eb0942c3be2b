//! The C library's allocator, which libtorch takes its tensors' memory from.

/// Keeps memory that tensors have given back, instead of returning it to the system and
/// taking it anew a moment later, which costs a page fault for every 4 KiB. Call it once,
/// at the start of a program that trains or predicts on a CPU; the process then keeps the
/// most memory that it has used at once.
///
/// It sets `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of glibc for the whole process, and
/// returns whether that has worked. Elsewhere it does nothing and returns `false`. The
/// library never calls it by itself, since memory is its user's.
pub fn reuse_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        // SAFETY: takes two numbers, and refuses what it does not know.
        let set = |parameter, value| unsafe { mallopt(parameter, value) } == 1;
        set(M_MMAP_THRESHOLD, 1 << 30) && set(M_TRIM_THRESHOLD, c_int::MAX)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}
