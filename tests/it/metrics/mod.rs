//! `src/metrics/`.

mod classification;
mod entities;
mod generation;
mod numbers;
mod squad;
