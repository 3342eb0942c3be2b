//! Texts to vectors that are near each other where the texts mean the same, as
//! sentence-transformers makes them (Reimers and Gurevych 2019).

use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor};

use super::embedding_loss::{EmbeddingLoss, unit};
use super::embedding_metric::EmbeddingMetric;
use super::pooling::Pooling;
use super::sentence_transformers::{Modules, bare_name};
use super::sequence::answers;
use super::similarity::cosine_similarity;
use super::source::{Source, describe, shared_settings};
use crate::checkpoint::NewFolder;
use crate::data::Text;
use crate::encode::{EmbeddingCollator, EmbeddingTarget, Inputs, TextEncoder, Truncation};
use crate::error::{Error, Result, TorchContext};
use crate::fine_tuner::{FineTuner, Loss};
use crate::metrics::Metric;
use crate::model::{Backbone, BertConfig, ENCODER_PREFIX, HeadWeights, ModelFiles};

const ARCHITECTURE: &str = "BertModel";

/// A BERT that gives texts vectors.
///
/// ```
/// use bertfit::{BertEmbedder, Corpus, EmbeddingExample, EmbeddingLoss, FineTuner, TrainConfig};
///
/// let dir = std::env::temp_dir().join("bertfit-embedder");
/// bertfit::write_tiny_model(dir.join("base"))?;
/// let train = vec![
///     EmbeddingExample::scored("the film was great", "a very good film", 0.9),
///     EmbeddingExample::scored("the film was great", "it was bad", 0.2),
///     EmbeddingExample::scored("the food was dull", "good food", 0.3),
/// ];
/// let builder = BertEmbedder::builder(dir.join("base")).loss(EmbeddingLoss::Cosine);
/// let mut embedder = builder.normalize(true).build()?;
/// embedder.fit(&train, &train, &TrainConfig::default())?;
///
/// let corpus = Corpus::new(embedder.embed(&["good food", "a dull film"])?.view());
/// let queries = embedder.embed(&["good food"])?;
/// assert_eq!(corpus.search(queries.view(), 1)?[0][0].row, 0);
/// embedder.save(dir.join("fitted"))?; // for sentence-transformers too
/// # Ok::<(), bertfit::Error>(())
/// ```
#[derive(Debug)]
pub struct BertEmbedder {
    backbone: Backbone,
    pooling: Pooling,
    normalize: bool,
    max_length: usize,
    settings: Settings,
}

/// What a saved model needs to be trained on as before.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Settings {
    loss: EmbeddingLoss,
}

/// Settings of a new [`BertEmbedder`].
#[derive(Debug, Clone)]
pub struct BertEmbedderBuilder {
    source: Source,
    pooling: Option<Pooling>,
    normalize: Option<bool>,
    loss: Option<EmbeddingLoss>,
}

impl BertEmbedderBuilder {
    shared_settings!(source);

    /// How a vector is made of a text's tokens; default as the saved model in the folder
    /// does; where there is none, their mean.
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// Whether vectors are brought to the length 1; default as in the saved model, or not.
    pub fn normalize(mut self, normalize: bool) -> Self {
        self.normalize = Some(normalize);
        self
    }

    /// What is learnt; default as in the saved model, or [`EmbeddingLoss::default`].
    pub fn loss(mut self, loss: EmbeddingLoss) -> Self {
        self.loss = Some(loss);
        self
    }

    /// Loads the encoder.
    ///
    /// # Errors
    /// When a setting is out of its range, the folder is not a whole model, or makes vectors
    /// otherwise than by one [`Pooling`].
    pub fn build(self) -> Result<BertEmbedder> {
        let source = self.source;
        let config = source.config()?;
        let modules = Modules::read(&source.dir)?;
        if modules.is_none() && source.head == HeadWeights::Required {
            let problem = "not there: the folder is none of a model of embeddings".to_owned();
            let path = source.dir.join("modules.json");
            return Err(Error::File { path, problem });
        }
        let saved: Option<Settings> = source.settings(&config, ARCHITECTURE)?;
        let loss = self.loss.or(saved.map(|saved| saved.loss));
        let settings = Settings {
            loss: loss.unwrap_or_default(),
        };
        settings.loss.validate()?;
        let (backbone, ()) = source
            .backbone(&config, ARCHITECTURE)
            .spare_pooler()
            .build(|_, _| Ok(()))?;
        if let Some(modules) = modules {
            modules.check(&source.dir, backbone.tokenizer())?;
        }
        let positions = config.max_position_embeddings as usize;
        let saved_length = modules.map(|modules| {
            let longest = modules
                .max_length
                .or(backbone.tokenizer().model_max_length());
            longest.unwrap_or(positions).min(positions)
        });
        let model = BertEmbedder {
            backbone,
            pooling: self
                .pooling
                .or(modules.map(|modules| modules.pooling))
                .unwrap_or_default(),
            normalize: self
                .normalize
                .or(modules.map(|modules| modules.normalize))
                .unwrap_or_default(),
            max_length: source
                .max_length
                .or(saved_length)
                .unwrap_or(positions.min(128)),
            settings,
        };
        model.encoder()?;
        Ok(model)
    }
}

