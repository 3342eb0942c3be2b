//! AdamW against `torch.optim.AdamW`, number by number, as `make_reference.py` has
//! written them; and its state, saved and loaded.

use std::collections::BTreeMap;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{AdamW, AdamWConfig};

use crate::fixture::{assert_close, data, tensors};

const NAMES: [&str; 2] = ["matrix", "vector"];
const STEPS: i64 = 20;

struct Setting {
    reference: BTreeMap<String, Tensor>,
    weights: BTreeMap<String, Tensor>,
    optimizer: AdamW,
}

fn setting() -> Setting {
    let reference = tensors(data("optimizer/reference.safetensors"));
    let weight = |name| {
        reference[&format!("start.{name}")]
            .copy()
            .set_requires_grad(true)
    };
    let weights: BTreeMap<_, _> = NAMES.map(|name| (name.to_owned(), weight(name))).into();
    let config = AdamWConfig {
        betas: (0.9, 0.99),
        eps: 1e-7,
        weight_decay: 0.1,
    };
    let shared = weights
        .iter()
        .map(|(name, x)| (name.clone(), x.shallow_clone()));
    let optimizer = AdamW::new(shared.collect(), config).expect("an optimizer");
    Setting {
        reference,
        weights,
        optimizer,
    }
}

impl Setting {
    /// One step with the reference's gradients; returns the norm.
    fn step(&mut self, step: i64) -> f64 {
        self.optimizer.zero_grad().expect("no gradients");
        for name in NAMES {
            // The gradient of a sum of products is the other factor.
            let gradient = self.reference[&format!("gradients.{name}")].get(step);
            (&self.weights[name] * gradient).sum(Kind::Float).backward();
        }
        // The mean of four, clipped to a norm of 1 as clip_grad_norm_ does.
        let norm = 0.25 * self.optimizer.gradient_norm().expect("a norm");
        let clip = (1.0 / (norm + 1e-6)).min(1.0);
        let rate = self.reference["rates"].double_value(&[step]);
        self.optimizer.step(rate, 0.25 * clip).expect("a step");
        norm
    }
}

#[test]
fn twenty_steps_equal_those_of_pytorch() {
    let mut setting = setting();
    let norms: Vec<f64> = (0..STEPS).map(|step| setting.step(step)).collect();
    let clipped = norms.iter().filter(|norm| **norm > 1.0).count();
    assert!(
        0 < clipped && clipped < norms.len(),
        "clipping is not exercised"
    );
    assert_close(
        "norms",
        &Tensor::from_slice(&norms),
        &setting.reference["norms"],
        1e-5,
    );
    let state = setting.optimizer.state();
    for name in NAMES {
        for (kind, tolerance) in [("fused", 1e-7), ("plain", 1e-6)] {
            let expected = |part: &str| &setting.reference[&format!("{kind}.{name}{part}")];
            assert_close(name, &setting.weights[name], expected(""), tolerance);
            for part in [".exp_avg", ".exp_avg_sq"] {
                let own = &state[&format!("{name}{part}")];
                assert_close(part, own, expected(part), tolerance);
            }
        }
        let steps = state[&format!("{name}.step")].double_value(&[]);
        assert_eq!(steps, STEPS as f64);
    }
}

#[test]
fn a_loaded_state_goes_on_bit_for_bit() {
    let mut whole = setting();
    let mut first = setting();
    for step in 0..10 {
        whole.step(step);
        first.step(step);
    }
    let mut second = setting();
    for name in NAMES {
        bertfit::tch::no_grad(|| {
            let mut weight = second.weights[name].shallow_clone();
            weight
                .f_copy_(&first.weights[name])
                .expect("the same shape")
        });
    }
    second
        .optimizer
        .load_state(&first.optimizer.state())
        .expect("the same weights");
    for step in 10..STEPS {
        whole.step(step);
        second.step(step);
    }
    for name in NAMES {
        assert_eq!(whole.weights[name], second.weights[name]);
    }
}

