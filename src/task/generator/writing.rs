//! Texts to texts that a generator writes about them, in batches.

use std::collections::BTreeMap;

use tch::Tensor;

use super::BertGenerator;
use super::generation::Generation;
use super::search::{Limits, Writer, search};
use super::text_metrics::TextMetrics;
use crate::data::{Dataset, Example, Text};
use crate::encode::Encoding;
use crate::error::{Result, TorchContext};
use crate::model::{Memory, Past};
use crate::predict;

/// Rows of an evaluation that are read and written about at once.
const ROWS_AT_ONCE: usize = 1024;

impl BertGenerator {
    /// What is written about each text or pair, in evaluation mode and in order. Tokens lose
    /// capitals (in an uncased model) and spaces around punctuation.
    ///
    /// # Errors
    /// When a text cannot be encoded, or a number of `generation` is out of its range.
    pub fn generate<T: Text + Sync>(
        &self,
        texts: &[T],
        generation: &Generation,
    ) -> Result<Vec<String>> {
        self.write_texts(texts, 0, generation)
    }

    /// The same as token ids, without `[CLS]`; `[SEP]` is the last one of a text that came
    /// to its end.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_ids<T: Text + Sync>(
        &self,
        texts: &[T],
        generation: &Generation,
    ) -> Result<Vec<Vec<i64>>> {
        self.write(texts, 0, generation)
    }

    pub(super) fn write_texts<T: Text + Sync>(
        &self,
        texts: &[T],
        first: usize,
        generation: &Generation,
    ) -> Result<Vec<String>> {
        let ids = self.write(texts, first, generation)?;
        let tokenizer = self.backbone.tokenizer();
        let text = |ids: &Vec<i64>| tokenizer.decode(ids, true);
        Ok(ids.iter().map(text).collect())
    }

    /// [`TextMetrics`] of texts that are written about examples.
    pub(super) fn metrics_of_texts(
        &self,
        dataset: &dyn Dataset<Item = Example>,
        generation: &Generation,
    ) -> Result<BTreeMap<String, f64>> {
        let mut metrics = TextMetrics::default();
        for first in (0..dataset.len()).step_by(ROWS_AT_ONCE) {
            let rows = first..dataset.len().min(first + ROWS_AT_ONCE);
            let examples: Vec<Example> = rows.map(|row| dataset.get(row)).collect::<Result<_>>()?;
            let texts = self.write_texts(&examples, first, generation)?;
            metrics.extend(examples.iter().zip(texts.iter().map(String::as_str)));
        }
        Ok(metrics.compute())
    }

    /// Token ids about texts of which the first has the number `first`.
    fn write<T: Text + Sync>(
        &self,
        texts: &[T],
        first: usize,
        generation: &Generation,
    ) -> Result<Vec<Vec<i64>>> {
        let limits = self.limits(generation)?;
        let encoder = self.encoder()?;
        let encodings = encoder.encode(texts)?;
        let lengths = encodings.iter().map(Encoding::len);
        let lengths = lengths.map(|length| length + limits.max_new_tokens);
        let lengths: Vec<usize> = lengths.collect();
        let budget =
            (2 * predict::tokens_per_batch(self.backbone.device()) / generation.num_beams).max(1);
        let mut written = vec![Vec::new(); texts.len()];
        predict::each_batch(&self.backbone, &lengths, budget, |rows| {
            let batch: Vec<_> = rows.iter().map(|&row| encodings[row].clone()).collect();
            let inputs = encoder.inputs(&batch)?.to_device(self.backbone.device())?;
            let region = self.backbone.precision().region(self.backbone.device())?;
            let memory = self.read(&inputs, false)?;
            drop(region);
            let mut writing = Writing {
                memory,
                past: generation.use_cache.then(Past::default),
                model: self,
            };
            let numbers: Vec<usize> = rows.iter().map(|&row| first + row).collect();
            let texts = search(&mut writing, &numbers, &limits, generation)?;
            for (&row, text) in rows.iter().zip(texts) {
                written[row] = text;
            }
            Ok(())
        })?;
        Ok(written)
    }

    pub(super) fn limits(&self, generation: &Generation) -> Result<Limits> {
        let tokenizer = self.backbone.tokenizer();
        let positions = self.config.decoder.max_position_embeddings as usize;
        // Rows of the embeddings without a token too, as in transformers; such a token has no text.
        let rows = self.config.decoder.vocab_size;
        generation.validate_for(rows as usize, positions)?;
        Ok(Limits {
            start: tokenizer.cls_id(),
            end: tokenizer.sep_id(),
            max_new_tokens: generation
                .max_new_tokens
                .unwrap_or(self.settings.max_target_length - 1),
        })
    }
}

/// Texts on their way.
struct Writing<'a> {
    model: &'a BertGenerator,
    memory: Memory,
    past: Option<Past>,
}

impl Writer for Writing<'_> {
    fn next(&mut self, texts: &[Vec<i64>]) -> Result<Tensor> {
        let new = |text: &'_ Vec<i64>| match self.past {
            Some(_) => text[text.len() - 1..].to_vec(),
            None => text.clone(),
        };
        let ids: Vec<i64> = texts.iter().flat_map(new).collect();
        let model = self.model;
        let ids = Tensor::f_from_slice(&ids)
            .and_then(|ids| ids.f_view([texts.len() as i64, -1]))
            .and_then(|ids| ids.f_to_device(model.backbone.device()))
            .doing("making a batch")?;
        model.backbone.in_precision(|| {
            let tape = model.backbone.encoder().tape();
            let hidden = match &mut self.past {
                Some(past) => model.decoder.next(&ids, &self.memory, past)?,
                None => model.decoder.forward(&ids, &self.memory, false, tape)?,
            };
            let last = hidden.f_select(1, -1).doing("taking the last token")?;
            model.head.forward(&last, &model.words)
        })
    }

    fn keep(&mut self, rows: &[i64], inputs: Option<&[i64]>) -> Result<()> {
        let index = |rows: &[i64]| {
            Tensor::f_from_slice(rows)
                .and_then(|rows| rows.f_to_device(self.model.backbone.device()))
                .doing("choosing sequences")
        };
        if let Some(past) = &self.past {
            self.past = Some(past.select(&index(rows)?)?);
        }
        if let Some(inputs) = inputs {
            self.memory = self.memory.select(&index(inputs)?)?;
        }
        Ok(())
    }
}
