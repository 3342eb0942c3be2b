//! The C library's allocator, which libtorch takes its tensors' memory from.

use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps memory that tensors have given back, instead of returning it to the system and
/// taking it anew a moment later, which costs a page fault for every 4 KiB. Call it once,
/// at the start of a program that trains or predicts on a CPU; the process then keeps the
/// most memory that it has used at once.
///
/// Call it, and train and predict, in the program's first thread. glibc gives other threads
/// small heaps of their own, in which none of this holds, unless the environment has
/// `MALLOC_ARENA_MAX=1`.
///
/// It sets `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD` of glibc for the whole process, sets
/// `M_MXFAST` to 0, since every request of a tensor's size would sort the small blocks, asks
/// the system for huge pages for the first 4 GiB of the heap (none of it is used before it
/// is needed), and returns whether the former has worked. Elsewhere it does nothing and
/// returns `false`. The library never calls it by itself, since memory is its user's.
pub fn reuse_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let is_reused = glibc::reuse_memory();
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let is_reused = false;
    REUSED.fetch_or(is_reused, Ordering::Relaxed);
    is_reused
}

/// Whether [`reuse_memory`] has worked.
static REUSED: AtomicBool = AtomicBool::new(false);

pub(crate) fn memory_is_reused() -> bool {
    REUSED.load(Ordering::Relaxed)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn malloc(size: usize) -> *mut c_void;
        fn free(block: *mut c_void);
        fn madvise(start: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    const M_MXFAST: c_int = 1;
    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;
    const M_MMAP_MAX: c_int = -4;
    const MADV_HUGEPAGE: c_int = 14;

    /// From this size on, blocks stay outside the heap.
    const LARGEST: usize = 1 << 30;
    /// No positive threshold would do: `want_huge_pages` frees more than any of them, and
    /// memory that the system takes back is in small pages when it comes again.
    const NEVER: c_int = -1;
    const PAGE: usize = 1 << 12;

    pub(super) fn reuse_memory() -> bool {
        // SAFETY: takes two numbers, and refuses what it does not know.
        let set = |parameter, value| unsafe { mallopt(parameter, value) } == 1;
        // Before version 2.35 glibc refuses such a threshold: there all blocks are in the heap.
        let in_heap = set(M_MMAP_THRESHOLD, LARGEST as c_int) || set(M_MMAP_MAX, 0);
        let kept = in_heap && set(M_TRIM_THRESHOLD, NEVER);
        if kept {
            set(M_MXFAST, 0);
            want_huge_pages();
        }
        kept
    }

    /// Makes the heap as large as it will probably become, while nothing of it is touched,
    /// and says how its pages are to be when they are.
    fn want_huge_pages() {
        let size = LARGEST - (1 << 20);
        // SAFETY: each block is ours until it is freed, and whole pages inside it are
        // advised on, which changes nothing in them.
        let blocks = [(); 4].map(|()| unsafe { malloc(size) });
        for block in blocks {
            if !block.is_null() {
                let skipped = block.addr().next_multiple_of(PAGE) - block.addr();
                let whole = (size - skipped) / PAGE * PAGE;
                // A kernel without huge pages refuses, and all stays as it was.
                unsafe {
                    madvise(block.byte_add(skipped), whole, MADV_HUGEPAGE);
                }
            }
            // SAFETY: as above; null is allowed.
            unsafe { free(block) };
        }
    }
}
