mod config;
mod encoder;
mod rust_bert;
mod weights;