impl BertEmbedder {
    /// Starts from a model in a folder: a plain encoder, or one that gives vectors already.
    pub fn builder(dir: impl Into<PathBuf>) -> BertEmbedderBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Found))
    }

    /// A model of embeddings in a folder as sentence-transformers lays it out; how it makes
    /// vectors comes from there.
    pub fn saved(dir: impl Into<PathBuf>) -> BertEmbedderBuilder {
        Self::from_source(Source::new(dir.into(), HeadWeights::Required))
    }

    fn from_source(source: Source) -> BertEmbedderBuilder {
        BertEmbedderBuilder {
            source,
            pooling: None,
            normalize: None,
            loss: None,
        }
    }

    /// Loads a model of embeddings from a folder, as [`saved`](Self::saved) does by default: onto
    /// the first GPU, or the CPU where there is none.
    ///
    /// # Errors
    /// When the folder is not a whole one.
    pub fn load(dir: impl Into<PathBuf>) -> Result<Self> {
        Self::saved(dir).build()
    }

    /// How many numbers a vector has.
    pub fn size(&self) -> usize {
        self.backbone.config().hidden_size as usize
    }

    /// How a vector is made of a text's tokens.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Whether vectors are brought to the length 1.
    pub fn is_normalized(&self) -> bool {
        self.normalize
    }

    /// Turns texts into inputs as in training.
    ///
    /// # Errors
    /// When the maximal length does not fit the model.
    pub fn encoder(&self) -> Result<TextEncoder> {
        self.backbone
            .text_encoder(self.max_length, Truncation::default())
    }

    /// The vector of each text, `[N, H]`, in evaluation mode and in order.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn embed<T: Text + Sync>(&self, texts: &[T]) -> Result<Array2<f32>> {
        let same = |vector: &Tensor| Ok(vector.shallow_clone());
        answers(self, &self.encoder()?, texts, self.size(), same)
    }

    /// The cosine of each of `texts` with each of `others`, `[N, M]`.
    ///
    /// # Errors
    /// As [`embed`](Self::embed).
    pub fn similarity<A: Text + Sync, B: Text + Sync>(
        &self,
        texts: &[A],
        others: &[B],
    ) -> Result<Array2<f32>> {
        let (texts, others) = (self.embed(texts)?, self.embed(others)?);
        Ok(cosine_similarity(texts.view(), others.view()))
    }
}

impl FineTuner for BertEmbedder {
    type Collator = EmbeddingCollator;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn collator(&self) -> Result<EmbeddingCollator> {
        Ok(EmbeddingCollator {
            encoder: self.encoder()?,
            scores: self.settings.loss.scores(),
            negatives: self.settings.loss.needs_negatives(),
        })
    }

    /// The vectors of the rows, `[B, H]`.
    fn logits(&self, inputs: &Inputs, train: bool) -> Result<Tensor> {
        let encoder = self.backbone.encoder();
        let pooled = self.pooling.of(encoder, inputs, train)?;
        match self.normalize {
            true => unit(&pooled).doing("normalising embeddings"),
            false => Ok(pooled),
        }
    }

    /// That of the [`EmbeddingLoss`], from vectors `[2N + M, H]`.
    fn loss(&self, logits: &Tensor, target: &EmbeddingTarget) -> Result<Loss> {
        let loss = self.settings.loss.of(logits, target);
        loss.doing("computing the loss")
    }

    /// Not where texts are compared with the others of their batch.
    fn may_split_batches(&self) -> bool {
        let loss = self.settings.loss;
        matches!(loss, EmbeddingLoss::Cosine | EmbeddingLoss::Triplet { .. })
    }

    fn metric(&self) -> Box<dyn Metric<EmbeddingTarget>> {
        Box::new(EmbeddingMetric::new())
    }

    /// `spearmanr` or `accuracy` where the loss needs scores or negatives.
    fn main_metric(&self) -> &str {
        match self.settings.loss {
            EmbeddingLoss::Cosine | EmbeddingLoss::CoSent { .. } => "spearmanr",
            EmbeddingLoss::Triplet { .. } => "accuracy",
            EmbeddingLoss::MultipleNegatives { .. } => "loss",
        }
    }

    fn describe(&self, config: &mut BertConfig) {
        describe(config, ARCHITECTURE, &self.settings);
    }

    /// As sentence-transformers lays a folder out, which transformers loads as a
    /// `BertModel`.
    fn files(&self) -> ModelFiles {
        let mut files = self.backbone.files(|config| self.describe(config));
        let weights = std::mem::take(&mut files.weights).into_iter();
        files.weights = weights
            .map(|(name, weight)| (bare_name(name, ENCODER_PREFIX), weight))
            .collect();
        let modules = Modules {
            pooling: self.pooling,
            normalize: self.normalize,
            max_length: Some(self.max_length),
            // It is the tokenizer's matter.
            lower_case: false,
        };
        modules.describe(self.backbone.config().hidden_size, &mut files.json);
        files
    }

    /// The same with the weights once more, in the only file that rust-bert's pipeline looks
    /// for, `rust_model.ot`.
    fn save_for_rust_bert(&self, dir: impl AsRef<Path>) -> Result<()> {
        let files = self.files();
        let folder = NewFolder::create_or_fill(dir.as_ref())?;
        files.write(folder.path())?;
        files.tokenizer.remove_others(dir.as_ref())?;
        let on_cpu = |(name, weight): (&String, &Tensor)| {
            let weight = weight.detach().f_to_device(Device::Cpu)?;
            Ok((name.clone(), weight))
        };
        let weights: Result<Vec<_>, TchError> = files.weights.iter().map(on_cpu).collect();
        weights
            .and_then(|weights| Tensor::save_multi(&weights, folder.path().join("rust_model.ot")))
            .doing("writing rust_model.ot")?;
        folder.commit()
    }
}
