//! Whole optimizer steps: forward, backward, clipping, AdamW.

use bertfit::{BertClassifier, TrainConfig, Trainer};
use criterion::{BenchmarkId, Criterion, Throughput};

use super::model::{SHAPES, examples, folder};

/// Steps of one measurement, so that setting up the run weighs little.
const STEPS: usize = 4;

pub fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("train_step");
    for (name, shape) in SHAPES {
        let dir = folder(shape);
        let mut classifier = BertClassifier::builder(dir.path())
            .labels(["a", "b"])
            .build()
            .expect("valid");
        let rows = examples(16 * STEPS, 128);
        let config = TrainConfig {
            batch_size: 16,
            epochs: 1.0,
            ..TrainConfig::default()
        };
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_with_input(BenchmarkId::new(name, "4 of 16x128"), &rows, |b, rows| {
            b.iter(|| {
                let mut trainer = Trainer::new(config.clone()).expect("valid");
                trainer.run(&mut classifier, rows, None).expect("a run")
            });
        });
    }
    group.finish();
}
