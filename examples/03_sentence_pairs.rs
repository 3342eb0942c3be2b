//! Pairs of texts: which of two reviews is the kinder one?
//!
//!     cargo run --example 03_sentence_pairs
//!
//! About a minute on two cores. Expected: a dev accuracy of about 0.87, then `first`
//! and `second`.

use bertfit::{BertClassifier, Example, FineTuner, ProgressBar, Table, TrainConfig, Trainer};

fn main() -> bertfit::Result<()> {
    bertfit::reuse_memory();
    let models = std::env::var("BERTFIT_MODELS").unwrap_or("target/models".to_owned());
    let (train, dev) = (pairs("train")?, pairs("dev")?);
    let mut classifier = BertClassifier::builder(format!("{models}/all-MiniLM-L6-v2"))
        .labels(["first", "second"])
        .max_length(64)
        .build()?;
    let mut config = TrainConfig::default();
    (config.epochs, config.learning_rate) = (2.0, 1e-4);
    let mut trainer = Trainer::new(config)?.callback(ProgressBar::new());
    trainer.run(&mut classifier, &train, Some(&dev))?;
    let dev = classifier.evaluate(&dev)?;
    println!("dev accuracy {:.3}", dev.metrics["accuracy"]);

    let (kind, unkind) = ("The food was excellent.", "The battery died after a day.");
    let predictions = classifier.predict(&[(kind, unkind), (unkind, kind)])?;
    for (label, score) in predictions.iter() {
        println!("{label:6} {score:.3}");
    }
    Ok(())
}

/// Each positive sentence with a negative one, which comes first in every other pair.
fn pairs(part: &str) -> bertfit::Result<Vec<Example>> {
    let path = format!("{}/examples/data/{part}.tsv", env!("CARGO_MANIFEST_DIR"));
    let sentences = Table::open(path).text("sentence").label("label").read()?;
    let (kind, unkind): (Vec<_>, Vec<_>) = sentences.into_iter().partition(|s| s.label == "1");
    let pair = |(row, (kind, unkind)): (usize, (Example, Example))| match row % 2 {
        0 => Example::new(kind.text, "first").with_pair(unkind.text),
        _ => Example::new(unkind.text, "second").with_pair(kind.text),
    };
    Ok(kind.into_iter().zip(unkind).enumerate().map(pair).collect())
}
