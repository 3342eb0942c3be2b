mod classifier;
mod transformers;
