//! What is wrong with a command line is said before any work starts.

use super::{Bench, model};

#[test]
fn wrong_flags_end_a_recipe_before_any_work_starts() {
    let bench = Bench::new(&[]);
    let model = model();
    // There is no such file, which would be the first thing to be found.
    let common = format!("--model {model} --train @none.tsv --out @run");
    for (recipe, flags, problem) in [
        ("text_classification", "--batch-size 0", "`batch_size`"),
        ("text_classification", "--epochs 0", "`epochs`"),
        ("text_classification", "--lr 0", "`learning_rate`"),
        (
            "text_classification",
            "--threads 0",
            "'--threads <THREADS>'",
        ),
        (
            "text_classification",
            "--threads=-1",
            "'--threads <THREADS>'",
        ),
        ("text_classification", "--keep 0", "'--keep <KEEP>'"),
        ("text_classification", "--warmup 1e", "'--warmup <WARMUP>'"),
        ("masked_lm", "--top-k 0", "'--top-k <TOP_K>'"),
        ("masked_lm", "--mlm-probability 2", "`probability`"),
        ("text_generation", "--num-beams 0", "`num_beams`"),
        (
            "text_generation",
            "--do-sample --num-beams 4",
            "`num_beams`",
        ),
        ("text_generation", "--temperature 0", "`temperature`"),
        ("text_generation", "--top-p 0", "`top_p`"),
    ] {
        let (status, errors) = bench.fails(recipe, &format!("{common} {flags}"));
        assert_eq!(status, 2, "{recipe} {flags}: {errors}");
        assert!(errors.starts_with("error: "), "{flags}: {errors}");
        assert!(errors.contains(problem), "{flags}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(!bench.0.path().join("run").exists(), "{flags}");
    }
}

#[test]
fn a_metric_that_is_not_reported_ends_a_run_before_its_first_step() {
    let rows = "text\tlabel\nthe film was good\tgood\nit was bad\tbad\nsad food\tsad\n";
    let texts = "the film was very good\nthe food was very bad\n".repeat(8);
    let bench = Bench::new(&[("rows.tsv", rows), ("texts.txt", &texts)]);
    let model = model();
    let words = |file: &str, out: &str, metric: &str| {
        format!(
            "--model {model} --train @{file} --dev @{file} --out @{out} --epochs 1 --quiet \
             --metric {metric}"
        )
    };
    // Of three classes there is no plain F1.
    let (status, errors) = bench.fails("text_classification", &words("rows.tsv", "wrong", "f1"));
    assert_eq!(status, 1, "{errors}");
    assert!(
        errors.contains("error: `metric` must be loss, perplexity or one of accuracy, "),
        "{errors}"
    );
    assert!(!bench.0.path().join("wrong/checkpoint-1").exists());

    let results = bench.run(
        "text_classification",
        &words("rows.tsv", "one", "eval_f1_macro"),
    );
    assert!(results["eval_f1_macro"].is_number());
    let results = bench.run("masked_lm", &words("texts.txt", "two", "perplexity"));
    let state = crate::examples::read_json(bench.0.path().join("two/trainer_state.json"));
    let best = state["best_metric"].as_f64().expect("a number");
    let least = results["perplexity"].as_f64().expect("a number");
    assert!((best / least - 1.0).abs() < 1e-6, "{best} {least}");
}
