//! The flags of `text_classification` for texts that are longer than a row.

use serde_json::{Value, json};

use super::{Bench, model};
use crate::examples::read_json;

#[test]
fn long_texts_are_read_as_the_flags_say() {
    let filler = "the film was about the phone and the place , ".repeat(2);
    let rows = format!(
        "text\tlabel\n{filler}great\tgood\nfine\tgood\n{filler}bad\tbad\n{filler}{filler}sad\tbad\n"
    );
    let bench = Bench::new(&[("train.tsv", &rows), ("test.tsv", &rows)]);
    let model = model();
    let common = format!(
        "--model {model} --train @train.tsv --test @test.tsv --epochs 2 --max-length 16 --quiet"
    );
    let config = |out: &str| read_json(bench.0.path().join(out).join("config.json"));
    let run = |out: &str, flags: &str| {
        let results = bench.run(
            "text_classification",
            &format!("{common} --out @{out} {flags}"),
        );
        // Rows are counted, not windows.
        assert_eq!(results["train_samples"], 4);
        assert_eq!(results["test_samples"], 4);
        assert_eq!(bench.predictions(out).len(), 4);
        config(out)["bertfit"]["long_text"].clone()
    };
    assert_eq!(run("plain", ""), Value::Null);
    assert_eq!(run("tail", "--truncation tail"), "tail");
    assert_eq!(
        run("both", "--truncation head-tail"),
        json!({"head_tail": {"head": 0.25}})
    );
    assert_eq!(
        run(
            "windows",
            "--truncation windows --doc-stride 4 --window-pooling max --max-windows 2"
        ),
        json!({"windows": {"doc_stride": 4, "pooling": "max", "max_windows": 2}})
    );
    // The fitted model reads as it was trained.
    bench.run(
        "text_classification",
        "--model @windows --test @test.tsv --out @again --quiet",
    );
    assert_eq!(bench.predictions("again"), bench.predictions("windows"));

    for (flags, problem) in [
        ("--doc-stride 4", "--doc-stride needs --truncation windows"),
        (
            "--truncation tail --max-windows 4",
            "--max-windows needs --truncation windows",
        ),
        (
            "--truncation windows --pair-column other",
            "windows are of one text, not of a pair",
        ),
    ] {
        let words = format!("{common} --out @wrong {flags}");
        let (status, errors) = bench.fails("text_classification", &words);
        assert_eq!(status, 2, "{errors}");
        assert!(errors.contains(problem), "{errors}");
        assert!(!bench.0.path().join("wrong").exists());
    }
    let words = format!("{common} --out @wrong --truncation windows --doc-stride 14");
    let (status, errors) = bench.fails("text_classification", &words);
    assert_eq!(status, 2, "{errors}");
    assert!(errors.contains("doc_stride"), "{errors}");
}
