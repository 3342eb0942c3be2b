mod evaluation;
mod freeze;
mod optimizer;
mod parity;
mod trainer;
