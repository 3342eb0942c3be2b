//! How libtorch says that there is no memory.

use super::Error;

impl Error {
    /// libtorch's words if it has found no memory, on the CPU or on a GPU, without the places
    /// in its own code, which differ from time to time.
    pub(crate) fn out_of_memory(&self) -> Option<String> {
        let Self::Torch { source, .. } = self else {
            return None;
        };
        let words = source.to_string();
        let signs = [
            "CUDA out of memory",
            "CUDA error: out of memory",
            "CUBLAS_STATUS_ALLOC_FAILED",
            // What an allocation on the CPU fails with.
            "DefaultCPUAllocator",
            "std::bad_alloc",
        ];
        let is_one = signs.iter().any(|sign| words.contains(sign));
        let lines = words.lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty() && *line != "Internal torch error:");
        is_one.then(|| format!("{self}: {}", lines.next().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use tch::TchError;

    use super::*;

    #[test]
    fn memory_that_has_run_out_is_told_from_other_failures() {
        let of = |words: &str| {
            let source = TchError::Torch(words.to_owned());
            let doing = "multiplying".to_owned();
            Error::Torch { doing, source }.out_of_memory()
        };
        let cuda = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of \
                    7.79 GiB\nException raised from malloc at CUDACachingAllocator.cpp:1145";
        let found = of(cuda).expect("no memory");
        assert!(found.ends_with("total capacity of 7.79 GiB"), "{found}");
        let cpu = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate \
                   memory: you tried to allocate 64 bytes. Error code 12\nframe #0: c10";
        let found = of(cpu).expect("no memory");
        assert!(found.ends_with("Error code 12"), "{found}");
        assert_eq!(of("mat1 and mat2 shapes cannot be multiplied"), None);
        let other = Error::Worker { doing: "x" };
        assert_eq!(other.out_of_memory(), None);
    }
}
