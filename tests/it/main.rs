//! The behaviour of bertfit, module by module as in `src`. One binary, so that
//! libtorch is linked once.

mod data;
mod encode;
mod error;
mod examples;
#[cfg(unix)]
mod faults;
mod fixture;
mod fuzz;
mod hub;
mod log_lines;
mod metrics;
mod model;
mod recipes;
mod run_folder;
mod task;
mod train;
