//! Loads the model that `01_classify` has saved, and classifies three sentences.
//!
//!     cargo run --example 02_predict
//!
//! Expected: `positive`, `negative`, and a close call that differs from seed to seed.

use bertfit::BertClassifier;

fn main() -> bertfit::Result<()> {
    let classifier = BertClassifier::load("target/reviews")?;
    let texts = [
        "This was absolutely wonderful!",
        "I hated this experience.",
        "Not bad, could be better.",
    ];
    let predictions = classifier.predict(&texts)?;
    for (row, text) in texts.iter().enumerate() {
        let (label, score) = predictions.best(row);
        println!("{label:8} {score:.3}  {text}");
    }
    // All probabilities, one row for each text and one column for each class.
    println!("{:?}", predictions.classes().names());
    println!("{:.3}", predictions.probabilities);
    Ok(())
}
