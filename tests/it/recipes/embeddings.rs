//! The recipe for embeddings.

use serde_json::json;

use super::{Bench, has_numbers, model};
use crate::examples::read_json;

#[test]
fn texts_get_vectors() {
    // Scores up to 5, and quotes that are text.
    let scored =
        "a\tb\tscore\ngood film\tfine film\t5\n\"bad\tdull\t3.5\ngood\tbad\t0.5\nfood\t\t0\n";
    let triplets = "{\"text\": \"good film\", \"pair\": \"fine film\", \"no\": \"bad\"}\n\
                    {\"text\": \"food\", \"pair\": \"this food\", \"no\": \"film\"}\n\
                    {\"text\": \"food\", \"pair\": \"good food\", \"no\": \"sad film\"}\n";
    let bench = Bench::new(&[
        ("scored.tsv", scored),
        ("triplets.jsonl", triplets),
        ("pairs.tsv", "a\tb\ngood\tfine\nfilm\tthis film\n"),
        ("texts.txt", "good film\nfood\n\nfilm\n"),
    ]);
    let model = model();
    let columns = "--text-column a --pair-column b --label-column score";
    let correlations = [
        "eval_spearmanr",
        "eval_pearson",
        "test_spearmanr",
        "test_pearson",
    ];
    for loss in ["cosine", "cosent", "multiple_negatives"] {
        let results = bench.run(
            "sentence_embeddings",
            &format!(
                "--model {model} --train @scored.tsv --dev @scored.tsv --test @scored.tsv \
                 {columns} --loss {loss} --pooling max --normalize --out @{loss} --epochs 2 --quiet"
            ),
        );
        has_numbers(&results, &correlations);
        has_numbers(&results, &["train_loss", "eval_loss"]);
        // The best epoch is that of the best order, whatever the loss.
        let state = read_json(bench.0.path().join(loss).join("trainer_state.json"));
        assert_eq!(state["best_metric"], results["eval_spearmanr"]);
        let rows = bench.predictions(loss);
        assert_eq!(rows.len(), 4);
        for row in &rows {
            let vector = row["embedding"].as_array().expect("a vector");
            let numbers = vector
                .iter()
                .map(|number| number.as_f64().expect("a number"));
            assert_eq!(vector.len(), 32);
            assert!((numbers.map(|number| number * number).sum::<f64>() - 1.0).abs() < 1e-5);
            assert!((-1.0..=1.0).contains(&row["similarity"].as_f64().expect("a cosine")));
        }
    }
    let pooling = read_json(bench.0.path().join("cosine/1_Pooling/config.json"));
    assert_eq!(pooling["pooling_mode_max_tokens"], true);

    // The highest score of the file, or what is asked for, stands for 1.
    let files = format!("--model @cosine --dev @scored.tsv {columns} --quiet");
    let run = |more: &str| bench.run("sentence_embeddings", &format!("{files} {more}"));
    let same = run("--out @same");
    assert_eq!(
        same["eval_loss"],
        run("--out @five --max-score 5")["eval_loss"]
    );
    let ten = run("--out @ten --max-score 10");
    assert_ne!(same["eval_loss"], ten["eval_loss"]);
    assert_eq!(same["eval_spearmanr"], ten["eval_spearmanr"]);

    for loss in ["triplet", "triplet_cosine", "multiple_negatives"] {
        let out = format!("{loss}s");
        let results = bench.run(
            "sentence_embeddings",
            &format!(
                "--model {model} --train @triplets.jsonl --dev @triplets.jsonl \
                 --test @triplets.jsonl --pair-column pair --negative-column no --loss {loss} \
                 --out @{out} --epochs 2 --quiet"
            ),
        );
        has_numbers(&results, &["eval_accuracy", "test_accuracy", "eval_loss"]);
    }

    // Pairs to learn from need no scores where others to evaluate on have some.
    let results = bench.run(
        "sentence_embeddings",
        &format!(
            "--model {model} --train @pairs.tsv --dev @scored.tsv {columns} \
             --loss multiple_negatives --out @pairs --epochs 1 --quiet"
        ),
    );
    has_numbers(&results, &["train_loss", "eval_spearmanr"]);

    // What is fitted gives vectors of plain texts, and is where another run starts.
    let results = bench.run(
        "sentence_embeddings",
        "--model @triplets --test @texts.txt --out @vectors --quiet",
    );
    assert_eq!(results, json!({}));
    assert_eq!(bench.predictions("vectors").len(), 3);
    let results = bench.run(
        "sentence_embeddings",
        &format!("--model @triplets --train @scored.tsv {columns} --out @more --epochs 1 --quiet"),
    );
    has_numbers(&results, &["train_loss"]);
}

#[test]
fn embeddings_say_what_is_missing() {
    let bench = Bench::new(&[
        ("pairs.tsv", "text\tpair\na\tb\nc\td\n"),
        ("scored.tsv", "text\tpair\tscore\na\tb\t1\nc\td\tnan\n"),
        ("high.tsv", "text\tpair\tscore\na\tb\t1\nc\td\t4\n"),
    ]);
    let model = model();
    for (words, status, expected) in [
        ("--train @pairs.tsv", 1, "`pair column` must be named"),
        (
            "--train @pairs.tsv --pair-column pair --loss cosine",
            2,
            "--label-column",
        ),
        (
            "--train @pairs.tsv --pair-column pair --loss triplet",
            2,
            "--negative-column",
        ),
        (
            "--train @pairs.tsv --pair-column pair --label-column score",
            1,
            "no column `score`",
        ),
        (
            "--train @pairs.tsv --pair-column pair --negative-column no",
            1,
            "no column `no`",
        ),
        (
            "--train @scored.tsv --pair-column pair --label-column score",
            1,
            "scored.tsv:3: field `score`: expected a finite number, found `nan`",
        ),
        (
            "--train @high.tsv --pair-column pair --label-column score --max-score 2",
            1,
            "row 1: field `score`: expected a number from -1 to 1, as a cosine is, found 2",
        ),
        (
            "--dev @pairs.tsv --pair-column pair",
            1,
            "modules.json: not there",
        ),
        (
            "--train @pairs.tsv --pair-column pair --scale 0",
            2,
            "`scale` must be above 0",
        ),
    ] {
        let words = format!("--model {model} --out @run --overwrite --quiet {words}");
        let (code, errors) = bench.fails("sentence_embeddings", &words);
        assert_eq!(code, status, "{words}: {errors}");
        assert!(errors.contains(expected), "{words}: {errors}");
    }
}
