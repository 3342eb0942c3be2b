//! BERT's encoder (Devlin et al. 2019), with the parameter names of the published
//! checkpoints. Inside, hidden states are a matrix of tokens, `[T, H]`: dense
//! layers, norms and dropout know nothing of rows and lengths. Only attention
//! does, through [`Layout`], which leaves padding out where it can.

mod attention;
mod embeddings;
mod layer;
mod layout;
mod tape;

use tch::Tensor;
use tch::nn::Path;

pub(super) use self::attention::{Attention, attend};
pub(super) use self::embeddings::Embeddings;
pub(crate) use self::layer::{LONGEST_ROW, is_fused};
pub(super) use self::layer::{Layer, Output};
use self::layer::{State, Wanted};
use self::layout::Layout;
pub(crate) use self::layout::matrix_tokens;
pub(super) use self::tape::Tape;
use super::config::BertConfig;
use super::linear::Linear;
use crate::encode::Inputs;
use crate::error::{Result, TorchContext};

/// A BERT encoder: embeddings, layers, and the pooler if it has one.
#[derive(Debug)]
pub struct BertEncoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    tape: Tape,
}

impl BertEncoder {
    /// Makes the variables under `path` (`embeddings…`, `encoder.layer.N…`,
    /// `pooler…`), randomly initialised by the configuration's
    /// `initializer_range`.
    ///
    /// # Errors
    /// When libtorch cannot make the tensors.
    pub fn new(path: &Path, config: &BertConfig, pooler: bool) -> Result<Self> {
        let layers = path / "encoder" / "layer";
        Ok(Self {
            embeddings: Embeddings::new(&(path / "embeddings"), config)?,
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::new(&(&layers / i), config))
                .collect::<Result<_>>()?,
            pooler: match pooler {
                true => {
                    let (size, std) = (config.hidden_size, config.initializer_range);
                    Some(Linear::new(&(path / "pooler" / "dense"), size, size, std)?)
                }
                false => None,
            },
            tape: Tape::default(),
        })
    }

    /// The hidden states after the last layer, `[B, L, H]`; those of padding mean
    /// nothing. `train` turns dropout on.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn hidden(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let layout = Layout::of(inputs)?;
        let state = self.run(inputs, &layout, Wanted::All, train, None)?;
        by_row(&state, &layout)
    }

    /// The hidden states after the embeddings and after each layer, each
    /// `[B, L, H]`.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn hidden_states(&self, inputs: &Inputs, train: bool) -> Result<Vec<Tensor>> {
        let layout = Layout::of(inputs)?;
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let _ = self.run(inputs, &layout, Wanted::All, train, Some(&mut states))?;
        Ok(states)
    }

    /// The pooled output `[B, H]`: tanh of a dense layer on the first token
    /// (`[CLS]`); without a pooler, the first token itself.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn pooled(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.pool_first(self.first(inputs, train)?)
    }

    /// The hidden state of the first token (`[CLS]`) after the last layer, `[B, H]`. That layer is
    /// computed for this token alone.
    ///
    /// # Errors
    /// When libtorch refuses the inputs.
    pub fn first(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let layout = Layout::of(inputs)?;
        self.run(inputs, &layout, Wanted::First, train, None)
    }

    /// The pooled output `[B, H]` of hidden states `[B, L, H]`.
    ///
    /// # Errors
    /// When libtorch refuses the shapes.
    pub fn pool(&self, hidden: &Tensor) -> Result<Tensor> {
        self.pool_first(hidden.f_select(1, 0).doing("taking the first token")?)
    }

    fn pool_first(&self, first: Tensor) -> Result<Tensor> {
        match &self.pooler {
            Some(dense) => dense.forward(&first)?.f_tanh().doing("pooling"),
            None => Ok(first),
        }
    }

    /// The state `[B, L, H]` after the first so many layers, without dropout.
    pub(crate) fn after(&self, layers: usize, inputs: &Inputs) -> Result<Tensor> {
        let layout = Layout::of(inputs)?;
        let mut state = State::new(self.embeddings.forward(inputs, &layout, false)?)?;
        for layer in &self.layers[..layers] {
            state = layer.forward(&state, &layout, Wanted::All, false)?;
        }
        by_row(&state.full, &layout)
    }

    /// Turns gradient checkpointing on or off: in training, forward passes then keep
    /// only the input of each layer, and [`finish_backward`](Self::finish_backward) must
    /// follow the backward pass of the loss.
    pub(crate) fn checkpoint_gradients(&self, on: bool) {
        self.tape.switch(on);
    }

    /// Whether the word embeddings' gradient is sparse, which not every optimizer knows.
    pub(crate) fn make_gradient_sparse(&self, sparse: bool) {
        self.embeddings.make_gradient_sparse(sparse);
    }

    /// Whether nothing else has the word embeddings for its weights.
    pub(crate) fn words_are_own(&self) -> bool {
        self.embeddings.words_are_own()
    }

    /// The word embeddings, `[V, H]`, for a decoder with the same weights.
    pub(crate) fn share_word_embeddings(&self) -> Tensor {
        self.embeddings.share_words()
    }

    /// Embeddings and layers with the same weights, for a decoder.
    pub(super) fn shared(&self) -> (Embeddings, Vec<Layer>) {
        let layers = self.layers.iter().map(Layer::shared);
        (self.embeddings.shared(), layers.collect())
    }

    /// The rest of a backward pass, if there is one: what gradient checkpointing has cut
    /// off. `recompute` runs the closure as the forward pass was run.
    pub(crate) fn finish_backward(
        &self,
        recompute: impl Fn(&dyn Fn() -> Result<Tensor>) -> Result<Tensor>,
    ) -> Result<()> {
        self.tape.backward(recompute)
    }

    /// Where a decoder's layers join gradient checkpointing.
    pub(crate) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The last state, of the tokens that are wanted; `states` gets all of them as `[B, L, H]`. Layers whose
    /// output is known are skipped, or run without dropout where their states are wanted.
    fn run(
        &self,
        inputs: &Inputs,
        layout: &Layout,
        wanted: Wanted,
        train: bool,
        mut states: Option<&mut Vec<Tensor>>,
    ) -> Result<Tensor> {
        let known = inputs.known();
        let (done, mut state) = match known {
            Some(known) if states.is_none() => {
                let state = layout.pack(&known.state);
                (known.layers, state.doing("reading hidden states")?)
            }
            _ => {
                let train = train && known.is_none();
                (0, self.embeddings.forward(inputs, layout, train)?)
            }
        }; // [T, H]
        let checkpointing = train && self.tape.is_on();
        if checkpointing {
            state = self.tape.cut(state)?;
        }
        let mut see = |state: &Tensor| -> Result<()> {
            if let Some(states) = &mut states {
                states.push(by_row(state, layout)?);
            }
            Ok(())
        };
        see(&state)?;
        let mut state = State::new(state)?;
        for (number, layer) in self.layers.iter().enumerate().skip(done) {
            let train = train && known.is_none_or(|known| number >= known.layers);
            let wanted = match number + 1 == self.layers.len() {
                true => wanted,
                false => Wanted::All,
            };
            state = match checkpointing && train {
                true => {
                    let is_trained = layer.is_trained();
                    let (layer, layout) = (layer.shared(), layout.shallow_clone());
                    let again = move |input: &Tensor| {
                        let state = State::new(input.shallow_clone())?;
                        Ok(layer.forward(&state, &layout, wanted, true)?.full)
                    };
                    State::new(self.tape.forward(state.full, is_trained, again)?)?
                }
                false => layer.forward(&state, layout, wanted, train)?,
            };
            see(&state.full)?;
        }
        match wanted {
            // The last layer's output is known.
            Wanted::First if done == self.layers.len() => layout.first_tokens(&state.full),
            Wanted::First | Wanted::All => Ok(state.full),
        }
    }
}

fn by_row(state: &Tensor, layout: &Layout) -> Result<Tensor> {
    layout.unpack(state).doing("shaping hidden states")
}