#[test]
fn another_state_is_refused_and_changes_nothing() {
    let mut setting = setting();
    setting.step(0);
    let message = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut fresh = self::setting();
        let mut state = setting.optimizer.state();
        change(&mut state);
        let error = fresh
            .optimizer
            .load_state(&state)
            .expect_err("another state");
        let moment = &fresh.optimizer.state()["matrix.exp_avg"];
        assert_eq!(moment, &moment.zeros_like(), "a part was loaded");
        error.to_string()
    };
    let must = "`optimizer state` must be that of the same weights, got";
    assert_eq!(
        message(&|state| drop(state.remove("vector.exp_avg_sq"))),
        format!("{must} none of `vector.exp_avg_sq`")
    );
    assert_eq!(
        message(&|state| drop(state.insert("vector.exp_avg".into(), Tensor::from(1.0)))),
        format!("{must} another shape or kind of `vector.exp_avg`")
    );
    assert_eq!(
        message(&|state| drop(state.insert("other.exp_avg".into(), Tensor::from(1.0)))),
        format!("{must} an unexpected `other.exp_avg`")
    );
}

#[test]
fn a_weight_without_a_gradient_stays_with_its_moments() {
    let mut setting = setting();
    let before = setting.weights["vector"].detach().copy();
    (&setting.weights["matrix"] * 2.0)
        .sum(Kind::Float)
        .backward();
    setting.optimizer.step(0.1, 1.0).expect("a step");
    assert_eq!(setting.weights["vector"], before);
    let state = setting.optimizer.state();
    assert_eq!(state["vector.step"].double_value(&[]), 0.0);
    assert_eq!(state["matrix.step"].double_value(&[]), 1.0);
}

#[test]
fn a_gradient_that_is_not_finite_gives_a_norm_that_is_not() {
    let setting = setting();
    (&setting.weights["matrix"] * f64::NAN)
        .sum(Kind::Float)
        .backward();
    let norm = setting.optimizer.gradient_norm();
    assert!(norm.expect("a norm").is_nan());
}

