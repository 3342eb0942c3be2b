//! Texts to token lists, in parallel over a batch.

use bertfit::Truncation;
use criterion::{BenchmarkId, Criterion, Throughput};

use super::model::{examples, tokenizer};

pub fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("tokenize");
    let tokenizer = tokenizer();
    for length in [32, 256] {
        let texts = examples(1000, length);
        group.throughput(Throughput::Elements(texts.len() as u64));
        group.bench_with_input(BenchmarkId::new("1000 rows", length), &texts, |b, texts| {
            b.iter(|| tokenizer.encode_batch(texts, 512, Truncation::LongestFirst));
        });
    }
    group.finish();
}
