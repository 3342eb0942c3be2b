//! Texts to texts: a BERT that reads and a BERT that writes, both from the same checkpoint
//! (Rothe et al. 2020), as Hugging Face's `EncoderDecoderModel`. Here is what makes and trains
//! them; `writing`, `search` and `beams` find the texts.

mod beams;
mod config;
mod generation;
mod search;
mod text_metrics;
mod writing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::data::{Dataset, Example};
use crate::encode::{Inputs, TextCollator, TextEncoder, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::Metric;
use crate::model::weights::check_room;
use crate::model::{
    Backbone, BertDecoder, HeadWeights, LmHead, Memory, ModelFiles, cross_entropy, kept,
};
use crate::task::source::{Source, shared_settings};
use crate::task::token_accuracy::{TokenAccuracy, of_tokens};

use config::{ARCHITECTURE, GeneratorConfig, twin};
pub use generation::{Generation, StopBeams};
pub use text_metrics::TextMetrics;

/// A BERT that reads a text, or a pair, and another that writes one.
///
/// Freezing is that of the encoder, and of the decoder where they share weights; gradient
/// checkpointing is that of both.
///
/// ```
/// use bertfit::{BertGenerator, Example, FineTuner, Generation, TrainConfig};
///
/// let dir = std::env::temp_dir().join("bertfit-generator");
/// bertfit::write_tiny_model(dir.join("base"))?;
/// let train = vec![
///     Example::new("this film is great", "great"),
///     Example::new("a dull film", "dull"),
/// ];
/// let mut generator = BertGenerator::builder(dir.join("base")).build()?;
/// let config = TrainConfig { epochs: 1.0, ..TrainConfig::default() };
/// generator.fit(&train, &train, &config)?;
/// let beams = Generation { num_beams: 4, ..Generation::default() };
/// let texts = generator.generate(&["this film is dull"], &beams)?;
/// assert_eq!(texts.len(), 1);
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug)]
pub struct BertGenerator {
    backbone: Backbone,
    decoder: BertDecoder,
    head: LmHead,
    /// The decoder's word embeddings, `[V, H]`.
    words: Tensor,
    /// Of the encoder: transformers wants one, and nobody uses it.
    pooler: [Tensor; 2],
    config: GeneratorConfig,
    label_smoothing: f64,
    predict_with_generate: Option<Generation>,
    settings: Settings,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Settings {
    max_length: usize,
    max_target_length: usize,
    truncation: Truncation,
}

/// Settings of a new [`BertGenerator`].
#[derive(Debug, Clone)]
pub struct BertGeneratorBuilder {
    source: Source,
    max_target_length: Option<usize>,
    truncation: Option<Truncation>,
    tie_encoder_decoder: Option<bool>,
    label_smoothing: f64,
    predict_with_generate: Option<Generation>,
}

impl BertGeneratorBuilder {
    shared_settings!(source);

    /// The most tokens of a text to write, `[CLS]` and `[SEP]` included; default as
    /// [`max_length`](Self::max_length).
    pub fn max_target_length(mut self, max_length: usize) -> Self {
        self.max_target_length = Some(max_length);
        self
    }

    /// Which text of a pair is cut; default as the saved model in the folder does; where
    /// there is none, the longer one.
    pub fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = Some(truncation);
        self
    }

    /// Whether the decoder has the encoder's own weights, but for what only a decoder has;
    /// half the weights, and often as good. Default as the generator in the folder; where
    /// there is none, no.
    pub fn tie_encoder_decoder(mut self, tied: bool) -> Self {
        self.tie_encoder_decoder = Some(tied);
        self
    }

    /// The share of the target that is spread over all tokens, from 0 to below 1 (Szegedy
    /// et al. 2016); default 0.
    pub fn label_smoothing(mut self, share: f64) -> Self {
        self.label_smoothing = share;
        self
    }

    /// Lets evaluations write texts so, and report their `bleu` and `rougeL`, and `sari` where
    /// they are about single texts; default no, since it takes much longer than the loss.
    pub fn predict_with_generate(mut self, generation: Generation) -> Self {
        self.predict_with_generate = Some(generation);
        self
    }

