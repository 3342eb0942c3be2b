//! Guessing hidden tokens: continued pre-training on plain text, as Hugging Face's
//! `BertForMaskedLM`. What it saves feeds every other task.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use crate::data::Text;
use crate::encode::{
    Encoding, Inputs, MaskCollator, Masking, TextEncoder, TokenBlocks, Truncation,
};
use crate::error::{Error, Result, RowProblem, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::Metric;
use crate::model::{Backbone, BertConfig, HeadWeights, LmHead, cross_entropy};
use crate::predict;
use crate::task::source::{Source, describe, shared_settings};
use crate::task::token_accuracy::{TokenAccuracy, of_tokens};

const ARCHITECTURE: &str = "BertForMaskedLM";

/// A BERT that guesses hidden tokens.
#[derive(Debug)]
pub struct BertMaskedLm {
    backbone: Backbone,
    head: LmHead,
    /// The word embeddings, `[V, H]`.
    words: Tensor,
    masking: Masking,
    settings: Settings,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
}

/// Settings of a new [`BertMaskedLm`].
#[derive(Debug, Clone)]
pub struct BertMaskedLmBuilder {
    source: Source,
    masking: Masking,
}

impl BertMaskedLmBuilder {
    shared_settings!(source);

    /// Which tokens are hidden; default as BERT was trained.
    pub fn masking(mut self, masking: Masking) -> Self {
        self.masking = masking;
        self
    }

    /// Loads the encoder and makes or loads the head.
    ///
    /// # Errors
    /// When a setting is out of its range, or the folder is not a whole model, or one
    /// whose last product is not with its word embeddings.
    pub fn build(self) -> Result<BertMaskedLm> {
        let source = self.source;
        let config = source.config()?;
        if config.other.get("tie_word_embeddings") == Some(&false.into()) {
            return Err(Error::ModelConfig {
                path: source.dir.join("config.json"),
                field: "tie_word_embeddings",
                rule: "true".to_owned(),
                got: "false".to_owned(),
            });
        }
        let saved: Option<Settings> = source.settings(&config, ARCHITECTURE)?;
        let length = || source.usual_length(&config, ARCHITECTURE);
        let saved = saved.map(|saved| saved.max_length);
        let max_length = source.max_length.or(saved).unwrap_or_else(length);
        let (backbone, head) = source
            .backbone(&config, ARCHITECTURE)
            .without_pooler()
            .build(|root, config| LmHead::new(&(root / "cls" / "predictions"), config))?;
        let words = backbone.encoder().share_word_embeddings();
        let model = BertMaskedLm {
            backbone,
            head,
            words,
            masking: self.masking,
            settings: Settings { max_length },
        };
        model.collator()?;
        Ok(model)
    }
}

/// A token that may stand where one is hidden.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fill {
    /// The token as the vocabulary has it; `##` marks the rest of a word. Empty for a row of
    /// the embeddings that has no token.
    pub token: String,
    /// Its id.
    pub token_id: i64,
    /// Its probability.
    pub score: f32,
}