#[test]
fn numbers_out_of_range_are_named() {
    let config = AdamWConfig {
        betas: (0.9, 1.0),
        ..AdamWConfig::default()
    };
    let error = AdamW::new(BTreeMap::new(), config).expect_err("no decay");
    let expected = "`optimizer.betas` must be at least 0 and below 1, got 1";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_rate_factor_that_is_no_number_is_refused() {
    for wrong in [f64::NAN, f64::INFINITY, -1.0] {
        let refused = setting()
            .optimizer
            .with_rate_factors(|name| if name == "vector" { wrong } else { 1.0 });
        let expected =
            format!("`rate factor` must be finite and at least 0, got {wrong} for `vector`");
        assert_eq!(refused.expect_err("no number").to_string(), expected);
    }
    setting()
        .optimizer
        .with_rate_factors(|_| 0.0)
        .expect("factors");
}

#[test]
fn half_precision_weights_are_refused() {
    let weight = Tensor::zeros([2], (Kind::Half, Device::Cpu));
    let weights = BTreeMap::from([("a".to_owned(), weight)]);
    let error = AdamW::new(weights, AdamWConfig::default()).expect_err("half precision");
    let expected = "`weights` must be float32 weights on Cpu alone, got `a`: Half on Cpu";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_table_with_sparse_gradients_moves_as_with_dense_ones() {
    let config = AdamWConfig {
        weight_decay: 0.1,
        ..AdamWConfig::default()
    };
    bertfit::tch::manual_seed(3);
    let start = Tensor::randn([50, 8], (Kind::Float, Device::Cpu));
    let other = Tensor::randn([3, 8], (Kind::Float, Device::Cpu));
    let make = || {
        let weights = [("table", &start), ("other", &other)]
            .map(|(name, x)| (name.to_owned(), x.copy().set_requires_grad(true)));
        let weights = BTreeMap::from(weights);
        let shared = weights
            .iter()
            .map(|(name, x)| (name.clone(), x.shallow_clone()));
        let optimizer = AdamW::new(shared.collect(), config).expect("an optimizer");
        (weights, optimizer)
    };
    let (sparse, mut by_rows) = make();
    let (dense, mut whole) = make();
    for step in 0..30 {
        // Some rows come often, some once, some twice in a batch, some never.
        let ids = Tensor::from_slice(&[0_i64, 7, step % 40, 39 - step % 40, 7, 49]);
        for (weights, is_sparse) in [(&sparse, true), (&dense, false)] {
            let rows = Tensor::embedding(&weights["table"], &ids, 7, false, is_sparse);
            let loss =
                (rows.sin() * 2.0).sum(Kind::Float) + weights["other"].cos().sum(Kind::Float);
            loss.backward();
        }
        assert!(sparse["table"].grad().is_sparse() && !dense["table"].grad().is_sparse());
        let norms = [&by_rows, &whole].map(|optimizer| optimizer.gradient_norm().expect("a norm"));
        assert!((norms[0] - norms[1]).abs() < 1e-5, "{norms:?}");
        let rate = 1e-2 / (1.0 + step as f64);
        for optimizer in [&mut by_rows, &mut whole] {
            // Half of what is there, as clipping would.
            optimizer.step(rate, 0.5).expect("a step");
        }
        for optimizer in [&mut by_rows, &mut whole] {
            optimizer.zero_grad().expect("no gradients");
        }
        if step == 15 {
            // A new optimizer with the same state knows which rows have moved.
            let state = by_rows.state();
            let shared = sparse
                .iter()
                .map(|(name, x)| (name.clone(), x.shallow_clone()));
            by_rows = AdamW::new(shared.collect(), config).expect("an optimizer");
            by_rows.load_state(&state).expect("the state");
        }
    }
    // The dense ones are libtorch's kernel's.
    let same = |name: &str, ours: &Tensor, theirs: &Tensor| match cfg!(target_arch = "x86_64") {
        true => assert!(ours == theirs, "{name} differs"),
        // Where it takes fused multiply-adds elsewhere is not known.
        false => assert_close(name, ours, theirs, 1e-6),
    };
    for (name, weight) in &sparse {
        same(name, weight, &dense[name]);
    }
    let (by_rows, whole) = (by_rows.state(), whole.state());
    for (name, tensor) in &by_rows {
        same(name, tensor, &whole[name]);
    }
    let padding = by_rows["table.exp_avg_sq"].get(7).abs().max();
    assert_eq!(padding.double_value(&[]), 0.0);
}

/// Twice with the gradients of whole tables, then with those of a row.
const MOVES: [(f64, bool); 3] = [(0.01, false), (0.02, false), (0.5, true)];

#[test]
fn a_weight_with_a_factor_moves_as_in_an_optimizer_with_that_rate() {
    let start = |name: &str| {
        let numbers = Tensor::arange(12, (Kind::Float, Device::Cpu));
        numbers.view([3, 4]) * name.len() as i64
    };
    // An optimizer that has moved these weights.
    let moved = |names: &[&str], rate_factor: f64, factor: &dyn Fn(&str) -> f64| {
        let weight = |name: &&str| ((*name).to_owned(), start(name).set_requires_grad(true));
        let weights: BTreeMap<String, Tensor> = names.iter().map(weight).collect();
        let shared = weights
            .iter()
            .map(|(name, x)| (name.clone(), x.shallow_clone()));
        let optimizer = AdamW::new(shared.collect(), AdamWConfig::default());
        let optimizer = optimizer.and_then(|optimizer| optimizer.with_rate_factors(factor));
        let mut optimizer = optimizer.expect("an optimizer");
        for (rate, is_sparse) in MOVES {
            for weight in weights.values() {
                let row = Tensor::from_slice(&[1_i64, 1]);
                let row = Tensor::embedding(weight, &row, -1, false, is_sparse);
                row.square().sum(Kind::Float).backward();
            }
            optimizer.step(rate * rate_factor, 0.5).expect("a step");
            optimizer.zero_grad().expect("no gradients");
        }
        weights
    };
    let factors = BTreeMap::from([("a", 1.0), ("bb", 0.25), ("ccc", 4.0)]);
    let together = moved(&["a", "bb", "ccc"], 1.0, &|name| factors[name]);
    for (name, factor) in &factors {
        let alone = moved(&[name], *factor, &|_| 1.0);
        assert_eq!(together[*name], alone[*name], "{name}");
        assert_ne!(together[*name], start(name), "{name}");
    }
}
