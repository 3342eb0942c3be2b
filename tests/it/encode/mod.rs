mod batch;
mod tokenizer;
