mod config;
mod encoder;
mod precision;
mod rust_bert;
mod weights;
