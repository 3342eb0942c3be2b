//! How much memory training takes, before it is taken: a closed form (`plan`) over what a
//! layer keeps for the backward pass (`kept`), and the budget that batches are cut to
//! (`budget`).

mod budget;
mod kept;
mod plan;

pub use budget::Memory;
pub(super) use plan::{Copies, Planner};
pub use plan::{MemoryPlan, plan};
