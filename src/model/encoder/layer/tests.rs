//! A layer in a few operations of our own against the same layer by libtorch's operators.

use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use super::*;
use crate::encode::{Encoding, Inputs, Limits, Padding, pad};
use crate::model::{Precision, cpu_has_bf16};
use crate::native;

mod dropped;
mod products;

/// Width, heads, width of the feed-forward layer.
const SHAPES: [[i64; 3]; 4] = [[64, 2, 128], [32, 4, 64], [48, 1, 16], [160, 2, 48]];
/// With padding left out, with none, with a little of it, with rows that are cut into parts,
/// with a row of one token, and with enough tokens for products of our own.
const LENGTHS: [&[usize]; 6] = [
    &[5, 3, 17, 1],
    &[7, 7],
    &[40, 39, 38],
    &[64, 33, 50],
    &[1],
    &[63; 9],
];
/// Products of it are made in several parts, even in bfloat16.
const WIDE: [i64; 3] = [32, 4, 4112];

#[derive(Clone, Copy, PartialEq)]
enum By {
    Ours,
    Operators,
}

struct Case {
    variables: VarStore,
    layer: Layer,
    layout: Layout,
    state: Tensor,
    wanted: Wanted,
    /// What the output is multiplied by to be one number; zero for padding.
    weights: Tensor,
}

impl Case {
    fn new([hidden, heads, wide]: [i64; 3], lengths: &[usize], dropout: f64) -> Self {
        // Attention of larger scores would make rounding errors larger.
        let scale = 0.2_f64.min(1.6 / (hidden as f64).sqrt());
        let config: BertConfig = serde_json::from_value(json!({
            "vocab_size": 100, "hidden_size": hidden, "num_hidden_layers": 1,
            "num_attention_heads": heads, "intermediate_size": wide,
            "max_position_embeddings": 64, "initializer_range": scale,
            "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout,
        }))
        .expect("a configuration");
        tch::manual_seed(1);
        let variables = VarStore::new(Device::Cpu);
        let layer = Layer::new(&variables.root(), &config).expect("a layer");
        // As they are made, biases and norms would hide some mistakes.
        for mut variable in variables.trainable_variables() {
            let _ = no_grad(|| variable.f_add_(&(variable.randn_like() * scale)));
        }
        let inputs = inputs(lengths);
        let layout = Layout::of(&inputs).expect("a layout");
        let (batch, length) = inputs.size();
        let place = (Kind::Float, Device::Cpu);
        let of_tokens = layout.pack(&inputs.attention_mask().reshape([batch, length, 1]));
        let weights = Tensor::randn([batch, length, hidden], place);
        Self {
            variables,
            layer,
            state: layout
                .pack(&Tensor::randn([batch, length, hidden], place))
                .expect("a state")
                .set_requires_grad(true),
            weights: layout.pack(&weights).expect("weights") * of_tokens.expect("a mask"),
            wanted: Wanted::All,
            layout,
        }
    }

    fn value(&self, by: By, precision: Precision) -> Tensor {
        let compute = || {
            let state = State::new(self.state.shallow_clone())?;
            let Self {
                layer,
                layout,
                wanted,
                ..
            } = self;
            let output = match by {
                By::Ours => layer.fused(&state, layout, *wanted, true)?.full,
                By::Operators => layer.operators(&state.full, layout, *wanted, true)?,
            };
            Ok(output * &self.weights)
        };
        precision.of(Device::Cpu, compute).expect("an output")
    }

    /// Only first tokens have a part in the sum, and all others are computed in vain.
    fn only_first_tokens_count(&mut self) {
        let place = (Kind::Float, Device::Cpu);
        let tokens = Tensor::arange(self.weights.size()[0], (Kind::Int64, Device::Cpu));
        let firsts = self.layout.first_tokens(&tokens).expect("places");
        let counts = Tensor::zeros(tokens.size(), place).index_fill(0, &firsts, 1.0);
        self.weights *= counts.unsqueeze(1);
    }

