//! Evaluations during training: when they come, who hears of them, what they decide.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bertfit::tch::Tensor;
use bertfit::{
    BertClassifier, Callback, Control, EarlyStopping, EvalEvery, EvalRecord, FineTuner, Inputs,
    LogRecord, Loss, Metric, Plan, Result, StepRecord, Stopped, TrainConfig, TrainReport, Trainer,
};

use super::trainer::{classifier, fast};
use crate::fixture::eight;

/// Writes down what it hears, and stops at a step.
struct Notes(Arc<Mutex<Vec<String>>>, usize);

impl Callback for Notes {
    fn on_start(&mut self, plan: &Plan) {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("start {}", plan.total_steps));
    }
    fn on_step(&mut self, record: &StepRecord) -> Control {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("step {}", record.step));
        if record.step == self.1 {
            Control::Stop
        } else {
            Control::Continue
        }
    }
    fn on_evaluate(&mut self, record: &EvalRecord, _best: bool) -> Control {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("eval {}", record.step));
        Control::Continue
    }
    fn on_end(&mut self, report: &TrainReport) {
        self.0
            .lock()
            .expect("a lock")
            .push(format!("end {:?}", report.stopped));
    }
}

fn notes(config: TrainConfig, stop_at: usize) -> Vec<String> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    Trainer::new(config)
        .expect("a valid configuration")
        .callback(Notes(notes.clone(), stop_at))
        .run(&mut classifier(), &eight(), Some(&eight()))
        .expect("a run");
    Arc::try_unwrap(notes)
        .expect("the last owner")
        .into_inner()
        .expect("a lock")
}

#[test]
fn callbacks_hear_of_each_step_once_and_can_stop_the_run() {
    let config = TrainConfig {
        epochs: 2.0,
        ..fast()
    };
    let all = [
        "start 4", "step 1", "step 2", "eval 2", "step 3", "step 4", "eval 4",
    ];
    assert_eq!(
        notes(config.clone(), 0),
        [&all[..], &["end Finished"]].concat()
    );
    assert_eq!(notes(config, 3), [&all[..5], &["end Callback"]].concat());
}

#[test]
fn evaluation_each_few_steps_and_at_the_end() {
    let config = TrainConfig {
        epochs: 3.5,
        eval_every: EvalEvery::Steps(3),
        ..fast()
    };
    let evaluations: Vec<_> = notes(config, 0)
        .into_iter()
        .filter(|note| note.starts_with("eval"))
        .collect();
    assert_eq!(evaluations, ["eval 3", "eval 6", "eval 7"]);
}

#[test]
fn the_weights_of_the_best_evaluation_are_put_back() {
    // The development set contradicts the training set: the first epoch is its best.
    let mut turned = eight();
    for example in &mut turned {
        example.label = if example.label == "good" {
            "bad"
        } else {
            "good"
        }
        .to_owned();
    }
    let config = TrainConfig {
        epochs: 20.0,
        metric: Some("loss".to_owned()),
        ..fast()
    };
    let mut model = classifier();
    let report = model.fit(&eight(), &turned, &config).expect("a run");
    let losses: Vec<f64> = report
        .log_history
        .iter()
        .filter_map(|record| match record {
            LogRecord::Eval(record) => Some(record.metrics["eval_loss"]),
            LogRecord::Step(_) => None,
        })
        .collect();
    assert_eq!(losses.len(), 20);
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(report.best_metric, Some(least));
    assert!(
        losses[19] > least + 0.1,
        "the last epoch is the best: {losses:?}"
    );
    let loss = model.evaluate(&turned).expect("an evaluation").loss;
    assert!((loss - least).abs() < 1e-6, "{loss} {least}");
}

/// A task whose number is the share of wrong answers.
struct Wrong(BertClassifier);

struct ErrorRate(Box<dyn Metric<Tensor>>);

impl Metric<Tensor> for ErrorRate {
    fn update(&mut self, logits: &Tensor, target: &Tensor) -> Result<()> {
        self.0.update(logits, target)
    }
    fn compute(&self) -> BTreeMap<String, f64> {
        let right = self.0.compute()["accuracy"];
        BTreeMap::from([("error_rate".to_owned(), 1.0 - right)])
    }
}

impl FineTuner for Wrong {
    reads_as_classifier!(0);

    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.0.logits(inputs, train)
    }
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        self.0.loss(logits, target)
    }
    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(ErrorRate(self.0.metric()))
    }
    fn main_metric(&self) -> &str {
        "error_rate"
    }
    fn less_is_better(&self, metric: &str) -> bool {
        ["loss", "error_rate"].contains(&metric)
    }
}

#[test]
fn a_task_says_of_which_number_less_is_better() {
    let config = TrainConfig {
        epochs: 20.0,
        ..fast()
    };
    let mut model = Wrong(classifier());
    let report = model.fit(&eight(), &eight(), &config).expect("a run");
    let rates = report.log_history.iter().filter_map(|record| match record {
        LogRecord::Eval(record) => Some(record.metrics["eval_error_rate"]),
        LogRecord::Step(_) => None,
    });
    assert!(rates.fold(0.0, f64::max) > 0.0, "it has always been right");
    assert_eq!(report.best_metric, Some(0.0));
    let evaluation = model.evaluate(&eight()).expect("an evaluation");
    assert_eq!(evaluation.metrics["error_rate"], 0.0);
}

#[test]
fn early_stopping_ends_a_run_that_does_not_get_better() {
    let config = TrainConfig {
        epochs: 50.0,
        learning_rate: 1e-12,
        early_stopping: Some(EarlyStopping {
            patience: 3,
            threshold: 0.01,
        }),
        ..fast()
    };
    let report = classifier()
        .fit(&eight(), &eight(), &config)
        .expect("a run");
    assert_eq!(report.stopped, Stopped::EarlyStopping);
    assert_eq!(report.epoch, 4.0);
}

#[test]
fn an_unknown_metric_names_the_known_ones() {
    let config = TrainConfig {
        metric: Some("acuracy".to_owned()),
        ..fast()
    };
    let error = classifier()
        .fit(&eight(), &eight(), &config)
        .expect_err("a typing error");
    let error = error.to_string();
    assert!(
        error.starts_with("`metric` must be loss, perplexity or one of accuracy, "),
        "{error}"
    );
    assert!(error.ends_with(", got acuracy"), "{error}");
}
