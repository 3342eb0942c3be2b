//! The loss of the head as one operation against libtorch's operators.

use tch::nn::VarStore;
use tch::no_grad;

use super::*;
use crate::model::cpu_has_bf16;

/// The loss of states `[M, H]` by words `[V, H]` and a bias, and the gradients of the three.
struct Case {
    leaves: [Tensor; 3],
    target: Tensor,
}

impl Case {
    /// The first two rows do not count.
    fn new(rows: i64, hidden: i64, vocabulary: i64) -> Self {
        tch::manual_seed(rows + vocabulary);
        let place = (Kind::Float, Device::Cpu);
        let scores = Tensor::randint(vocabulary, [rows], (Kind::Int64, Device::Cpu));
        // The last score is no multiple of anything.
        let _ = scores.get(rows - 1).fill_(vocabulary - 1);
        let _ = scores.narrow(0, 0, rows.min(2)).fill_(-100);
        let random = |size: &[i64], scale: f64| Tensor::randn(size, place) * scale;
        Self {
            leaves: [
                random(&[rows, hidden], 1.0),
                random(&[vocabulary, hidden], 2.0 / (hidden as f64).sqrt()),
                random(&[vocabulary], 1.0),
            ]
            .map(|leaf| leaf.set_requires_grad(true)),
            target: scores,
        }
    }

    /// Loss and gradients of half the loss.
    fn run(&self, loss: impl Fn(&[Tensor; 3]) -> Tensor, kind: Kind) -> Vec<Tensor> {
        let leaves = self.leaves.each_ref().map(|leaf| {
            let leaf = leaf.detach().to_kind(kind);
            leaf.set_requires_grad(true)
        });
        let sum = loss(&leaves);
        (&sum * 0.5).backward();
        let gradients = leaves.iter().map(Tensor::grad);
        [sum.detach()].into_iter().chain(gradients).collect()
    }

    fn ours(&self, smoothing: f64, kind: Kind) -> Vec<Tensor> {
        let loss = |[x, words, bias]: &[Tensor; 3]| {
            let x = x.to_kind(kind);
            fused::token_loss(&x, (words, bias), &self.target, smoothing).expect("a loss")
        };
        self.run(loss, Kind::Float)
    }

    /// Products in one kind of number, the rest in another.
    fn operators(&self, smoothing: f64, [products, rest]: [Kind; 2]) -> Vec<Tensor> {
        let loss = |[x, words, bias]: &[Tensor; 3]| {
            let [x, words, bias] = [x, words, bias].map(|tensor| tensor.to_kind(products));
            let logits = x.linear(&words, Some(&bias)).to_kind(rest);
            cross_entropy(&logits, &self.target, smoothing).expect("a loss")
        };
        self.run(loss, rest)
    }
}

/// The norm of the difference, as a share of the norm.
fn difference(ours: &Tensor, exact: &Tensor) -> f64 {
    let exact = exact.to_kind(Kind::Double);
    let difference = (ours.to_kind(Kind::Double) - &exact).norm();
    difference.double_value(&[]) / exact.norm().double_value(&[])
}

