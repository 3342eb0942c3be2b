//! AdamW (Loshchilov and Hutter 2019) by libtorch's fused kernel, over all weights
//! at once, with moments that are ours to save.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result, TorchContext};
use crate::native::adamw::Step;
use crate::native::{self, Arg, Op};
use crate::train::config::ensure;
use crate::train::norm::norm_of;
use crate::train::row_adamw::Rows;

/// The numbers of AdamW, but for the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay rates of the two moments; default 0.9 and 0.999.
    pub betas: (f64, f64),
    /// Added to the denominator; default 1e-8.
    pub eps: f64,
    /// Share of a weight that is taken away in each step, times the learning rate;
    /// default 0.01. Matrices decay, biases and norms do not.
    pub weight_decay: f64,
}

impl AdamWConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<()> {
        for beta in [self.betas.0, self.betas.1] {
            let fits = (0.0..1.0).contains(&beta);
            ensure(fits, "optimizer.betas", "at least 0 and below 1", beta)?;
        }
        let fits = self.eps.is_finite() && self.eps > 0.0;
        ensure(fits, "optimizer.eps", "above 0", self.eps)?;
        let decay = self.weight_decay;
        let fits = decay.is_finite() && decay >= 0.0;
        ensure(fits, "optimizer.weight_decay", "at least 0", decay)
    }
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// AdamW over a model's trainable weights.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    /// In alphabetical order of the names.
    slots: Vec<Slot>,
}

/// A weight with what the optimizer knows of it.
#[derive(Debug)]
struct Slot {
    name: String,
    weight: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    /// Steps that this weight has made: one float32, as the kernel wants it.
    step: Tensor,
    /// Known while its gradients are sparse.
    rows: Option<Rows>,
    /// What its learning rate is of that of the step.
    rate_factor: f64,
}

impl Slot {
    fn decays(&self) -> bool {
        self.weight.dim() >= 2
    }

    /// The tensors of the state with their names in a file.
    fn state(&self) -> [(String, &Tensor); 3] {
        let name = &self.name;
        [
            (format!("{name}.exp_avg"), &self.exp_avg),
            (format!("{name}.exp_avg_sq"), &self.exp_avg_sq),
            (format!("{name}.step"), &self.step),
        ]
    }
}

impl AdamW {
    /// An optimizer for `weights`, by name, all on one device.
    ///
    /// # Errors
    /// When a number is out of its range, a weight is not float32, or the weights are
    /// on several devices.
    pub fn new(weights: BTreeMap<String, Tensor>, config: AdamWConfig) -> Result<Self> {
        config.validate()?;
        let device = weights.values().next().map_or(Device::Cpu, Tensor::device);
        let mut slots = Vec::with_capacity(weights.len());
        for (name, weight) in weights {
            if weight.kind() != Kind::Float || weight.device() != device {
                let rule = format!("float32 weights on {device:?} alone");
                let got = format!("`{name}`: {:?} on {:?}", weight.kind(), weight.device());
                return Err(Error::config("weights", rule, got));
            }
            let zeros = || tch::no_grad(|| weight.f_zeros_like()).doing("making moments");
            slots.push(Slot {
                exp_avg: zeros()?,
                exp_avg_sq: zeros()?,
                step: Tensor::f_zeros([], (Kind::Float, device)).doing("making moments")?,
                rows: None,
                rate_factor: 1.0,
                name,
                weight,
            });
        }
        Ok(Self { config, slots })
    }

    /// The same with a learning rate of its own for each weight: that of the step times the factor
    /// for its name. Default 1 for all.
    ///
    /// # Errors
    /// When a factor is not a finite number, or is below 0.
    pub fn with_rate_factors(mut self, factor: impl Fn(&str) -> f64) -> Result<Self> {
        for slot in &mut self.slots {
            let factor = factor(&slot.name);
            if !(factor.is_finite() && factor >= 0.0) {
                let got = format!("{factor} for `{}`", slot.name);
                return Err(Error::config("rate factor", "finite and at least 0", got));
            }
            slot.rate_factor = factor;
        }
        Ok(self)
    }

