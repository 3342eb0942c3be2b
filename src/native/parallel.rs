//! Work on libtorch's own threads: others would compete with them for the cores, since
//! libtorch's go on looking for work for a while.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, PoisonError};

use tch::TchError;

use super::check;

unsafe extern "C" {
    fn bertfit_in_parallel(
        count: i64,
        work: extern "C" fn(*mut c_void, i64, i64),
        context: *mut c_void,
    ) -> *mut c_char;
}

/// What each part of the work needs.
struct Work<'a, T, F> {
    parts: &'a [Mutex<Option<T>>],
    of_one: F,
}

/// Calls `work` with each of the parts, on libtorch's threads. The program ends if it
/// panics.
pub(crate) fn in_parallel<T: Send>(
    parts: impl IntoIterator<Item = T>,
    work: impl Fn(T) + Sync,
) -> Result<(), TchError> {
    let parts: Vec<_> = parts
        .into_iter()
        .map(|part| Mutex::new(Some(part)))
        .collect();
    start(&Work {
        parts: &parts,
        of_one: work,
    })
}

fn start<T: Send, F: Fn(T) + Sync>(work: &Work<T, F>) -> Result<(), TchError> {
    let context: *const Work<T, F> = work;
    let count = work.parts.len() as i64;
    // SAFETY: `run` gets the `context` that it expects, which outlives the call, and
    // which threads may share: parts are `Send` and behind locks, what works on them is
    // `Sync`.
    check(unsafe { bertfit_in_parallel(count, run::<T, F>, context.cast_mut().cast()) })
}

extern "C" fn run<T: Send, F: Fn(T) + Sync>(context: *mut c_void, begin: i64, end: i64) {
    // SAFETY: `start` passes this type.
    let work = unsafe { &*context.cast_const().cast::<Work<T, F>>() };
    for part in &work.parts[begin as usize..end as usize] {
        let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(part) = part {
            (work.of_one)(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_worked_on_once() {
        for count in [0, 1, 2, 1000] {
            let mut numbers: Vec<usize> = (0..count).collect();
            let parts = numbers.iter_mut();
            in_parallel(parts, |number| *number += 1).expect("threads");
            assert!(numbers.iter().enumerate().all(|(i, &n)| n == i + 1));
        }
    }
}