    /// Loads both BERTs. From a plain encoder, the decoder begins with the same weights,
    /// and its second attention with random ones; the head with those of a masked language
    /// model, if the folder has them.
    ///
    /// # Errors
    /// When a setting is out of its range, or the folder is not a whole model.
    pub fn build(self) -> Result<BertGenerator> {
        let source = self.source;
        if !(0.0..1.0).contains(&self.label_smoothing) {
            let rule = "at least 0 and below 1";
            return Err(Error::config("label_smoothing", rule, self.label_smoothing));
        }
        let mut config = GeneratorConfig::from_dir(&source.dir)?;
        if let Some(tied) = self.tie_encoder_decoder.filter(|&tied| tied != config.tied) {
            if config.is_whole {
                let rule = format!("{}, as the generator in the folder", config.tied);
                return Err(Error::config("tie_encoder_decoder", rule, tied));
            }
            config.tied = tied;
        }
        if config.is_whole && !config.tied {
            let numbers = config.encoder.numbers() + config.decoder.numbers();
            check_room(&source.dir, numbers)?;
        }
        if let Some(dropout) = source.encoder_dropout {
            config.encoder.set_encoder_dropout(dropout)?;
            config.decoder.set_encoder_dropout(dropout)?;
        }
        let saved: Option<Settings> = source.settings(&config.encoder, ARCHITECTURE)?;
        let length = || source.usual_length(&config.encoder, ARCHITECTURE);
        let max_length = source.max_length.or(saved.map(|saved| saved.max_length));
        let max_length = max_length.unwrap_or_else(length);
        let positions = config.decoder.max_position_embeddings as usize;
        let settings = Settings {
            max_length,
            max_target_length: self
                .max_target_length
                .or(saved.map(|saved| saved.max_target_length))
                .unwrap_or(max_length.min(positions)),
            truncation: self
                .truncation
                .or(saved.map(|saved| saved.truncation))
                .unwrap_or_default(),
        };
        if !(3..=positions).contains(&settings.max_target_length) {
            let rule = format!("from 3 to {positions}, the decoder's positions");
            let got = settings.max_target_length;
            return Err(Error::config("max_target_length", rule, got));
        }
        let (backbone, (decoder, head)) = source
            .backbone(&config.encoder, ARCHITECTURE)
            // What an encoder's folder has for the decoder is of use, whatever it was for.
            .head(source.head)
            .configured(config.encoder.clone())
            .named(config.names())
            .begins_as(twin)
            .without_pooler()
            .build_with(|root, encoder, _| {
                let root = root / "decoder";
                let encoder = config.tied.then_some(encoder);
                let decoder = BertDecoder::new(&(&root / "bert"), &config.decoder, encoder)?;
                let head = LmHead::new(&(&root / "cls" / "predictions"), &config.decoder)?;
                Ok((decoder, head))
            })?;
        config.check_tokens(backbone.tokenizer(), &source.dir.join("config.json"))?;
        let size = config.encoder.hidden_size;
        let zeros = |shape: &[i64]| {
            let zeros = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu));
            zeros.doing("making a pooler")
        };
        let mut model = BertGenerator {
            words: decoder.share_word_embeddings(),
            pooler: [zeros(&[size, size])?, zeros(&[size])?],
            backbone,
            decoder,
            head,
            config,
            label_smoothing: self.label_smoothing,
            predict_with_generate: None,
            settings,
        };
        model.set_predict_with_generate(self.predict_with_generate)?;
        model.collator()?;
        Ok(model)
    }
}

impl BertGenerator {
    /// Starts from a pre-trained encoder in a folder, or from a generator to train on.
    pub fn builder(dir: impl Into<PathBuf>) -> BertGeneratorBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Found))
    }

    /// A fitted generator in a folder.
    pub fn saved(dir: impl Into<PathBuf>) -> BertGeneratorBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Required))
    }

    fn from_source(source: Source) -> BertGeneratorBuilder {
        BertGeneratorBuilder {
            source,
            max_target_length: None,
            truncation: None,
            tie_encoder_decoder: None,
            label_smoothing: 0.0,
            predict_with_generate: None,
        }
    }

    /// Loads a fitted generator from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole one.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// Lets evaluations from here on write texts, or not; see
    /// [`BertGeneratorBuilder::predict_with_generate`].
    ///
    /// # Errors
    /// When a number of `generation` is out of its range.
    pub fn set_predict_with_generate(&mut self, generation: Option<Generation>) -> Result<()> {
        if let Some(generation) = &generation {
            self.limits(generation)?;
        }
        self.predict_with_generate = generation;
        Ok(())
    }

    /// Turns texts into inputs as in training.
    ///
    /// # Errors
    /// When the maximal length does not fit the model.
    pub fn encoder(&self) -> Result<TextEncoder> {
        let Settings {
            max_length,
            truncation,
            ..
        } = self.settings;
        self.backbone.text_encoder(max_length, truncation)
    }

    /// What the decoder attends to.
    fn read(&self, inputs: &Inputs, train: bool) -> Result<Memory> {
        let encoder = self.backbone.encoder();
        let mut hidden = encoder.hidden(inputs, train)?; // [B, L, H]
        if train && encoder.tape().is_on() {
            // Each layer of the decoder goes back this way by itself.
            hidden = encoder.tape().cut(hidden)?;
        }
        self.decoder.remember(&hidden, inputs.attention_mask())
    }

    /// The decoder's hidden states, `[M, H]` of the wanted places of its input, else
    /// `[B, T, H]`.
    fn states(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let ids = inputs.decoder_input_ids().ok_or_else(|| {
            let rule = "given: logits are those of tokens to write";
            Error::config("decoder_input_ids", rule, "nothing")
        })?;
        let memory = self.read(inputs, train)?;
        let tape = self.backbone.encoder().tape();
        inputs.wanted(self.decoder.forward(ids, &memory, train, tape)?)
    }
}

