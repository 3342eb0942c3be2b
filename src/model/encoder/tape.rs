//! Gradient checkpointing (Chen et al. 2016): a forward pass keeps only the input of
//! each layer, and the backward pass computes the layer again before it goes through it.
//! The gradients are the same bit for bit, since dropout draws the same numbers again.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug, Formatter};

use tch::Tensor;

use crate::error::{Result, TorchContext};
use crate::native;

/// What the forward passes since the last backward pass have kept.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    is_on: Cell<bool>,
    segments: RefCell<Vec<Segment>>,
}

/// A piece of a forward pass that libtorch's graph does not cover, or only one end of it.
enum Segment {
    /// Where the graph below ends, and the leaf that goes on from there.
    Cut { end: Tensor, leaf: Tensor },
    /// A layer between two leaves, and the generator's state before it.
    Layer {
        layer: Recompute,
        input: Tensor,
        output: Tensor,
        generator: Vec<u8>,
    },
}

/// What a layer makes of its input in training.
type Recompute = Box<dyn Fn(&Tensor) -> Result<Tensor> + Send>;

impl Debug for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut { .. } => "Cut",
            Self::Layer { .. } => "Layer",
        })
    }
}

impl Tape {
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Whatever an unfinished pass has kept is dropped.
    pub(super) fn switch(&self, on: bool) {
        self.is_on.set(on);
        self.segments.borrow_mut().clear();
    }

    /// Begins a pass at a state that may have a graph.
    pub(crate) fn cut(&self, end: Tensor) -> Result<Tensor> {
        if !end.requires_grad() {
            return Ok(end);
        }
        let leaf = leaf(&end)?;
        let next = leaf.shallow_clone();
        self.segments.borrow_mut().push(Segment::Cut { end, leaf });
        Ok(next)
    }

    /// The output of a layer, computed without a graph; `is_trained` says whether anything
    /// but the input wants a gradient.
    pub(crate) fn forward(
        &self,
        input: Tensor,
        is_trained: bool,
        layer: impl Fn(&Tensor) -> Result<Tensor> + Send + 'static,
    ) -> Result<Tensor> {
        if !input.requires_grad() && !is_trained {
            return layer(&input);
        }
        let generator = native::generator_state(input.device());
        let generator = generator.doing("reading the random generator")?;
        let no_grad = tch::no_grad_guard();
        let output = layer(&input)?;
        drop(no_grad);
        let output = leaf(&output)?;
        let next = output.shallow_clone();
        self.segments.borrow_mut().push(Segment::Layer {
            layer: Box::new(layer),
            input,
            output,
            generator,
        });
        Ok(next)
    }

    /// Takes the gradients of the last leaves down through everything that was kept;
    /// `recompute` runs a layer as the forward pass did.
    pub(super) fn backward(
        &self,
        recompute: impl Fn(&dyn Fn() -> Result<Tensor>) -> Result<Tensor>,
    ) -> Result<()> {
        let mut now = None;
        while let Some(segment) = self.pop() {
            match segment {
                Segment::Cut { end, leaf } => go_through(&end, &leaf)?,
                Segment::Layer {
                    layer,
                    input,
                    output,
                    generator,
                } => {
                    let device = input.device();
                    if now.is_none() {
                        let state = native::generator_state(device);
                        now = Some((device, state.doing("reading the random generator")?));
                    }
                    native::set_generator_state(device, &generator)
                        .doing("restoring the random generator")?;
                    let again = recompute(&|| layer(&input))?;
                    go_through(&again, &output)?;
                }
            }
        }
        match now {
            Some((device, state)) => {
                native::set_generator_state(device, &state).doing("restoring the random generator")
            }
            None => Ok(()),
        }
    }

    fn pop(&self) -> Option<Segment> {
        self.segments.borrow_mut().pop()
    }
}

/// The same numbers, without their past, with a gradient of their own.
fn leaf(x: &Tensor) -> Result<Tensor> {
    x.f_detach()
        .and_then(|leaf| leaf.f_set_requires_grad(true))
        .doing("cutting the graph")
}

/// The backward pass below `end`, with the gradient that `leaf` got; nothing if it got
/// none.
fn go_through(end: &Tensor, leaf: &Tensor) -> Result<()> {
    let gradient = leaf.f_grad().doing("reading a gradient")?;
    if !gradient.defined() {
        return Ok(());
    }
    // The derivative of this sum by `end` is the gradient itself.
    end.f_mul(&gradient)
        .and_then(|product| product.f_sum(end.kind()))
        .and_then(|sum| sum.f_backward())
        .doing("computing gradients")
}
