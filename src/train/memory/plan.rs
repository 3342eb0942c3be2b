//! The peak of a training step.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::kept::{Layer, Shape, Tokens};
use crate::fine_tuner::FineTuner;
use crate::native;
use crate::train::config::TrainConfig;
use crate::train::place::Place;

/// Bytes that training takes at its peak, by what they hold.
///
/// The parts are those of one moment, the worst: at the end of the forward pass there are
/// few gradients yet, and at the end of the backward pass few activations any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// The model's weights, float32.
    pub weights: u64,
    /// Gradients of trained weights.
    pub gradients: u64,
    /// AdamW's two moments of trained weights.
    pub moments: u64,
    /// Copies of weights and moments: of the best evaluation, and of a checkpoint that is
    /// being written. Those of a model on a GPU are in the CPU's memory and not counted.
    pub copies: u64,
    /// Weights in bfloat16.
    pub short_weights: u64,
    /// What layers keep for the backward pass, and what that has on its way.
    pub activations: u64,
    /// Attention's scores, where they are kept.
    pub attention: u64,
    /// What the head keeps: logits above all.
    pub head: u64,
    /// Holes between tensors in the C library's heap: half as many where it gives memory
    /// back, without [`reuse_memory`](crate::reuse_memory).
    pub holes: u64,
}

impl MemoryPlan {
    /// All of it.
    pub fn peak(&self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }

    fn parts(&self) -> [(&'static str, u64); 9] {
        [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("moments", self.moments),
            ("copies", self.copies),
            ("bfloat16 weights", self.short_weights),
            ("activations", self.activations),
            ("attention", self.attention),
            ("head", self.head),
            ("holes", self.holes),
        ]
    }
}

impl fmt::Display for MemoryPlan {
    /// `712 MiB (weights 87, gradients 41, moments 174, activations 410)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let parts = self.parts().into_iter().filter(|(_, bytes)| *bytes > 0);
        let parts: Vec<String> = parts
            .map(|(name, bytes)| format!("{name} {}", mib(bytes)))
            .collect();
        write!(f, "{} MiB ({})", mib(self.peak()), parts.join(", "))
    }
}

/// The memory that training takes at its peak on batches whose rows have these `lengths` in
/// tokens, special tokens included: `[128; 32]` for 32 rows of 128. The model itself is part
/// of it; libtorch's libraries, the data and evaluations are not, nor what
/// [`FineTuner::head_memory`] does not know of a head. Where the configuration keeps the best
/// weights, their copy is counted; that of a checkpoint is not.
///
/// On CPUs it is within 15 % of what was measured: `docs/reliability.md` has the figures.
pub fn plan<M: FineTuner>(model: &M, config: &TrainConfig, lengths: &[usize]) -> MemoryPlan {
    let copies = Copies {
        best: config.keep_best,
        checkpoint: false,
    };
    let planner = Planner::new(model, config, copies);
    planner.plan(model, lengths, config.accumulate > 1)
}

/// Which copies of its weights a run makes.
#[derive(Debug, Clone, Copy)]
pub(in crate::train) struct Copies {
    pub(in crate::train) best: bool,
    pub(in crate::train) checkpoint: bool,
}

/// All that a plan needs besides the rows of a batch.
#[derive(Debug, Clone)]
pub(in crate::train) struct Planner {
    shape: Shape,
    checkpointing: bool,
    weights: u64,
    copies: u64,
    trained: Trained,
}

/// Bytes of trained weights, by their place.
#[derive(Debug, Clone, Default)]
struct Trained {
    embeddings: u64,
    /// The part of `embeddings` whose gradient has the rows of tokens only.
    sparse: u64,
    layers: Vec<u64>,
    head: u64,
}

impl Trained {
    fn of<M: FineTuner>(model: &M, config: &TrainConfig) -> Self {
        let backbone = model.backbone();
        let layers = backbone.config().num_hidden_layers as usize;
        let mut trained = Self {
            layers: vec![0; layers],
            ..Self::default()
        };
        let sparse = backbone.device() == Device::Cpu && backbone.encoder().words_are_own();
        for (name, weight) in backbone.named_variables() {
            if config.freeze.covers(&name) || !weight.requires_grad() {
                continue;
            }
            let bytes = bytes(&weight);
            match Place::of(&name) {
                Place::Layer(layer) if layer < layers => trained.layers[layer] += bytes,
                Place::Embeddings => trained.embeddings += bytes,
                _ => trained.head += bytes,
            }
            if sparse && name == "bert.embeddings.word_embeddings.weight" {
                trained.sparse += bytes;
            }
        }
        trained
    }

    fn all(&self) -> u64 {
        self.embeddings + self.layers.iter().sum::<u64>() + self.head
    }

