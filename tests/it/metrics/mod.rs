//! `src/metrics/`.

mod classification;
