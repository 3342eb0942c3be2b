//! What the tests of all tasks share: one batch against transformers' numbers, and
//! transformers as a reader of what we save.

use std::path::Path;
use std::process::Command;

use bertfit::tch::{Kind, Tensor, no_grad};
use bertfit::{FineTuner, Inputs, ItemOf, TargetOf};
use serde_json::{Value, json};

use crate::fixture::{assert_close, batch_of, data, tensors};

/// The logits of a task with one kind of them, by their name in transformers' output.
pub fn logits(logits: &Tensor) -> Vec<(&'static str, Tensor)> {
    vec![("logits", logits.shallow_clone())]
}

/// Inputs, logits, loss and gradients of one batch are those that
/// `tests/data/task/make_reference.py` has written; `logits` gives those of the batch by
/// their names in transformers' output.
#[track_caller]
pub fn batch_equals<M: FineTuner>(
    model: &M,
    items: &[ItemOf<M>],
    task: &str,
    named: impl Fn(&Tensor) -> Vec<(&'static str, Tensor)>,
) {
    let expected = tensors(data(&format!("task/{task}.safetensors")));
    let batch = batch_of(model, items);
    for (name, ours) in [
        ("input_ids", batch.inputs.input_ids()),
        ("token_type_ids", batch.inputs.token_type_ids()),
        ("attention_mask", batch.inputs.attention_mask()),
    ] {
        assert_close(name, ours, &expected[name], 0.0);
    }
    numbers_equal(model, &batch.inputs, &batch.target, task, named);
}

/// The same for a batch that is none of the collator's.
#[track_caller]
pub fn numbers_equal<M: FineTuner>(
    model: &M,
    inputs: &Inputs,
    target: &TargetOf<M>,
    task: &str,
    named: impl Fn(&Tensor) -> Vec<(&'static str, Tensor)>,
) {
    let expected = tensors(data(&format!("task/{task}.safetensors")));
    // The model's configuration has no dropout.
    let logits = model.logits(inputs, true).expect("logits");
    for (name, ours) in named(&logits) {
        assert_close(name, &ours, &expected[name], 1e-5);
    }
    let loss = model.loss(&logits, target).expect("a loss");
    let in_training = model.training_loss(inputs, target).expect("a loss");
    for loss in [&loss, &in_training] {
        let mean = &loss.sum / loss.count;
        assert_close("loss", &mean.reshape([1]), &expected["loss"], 1e-5);
    }
    (in_training.sum / in_training.count).backward();
    let mut compared = 0;
    // By the names that transformers has for them.
    for (name, weight) in model.files().weights {
        if weight.requires_grad() {
            let Some(gradient) = expected.get(&format!("gradient.{name}")) else {
                // The second name of a weight that encoder and decoder share.
                let first = format!("gradient.decoder.bert.{}", &name["encoder.".len()..]);
                assert!(expected.contains_key(&first), "{name}");
                continue;
            };
            assert_close(&name, &weight.grad(), gradient, 1e-4);
            compared += 1;
        }
    }
    let gradients = expected.keys().filter(|name| name.starts_with("gradient."));
    assert_eq!(compared, gradients.count());
}

/// transformers loads what `save` writes, without a warning, and gives the same logits for
/// each item alone. It runs where `BERTFIT_PYTHON` names a Python that has it.
#[track_caller]
pub fn transformers_loads<M: FineTuner>(
    model: &M,
    items: &[ItemOf<M>],
    class: &str,
    named: impl Fn(&Tensor) -> Vec<(&'static str, Tensor)>,
) where
    ItemOf<M>: Clone,
{
    let Ok(python) = std::env::var("BERTFIT_PYTHON") else {
        eprintln!("not run: BERTFIT_PYTHON is not set");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    model.save(&saved).expect("a saved model");
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let inputs = batch_of(model, std::slice::from_ref(item)).inputs;
            let parts = [
                inputs.input_ids(),
                inputs.attention_mask(),
                inputs.token_type_ids(),
            ];
            let [ids, mask, types] = parts.map(Tensor::shallow_clone);
            let decoder = inputs.decoder_input_ids().map(Tensor::shallow_clone);
            // Of all tokens, whichever the task asks for.
            let mut inputs = Inputs::new(ids, mask, types);
            if let Some(ids) = decoder {
                inputs = inputs.with_decoder_input_ids(ids);
            }
            let logits = no_grad(|| model.logits(&inputs, false)).expect("logits");
            let ids = |ids: &Tensor| Vec::<i64>::try_from(ids.reshape([-1])).expect("ids");
            let named = named(&logits).into_iter();
            let flat: Vec<Tensor> = named.map(|(_, logits)| logits.reshape([-1])).collect();
            let logits = Tensor::cat(&flat, 0).to_kind(Kind::Float);
            json!({
                "shape": inputs.size(),
                "input_ids": ids(inputs.input_ids()),
                "token_type_ids": ids(inputs.token_type_ids()),
                "attention_mask": ids(inputs.attention_mask()),
                "decoder_input_ids": inputs.decoder_input_ids().map(ids),
                "logits": Vec::<f32>::try_from(logits).expect("numbers"),
            })
        })
        .collect();
    let path = dir.path().join("rows.json");
    std::fs::write(&path, Value::from(rows).to_string()).expect("a file");
    run(&python, "task/check_logits.py", &saved, class, &path);
}

#[track_caller]
pub fn run(python: &str, script: &str, saved: &Path, class: &str, rows: &Path) {
    let output = Command::new(python)
        .arg(data(script))
        .arg(saved)
        .arg(class)
        .arg(rows)
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .expect("Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
