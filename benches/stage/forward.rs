//! Prediction of full rows, without gradients.

use bertfit::BertClassifier;
use criterion::{BenchmarkId, Criterion, Throughput};

use super::model::{SHAPES, examples, folder};

pub fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward");
    for (name, shape) in SHAPES {
        let dir = folder(shape);
        let classifier = BertClassifier::builder(dir.path())
            .labels(["a", "b"])
            .build()
            .expect("valid");
        let rows = examples(16, 128);
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_with_input(BenchmarkId::new(name, "16x128"), &rows, |b, rows| {
            b.iter(|| classifier.predict(rows).expect("predictions"));
        });
    }
    group.finish();
}
