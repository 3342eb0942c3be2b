//! What every task shares: the weights' store, the encoder, the tokenizer and the
//! configuration, loaded from a model folder and saved to one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::nn::{self, VarStore};
use tch::{Device, Tensor};

use super::config::BertConfig;
use super::encoder::BertEncoder;
use super::files::{CONFIG_FILE, ModelFiles};
use super::linear::Linear;
use super::precision::Precision;
use super::weights::{self, LoadReport, LoadRules};
use crate::encode::{TextEncoder, Tokenizer, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::native::OneDnn;

/// The prefix of the encoder's names in the checkpoints of every task.
pub(crate) const ENCODER_PREFIX: &str = "bert";

/// A BERT with its tokenizer, on one device; a task puts a head on it.
#[derive(Debug)]
pub struct Backbone {
    variables: VarStore,
    /// Weights that are loaded and saved, but not used.
    spare: Option<VarStore>,
    encoder: BertEncoder,
    tokenizer: Tokenizer,
    config: BertConfig,
    precision: Precision,
    report: LoadReport,
}

/// How to make a [`Backbone`]; see [`Backbone::builder`].
#[derive(Debug, Clone)]
pub struct BackboneBuilder {
    source: Source,
    device: Device,
    precision: Precision,
    seed: u64,
    pooler: Pooler,
    head: HeadWeights,
    /// The variable that a tensor of a checkpoint belongs to.
    variable: fn(&str) -> Option<String>,
    /// The variable as which another one begins that the checkpoint lacks.
    begins_as: fn(&str) -> Option<String>,
    encoder_dropout: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooler {
    Used,
    Spare,
    Absent,
}

#[derive(Debug, Clone)]
enum Source {
    Folder(PathBuf),
    /// The configuration is not as the folder has it.
    Configured(PathBuf, Box<BertConfig>),
    Random(Box<(BertConfig, Tokenizer)>),
}

/// Where the weights of the head come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HeadWeights {
    /// From the checkpoint where it has them, else random.
    #[default]
    Found,
    /// From the checkpoint; it is an error if it has none.
    Required,
    /// Random, even if the checkpoint has some.
    Fresh,
}

impl Backbone {
    /// A pre-trained model in a folder (`config.json`, `model.safetensors`, `vocab.txt` or
    /// `tokenizer.json`, …), as Hugging Face lays it out. Where there is no `model.safetensors`, its
    /// shards are read (`model.safetensors.index.json`), else `pytorch_model.bin` or its shards,
    /// without running what is pickled there.
    pub fn builder(dir: impl Into<PathBuf>) -> BackboneBuilder {
        BackboneBuilder::new(Source::Folder(dir.into()))
    }

    /// A model with random weights, for tests or for training from nothing.
    pub fn random(config: BertConfig, tokenizer: Tokenizer) -> BackboneBuilder {
        BackboneBuilder::new(Source::Random(Box::new((config, tokenizer))))
    }

    /// The store that owns all weights, the head's included.
    pub fn variables(&self) -> &VarStore {
        &self.variables
    }

    /// All weights by name, in alphabetical order; the tensors share memory with
    /// the model's.
    pub fn named_variables(&self) -> BTreeMap<String, Tensor> {
        self.variables.variables().into_iter().collect()
    }

    /// The same with those that are only kept.
    fn all_weights(&self) -> BTreeMap<String, Tensor> {
        let mut weights = self.named_variables();
        weights.extend(self.spare.iter().flat_map(VarStore::variables));
        weights
    }

    /// The encoder.
    pub fn encoder(&self) -> &BertEncoder {
        &self.encoder
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The device that holds the weights.
    pub fn device(&self) -> Device {
        self.variables.device()
    }

    /// The numbers that matrix products are computed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What `compute` gives, as float32, computed in those numbers; training, evaluation and
    /// prediction call [`FineTuner::logits`](crate::FineTuner::logits) so.
    ///
    /// # Errors
    /// As `compute`.
    pub fn in_precision(&self, compute: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        let device = self.device();
        let _products = OneDnn::begin(device).doing("choosing oneDNN")?;
        self.precision.of(device, compute)
    }

    /// What loading found; empty for random weights.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// Turns texts into inputs for this model, cut to `max_length` tokens.
    ///
    /// # Errors
    /// As [`TextEncoder::new`].
    pub fn text_encoder(&self, max_length: usize, truncation: Truncation) -> Result<TextEncoder> {
        TextEncoder::new(
            self.tokenizer.clone(),
            self.config.limits(),
            max_length,
            truncation,
        )
    }

    /// Writes a model folder that Hugging Face, rust-bert and bertfit load.
    /// `describe` adds to the configuration what the task knows. See [`ModelFiles::save`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, dir: &Path, describe: impl FnOnce(&mut BertConfig)) -> Result<()> {
        self.files(describe).save(dir)
    }

    /// What [`save`](Self::save) writes.
    pub fn files(&self, describe: impl FnOnce(&mut BertConfig)) -> ModelFiles {
        let mut config = self.config.clone();
        describe(&mut config);
        let config = serde_json::to_value(config).expect("numbers and names");
        ModelFiles {
            json: BTreeMap::from([(CONFIG_FILE.to_owned(), config)]),
            weights: self.all_weights(),
            tokenizer: self.tokenizer.clone(),
        }
    }
}

impl BackboneBuilder {
    fn new(source: Source) -> Self {
        Self {
            source,
            device: Device::cuda_if_available(),
            precision: Precision::default(),
            seed: 42,
            pooler: Pooler::Used,
            head: HeadWeights::Found,
            variable: |name| Some(weights::current_name(name)),
            begins_as: |_| None,
            encoder_dropout: None,
        }
    }

    /// Where the weights live; default the first GPU, and the CPU where libtorch finds none.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The numbers that matrix products are computed in, in training, evaluation and
    /// prediction; default float32.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Seeds libtorch's generator before random weights are drawn; default 42.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Leaves the pooler out, for heads that read every token.
    pub fn without_pooler(mut self) -> Self {
        self.pooler = Pooler::Absent;
        self
    }

    /// Keeps the pooler of the folder, or a random one, for others that load what is saved:
    /// the encoder is without it, and it is not trained.
    pub(crate) fn spare_pooler(mut self) -> Self {
        self.pooler = Pooler::Spare;
        self
    }

    /// Dropout of hidden states and of attention, from 0 to below 1; default the configuration's.
    pub fn encoder_dropout(mut self, dropout: f64) -> Self {
        self.encoder_dropout = Some(dropout);
        self
    }

    /// Another configuration than the one in the folder.
    pub(crate) fn configured(mut self, config: BertConfig) -> Self {
        if let Source::Folder(dir) = self.source {
            self.source = Source::Configured(dir, Box::new(config));
        }
        self
    }

    /// The variable that a tensor of the checkpoint belongs to; none for one that is known to
    /// be of no use.
    pub(crate) fn named(mut self, variable: fn(&str) -> Option<String>) -> Self {
        self.variable = variable;
        self
    }

    /// Variables of the head that begin as others where the checkpoint has none for them.
    pub(crate) fn begins_as(mut self, other: fn(&str) -> Option<String>) -> Self {
        self.begins_as = other;
        self
    }

    pub(crate) fn head(mut self, head: HeadWeights) -> Self {
        self.head = head;
        self
    }

    /// Builds the encoder, then the head (`head` gets the root of the names and
    /// the configuration), then loads the weights of both by name. Weights of the
    /// head that the checkpoint lacks stay as `head` initialised them; an absent
    /// weight of the encoder is an error.
    ///
    /// # Errors
    /// When a file is absent or damaged, when the weights do not fit the
    /// configuration, or the vocabulary the embeddings; when the device has no units
    /// for the precision.
    pub fn build<H>(
        self,
        head: impl FnOnce(&nn::Path, &BertConfig) -> Result<H>,
    ) -> Result<(Backbone, H)> {
        self.build_with(|root, _, config| head(root, config))
    }

    /// The same for a head that may have weights of the encoder.
    pub(crate) fn build_with<H>(
        self,
        head: impl FnOnce(&nn::Path, &BertEncoder, &BertConfig) -> Result<H>,
    ) -> Result<(Backbone, H)> {
        self.precision.check(self.device)?;
        let (mut config, tokenizer, folder) = match self.source {
            Source::Folder(dir) => (
                BertConfig::from_dir(&dir)?,
                Tokenizer::from_dir(&dir)?,
                Some(dir),
            ),
            Source::Configured(dir, config) => {
                config.check(&dir.join(CONFIG_FILE))?;
                (*config, Tokenizer::from_dir(&dir)?, Some(dir))
            }
            Source::Random(parts) => {
                parts.0.check(Path::new("config.json"))?;
                (parts.0, parts.1, None)
            }
        };
        if let Some(dropout) = self.encoder_dropout {
            config.set_encoder_dropout(dropout)?;
        }
        check_vocabulary(&config, &tokenizer, folder.as_deref())?;
        if let Some(dir) = &folder {
            weights::check_room(dir, config.numbers())?;
        }

        tch::manual_seed(self.seed as i64);
        let variables = VarStore::new(self.device);
        let root = variables.root();
        let used = self.pooler == Pooler::Used;
        let encoder = BertEncoder::new(&(&root / ENCODER_PREFIX), &config, used)?;
        let head = head(&root, &encoder, &config)?;
        let spare = match self.pooler {
            Pooler::Spare => Some(spare_pooler(&config)?),
            Pooler::Used | Pooler::Absent => None,
        };
        let mut backbone = Backbone {
            variables,
            spare,
            encoder,
            tokenizer,
            config,
            precision: self.precision,
            report: LoadReport::default(),
        };
        if let Some(dir) = folder {
            let of_encoder = |name: &str| name.starts_with("bert.");
            let rules = LoadRules {
                may_be_fresh: &|name| match of_encoder(name) {
                    // Checkpoints of masked language models have no pooler, which a fitted head
                    // on it needs.
                    true => {
                        name.starts_with("bert.pooler.")
                            && !(used && self.head == HeadWeights::Required)
                    }
                    false => self.head != HeadWeights::Required,
                },
                keep_fresh: &|name| self.head == HeadWeights::Fresh && !of_encoder(name),
                variable: &self.variable,
                begins_as: &|name| match self.head {
                    HeadWeights::Required => None,
                    _ => (self.begins_as)(name),
                },
            };
            backbone.report = weights::load(&dir, &backbone.all_weights(), &rules)?;
            let LoadReport {
                loaded,
                fresh,
                unexpected,
            } = &backbone.report;
            log::info!("{}: {} weights loaded", dir.display(), loaded.len());
            if !fresh.is_empty() {
                log::info!("randomly initialised: {}", fresh.join(", "));
            }
            if !unexpected.is_empty() {
                log::warn!("{}: no use for {}", dir.display(), unexpected.join(", "));
            }
        }
        Ok((backbone, head))
    }
}

fn spare_pooler(config: &BertConfig) -> Result<VarStore> {
    let mut spare = VarStore::new(Device::Cpu);
    let path = &spare.root() / ENCODER_PREFIX / "pooler" / "dense";
    let (size, std) = (config.hidden_size, config.initializer_range);
    Linear::new(&path, size, size, std)?;
    spare.freeze();
    Ok(spare)
}

/// Each token needs a row of the embeddings. Rows without a token, which many published models
/// have, are never looked up, in transformers as here.
fn check_vocabulary(
    config: &BertConfig,
    tokenizer: &Tokenizer,
    folder: Option<&Path>,
) -> Result<()> {
    let (rows, tokens) = (config.vocab_size as usize, tokenizer.vocab_size());
    let path = folder.unwrap_or(Path::new("")).join(CONFIG_FILE);
    if rows < tokens {
        let rule = format!("at least the size of the vocabulary ({tokens})");
        return Err(Error::ModelConfig {
            path,
            field: "vocab_size",
            rule,
            got: rows.to_string(),
        });
    }
    if rows > tokens {
        log::warn!(
            "{}: `vocab_size` is {rows}, but the vocabulary has {tokens} tokens: no text is ever \
             turned into the last {} rows of the embeddings",
            path.display(),
            rows - tokens
        );
    }
    Ok(())
}
