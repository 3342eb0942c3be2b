mod optimizer;
mod parity;
mod trainer;