impl BertMaskedLm {
    /// Starts from a pre-trained model in a folder.
    pub fn builder(dir: impl Into<PathBuf>) -> BertMaskedLmBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Found))
    }

    /// A model in a folder that has a head for hidden tokens.
    pub fn saved(dir: impl Into<PathBuf>) -> BertMaskedLmBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Required))
    }

    fn from_source(source: Source) -> BertMaskedLmBuilder {
        BertMaskedLmBuilder {
            source,
            masking: Masking::default(),
        }
    }

    /// Loads a model with its head from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole one.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// Texts as blocks to train on, which the model's rows can take: all of them one after
    /// another ([`TokenBlocks::packed`]).
    ///
    /// # Errors
    /// When all texts are empty.
    pub fn blocks<T: Text + Sync>(&self, texts: &[T]) -> Result<TokenBlocks> {
        let tokenizer = self.backbone.tokenizer();
        TokenBlocks::packed(texts, tokenizer, self.settings.max_length)
    }

    /// Turns texts into inputs; those that are too long are cut.
    ///
    /// # Errors
    /// When the maximal length does not fit the model.
    pub fn encoder(&self) -> Result<TextEncoder> {
        let length = self.settings.max_length;
        self.backbone.text_encoder(length, Truncation::default())
    }

    /// The `top_k` likeliest tokens for each `[MASK]` in each text, the best first, in
    /// evaluation mode.
    ///
    /// # Errors
    /// [`Error::Row`] for a text without a `[MASK]` within the maximal length.
    pub fn fill_mask<T: Text + Sync>(
        &self,
        texts: &[T],
        top_k: usize,
    ) -> Result<Vec<Vec<Vec<Fill>>>> {
        let tokenizer = self.backbone.tokenizer();
        if !(1..=tokenizer.vocab_size()).contains(&top_k) {
            let rule = format!("from 1 to {}, all tokens", tokenizer.vocab_size());
            return Err(Error::config("top_k", rule, top_k));
        }
        let encoder = self.encoder()?;
        let (encodings, masks) = self.masks(texts, &encoder)?;
        let inputs = |rows: &[usize]| {
            let batch: Vec<_> = rows.iter().map(|&row| encodings[row].clone()).collect();
            let inputs = encoder.inputs(&batch)?;
            let (_, length) = inputs.size();
            let places = rows.iter().zip(0..).flat_map(|(&row, first)| {
                let places = masks[row].iter();
                places.map(move |&place| first * length + place as i64)
            });
            let places: Vec<i64> = places.collect();
            let places = Tensor::f_from_slice(&places).doing("making a batch")?;
            Ok(inputs.at(places))
        };
        let lengths: Vec<usize> = encodings.iter().map(Encoding::len).collect();
        let mut fills = vec![Vec::new(); texts.len()];
        let budget = predict::tokens_per_batch(self.backbone.device());
        predict::for_each_batch(self, &lengths, budget, inputs, |rows, logits| {
            let mut found = self.likeliest(&logits, top_k)?.into_iter();
            for &row in rows {
                fills[row] = found.by_ref().take(masks[row].len()).collect();
            }
            Ok(())
        })?;
        Ok(fills)
    }

    /// Checks that [`fill_mask`](Self::fill_mask) can fill all texts, and computes nothing.
    ///
    /// # Errors
    /// [`Error::Row`] for a text without a `[MASK]` within the maximal length.
    pub fn check_masks<T: Text + Sync>(&self, texts: &[T]) -> Result<()> {
        self.masks(texts, &self.encoder()?).map(drop)
    }

    /// The texts with the places of their masks.
    fn masks<T: Text + Sync>(
        &self,
        texts: &[T],
        encoder: &TextEncoder,
    ) -> Result<(Vec<Encoding>, Vec<Vec<usize>>)> {
        let mask = self.backbone.tokenizer().mask_id();
        let encodings = encoder.encode(texts)?;
        let places = |encoding: &Encoding| -> Vec<usize> {
            let ids = encoding.input_ids.iter().enumerate();
            let masks = ids.filter(|&(_, &id)| id == mask);
            masks.map(|(place, _)| place).collect()
        };
        let masks: Vec<Vec<usize>> = encodings.iter().map(places).collect();
        if let Some(row) = masks.iter().position(Vec::is_empty) {
            let (field, problem) = ("text".to_owned(), self.no_mask(&encodings[row]));
            let problem = RowProblem::Field { field, problem };
            return Err(Error::Row { row, problem });
        }
        Ok((encodings, masks))
    }

    /// Hidden states, `[M, H]` of the wanted places, else `[B, L, H]`.
    fn states(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        inputs.wanted(self.backbone.encoder().hidden(inputs, train)?)
    }

    fn no_mask(&self, encoding: &Encoding) -> String {
        let mask = &self.backbone.tokenizer().config().mask_token;
        match encoding.truncated {
            0 => format!("no {mask} in it"),
            _ => format!("no {mask} in its first {} tokens", encoding.len()),
        }
    }

    /// The likeliest tokens by each row of logits `[M, V]`.
    fn likeliest(&self, logits: &Tensor, top_k: usize) -> Result<Vec<Vec<Fill>>> {
        let tokenizer = self.backbone.tokenizer();
        let compute = || -> Result<_, TchError> {
            let shares = logits.f_softmax(-1, Kind::Float)?;
            let (scores, ids) = shares.f_topk(top_k as i64, -1, true, true)?;
            let scores = Vec::<f32>::try_from(scores.f_flatten(0, 1)?)?;
            Ok((scores, Vec::<i64>::try_from(ids.f_flatten(0, 1)?)?))
        };
        let (scores, ids) = compute().doing("choosing tokens")?;
        let fill = |(&score, &token_id)| Fill {
            token: tokenizer
                .id_to_token(token_id)
                .unwrap_or_default()
                .to_owned(),
            token_id,
            score,
        };
        let each = scores.chunks(top_k).zip(ids.chunks(top_k));
        Ok(each
            .map(|(scores, ids)| scores.iter().zip(ids).map(fill).collect())
            .collect())
    }
}

impl FineTuner for BertMaskedLm {
    type Collator = MaskCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<MaskCollator> {
        MaskCollator::new(self.encoder()?, self.masking)
    }

    /// The scores of all tokens, `[M, V]` for the wanted places, else `[B, L, V]`.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.head.forward(&self.states(inputs, train)?, &self.words)
    }

    /// Cross-entropy of logits `[M, V]` and ids `[M]`; the mean is over tokens.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        Ok(of_tokens(cross_entropy(logits, target, 0.0)?, target))
    }

    fn training_loss(&self, inputs: &Inputs, target: &Tensor) -> Result<Loss> {
        let sum = self.backbone.in_precision(|| {
            let states = self.states(inputs, true)?;
            self.head.loss(&states, &self.words, target, 0.0)
        })?;
        Ok(of_tokens(sum, target))
    }

    /// Scores of the tokens that are hidden, about.
    fn head_memory(&self, lengths: &[usize]) -> u64 {
        let tokens = lengths.iter().sum::<usize>() as f64 * self.masking.probability;
        LmHead::memory(tokens as usize, &self.words, self.backbone.precision())
    }

    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(TokenAccuracy::default())
    }

    fn training_settings(&self) -> serde_json::Value {
        serde_json::json!({"masking": self.masking})
    }

    fn describe(&self, config: &mut BertConfig) {
        describe(config, ARCHITECTURE, &self.settings);
    }

    /// rust-bert wants the decoder's weights beside the word embeddings, which they are, and
    /// a pooler, which it does not use.
    fn save_for_rust_bert(&self, dir: impl AsRef<Path>) -> Result<()> {
        let mut files = self.files();
        let name = "cls.predictions.decoder.weight".to_owned();
        files.weights.insert(name, self.words.shallow_clone());
        files.add_pooler()?;
        files.save(dir.as_ref())
    }
}