    /// Nothing else is computed.
    fn want_first_tokens(&mut self) {
        self.weights = self.layout.first_tokens(&self.weights).expect("weights");
        self.wanted = Wanted::First;
    }

    /// As libtorch's operators compute it in float64.
    fn exact(&mut self) -> Vec<(String, Tensor)> {
        let convert = |case: &mut Self, kind: Kind| {
            case.state = case.state.detach().to_kind(kind).set_requires_grad(true);
            case.weights = case.weights.to_kind(kind);
        };
        self.variables.double();
        convert(self, Kind::Double);
        let exact = self.run(By::Operators, Precision::F32);
        self.variables.float();
        convert(self, Kind::Float);
        exact
    }

    /// The output, and the gradients of its sum.
    fn run(&self, by: By, precision: Precision) -> Vec<(String, Tensor)> {
        let output = self.value(by, precision);
        output.sum(output.kind()).backward();
        let mut results = vec![("output".to_owned(), output.detach())];
        let mut leaves: Vec<_> = self.variables.variables().into_iter().collect();
        leaves.push(("state".to_owned(), self.state.shallow_clone()));
        leaves.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, leaf) in &leaves {
            let gradient = leaf.grad();
            if gradient.defined() {
                results.push((name.clone(), gradient.copy()));
            }
        }
        native::drop_gradients(leaves.iter().map(|leaf| &leaf.1)).expect("no gradients");
        results
    }
}

fn inputs(lengths: &[usize]) -> Inputs {
    let encoding = |&length: &usize| Encoding {
        input_ids: vec![1; length],
        token_type_ids: vec![0; length],
        ..Encoding::default()
    };
    let encodings: Vec<_> = lengths.iter().map(encoding).collect();
    let limits = Limits {
        vocab_size: 100,
        max_length: 64,
        type_vocab_size: 2,
    };
    pad(&encodings, 0, Padding::Longest, &limits).expect("inputs")
}

/// The norm of the difference, as a share of the norm.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let share = (a - b).norm() / b.norm().clamp_min(1e-3);
    share.double_value(&[])
}

