//! `src/metrics/`.

mod classification;
mod entities;
mod numbers;
mod squad;
