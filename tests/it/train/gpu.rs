//! What a GPU alone shows. Where there is one, all other tests run on it too, since models are
//! there by default; these are left out unless they are asked for:
//! `cargo xtask test --test it -- --ignored gpu::`.

use bertfit::tch::{Device, Kind, TchError, Tensor};
use bertfit::{
    BertClassifier, Error, Example, FineTuner, Precision, TrainConfig, TrainReport, Trainer,
    Warning,
};

use super::trainer::{fast, weights};
use crate::fixture::{assert_close, batch_of, eight, tiny, without_dropout};

const MIB: i64 = 1 << 20;
const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// Takes the GPU's memory but for so many MiB. libtorch keeps what is given back, so that
/// libraries with memory of their own (cuDNN) may find none: the process ends soon after.
fn take_all_but(left: i64) -> Vec<Tensor> {
    let take = |mib: i64| Tensor::f_zeros([mib * MIB], (Kind::Uint8, Device::Cuda(0)));
    let kept = take(left).expect("memory to keep");
    let mut taken = Vec::new();
    for mib in [1024, 32] {
        while let Ok(tensor) = take(mib) {
            taken.push(tensor);
        }
    }
    drop(kept);
    taken
}

/// Four thousand rows of 32 tokens each.
fn rows() -> Vec<Example> {
    let text = |row: usize| match row % 2 {
        0 => Example::new("the film was very good ".repeat(6), "good"),
        _ => Example::new("this food is so sad ".repeat(6), "bad"),
    };
    (0..4000).map(text).collect()
}

fn run(batch_size: usize) -> Result<(TrainReport, super::Weights), Error> {
    let dir = without_dropout(&tiny());
    let mut model = BertClassifier::builder(dir.path())
        .labels(["bad", "good"])
        .max_length(32)
        .build()?;
    assert_eq!(model.backbone().device(), Device::Cuda(0));
    let config = TrainConfig {
        batch_size,
        max_steps: Some(2),
        check_data: false,
        ..fast()
    };
    let report = Trainer::new(config)?.run(&mut model, &rows(), None)?;
    Ok((report, weights(&model)))
}

#[test]
#[ignore = "needs a GPU"]
fn memory_that_runs_out_makes_a_run_go_on_in_parts() {
    let (whole, expected) = run(4000).expect("a run");
    assert!(whole.warnings.is_empty(), "{:?}", whole.warnings);
    let taken = take_all_but(128);
    let (parts, weights) = run(4000).expect("a run in parts");
    drop(taken);
    let problems = parts.warnings.iter().map(|warning| match warning {
        Warning::OutOfMemory { problem, .. } => problem,
        other => panic!("{other:?}"),
    });
    assert!(parts.warnings.len() > 1, "{:?}", parts.warnings);
    for problem in problems {
        assert!(problem.contains("CUDA out of memory"), "{problem}");
    }
    assert!((parts.train_loss - whole.train_loss).abs() < 1e-5);
    for (name, tensor) in &expected {
        // Its gradient is rounding error, which AdamW makes large.
        if !name.ends_with("self.key.bias") {
            assert_close(name, tensor, &weights[name], 1e-4);
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn bfloat16_is_near_float32_in_logits_and_gradients() {
    let dir = without_dropout(&tiny());
    let of = |precision, rows: &[Example]| {
        let builder = BertClassifier::builder(dir.path()).labels(["bad", "good"]);
        let model = builder.precision(precision).build().expect("a classifier");
        let batch = batch_of(&model, rows);
        let loss = model.training_loss(&batch.inputs, &batch.target);
        let loss = loss.expect("a loss").sum;
        loss.backward();
        let of_words = &model.backbone().named_variables()[WORDS];
        let all = model.predict(rows).expect("predictions").probabilities;
        (Tensor::try_from(all).expect("numbers"), of_words.grad())
    };
    // With padding and without: other kernels.
    for rows in [&eight()[..], &eight()[..1]] {
        let (exact, gradient) = of(Precision::F32, rows);
        let (rounded, other) = of(Precision::Bf16, rows);
        assert_close("probabilities", &exact, &rounded, 0.02);
        let cosine = (&gradient * &other).sum(Kind::Float) / (gradient.norm() * other.norm());
        let cosine = cosine.double_value(&[]);
        assert!(cosine > 0.995, "{cosine}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn what_fits_no_gpu_is_an_error_and_the_gpu_goes_on() {
    let error: TchError = Tensor::f_zeros([1 << 50], (Kind::Uint8, Device::Cuda(0)))
        .expect_err("more memory than there is");
    assert!(error.to_string().contains("out of memory"), "{error}");
    run(8).expect("a run");
}