    /// Takes all gradients away, as PyTorch's `zero_grad` does.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn zero_grad(&mut self) -> Result<()> {
        let weights = self.slots.iter().map(|slot| &slot.weight);
        native::drop_gradients(weights).doing("taking gradients away")
    }

    /// The norm of all gradients together; 0 if there are none.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn gradient_norm(&self) -> Result<f64> {
        let norm = || -> Result<f64, TchError> {
            let mut gradients = self.gradients_of(|_| true)?.1;
            for slot in &self.slots {
                if let Some(gradient) = sparse_gradient(&slot.weight)? {
                    gradients.push(gradient.f_values()?);
                }
            }
            norm_of(&gradients)
        };
        tch::no_grad(norm).doing("measuring gradients")
    }

    /// Moves the weights by their gradients times `gradient_factor`, the gradients
    /// being multiplied on the way. A weight without a gradient stays as it is, and so
    /// do its moments.
    ///
    /// # Errors
    /// When libtorch refuses an operation.
    pub fn step(&mut self, learning_rate: f64, gradient_factor: f64) -> Result<()> {
        static FUSED: OnceLock<Op> = OnceLock::new();
        static ADD: OnceLock<Op> = OnceLock::new();
        let (first, second) = self.config.betas;
        let step = || -> Result<(), TchError> {
            self.step_by_rows(learning_rate, gradient_factor)?;
            let fused = Op::once(&FUSED, "aten::_fused_adamw_", "")?;
            // The kernel divides, in the same pass in which it moves the weights.
            let divisor = Tensor::f_full([], 1.0 / gradient_factor, (Kind::Float, self.device()))?;
            for (decays, rate_factor) in self.groups() {
                let (slots, gradients) = self.gradients_of(|slot| {
                    slot.decays() == decays && slot.rate_factor == rate_factor
                })?;
                if slots.is_empty() {
                    continue;
                }
                let of = |tensor: fn(&Slot) -> &Tensor| -> Vec<Tensor> {
                    slots
                        .iter()
                        .map(|slot| tensor(slot).shallow_clone())
                        .collect()
                };
                let steps = of(|slot| &slot.step);
                let one_more = Op::once(&ADD, "aten::_foreach_add_", "Scalar")?;
                one_more.call(&[Arg::Tensors(&steps), Arg::Double(1.0)])?;
                let decay = if decays {
                    self.config.weight_decay
                } else {
                    0.0
                };
                fused.call(&[
                    Arg::Tensors(&of(|slot| &slot.weight)),
                    Arg::Tensors(&gradients),
                    Arg::Tensors(&of(|slot| &slot.exp_avg)),
                    Arg::Tensors(&of(|slot| &slot.exp_avg_sq)),
                    Arg::Tensors(&[]), // the largest second moments, of AMSGrad alone
                    Arg::Tensors(&steps),
                    Arg::Double(learning_rate * rate_factor),
                    Arg::Double(first),
                    Arg::Double(second),
                    Arg::Double(decay),
                    Arg::Double(self.config.eps),
                    Arg::Bool(false), // amsgrad
                    Arg::Bool(false), // maximize
                    Arg::Tensor(&divisor),
                ])?;
            }
            Ok(())
        };
        tch::no_grad(step).doing("moving the weights")
    }

    /// The moments and step counts by name (`<weight>.exp_avg`,
    /// `<weight>.exp_avg_sq`, `<weight>.step`); the tensors share memory with the
    /// optimizer's.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let all = self.slots.iter().flat_map(Slot::state);
        all.map(|(name, tensor)| (name, tensor.shallow_clone()))
            .collect()
    }

    /// Takes over a state that [`state`](Self::state) gave.
    ///
    /// # Errors
    /// When a tensor is absent, unexpected or of another shape; nothing is changed
    /// then.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let own = self.state();
        let problem = |name: &String, got: &str| Error::Config {
            field: "optimizer state",
            rule: "that of the same weights".to_owned(),
            got: format!("{got} `{name}`"),
        };
        for (name, tensor) in &own {
            let other = state.get(name).ok_or_else(|| problem(name, "none of"))?;
            if other.size() != tensor.size() || other.kind() != tensor.kind() {
                return Err(problem(name, "another shape or kind of"));
            }
        }
        if let Some(name) = state.keys().find(|name| !own.contains_key(*name)) {
            return Err(problem(name, "an unexpected"));
        }
        for slot in &mut self.slots {
            slot.rows = None;
        }
        for (name, tensor) in own {
            let copied = tch::no_grad(|| tensor.shallow_clone().f_copy_(&state[&name]));
            copied.doing("loading moments")?;
        }
        Ok(())
    }

    /// The step of the weights whose gradients are sparse.
    fn step_by_rows(&mut self, learning_rate: f64, gradient_factor: f64) -> Result<(), TchError> {
        for slot in &mut self.slots {
            let Some(gradient) = sparse_gradient(&slot.weight)? else {
                // A dense one gives all rows moments.
                slot.rows = None;
                continue;
            };
            let _ = slot.step.f_add_scalar_(1.0)?;
            let rows = match &mut slot.rows {
                Some(rows) => rows,
                none => none.insert(Rows::of(&slot.exp_avg_sq)?),
            };
            let step = Step {
                learning_rate: learning_rate * slot.rate_factor,
                gradient_factor,
                betas: self.config.betas,
                eps: self.config.eps,
                weight_decay: self.config.weight_decay,
                count: slot.step.f_double_value(&[])?,
            };
            let table = [&slot.weight, &slot.exp_avg, &slot.exp_avg_sq];
            rows.step(table, &gradient, step)?;
        }
        Ok(())
    }

    /// What weights that are moved at once have in common: whether they decay, and their factor.
    fn groups(&self) -> Vec<(bool, f64)> {
        let mut groups = Vec::new();
        for slot in &self.slots {
            let group = (slot.decays(), slot.rate_factor);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    fn device(&self) -> Device {
        let first = self.slots.first();
        first.map_or(Device::Cpu, |slot| slot.weight.device())
    }

    /// The slots that `wanted` picks and that have a dense gradient, with it.
    fn gradients_of(
        &self,
        wanted: impl Fn(&Slot) -> bool,
    ) -> Result<(Vec<&Slot>, Vec<Tensor>), TchError> {
        let (mut slots, mut gradients) = (Vec::new(), Vec::new());
        for slot in self.slots.iter().filter(|slot| wanted(slot)) {
            let gradient = slot.weight.f_grad()?;
            if gradient.defined() && !gradient.is_sparse() {
                slots.push(slot);
                gradients.push(gradient);
            }
        }
        Ok((slots, gradients))
    }
}

/// The gradient of a weight, with each row once and in order, if it is sparse.
fn sparse_gradient(weight: &Tensor) -> Result<Option<Tensor>, TchError> {
    let gradient = weight.f_grad()?;
    match gradient.defined() && gradient.is_sparse() {
        true => gradient.f_coalesce().map(Some),
        false => Ok(None),
    }
}
