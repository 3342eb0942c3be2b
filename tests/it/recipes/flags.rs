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
        (
            "text_classification",
            "--dev @d.tsv --dev-share 0.1",
            "'--dev <DEV>'",
        ),
        (
            "text_classification",
            "--dev-share 1",
            "above 0 and below 1",
        ),
        (
            "text_classification",
            "--max-train-samples 0",
            "'--max-train-samples",
        ),
        (
            "text_classification",
            "--max-eval-samples 3",
            "needs --dev or --dev-share",
        ),
        (
            "text_classification",
            "--max-predict-samples 3",
            "--test <TEST>",
        ),
        ("text_classification", "--no-test-labels", "--test <TEST>"),
        (
            "text_classification",
            "--on-bad-row ignore",
            "[possible values: stop, skip]",
        ),
        (
            "text_classification",
            "--delimiter ab",
            "expected one character, or tab",
        ),
        (
            "text_classification",
            "--quoting all",
            "auto, none or minimal",
        ),
        (
            "text_classification",
            "--label-smoothing 0.1 --focal-gamma 2",
            "'--focal-gamma",
        ),
        (
            "text_classification",
            "--label-smoothing 1",
            "`label_smoothing`",
        ),
        ("text_classification", "--focal-gamma=-1", "`focal_gamma`"),
        (
            "text_classification",
            "--problem-type regression --labels a,b",
            "--labels is not of the problem type regression",
        ),
        (
            "text_classification",
            "--problem-type multi_label_classification --class-weights balanced",
            "--class-weights is not of the problem type multi_label_classification",
        ),
        (
            "masked_lm",
            "--no-test-labels",
            "unexpected argument '--no-test-labels'",
        ),
        (
            "masked_lm",
            "--labels a,b",
            "unexpected argument '--labels'",
        ),
        (
            "multiple_choice",
            "--delimiter ;",
            "unexpected argument '--delimiter'",
        ),
        (
            "sentence_embeddings",
            "--fresh-head",
            "unexpected argument '--fresh-head'",
        ),
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
fn flags_of_training_need_a_file_to_train_on() {
    let bench = Bench::new(&[]);
    let common = format!("--model {} --test @none.jsonl --out @run", model());
    for (flags, problem) in [
        ("--fresh-head", "--train <TRAIN>"),
        ("--dev-share 0.1", "--train <TRAIN>"),
        ("--max-train-samples 1", "--train <TRAIN>"),
        ("--class-weights balanced", "--train <TRAIN>"),
        ("--delimiter ;", "--delimiter is of tables with columns"),
        ("--quoting none", "--quoting is of tables with columns"),
    ] {
        let (status, errors) = bench.fails("text_classification", &format!("{common} {flags}"));
        assert_eq!(status, 2, "{flags}: {errors}");
        assert!(errors.contains(problem), "{flags}: {errors}");
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
    assert_eq!(status, 2, "{errors}");
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

/// Whatever finds it out, a flag that cannot be used ends with status 2.
#[test]
fn a_setting_out_of_its_range_is_a_wrong_flag() {
    let rows = "text,label\ngood,a\nbad,b\nsad,c\n";
    let bench = Bench::new(&[("rows.csv", rows)]);
    let run = format!("--model {} --train @rows.csv --out @out --quiet", model());
    for (flags, problem) in [
        ("--dropout 1", "`dropout` must be at least 0 and below 1"),
        ("--encoder-dropout 2", "`encoder_dropout` must be"),
        ("--max-length 2", "`max_length` must be"),
        ("--labels a,a", "`labels` must be distinct names"),
        ("--labels @none.txt", "there is no such file"),
        (
            "--label-column text",
            "--text-column and --label-column name the same column",
        ),
        (
            "--problem-type regression --class-weights balanced",
            "--class-weights is not of the problem type regression",
        ),
    ] {
        let (status, errors) = bench.fails("text_classification", &format!("{run} {flags}"));
        assert_eq!(status, 2, "{flags}: {errors}");
        assert!(errors.contains(problem), "{flags}: {errors}");
    }
}
