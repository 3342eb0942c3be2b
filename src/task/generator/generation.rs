//! How texts are written: the settings of transformers' `generate`, by their names there.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a text is searched for, token by token. The default takes the likeliest token each
/// time (greedy search).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// The most tokens of a text, its `[SEP]` included; default what the model's
    /// `max_target_length` leaves.
    pub max_new_tokens: Option<usize>,
    /// Texts that are followed at once (beam search); default 1, without one.
    pub num_beams: usize,
    /// With beams, a text's score is the sum of its tokens' log-probabilities, divided by
    /// their number to this power: above 0 it favours long texts, below 0 short ones.
    /// Default 1.
    pub length_penalty: f64,
    /// When a beam search ends; default [`StopBeams::Heuristic`].
    pub early_stopping: StopBeams,
    /// No sequence of so many tokens comes twice in a text; default 0, which forbids
    /// nothing.
    pub no_repeat_ngram_size: usize,
    /// Draws each token by its probability, instead of taking the likeliest; default no.
    /// Not with beams.
    pub do_sample: bool,
    /// When drawing, logits are divided by it: below 1 likely tokens become likelier.
    /// Default 1.
    pub temperature: f64,
    /// When drawing, only so many tokens, the likeliest, may come; 0 for all. Default 50.
    pub top_k: usize,
    /// When drawing, only the likeliest tokens may come whose probabilities together reach
    /// this share; above 0 and at most 1. Default 1, all.
    pub top_p: f64,
    /// Seed of what is drawn; a text depends on it and on its place in the list, not on the
    /// texts beside it. Default 42.
    pub seed: u64,
    /// Keeps the keys and values of tokens that are written already; without it, all are
    /// computed again for each token. Default yes.
    pub use_cache: bool,
}

impl Default for Generation {
    fn default() -> Self {
        Self {
            max_new_tokens: None,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: StopBeams::default(),
            no_repeat_ngram_size: 0,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            seed: 42,
            use_cache: true,
        }
    }
}

/// When a beam search ends: what transformers calls `early_stopping`. In any case it ends
/// with the most tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopBeams {
    /// When there are as many whole texts as beams, and no unfinished one would be better
    /// if it ended now (`false`).
    #[default]
    Heuristic,
    /// When there are as many whole texts as beams (`true`).
    Early,
    /// When no unfinished text can become better than the whole ones (`"never"`).
    Never,
}

impl FromStr for StopBeams {
    type Err = Error;

    /// Reads transformers' words: `false`, `true` or `never`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "false" => Ok(Self::Heuristic),
            "true" => Ok(Self::Early),
            "never" => Ok(Self::Never),
            _ => {
                let rule = "false, true or never";
                Err(Error::config("early_stopping", rule, name))
            }
        }
    }
}

impl Generation {
    /// Checks every number; a model has limits of its own besides.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("max_new_tokens", self.max_new_tokens),
            ("num_beams", Some(self.num_beams)),
        ];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
            return Err(Error::config(field, "at least 1", 0));
        }
        if self.do_sample && self.num_beams > 1 {
            return Err(Error::config(
                "num_beams",
                "1 with do_sample",
                self.num_beams,
            ));
        }
        if !self.length_penalty.is_finite() {
            let got = self.length_penalty;
            return Err(Error::config("length_penalty", "a finite number", got));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(Error::config("temperature", "above 0", self.temperature));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let rule = "above 0 and at most 1";
            return Err(Error::config("top_p", rule, self.top_p));
        }
        Ok(())
    }

    /// The same for a model that knows so many tokens and writes texts of up to `longest` of
    /// them.
    pub(super) fn validate_for(&self, vocab_size: usize, longest: usize) -> Result<()> {
        self.validate()?;
        if let Some(tokens) = self.max_new_tokens.filter(|&tokens| tokens > longest) {
            let rule = format!("at most {longest}, the decoder's positions");
            return Err(Error::config("max_new_tokens", rule, tokens));
        }
        // Each step chooses from twice as many candidates.
        let most = vocab_size / 2;
        if self.num_beams > most {
            let rule = format!("at most {most}, half the vocabulary");
            return Err(Error::config("num_beams", rule, self.num_beams));
        }
        Ok(())
    }
}
