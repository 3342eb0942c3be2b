mod classifier;
mod masked_lm;
mod multiple_choice;
mod parity;
mod question_answerer;
mod scores;
mod token_classifier;
mod transformers;
