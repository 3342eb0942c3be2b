//! Examples to a batch of tensors: tokenize, pad, check.

use bertfit::{BertClassifier, Collator, FineTuner};
use criterion::{BenchmarkId, Criterion, Throughput};

use super::model::{SHAPES, examples, folder};

pub fn bench(c: &mut Criterion) {
    let dir = folder(SHAPES[0].1);
    let classifier = BertClassifier::builder(dir.path())
        .labels(["a", "b"])
        .build()
        .expect("valid");
    let collator = classifier.collator().expect("a collator");
    let mut group = c.benchmark_group("collate");
    for (rows, length) in [(32, 32), (32, 128)] {
        let rows = examples(rows, length);
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_with_input(BenchmarkId::new("32 rows", length), &rows, |b, rows| {
            b.iter(|| collator.collate(rows));
        });
    }
    group.finish();
}
