//! Stage 3: batches become hidden states.

mod backbone;
mod config;
mod encoder;
mod linear;
mod weights;

pub(crate) use backbone::HeadWeights;
pub use backbone::{Backbone, BackboneBuilder};
pub use config::{Activation, BertConfig};
pub use encoder::BertEncoder;
pub use linear::Linear;
pub use weights::LoadReport;
