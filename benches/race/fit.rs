//! One epoch over a table, then the accuracy on another.

use bertfit::{BertClassifier, FineTuner, Result, Table, TrainConfig, Trainer, Warmup};
use serde_json::json;

use crate::{Figures, number, precision};

pub fn run(
    model: &str,
    [train, dev]: [&str; 2],
    rows: &str,
    numbers: &str,
    mode: &str,
    seed: &str,
) -> Result<Figures> {
    let read = |file: &str| Table::open(file).text("sentence").label("label").read();
    let (mut train, dev) = (read(train)?, read(dev)?);
    train.truncate(number(rows)?);
    let seed = number(seed)? as u64;
    let mut classifier = BertClassifier::builder(model)
        .labels(["0", "1"])
        .precision(precision(numbers)?)
        .seed(seed)
        .build()?;
    let config = TrainConfig {
        epochs: 1.0,
        learning_rate: 5e-5,
        warmup: Warmup::Ratio(0.06),
        group_by_length: mode == "grouped",
        seed,
        ..TrainConfig::default()
    };
    let report = Trainer::new(config)?.run(&mut classifier, &train, None)?;
    Ok(json!({
        "rows_per_second": report.train_samples_per_second,
        "tokens_per_second": report.train_tokens_per_second,
        "accuracy": classifier.evaluate(&dev)?.metrics["accuracy"],
    }))
}
