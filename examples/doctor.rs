//! What this machine offers to bertfit, and what to do where something is missing.
//!
//!     cargo run --example doctor

use std::path::Path;

use bertfit::tch::{self, Cuda, Device, Kind, Tensor};

fn main() {
    println!("bertfit   {}", env!("CARGO_PKG_VERSION"));
    match libtorch() {
        Some(path) => println!("libtorch  {path}"),
        None => println!("libtorch  linked, but its path cannot be seen on this system"),
    }
    let sum = Tensor::ones([1000], (Kind::Float, Device::Cpu))
        .sum(Kind::Float)
        .double_value(&[]);
    println!("          computes: a sum of 1000 ones is {sum}");
    println!("threads   {} for one operation", tch::get_num_threads());
    println!(
        "bf16      {}",
        if bertfit::cpu_has_bf16() {
            "fast on this CPU"
        } else {
            "no fast units on this CPU"
        }
    );

    println!(
        "memory    {}",
        match (bertfit::reuse_memory(), has_huge_pages()) {
            (true, true) => "kept between steps, in huge pages",
            (true, false) => "kept between steps, in small pages: the system refuses huge ones",
            (false, _) => "given back to the system in each step: the C library is not glibc",
        }
    );

    if Cuda::is_available() {
        println!("CUDA      {} device(s)", Cuda::device_count());
    } else if Path::new("/proc/driver/nvidia").exists() {
        println!("CUDA      a driver is there, but this libtorch does not see it: it is the CPU");
        println!("          build, or the linker dropped libtorch_cuda. Use a CUDA archive of");
        println!("          libtorch 2.4.0, and link with -Wl,--no-as-needed,-ltorch_cuda");
    } else {
        println!("CUDA      none");
    }

    let models = std::env::var("BERTFIT_MODELS").unwrap_or("target/models".to_owned());
    let model = Path::new(&models).join("all-MiniLM-L6-v2");
    match bertfit::BertConfig::from_dir(&model) {
        Ok(config) => println!(
            "model     {}: {} layers, {} wide",
            model.display(),
            config.num_hidden_layers,
            config.hidden_size
        ),
        Err(error) => println!("model     {error}: run `cargo xtask setup`"),
    }
}

/// The path of the library that this process has loaded.
fn libtorch() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("libtorch_cpu"))?;
    Some(line[line.find('/')?..].to_owned())
}

/// Whether pages of the heap may be huge.
fn has_huge_pages() -> bool {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let mut of_heap = false;
    maps.lines().any(|line| {
        let first = line.split(' ').next().unwrap_or_default();
        // Lines on a mapping have a name; the line that begins one has its addresses.
        if !first.ends_with(':') {
            of_heap = line.ends_with("[heap]");
        }
        of_heap && first == "VmFlags:" && line.split(' ').any(|flag| flag == "hg")
    })
}
