mod config;
mod encoder;
mod hostile;
mod precision;
mod rust_bert;
mod weights;