/// Few rows are multiplied by libtorch, many by tiles where the processor has them.
#[test]
fn loss_and_gradients_are_as_exact_as_libtorchs() {
    if !fused::is_available(Device::Cpu, &[]) {
        return;
    }
    let exact = [Kind::Double; 2];
    for [rows, hidden, vocabulary] in [[3, 8, 5], [40, 48, 1003], [150, 32, 2049], [700, 80, 333]] {
        let case = Case::new(rows, hidden, vocabulary);
        for smoothing in [0.0, 0.1] {
            let exact = case.operators(smoothing, exact);
            for products in [Kind::Float, Kind::BFloat16] {
                if products == Kind::BFloat16 && !cpu_has_bf16() {
                    continue;
                }
                let ours = case.ours(smoothing, products);
                let theirs = case.operators(smoothing, [products, Kind::Float]);
                let numbers = ["loss", "states", "words", "bias"].into_iter().zip(&exact);
                for ((name, exact), (ours, theirs)) in numbers.zip(ours.iter().zip(&theirs)) {
                    let (ours, theirs) = (difference(ours, exact), difference(theirs, exact));
                    // In one number libtorch's errors may cancel by chance.
                    let least = match (products, name) {
                        (Kind::BFloat16, "loss") => 2_f64.powi(-11),
                        _ => 3e-7,
                    };
                    assert!(
                        ours < least + 1.5 * theirs,
                        "{products:?}, {rows} rows, {vocabulary} scores, smoothing {smoothing}, \
                         {name}: {ours:e}, libtorch {theirs:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn scores_that_are_no_numbers_give_a_loss_that_is_none() {
    if !fused::is_available(Device::Cpu, &[]) {
        return;
    }
    let case = Case::new(4, 16, 40);
    let [x, words, bias] = &case.leaves;
    let loss = || fused::token_loss(x, (words, bias), &case.target, 0.0).expect("a loss");
    assert!(loss().double_value(&[]).is_finite());
    let _ = no_grad(|| x.get(3).get(5).fill_(f64::NAN));
    assert!(loss().double_value(&[]).is_nan());
    let _ = no_grad(|| x.get(3).get(5).fill_(f64::INFINITY));
    assert!(!loss().double_value(&[]).is_finite());
}

/// Scores so far apart that all but one weigh nothing, and so low that zero would be high.
#[test]
fn scores_of_any_size_are_compared() {
    if !fused::is_available(Device::Cpu, &[]) {
        return;
    }
    let place = (Kind::Float, Device::Cpu);
    let (x, words) = (Tensor::zeros([2, 4], place), Tensor::zeros([21, 4], place));
    let bias = Tensor::full([21], -1000.0, place);
    let _ = bias.get(20).fill_(-900.0);
    let target = Tensor::from_slice(&[20_i64, 3]);
    let loss = fused::token_loss(&x, (&words, &bias), &target, 0.0).expect("a loss");
    assert_eq!(loss.double_value(&[]), 100.0);
}

#[test]
fn frozen_words_get_no_gradient() {
    let mut variables = VarStore::new(Device::Cpu);
    let config = serde_json::from_value(serde_json::json!({
        "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
        "intermediate_size": 16, "max_position_embeddings": 8,
    }));
    let config: BertConfig = config.expect("a configuration");
    let head = LmHead::new(&variables.root(), &config).expect("a head");
    let place = (Kind::Float, Device::Cpu);
    let words = Tensor::randn([50, 16], place);
    let hidden = Tensor::randn([4, 16], place);
    let target = Tensor::from_slice(&[1_i64, 2, 3, 49]);
    let loss = head.loss(&hidden, &words, &target, 0.0).expect("a loss");
    loss.backward();
    assert!(!words.grad().defined());
    assert!(head.bias.grad().defined());
    variables.freeze();
    let loss = head.loss(&hidden, &words, &target, 0.0).expect("a loss");
    assert!(!loss.requires_grad());
}

#[test]
fn what_does_not_fit_is_refused() {
    if !fused::is_available(Device::Cpu, &[]) {
        return;
    }
    let place = (Kind::Float, Device::Cpu);
    let zeros = |size: &[i64]| Tensor::zeros(size, place);
    let (x, words, bias) = (zeros(&[2, 16]), zeros(&[9, 16]), zeros(&[9]));
    let refused = |target: &Tensor, words: &Tensor, smoothing: f64| {
        fused::token_loss(&x, (words, &bias), target, smoothing).expect_err("no loss")
    };
    let target = Tensor::from_slice(&[0_i64, 8]);
    for wrong in [9, -1] {
        let error = refused(&Tensor::from_slice(&[0_i64, wrong]), &words, 0.0).to_string();
        assert!(
            error.contains(&format!("target {wrong} of row 1")),
            "{error}"
        );
    }
    refused(&Tensor::from_slice(&[0_i64]), &words, 0.0);
    refused(&Tensor::from_slice(&[0.0_f32, 1.0]), &words, 0.0);
    refused(&target, &zeros(&[9, 15]), 0.0);
    refused(&target, &zeros(&[8, 16]), 0.0);
    refused(&target, &words, 1.0);
}
