//! What looks wrong in a run is in its report, and a sensible run has nothing there.

use bertfit::tch::Device;
use bertfit::{BertClassifier, Example, TrainConfig, Trainer, Warning};

use super::trainer::{classifier_on, fast};
use crate::fixture::{eight, tiny, without_dropout};

fn warnings(train: &[Example], dev: &[Example], config: TrainConfig) -> Vec<Warning> {
    let mut model = classifier_on(Device::Cpu);
    let mut trainer = Trainer::new(config).expect("a configuration");
    let report = trainer.run(&mut model, &train.to_vec(), Some(&dev.to_vec()));
    report.expect("a run").warnings
}

/// Other texts than the eight, of both classes.
fn others() -> Vec<Example> {
    vec![
        Example::new("the food was great", "good"),
        Example::new("the food was bad", "bad"),
    ]
}

#[test]
fn a_sensible_run_has_no_warnings() {
    let config = TrainConfig {
        epochs: 15.0,
        batch_size: 2,
        ..fast()
    };
    let train: Vec<Example> = eight().into_iter().cycle().take(80).collect();
    let ended = |row: Example| Example::new(format!("{} .", row.text), row.label);
    let dev: Vec<Example> = eight().into_iter().map(ended).cycle().take(24).collect();
    assert_eq!(warnings(&train, &dev, config), []);
}

#[test]
fn labels_that_are_all_the_same_are_noticed() {
    let train: Vec<Example> = eight()[..4].to_vec();
    let found = warnings(&train, &others(), fast());
    let label = "good".to_owned();
    assert_eq!(found[0], Warning::OneLabel { label, rows: 4 });
}

#[test]
fn rows_of_train_that_stand_in_dev_are_noticed_from_one_in_a_hundred_on() {
    let with = |dev: Vec<Example>| {
        let config = TrainConfig {
            epochs: 1.0,
            ..fast()
        };
        let found = warnings(&eight(), &dev, config).into_iter();
        let of_rows = |warning: &Warning| matches!(warning, Warning::TrainRowsInDev { .. });
        found.filter(of_rows).collect::<Vec<_>>()
    };
    let among = |rows: usize| {
        let mut dev: Vec<Example> = others().into_iter().cycle().take(rows - 1).collect();
        dev.push(eight()[3].clone());
        dev
    };
    assert_eq!(
        with(among(100)),
        [Warning::TrainRowsInDev {
            rows: 1,
            first: 3,
            looked_at: 8
        }]
    );
    assert_eq!(with(among(101)), []);
    // The same text with another label is another row.
    let mut other = eight()[3].clone();
    other.label = "bad".to_owned();
    assert_eq!(with(vec![other]), []);
}

#[test]
fn a_loss_that_stays_and_one_prediction_for_all_rows_are_noticed() {
    let config = TrainConfig {
        learning_rate: 1e-30,
        batch_size: 2,
        epochs: 1.0,
        ..fast()
    };
    // The same row again and again, and no dropout: the loss is the same in each step.
    let train = vec![eight()[0].clone(); 80];
    let dev: Vec<Example> = others().into_iter().cycle().take(20).collect();
    let dir = without_dropout(&tiny());
    let builder = BertClassifier::builder(dir.path()).labels(["good", "bad"]);
    let mut model = builder.build().expect("a classifier");
    let mut trainer = Trainer::new(config).expect("a configuration");
    let report = trainer.run(&mut model, &train, Some(&dev));
    let found = report.expect("a run").warnings;
    let stays = |warning: &Warning| matches!(warning, Warning::LossDidNotFall { .. });
    assert!(found.iter().any(stays), "{found:?}");
    let one = |warning: &Warning| matches!(warning, Warning::OnePrediction { step: 40, .. });
    assert!(found.iter().any(one), "{found:?}");
}
