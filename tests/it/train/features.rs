//! A head that reads numbers beside the text.

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{
    Backbone, Batch, ClassLoss, Collator, Example, FineTuner, Inputs, Linear, Loss, Result,
    TextEncoder, TorchContext, TrainConfig, Truncation,
};

use super::trainer::fast;
use crate::fixture::tiny;

struct Numbers(TextEncoder);

/// A row, with two numbers.
type Row = (Example, [f32; 2]);

impl Collator for Numbers {
    type Item = Row;
    type Target = Tensor;

    fn collate(&self, rows: &[Row]) -> Result<Batch<Tensor>> {
        let texts: Vec<&Example> = rows.iter().map(|(text, _)| text).collect();
        let right: Vec<i64> = texts
            .iter()
            .map(|text| i64::from(text.label == "1"))
            .collect();
        let numbers: Vec<f32> = rows.iter().flat_map(|(_, numbers)| *numbers).collect();
        let batch = self.0.batch(&texts, Tensor::from_slice(&right))?;
        let numbers = Tensor::from_slice(&numbers).f_view([-1, 2]);
        Ok(Batch {
            inputs: batch.inputs.with_features(numbers.doing("making a batch")?),
            ..batch
        })
    }
}

struct WithNumbers(Backbone, Linear);

impl FineTuner for WithNumbers {
    type Collator = Numbers;

    fn backbone(&self) -> &Backbone {
        &self.0
    }
    fn collator(&self) -> Result<Numbers> {
        let encoder = self.0.text_encoder(16, Truncation::LongestFirst)?;
        Ok(Numbers(encoder))
    }
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let pooled = self.0.encoder().pooled(inputs, train)?; // [B, H]
        let numbers = inputs.features().expect("the collator's"); // [B, 2]
        let both = Tensor::f_cat(&[&pooled, numbers], 1).doing("adding numbers")?;
        self.1.forward(&both) // [B, 2]
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        ClassLoss::default().of(logits, target)
    }
}

/// All texts are the same; the larger of the two numbers is the label.
#[test]
fn a_head_learns_from_numbers_beside_the_text() {
    let row = |index: u8| -> Row {
        let (one, other) = (
            f32::from(index % 8) / 8.0,
            f32::from(index / 8) / 4.0 + 0.01,
        );
        let label = if one > other { "1" } else { "0" };
        (Example::new("the film", label), [one, other])
    };
    let rows: Vec<Row> = (0..32).map(row).collect();
    let (backbone, head) = Backbone::builder(tiny())
        .device(Device::Cpu)
        .build(|root, config| Linear::new(&(root / "head"), config.hidden_size + 2, 2, 0.02))
        .expect("a model");
    let mut model = WithNumbers(backbone, head);
    let config = TrainConfig {
        epochs: 30.0,
        head_learning_rate: Some(0.1),
        learning_rate: 1e-4,
        ..fast()
    };
    model.fit(&rows, &rows, &config).expect("a run");
    let collator = model.collator().expect("a collator");
    let batch = collator.collate(&rows).expect("a batch");
    let logits = model.logits(&batch.inputs, false).expect("logits");
    let right = logits.argmax(1, false).eq_tensor(&batch.target);
    let share = right.mean(Kind::Float).double_value(&[]);
    assert!(share > 0.9, "{share}");
}
