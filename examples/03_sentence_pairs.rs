//! Pairs of texts: do two reviews agree? The pairs are made from the review
//! sentences, so the labels are as good as theirs.
//!
//!     cargo run --example 03_sentence_pairs
//!
//! About a minute on two cores. Expected: a dev accuracy well above one half (about
//! 0.75), then `agree` and `differ`.

use bertfit::{BertClassifier, Example, FineTuner, ProgressBar, Table, TrainConfig, Trainer};

fn main() -> bertfit::Result<()> {
    let models = std::env::var("BERTFIT_MODELS").unwrap_or("target/models".to_owned());
    let (train, dev) = (pairs("train")?, pairs("dev")?);
    let mut classifier = BertClassifier::builder(format!("{models}/all-MiniLM-L6-v2"))
        .labels(["differ", "agree"])
        .max_length(64)
        .build()?;
    let config = TrainConfig {
        learning_rate: 1e-4,
        ..TrainConfig::default()
    };
    Trainer::new(config)?
        .callback(ProgressBar::new())
        .run(&mut classifier, &train, Some(&dev))?;
    println!(
        "dev accuracy {:.3}",
        classifier.evaluate(&dev)?.metrics["accuracy"]
    );

    let pairs = [
        ("The food was excellent.", "Great service, we will be back."),
        ("The food was excellent.", "The battery died after a day."),
    ];
    for (label, score) in classifier.predict(&pairs)?.iter() {
        println!("{label:6} {score:.3}");
    }
    Ok(())
}

/// Two sentences each in the order of the file; they agree if their labels are the same.
fn pairs(part: &str) -> bertfit::Result<Vec<Example>> {
    let path = format!("{}/examples/data/{part}.tsv", env!("CARGO_MANIFEST_DIR"));
    let sentences = Table::open(path).text("sentence").label("label").read()?;
    let pair = |two: &[Example]| {
        let agree = two[0].label == two[1].label;
        let label = if agree { "agree" } else { "differ" };
        Example::new(&two[0].text, label).with_pair(&two[1].text)
    };
    Ok(sentences.chunks_exact(2).map(pair).collect())
}
