//! The flags of all recipes that leave some weights as they are.

use super::{Bench, model};
use crate::fixture::{tensors, tiny};

#[test]
fn some_weights_stay_as_they_are() {
    let rows = "text\tlabel\nthe film was good\tgood\nit was bad\tbad\nsad food\tbad\n";
    let bench = Bench::new(&[("train.tsv", rows)]);
    let model = model();
    let common = format!("--model {model} --train @train.tsv --epochs 2 --lr 1e-2 --quiet");
    let before = tensors(tiny().join("model.safetensors"));
    let all = ["embeddings", "encoder.layer.0", "encoder.layer.1", "pooler"];
    // The parts of the encoder that are other than before.
    let changed = |out: &str, flags: &str| -> Vec<String> {
        let words = format!("{common} --out @{out} {flags}");
        bench.run("text_classification", &words);
        let after = tensors(bench.0.path().join(out).join("model.safetensors"));
        let is_other = |part: &&str| {
            let of_part = before.iter().filter(|(name, _)| name.starts_with(part));
            let mut pairs = of_part.map(|(name, tensor)| (tensor, &after[&format!("bert.{name}")]));
            pairs.any(|(before, after)| before != after)
        };
        all.into_iter()
            .filter(is_other)
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(changed("all", ""), all);
    assert_eq!(changed("words", "--freeze embeddings"), all[1..]);
    assert_eq!(changed("one", "--freeze 1 --cache-frozen"), all[2..]);
    assert!(changed("none", "--freeze encoder --cache-frozen").is_empty());

    for (flags, status, problem) in [
        ("--freeze head", 2, "none, embeddings, encoder, or a number"),
        ("--freeze 3", 2, "at most 2"),
        ("--cache-frozen", 2, "false where no layer is frozen"),
    ] {
        let (got, errors) = bench.fails(
            "text_classification",
            &format!("{common} --out @wrong {flags}"),
        );
        assert_eq!(got, status, "{errors}");
        assert!(errors.contains(problem), "{errors}");
    }
}
