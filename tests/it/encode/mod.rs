mod batch;
mod long_text;
mod tokenizer;
