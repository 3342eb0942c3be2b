mod checkpointing;
mod evaluation;
mod freeze;
mod frozen_cache;
mod hostile_state;
mod memory;
mod not_finite;
mod optimizer;
mod parity;
mod resume;
mod stop_flag;
mod trainer;
mod warnings;

type Weights = std::collections::BTreeMap<String, bertfit::tch::Tensor>;
