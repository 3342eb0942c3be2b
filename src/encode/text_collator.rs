//! Texts with the texts that are to be written about them, to batches.

use tch::Tensor;

use super::batch::Batch;
use super::collator::{Collator, TextEncoder};
use super::tokenizer::Encoding;
use crate::data::Example;
use crate::error::{Result, TorchContext};

/// Texts, or pairs, to inputs, and the texts that are their labels to the decoder's inputs
/// `[B, T]` and the tokens that come after each of these, `[M]` (int64): the decoder begins
/// with `[CLS]`, and the last token to learn is `[SEP]`. Padding is none of the `M`, whose
/// places [`Inputs::places`](super::Inputs::places) says.
#[derive(Debug, Clone)]
pub struct TextCollator {
    /// Turns the texts into inputs.
    pub encoder: TextEncoder,
    /// Turns the labels into token ids, cut to its maximal length.
    pub decoder: TextEncoder,
}

impl Collator for TextCollator {
    type Item = Example;
    type Target = Tensor;

    fn collate(&self, rows: &[Example]) -> Result<Batch<Tensor>> {
        let labels: Vec<&str> = rows.iter().map(|row| &row.label[..]).collect();
        let written = self.decoder.encode(&labels)?;
        let inputs = self.decoder.inputs(&written)?;
        let (_, length) = inputs.size();
        // A row is one token shorter both as the input and as what comes after it.
        let length = (length - 1).max(0);
        let (mut places, mut next) = (Vec::new(), Vec::new());
        for (row, encoding) in written.iter().enumerate() {
            let first = row as i64 * length;
            places.extend((first..).take(encoding.len() - 1));
            next.extend(&encoding.input_ids[1..]);
        }
        let tensor = |values: &[i64]| Tensor::f_from_slice(values).doing("making a batch");
        let decoder_input_ids = inputs.input_ids().f_narrow(1, 0, length);
        let batch = self.encoder.batch(rows, tensor(&next)?)?;
        Ok(Batch {
            inputs: batch
                .inputs
                .with_decoder_input_ids(decoder_input_ids.doing("making a batch")?)
                .at(tensor(&places)?),
            target: batch.target,
            tokens: batch.tokens + next.len(),
        })
    }

    /// The longer one counts.
    fn lengths(&self, rows: &[Example]) -> Result<Vec<usize>> {
        let labels: Vec<&str> = rows.iter().map(|row| &row.label[..]).collect();
        let written = self.decoder.encode(&labels)?;
        let read = self.encoder.lengths(rows)?;
        let longer = |(read, written): (usize, &Encoding)| read.max(written.len());
        Ok(read.into_iter().zip(&written).map(longer).collect())
    }
}
