mod checkpointing;
mod evaluation;
mod freeze;
mod frozen_cache;
mod optimizer;
mod parity;
mod resume;
mod trainer;
