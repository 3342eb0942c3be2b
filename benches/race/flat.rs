//! Does resident memory stay as it is while steps are made?

use bertfit::{BertClassifier, Callback, Control, Result, StepRecord, Table, TrainConfig, Trainer};
use serde_json::json;

use crate::{Figures, from_status, number};

/// Steps after which everything has its size.
const WARM_UP: usize = 200;

pub fn run(model: &str, train: &str, steps: &str) -> Result<Figures> {
    let train = Table::open(train).text("sentence").label("label").read()?;
    let mut classifier = BertClassifier::builder(model).labels(["0", "1"]).build()?;
    let config = TrainConfig {
        max_steps: Some(number(steps)?),
        ..TrainConfig::default()
    };
    let mut resident = Resident::default();
    Trainer::new(config)?
        .callback(&mut resident)
        .run(&mut classifier, &train, None)?;
    let [first, last] = resident.0;
    Ok(json!({"resident_mib_after_200_steps": first, "resident_mib_after_all": last}))
}

/// Resident memory after the warm-up, and after the last step so far.
#[derive(Default)]
struct Resident([Option<f64>; 2]);

impl Callback for &mut Resident {
    fn on_step(&mut self, record: &StepRecord) -> Control {
        let now = from_status("VmRSS:");
        if record.step == WARM_UP {
            self.0[0] = now;
        }
        self.0[1] = now;
        Control::Continue
    }
}
