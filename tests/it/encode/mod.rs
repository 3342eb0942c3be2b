mod batch;
mod long_text;
mod tokenizer;
pub mod tokenizer_folders;
mod tokenizer_refusals;
