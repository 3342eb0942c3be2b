//! Stage 3: batches become hidden states.

mod activation;
mod backbone;
mod config;
mod decoder;
mod encoder;
mod files;
mod linear;
mod lm_head;
mod precision;
pub(crate) mod weights;

pub use activation::Activation;
pub use backbone::{Backbone, BackboneBuilder};
pub(crate) use backbone::{ENCODER_PREFIX, HeadWeights};
pub use config::BertConfig;
pub(crate) use decoder::{BertDecoder, Memory, Past, kept};
pub use encoder::BertEncoder;
pub(crate) use encoder::{
    LONGEST_ROW as LONGEST_FUSED_ROW, is_fused as layer_is_fused, matrix_tokens,
};
pub use files::ModelFiles;
pub use linear::Linear;
pub(crate) use lm_head::{LmHead, cross_entropy};
pub use precision::{Precision, cpu_has_bf16};
pub use weights::LoadReport;
pub(crate) use weights::{current_name, has_weight};
