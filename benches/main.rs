//! Speed of each stage: `cargo bench`, or `cargo bench -- tokenize`. Models have
//! random weights, inputs are made in memory.

// criterion_group! makes a function without documentation.
#![allow(missing_docs)]

mod stage {
    pub mod checkpoint;
    pub mod collate;
    pub mod forward;
    pub mod model;
    pub mod tokenize;
    pub mod train_step;
}

use criterion::{Criterion, criterion_group, criterion_main};
use stage::{checkpoint, collate, forward, tokenize, train_step};

criterion_group! {
    name = benches;
    config = {
        bertfit::reuse_memory();
        Criterion::default().sample_size(10)
    };
    targets = tokenize::bench, collate::bench, forward::bench, train_step::bench, checkpoint::bench
}
criterion_main!(benches);
