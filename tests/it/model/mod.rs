mod config;
mod encoder;
mod hostile;
mod pickled;
mod precision;
mod rust_bert;
mod weights;
