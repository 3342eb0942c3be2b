/// What a model with a classifier in one of its fields says of its encoder and its rows.
macro_rules! reads_as_classifier {
    ($field:tt) => {
        type Collator = bertfit::ClassCollator;

        fn backbone(&self) -> &bertfit::Backbone {
            self.$field.backbone()
        }
        fn collator(&self) -> bertfit::Result<bertfit::ClassCollator> {
            self.$field.collator()
        }
    };
}

mod checkpointing;
mod evaluation;
mod failed_evaluation;
mod features;
mod freeze;
mod frozen_cache;
mod gpu;
mod hostile_state;
mod memory;
mod not_finite;
mod optimizer;
mod panics;
mod parity;
mod resume;
mod stop_flag;
mod trainer;
mod warnings;

pub use trainer::classifier;

type Weights = std::collections::BTreeMap<String, bertfit::tch::Tensor>;
