//! Prediction of labels, from texts to labels.

use bertfit::{BertClassifier, Result};

use crate::{Figures, number, precision, speed_on, texts};

pub fn run(model: &str, file: &str, rows: &str, length: &str, numbers: &str) -> Result<Figures> {
    let texts = texts(file, number(rows)?)?;
    let classifier = BertClassifier::builder(model)
        .labels(["a", "b"])
        .max_length(number(length)?)
        .precision(precision(numbers)?)
        .build()?;
    speed_on(&texts, |texts| classifier.predict(texts))
}
