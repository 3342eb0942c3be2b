//! Model folders: saving and loading.

use bertfit::{BertClassifier, FineTuner};
use criterion::{BenchmarkId, Criterion};

use super::model::{SHAPES, folder};

pub fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("checkpoint");
    for (name, shape) in SHAPES {
        let dir = folder(shape);
        let classifier = BertClassifier::builder(dir.path())
            .labels(["a", "b"])
            .build()
            .expect("valid");
        let target = dir.path().join("saved");
        group.bench_function(BenchmarkId::new("save", name), |b| {
            b.iter(|| classifier.save(&target).expect("a saved model"));
        });
        group.bench_function(BenchmarkId::new("load", name), |b| {
            b.iter(|| BertClassifier::load(&target).expect("a loaded model"));
        });
    }
    group.finish();
}
