//! What a forward pass keeps for the backward pass, in bytes, read off the code that keeps
//! it: `native/fused` for fused layers, `model/encoder` for those of libtorch's operators.
//! A letter is a size: `T` tokens, `H` the state's width, `I` that of the feed-forward net.

use tch::Device;

use crate::model::{BertConfig, LONGEST_FUSED_ROW, Precision, layer_is_fused, matrix_tokens};

/// Sizes of numbers, in bytes.
const F32: u64 = 4;
const BF16: u64 = 2;

/// A model's sizes, and how its layers are computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    hidden: u64,
    wide: u64,
    heads: u64,
    positions: usize,
    pub(super) device: Device,
    pub(super) precision: Precision,
    fused: bool,
    has_dropout: bool,
    attention_has_dropout: bool,
}

/// The rows of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    /// Tokens of the matrix of hidden states, `T`.
    pub(super) matrix: u64,
    /// Pairs of tokens that attend to each other.
    pairs: u64,
    longest: usize,
}

/// What one layer keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layer {
    pub(super) activations: u64,
    /// Scores of attention.
    pub(super) attention: u64,
    /// Weights in bfloat16.
    pub(super) short_weights: u64,
}

impl Shape {
    pub(super) fn of(config: &BertConfig, device: Device, precision: Precision) -> Self {
        let sizes = [config.hidden_size, config.intermediate_size];
        Self {
            hidden: config.hidden_size as u64,
            wide: config.intermediate_size as u64,
            heads: config.num_attention_heads as u64,
            positions: config.max_position_embeddings.max(1) as usize,
            device,
            precision,
            fused: layer_is_fused(device, sizes, config.hidden_act),
            has_dropout: config.hidden_dropout_prob > 0.0,
            attention_has_dropout: config.attention_probs_dropout_prob > 0.0,
        }
    }

    /// Rows of so many tokens; what is longer than the model's positions is several rows.
    pub(super) fn tokens(&self, lengths: &[usize]) -> Tokens {
        let mut rows = Vec::with_capacity(lengths.len());
        for &length in lengths {
            let whole = length / self.positions;
            rows.extend(std::iter::repeat_n(self.positions, whole));
            let rest = length % self.positions;
            rows.extend((rest > 0).then_some(rest));
        }
        let longest = rows.iter().copied().max().unwrap_or(0);
        let matrix = matrix_tokens(&rows, longest, self.device) as u64;
        let is_padded = matrix == (rows.len() * longest) as u64;
        let squares = rows.iter().map(|&row| match is_padded {
            true => (longest * longest) as u64,
            false => (row * row) as u64,
        });
        Tokens {
            matrix,
            pairs: squares.sum(),
            longest,
        }
    }

    /// Bytes of a number that products are computed in.
    fn product(&self) -> u64 {
        match self.precision {
            Precision::F32 => F32,
            Precision::Bf16 => BF16,
        }
    }

    /// One matrix `[T, H]` in float32.
    pub(super) fn state(&self, tokens: Tokens) -> u64 {
        tokens.matrix * self.hidden * F32
    }

    /// The sum that is normed, dropout's factors, and the first state.
    pub(super) fn embeddings(&self, tokens: Tokens) -> u64 {
        (2 + u64::from(self.has_dropout)) * self.state(tokens)
    }

    /// The gradient of the word embeddings where it has the rows of tokens only, and once
    /// more while equal tokens are brought together.
    pub(super) fn sparse_gradient(&self, tokens: Tokens) -> u64 {
        2 * self.state(tokens)
    }

    /// What a layer keeps from the forward pass, with its output.
    pub(super) fn layer(&self, tokens: Tokens) -> Layer {
        let is_short = self.precision == Precision::Bf16;
        let attention_is_fused = self.fused && tokens.longest as i64 <= LONGEST_FUSED_ROW;
        // Of each token, in the numbers of the products and in float32.
        let (short, full) = if self.fused {
            // Queries, keys, values, what attention gives; the feed-forward net before and
            // after GELU. Each norm keeps what it has normed, and gives the next state.
            (4 * self.hidden + 2 * self.wide, 2 * self.hidden)
        } else {
            // The same, but the sum is kept before it is normed, and dropout's factors are.
            let factors = match self.device {
                Device::Cpu => u64::from(self.has_dropout) * 2 * self.hidden,
                // One byte each.
                _ => u64::from(self.has_dropout) * 2 * self.hidden / self.product(),
            };
            (4 * self.hidden + 2 * self.wide + factors, 2 * self.hidden)
        };
        let states = match (is_short, self.fused) {
            (false, _) => 2 * self.hidden * F32,
            // The short ones alone: nothing needs the float32 ones in the backward pass.
            (true, true) => 2 * self.hidden * BF16,
            // Both, since the next norm's sum is made of one.
            (true, false) => 2 * self.hidden * (F32 + BF16),
        };
        let activations = tokens.matrix * (short * self.product() + full * F32 + states);
        // Shares, dropout's factors, and their product.
        let scores = match self.attention_has_dropout {
            true => 3,
            false => 1,
        };
        let attention = match self.device {
            Device::Cpu if !attention_is_fused => {
                scores * self.heads * tokens.pairs * self.product()
            }
            // Computed again in the backward pass.
            _ => 0,
        };
        let short_weights = match is_short {
            true => BF16 * (4 * self.hidden * self.hidden + 2 * self.hidden * self.wide),
            false => 0,
        };
        Layer {
            activations,
            attention,
            short_weights,
        }
    }

    /// What the backward pass of a layer has besides what the layer keeps: the gradients
    /// before and after GELU, less what GELU has given, and two of states.
    pub(super) fn backward(&self, tokens: Tokens) -> u64 {
        tokens.matrix * self.wide * self.product() + 2 * self.state(tokens)
    }

    /// What each layer leaves free in a heap that gives nothing back: what it keeps stands
    /// where its largest matrices stood for a while, whose rest is too small for the next ones.
    /// This one is not derived but measured.
    pub(super) fn holes(&self, tokens: Tokens) -> u64 {
        tokens.matrix * self.wide * F32
    }
}