impl FineTuner for BertGenerator {
    type Collator = TextCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<TextCollator> {
        Ok(TextCollator {
            encoder: self.encoder()?,
            decoder: TextEncoder::new(
                self.backbone.tokenizer().clone(),
                self.config.decoder.limits(),
                self.settings.max_target_length,
                Truncation::default(),
            )?,
        })
    }

    /// The scores of all tokens, `[M, V]` for the wanted places of the decoder's input, else
    /// `[B, T, V]`.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        self.head.forward(&self.states(inputs, train)?, &self.words)
    }

    /// What the decoder keeps of the longest texts to write, and their scores.
    fn head_memory(&self, lengths: &[usize]) -> u64 {
        let written = self.settings.max_target_length;
        let precision = self.backbone.precision();
        kept(&self.config.decoder, lengths, written)
            + LmHead::memory(lengths.len() * written, &self.words, precision)
    }

    /// Cross-entropy of logits `[M, V]` and ids `[M]`; the mean is over tokens.
    fn loss(&self, logits: &Tensor, target: &Tensor) -> Result<Loss> {
        let sum = cross_entropy(logits, target, self.label_smoothing)?;
        Ok(of_tokens(sum, target))
    }

    fn training_loss(&self, inputs: &Inputs, target: &Tensor) -> Result<Loss> {
        let smoothing = self.label_smoothing;
        let sum = self.backbone.in_precision(|| {
            let states = self.states(inputs, true)?;
            self.head.loss(&states, &self.words, target, smoothing)
        })?;
        Ok(of_tokens(sum, target))
    }

    /// The share of tokens that are guessed right, each after the right ones before it.
    fn metric(&self) -> Box<dyn Metric<Tensor>> {
        Box::new(TokenAccuracy::default())
    }

    /// `bleu`, `rougeL` and `sari` in percent, of texts that are written if that is wanted.
    fn answer_metrics(
        &self,
        dataset: &dyn Dataset<Item = Example>,
    ) -> Result<BTreeMap<String, f64>> {
        let Some(generation) = &self.predict_with_generate else {
            return Ok(BTreeMap::new());
        };
        self.metrics_of_texts(dataset, generation)
    }

    /// Where all texts to write are empty, the decoder sees one token, and its attention has
    /// nothing to choose from.
    fn gradient_may_be_zero(&self, name: &str) -> bool {
        let of_attention = |part| name.contains(&format!(".attention.self.{part}."));
        name.starts_with("decoder.") && (of_attention("query") || of_attention("key"))
    }

    /// rust-bert has no such model.
    fn save_for_rust_bert(&self, _dir: impl AsRef<Path>) -> Result<()> {
        let rule = "one that rust-bert has";
        Err(Error::config("model", rule, ARCHITECTURE))
    }

    fn training_settings(&self) -> serde_json::Value {
        serde_json::json!({
            "label_smoothing": self.label_smoothing,
            "predict_with_generate": self.predict_with_generate,
        })
    }

    fn files(&self) -> ModelFiles {
        let mut files = self.backbone.files(|_| ());
        let tokenizer = self.backbone.tokenizer();
        let max_new_tokens = self.settings.max_target_length - 1;
        let json = self
            .config
            .to_json(tokenizer, max_new_tokens, &self.settings);
        let names = ["config.json", "generation_config.json"].map(str::to_owned);
        files.json = names.into_iter().zip(json).collect();
        let weights = std::mem::take(&mut files.weights);
        let named = weights.into_iter();
        files.weights = named
            .flat_map(|(name, weight)| {
                let names = self.config.saved_names(&name).into_iter();
                names.map(move |name| (name, weight.shallow_clone()))
            })
            .collect();
        for (part, zeros) in ["weight", "bias"].iter().zip(&self.pooler) {
            let name = format!("encoder.pooler.dense.{part}");
            files.weights.insert(name, zeros.shallow_clone());
        }
        files
    }
}

#[cfg(test)]
mod tests;
