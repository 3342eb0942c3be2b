mod evaluation;
mod freeze;
mod optimizer;
mod parity;
mod resume;
mod trainer;
