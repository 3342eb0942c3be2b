//! A task of one's own: how positive is a sentence, from 0 to 1? The head, its loss
//! and its collator stand here. `cargo run --example 04_custom_head`: half a minute
//! on two cores. Expected: a dev loss below 0.15, then a high and a low score.

use bertfit::tch::{Reduction, Tensor};
use bertfit::*;

struct Scorer(Backbone, Linear);
struct ScoreCollator(TextEncoder);

impl Collator for ScoreCollator {
    type Item = Example;
    type Target = Tensor;
    fn collate(&self, rows: &[Example]) -> Result<Batch<Tensor>> {
        let score = |row: &Example| if row.label == "1" { 1.0_f32 } else { 0.0 };
        let scores: Vec<f32> = rows.iter().map(score).collect();
        self.0.batch(rows, Tensor::from_slice(&scores)) // [B]
    }
}

impl FineTuner for Scorer {
    type Collator = ScoreCollator;
    fn backbone(&self) -> &Backbone {
        &self.0
    }
    fn collator(&self) -> Result<ScoreCollator> {
        let encoder = self.0.text_encoder(64, Truncation::LongestFirst)?;
        Ok(ScoreCollator(encoder))
    }
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.0.encoder().pooled(inputs, train)?; // [B, H]
        let pooled = pooled.f_dropout(0.1, train).doing("dropping out")?;
        let score = self.1.forward(&pooled)?.f_squeeze_dim(-1); // [B]
        score.and_then(|x| x.f_sigmoid()).doing("scoring")
    }
    fn loss(&self, scores: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = scores.f_mse_loss(target, Reduction::Sum);
        let (sum, count) = (sum.doing("comparing")?, target.numel() as f64);
        Ok(Loss { sum, count })
    }
}

fn main() -> Result<()> {
    let models = std::env::var("BERTFIT_MODELS").unwrap_or("target/models".to_owned());
    let (backbone, head) = Backbone::builder(format!("{models}/all-MiniLM-L6-v2"))
        .build(|root, config| Linear::new(&(root / "score"), config.hidden_size, 1, 0.02))?;
    let mut scorer = Scorer(backbone, head);
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
    let read = |part| Table::open(format!("{data}/{part}.tsv")).text("sentence");
    let (train, dev) = (read("train").read()?, read("dev").read()?);
    let mut config = TrainConfig::default();
    (config.epochs, config.learning_rate) = (1.0, 1e-4);
    scorer.fit(&train, &dev, &config)?;
    println!("dev loss {:.3}", scorer.evaluate(&dev)?.loss);
    let texts = ["The best meal in years!", "Broken on arrival."];
    let scores = scorer.predict_logits(&texts, &scorer.collator()?.0, 4096)?;
    println!("{scores:?}");
    Ok(())
}