    /// The first layer whose activations are kept; none if no weight below the head is
    /// trained.
    fn first_layer(&self) -> Option<usize> {
        match self.embeddings {
            0 => self.layers.iter().position(|&bytes| bytes > 0),
            _ => Some(0),
        }
    }
}

impl Planner {
    pub(in crate::train) fn new<M: FineTuner>(
        model: &M,
        config: &TrainConfig,
        copies: Copies,
    ) -> Self {
        let backbone = model.backbone();
        let trained = Trained::of(model, config);
        let weights = sum(&model.files().weights);
        // Copies are in the CPU's memory, wherever the model is.
        let on_cpu = backbone.device() == Device::Cpu;
        let counted = |made: bool, bytes: u64| if made && on_cpu { bytes } else { 0 };
        let best = counted(copies.best, trained.all());
        let checkpoint = counted(copies.checkpoint, weights + 2 * trained.all());
        Self {
            shape: Shape::of(backbone.config(), backbone.device(), backbone.precision()),
            checkpointing: config.gradient_checkpointing,
            weights,
            copies: best + checkpoint,
            trained,
        }
    }

    /// Bytes of the model, which are there before training.
    pub(in crate::train) fn weights(&self) -> u64 {
        self.weights
    }

    /// The peak of a batch. If the step `accumulates`, all gradients are there from its
    /// second batch on.
    pub(in crate::train) fn plan<M: FineTuner>(
        &self,
        model: &M,
        lengths: &[usize],
        accumulates: bool,
    ) -> MemoryPlan {
        let tokens = self.shape.tokens(lengths);
        let head = model.head_memory(lengths);
        let moments = self.moments(tokens, head, accumulates);
        let worst = moments.into_iter().max_by_key(MemoryPlan::peak);
        MemoryPlan {
            weights: self.weights,
            moments: 2 * self.trained.all(),
            copies: self.copies,
            holes: self.holes(tokens),
            ..worst.unwrap_or_default()
        }
    }

    fn holes(&self, tokens: Tokens) -> u64 {
        let layers = self.trained.layers.len();
        let first = self.trained.first_layer().unwrap_or(layers);
        let all = (layers - first) as u64 * self.shape.holes(tokens);
        match (self.shape.device, native::memory_is_reused()) {
            (Device::Cpu, true) => all,
            // Only large blocks and the heap's end are given back; measured too.
            (Device::Cpu, false) => all / 2,
            _ => 0,
        }
    }

    /// What there is besides weights, moments and copies: when the head has its gradients,
    /// and while the backward pass is in each layer, from the last to the first, and in the
    /// embeddings.
    fn moments(&self, tokens: Tokens, head: u64, accumulates: bool) -> Vec<MemoryPlan> {
        let layer = self.shape.layer(tokens);
        let layers = self.trained.layers.len();
        let first = self.trained.first_layer().unwrap_or(layers);
        let embeddings = match self.trained.embeddings {
            0 => 0,
            _ => self.shape.embeddings(tokens),
        };
        let dense = self.trained.all() - self.trained.sparse;
        let at = |number: usize, done: u64, working: u64| {
            let below = (number - first) as u64;
            let kept = match self.checkpointing {
                true => self.shape.state(tokens) * below,
                false => layer.activations * below,
            };
            let times = if self.checkpointing { 0 } else { below };
            MemoryPlan {
                gradients: if accumulates { dense } else { done },
                short_weights: times * layer.short_weights,
                activations: embeddings + kept + working,
                attention: times * layer.attention,
                ..MemoryPlan::default()
            }
        };
        let mut done = self.trained.head;
        let mut moments = vec![MemoryPlan {
            head,
            ..at(layers, done, self.shape.state(tokens))
        }];
        if self.checkpointing {
            moments[0].short_weights = layers as u64 * layer.short_weights;
        }
        for number in (first..layers).rev() {
            let Layer {
                short_weights,
                attention,
                activations,
            } = match self.checkpointing {
                true => layer,
                false => Layer::default(),
            };
            let mut moment = at(number + 1, done, activations + self.shape.backward(tokens));
            moment.short_weights += short_weights;
            moment.attention += attention;
            moments.push(moment);
            done += self.trained.layers[number];
        }
        if self.trained.embeddings > 0 {
            done += self.trained.embeddings - self.trained.sparse;
            let sparse = match self.trained.sparse {
                0 => 0,
                _ => self.shape.sparse_gradient(tokens),
            };
            let mut moment = at(first, done, self.shape.state(tokens));
            moment.gradients += sparse;
            moments.push(moment);
        }
        moments
    }
}

fn bytes(weight: &Tensor) -> u64 {
    (weight.numel() * size_of::<f32>()) as u64
}

fn sum(weights: &BTreeMap<String, Tensor>) -> u64 {
    weights.values().map(bytes).sum()
}
