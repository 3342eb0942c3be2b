//! Fits a BERT on 2,403 review sentences and tells praise from complaint.
//! `cargo xtask demo`, or after `cargo xtask setup`: `cargo run --example 01_classify`.
//! A minute or two on two cores. Expected: a test accuracy of about 0.91, then
//! `positive`, `negative`, and a close call. An argument is another seed.

use bertfit::{BertClassifier, FineTuner, ProgressBar, Table, TrainConfig, Trainer};

fn main() -> bertfit::Result<()> {
    // Faster on CPUs; the library leaves the process's memory to the program.
    bertfit::reuse_memory();
    let models = std::env::var("BERTFIT_MODELS").unwrap_or("target/models".to_owned());
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(42);

    // 1. Rows of a file become examples: a text and the name of its class.
    let read = |part| {
        let path = format!("{}/examples/data/{part}.tsv", env!("CARGO_MANIFEST_DIR"));
        let mut examples = Table::open(path).text("sentence").label("label").read()?;
        for example in &mut examples {
            let positive = example.label == "1";
            example.label = if positive { "positive" } else { "negative" }.to_owned();
        }
        bertfit::Result::Ok(examples)
    };
    let (train, dev, test) = (read("train")?, read("dev")?, read("test")?);

    // 2. A pre-trained encoder gets a fresh head for two classes.
    let mut classifier = BertClassifier::builder(format!("{models}/all-MiniLM-L6-v2"))
        .labels(["negative", "positive"])
        .seed(seed)
        .build()?;

    // 3. All weights are trained; the best of three epochs, by dev accuracy, stays. The
    //    rate did better than 2e-5 in cross-validation over the training rows.
    let mut config = TrainConfig::default();
    (config.learning_rate, config.seed) = (5e-5, seed);
    let mut trainer = Trainer::new(config)?.callback(ProgressBar::new());
    let report = trainer.run(&mut classifier, &train, Some(&dev))?;
    println!("{:.0} s of training", report.train_runtime);

    // 4. How good is it on sentences that it has never seen?
    let test = classifier.evaluate(&test)?;
    println!("test accuracy {:.3}", test.metrics["accuracy"]);
    let texts = [
        "I loved every minute.",
        "A waste of money.",
        "It does the job.",
    ];
    for (text, (label, score)) in texts.iter().zip(classifier.predict(&texts)?.iter()) {
        println!("{label:8} {score:.3}  {text}");
    }

    // 5. This folder loads in bertfit, in transformers and in rust-bert.
    classifier.save("target/reviews")?;
    println!("saved to target/reviews");
    Ok(())
}
