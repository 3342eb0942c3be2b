//! Stage 5: logits become losses, gradients and steps. One loop for every task.

mod best;
mod callback;
mod config;
mod data_check;
mod evaluation;
mod freeze;
mod frozen_cache;
mod gradient_check;
mod identity;
pub mod memory;
mod norm;
mod not_finite;
mod optimizer;
mod place;
#[cfg(feature = "progress")]
mod progress;
mod report;
mod row_adamw;
mod run;
mod saver;
mod schedule;
mod state;
mod stop_flag;
mod trainer;
mod warning;

pub use callback::{Callback, Control};
pub use config::{EarlyStopping, EvalEvery, TrainConfig};
pub use evaluation::{Evaluation, evaluate};
pub use freeze::Freeze;
pub use not_finite::OnNotFinite;
pub use optimizer::{AdamW, AdamWConfig};
#[cfg(feature = "progress")]
pub use progress::ProgressBar;
pub use report::{EvalRecord, LogRecord, Plan, StepRecord, Stopped, TrainReport};
pub use schedule::{Schedule, Warmup};
pub use stop_flag::StopFlag;
pub use trainer::Trainer;
pub use warning::Warning;