#[test]
fn our_operations_give_the_states_and_gradients_of_libtorchs() {
    for shape in SHAPES.into_iter().chain([WIDE]) {
        for lengths in LENGTHS {
            let mut case = Case::new(shape, lengths, 0.0);
            let ours = case.run(By::Ours, Precision::F32);
            let theirs = case.exact();
            assert_eq!(ours.len(), 18);
            for ((name, ours), (twin, theirs)) in ours.iter().zip(&theirs) {
                assert_eq!(name, twin);
                // Its true gradient is zero; both give rounding errors.
                if name == "attention.self.key.bias" {
                    assert!(ours.abs().max().double_value(&[]) < 1e-4);
                } else {
                    let difference = difference(ours, theirs);
                    assert!(
                        difference < 1e-5,
                        "{shape:?} {lengths:?} {name}: {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn first_tokens_alone_are_as_the_whole_layer_has_them() {
    for shape in SHAPES {
        for lengths in LENGTHS {
            let mut case = Case::new(shape, lengths, 0.0);
            case.only_first_tokens_count();
            let mut whole = case.exact();
            whole[0].1 = case.layout.first_tokens(&whole[0].1).expect("an output");
            case.want_first_tokens();
            for by in [By::Ours, By::Operators] {
                let alone = case.run(by, Precision::F32);
                assert_eq!(alone.len(), whole.len());
                for ((name, alone), (_, whole)) in alone.iter().zip(&whole) {
                    let difference = match &name[..] {
                        "attention.self.key.bias" => alone.norm().double_value(&[]),
                        _ => difference(alone, whole),
                    };
                    assert!(
                        difference < 1e-4,
                        "{shape:?} {lengths:?} {name}: {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn our_operations_in_bfloat16_are_as_exact_as_libtorchs() {
    if !cpu_has_bf16() {
        return;
    }
    let cases = LENGTHS.map(|lengths| (SHAPES[0], lengths));
    for (shape, lengths) in cases.into_iter().chain([(WIDE, LENGTHS[5])]) {
        let mut case = Case::new(shape, lengths, 0.0);
        let exact = case.exact();
        let ours = case.run(By::Ours, Precision::Bf16);
        let theirs = case.run(By::Operators, Precision::Bf16);
        for (((name, exact), (_, ours)), (_, theirs)) in exact.iter().zip(&ours).zip(&theirs) {
            if name != "attention.self.key.bias" {
                let (ours, theirs) = (difference(ours, exact), difference(theirs, exact));
                assert!(
                    ours < 0.002 + 1.2 * theirs,
                    "{lengths:?} {name}: {ours}, {theirs}"
                );
            }
        }
    }
}

#[test]
fn with_dropout_the_gradient_is_that_of_what_was_computed() {
    let state = || native::generator_state(Device::Cpu).expect("a state");
    let all = LENGTHS.map(|lengths| (lengths, Wanted::All));
    let first = LENGTHS.map(|lengths| (lengths, Wanted::First));
    for (lengths, wanted) in all.into_iter().chain(first) {
        let mut case = Case::new(SHAPES[0], lengths, 0.3);
        if wanted == Wanted::First {
            case.want_first_tokens();
        }
        let start = state();
        let restart = || native::set_generator_state(Device::Cpu, &start).expect("a state");
        let results = case.run(By::Ours, Precision::F32);
        let moved = state();
        assert_ne!(start, moved);
        let mut leaves = case.variables.variables();
        leaves.insert("state".to_owned(), case.state.shallow_clone());
        for (name, gradient) in &results[1..] {
            // The slope along the gradient is the square of its norm.
            let leaf = &leaves[name];
            let norm = gradient.norm().double_value(&[]);
            // Of rounding only: where there is one token, its share is always 1.
            let no_choice = lengths == [1] && (name.contains("query") || name.contains("key"));
            if no_choice || name == "attention.self.key.bias" {
                assert!(norm < 1e-3, "{lengths:?} {name}: {norm}");
                continue;
            }
            let at = |by: f64| {
                let kept = leaf.detach().copy();
                let mut place = leaf.shallow_clone();
                let _ = no_grad(|| place.f_add_(&(gradient * (by / norm))));
                restart();
                let value = no_grad(|| case.value(By::Ours, Precision::F32));
                let _ = no_grad(|| place.f_copy_(&kept));
                value.sum(Kind::Double).double_value(&[])
            };
            let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
            // Richardson's extrapolation: what is left out is of the fourth power of the step.
            let slope = (4.0 * slope(2.5e-3) - slope(5e-3)) / 3.0;
            let error = (slope - norm).abs();
            assert!(
                error < 1e-3 * norm + 1e-3,
                "{lengths:?} {name}: {slope}, {norm}"
            );
        }
        restart();
        let again = case.run(By::Ours, Precision::F32);
        for ((name, first), (_, again)) in results.iter().zip(&again) {
            assert_eq!(first, again, "{name}");
        }
    }
}

#[test]
fn dropout_in_bfloat16_drops_what_it_drops_in_float32() {
    if !cpu_has_bf16() {
        return;
    }
    for shape in SHAPES {
        for lengths in LENGTHS {
            let case = Case::new(shape, lengths, 0.3);
            let results = [Precision::F32, Precision::Bf16].map(|precision| {
                tch::manual_seed(5);
                case.run(By::Ours, precision)
            });
            for ((name, exact), (_, short)) in results[0].iter().zip(&results[1]) {
                if name != "attention.self.key.bias" {
                    let difference = difference(short, exact);
                    // Rounding; other draws make a difference of about one.
                    assert!(
                        difference < 0.1,
                        "{shape:?} {lengths:?} {name}: {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_frozen_gets_no_gradient_and_the_rest_the_same() {
    for (precision, tolerance) in [(Precision::F32, 1e-6), (Precision::Bf16, 0.01)] {
        if precision == Precision::Bf16 && !cpu_has_bf16() {
            continue;
        }
        let frozen = [
            "attention.self.query.weight",
            "output.dense.weight",
            "state",
        ];
        for wanted in [Wanted::All, Wanted::First] {
            let mut case = Case::new(SHAPES[0], LENGTHS[0], 0.0);
            if wanted == Wanted::First {
                case.want_first_tokens();
            }
            let whole = case.run(By::Ours, precision);
            let variables = case.variables.variables();
            for name in frozen {
                let leaf = variables.get(name).unwrap_or(&case.state);
                let _ = leaf.set_requires_grad(false);
            }
            let rest = case.run(By::Ours, precision);
            assert_eq!(rest.len(), whole.len() - frozen.len());
            // The true gradient of the key's bias is zero; there are rounding errors only.
            let compared = rest
                .iter()
                .filter(|(name, _)| name != "attention.self.key.bias");
            for (name, gradient) in compared {
                let (_, before) = whole.iter().find(|(twin, _)| twin == name).expect("a twin");
                let difference = difference(gradient, before);
                assert!(difference < tolerance, "{precision:?} {name}: {difference}");
            }
        }
    }
}

#[test]
fn tokens_of_no_row_are_zero_and_wrong_sizes_are_errors() {
    let place = (Kind::Float, Device::Cpu);
    let (x, weight) = (
        Tensor::randn([6, 32], place),
        Tensor::randn([32, 32], place),
    );
    let bias = Tensor::randn([32], place);
    let dense = [(&weight, &bias); 3];
    let mixed =
        fused::attention(&x, None, dense, &[[0, 2], [3, 2], [5, 0]], 2, 0.0).expect("a mix");
    for row in [2, 5] {
        assert_eq!(mixed.get(row).abs().max().double_value(&[]), 0.0);
    }
    for rows in [[5, 2], [-1, 2], [0, -1]] {
        fused::attention(&x, None, dense, &[rows], 2, 0.0).expect_err("rows outside");
    }
    fused::attention(&x, None, dense, &[[0, 6]], 3, 0.0).expect_err("heads");

    // A row of which nothing asks, and a token that asks for no row.
    let asking = Tensor::randn([2, 32], place);
    let attend = |queries: &[_], rows: &[_]| {
        fused::attention(&x, Some((&asking, queries)), dense, rows, 2, 0.0)
    };
    let state = x.set_requires_grad(true);
    let mixed = attend(&[[0, 1], [1, 0]], &[[0, 3], [3, 3]]).expect("a mix");
    assert_eq!(mixed.get(1).abs().max().double_value(&[]), 0.0);
    mixed.sum(Kind::Float).backward();
    let gradient = state.grad();
    assert!(gradient.get(2).abs().max().double_value(&[]) > 0.0);
    assert_eq!(gradient.get(5).abs().max().double_value(&[]), 0.0);
    for queries in [[2, 1], [-1, 1], [0, 3]] {
        attend(&[queries], &[[0, 6]]).expect_err("queries outside");
    }
    attend(&[[0, 1]], &[[0, 3], [3, 3]]).expect_err("another number of rows");
    let narrow = Tensor::randn([2, 16], place);
    fused::attention(&x, Some((&narrow, &[[0, 1]])), dense, &[[0, 6]], 2, 0.0)
        .expect_err("another width");
    fused::dense_gelu(&x, (&weight, &x)).expect_err("a bias that is none");
    let short = Tensor::randn([6, 24], place);
    fused::dense_gelu(&short, (&weight, &bias)).expect_err("another width");
    let norm = (&bias, &bias);
    fused::dense_add_norm(&x, (&weight, &bias), &short, norm, 1e-12, 0.0).expect_err("residual");
    fused::dense_add_norm(&x, (&weight, &bias), &x, norm, 1e-12, 1.0).expect_err("dropout");
}
