//! Ten epochs of the head alone, with and without the cache of what the encoder computes.

use bertfit::{BertClassifier, Freeze, Result, Table, TrainConfig, Trainer};
use serde_json::json;

use crate::{Figures, number};

pub fn run(model: &str, train: &str, rows: &str, cache: &str) -> Result<Figures> {
    let mut train = Table::open(train).text("sentence").label("label").read()?;
    train.truncate(number(rows)?);
    let mut classifier = BertClassifier::builder(model).labels(["0", "1"]).build()?;
    let config = TrainConfig {
        epochs: 10.0,
        learning_rate: 1e-3,
        freeze: Freeze::Encoder,
        cache_frozen: cache == "cached",
        ..TrainConfig::default()
    };
    // The time to fill the cache counts.
    let report = Trainer::new(config)?.run(&mut classifier, &train, None)?;
    Ok(json!({"rows_per_second": report.train_samples_per_second}))
}
