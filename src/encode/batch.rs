//! A batch: the three input tensors of a BERT, and what its output is compared
//! with. `pad` is the only place where token lists become tensors, and where they
//! are checked, so that nothing in the data can fail later on the device.

use tch::{Device, TchError, Tensor};

use super::tokenizer::Encoding;
use crate::error::{Error, Result, RowProblem, TorchContext};

/// The score of what no probability may go to: the lowest finite number of bfloat16, which
/// float32 has too.
pub(crate) const LOWEST: f64 = -3.389_531_389_251_535_5e38;

/// The inputs of a BERT, each `[B, L]` of int64.
#[derive(Debug)]
pub struct Inputs {
    input_ids: Tensor,
    attention_mask: Tensor,
    token_type_ids: Tensor,
    /// The tokens of each row, where it is known that padding is on their right.
    lengths: Option<Vec<usize>>,
    places: Option<Tensor>,
    decoder_input_ids: Option<Tensor>,
    known: Option<KnownState>,
    windows: Option<Tensor>,
    features: Option<Tensor>,
}

/// Hidden states that need not be computed again.
#[derive(Debug)]
pub(crate) struct KnownState {
    /// So many layers are behind it.
    pub(crate) layers: usize,
    /// `[B, L, H]`
    pub(crate) state: Tensor,
}

impl Inputs {
    /// Inputs from tensors of one's own; see [`pad`] for the usual way.
    pub fn new(input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Self {
        Self {
            input_ids,
            attention_mask,
            token_type_ids,
            lengths: None,
            places: None,
            decoder_input_ids: None,
            known: None,
            windows: None,
            features: None,
        }
    }

    /// Token ids.
    pub fn input_ids(&self) -> &Tensor {
        &self.input_ids
    }

    /// 1 where there is a token, 0 where there is padding.
    pub fn attention_mask(&self) -> &Tensor {
        &self.attention_mask
    }

    /// Segment ids: 0 in the first text, 1 in the second.
    pub fn token_type_ids(&self) -> &Tensor {
        &self.token_type_ids
    }

    /// The same with segment 0 everywhere.
    pub(super) fn without_segments(mut self) -> Result<Self> {
        let zeros = self.token_type_ids.f_zeros_like();
        self.token_type_ids = zeros.doing("making a batch")?;
        Ok(self)
    }

    /// The tokens whose logits are wanted, as places in the batch read row by row, `[M]`
    /// of `B·L`; none where those of all are.
    pub fn places(&self) -> Option<&Tensor> {
        self.places.as_ref()
    }

    /// Of states `[B, L, H]` those of the wanted places, `[M, H]`; all where none are named.
    pub(crate) fn wanted(&self, states: Tensor) -> Result<Tensor> {
        match &self.places {
            None => Ok(states),
            Some(places) => states
                .f_flatten(0, 1)
                .and_then(|all| all.f_index_select(0, places))
                .doing("taking the wanted tokens"),
        }
    }

    /// Asks for the logits of some tokens only; see [`places`](Self::places).
    pub fn at(mut self, places: Tensor) -> Self {
        self.places = Some(places);
        self
    }

    /// What a decoder has been given to write after, `[B, T]`, padded on the right.
    pub fn decoder_input_ids(&self) -> Option<&Tensor> {
        self.decoder_input_ids.as_ref()
    }

    /// Gives a decoder its input. [`places`](Self::places) are then those in it, of `B·T`.
    pub fn with_decoder_input_ids(mut self, ids: Tensor) -> Self {
        self.decoder_input_ids = Some(ids);
        self
    }

    /// What a head of one's own reads besides the text; bertfit's own have none.
    pub fn features(&self) -> Option<&Tensor> {
        self.features.as_ref()
    }

    /// Gives a head of one's own something to read besides the texts: numbers of each row,
    /// `[B, F]`, or whatever else its collator knows.
    pub fn with_features(mut self, features: Tensor) -> Self {
        self.features = Some(features);
        self
    }

    /// Where a text may have several rows, its windows: for each text the numbers of its
    /// rows, `[N, W]` (int64), with the number of all rows where a text has fewer than `W`;
    /// none where each text is one row.
    pub fn windows(&self) -> Option<&Tensor> {
        self.windows.as_ref()
    }

    /// Says that the first `counts[0]` rows are windows of the first text, the next
    /// `counts[1]` of the second, and so on.
    pub(super) fn in_windows(mut self, counts: &[usize]) -> Result<Self> {
        let most = counts.iter().copied().max().unwrap_or(0);
        if most <= 1 {
            return Ok(self);
        }
        let none = counts.iter().sum::<usize>() as i64;
        let mut places = Vec::with_capacity(counts.len() * most);
        let mut first = 0;
        for &count in counts {
            places.extend((0..most).map(|window| match window < count {
                true => (first + window) as i64,
                false => none,
            }));
            first += count;
        }
        let places = Tensor::f_from_slice(&places)
            .and_then(|places| places.f_view([counts.len() as i64, most as i64]))
            .doing("making a batch")?;
        self.windows = Some(places);
        Ok(self)
    }

    /// The same in parts of about `tokens` tokens, padding counted, in order; each row by
    /// itself, whatever text it is of.
    pub(crate) fn in_parts(&self, tokens: usize) -> Result<Vec<Self>> {
        let (rows, length) = self.size();
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        let step = (tokens / length.max(1)).max(1);
        let part = |start: i64| -> Result<Self, TchError> {
            let count = step.min(rows - start);
            let of = |x: &Tensor| x.f_narrow(0, start, count);
            let known = |known: &KnownState| {
                let (layers, state) = (known.layers, of(&known.state)?);
                Ok::<_, TchError>(KnownState { layers, state })
            };
            let lengths = self.lengths.as_ref();
            Ok(Self {
                lengths: lengths.map(|all| all[start as usize..][..count as usize].to_vec()),
                known: self.known.as_ref().map(known).transpose()?,
                ..Self::new(
                    of(&self.input_ids)?,
                    of(&self.attention_mask)?,
                    of(&self.token_type_ids)?,
                )
            })
        };
        let starts = (0..rows).step_by(step as usize);
        starts
            .map(|start| part(start).doing("parting a batch"))
            .collect()
    }

    pub(crate) fn known(&self) -> Option<&KnownState> {
        self.known.as_ref()
    }

    /// Lets the encoder begin after the first layers.
    pub(crate) fn begin_with(&mut self, known: KnownState) {
        self.known = Some(known);
    }

    pub(crate) fn lengths(&self) -> Option<&[usize]> {
        self.lengths.as_deref()
    }

    /// The length of each row; that of the longest where they are not known.
    pub(crate) fn row_lengths(&self) -> Vec<usize> {
        let (rows, length) = self.size();
        let known = self.lengths().map(<[usize]>::to_vec);
        known.unwrap_or_else(|| vec![length as usize; rows as usize])
    }

    /// `(B, L)`
    pub fn size(&self) -> (i64, i64) {
        let size = self.input_ids.size();
        (size[0], size[1])
    }

    /// The same inputs on `device`.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        let moved = |x: &Tensor| x.f_to_device(device).doing("moving inputs to the device");
        let moved_if_there = |x: &Option<Tensor>| x.as_ref().map(moved).transpose();
        Ok(Self {
            input_ids: moved(&self.input_ids)?,
            attention_mask: moved(&self.attention_mask)?,
            token_type_ids: moved(&self.token_type_ids)?,
            lengths: self.lengths.clone(),
            places: moved_if_there(&self.places)?,
            decoder_input_ids: moved_if_there(&self.decoder_input_ids)?,
            known: None,
            windows: moved_if_there(&self.windows)?,
            features: moved_if_there(&self.features)?,
        })
    }
}

/// What the logits of a batch are compared with.
pub trait Target: Send + Sized {
    /// The same target on `device`.
    ///
    /// # Errors
    /// When the device has no room.
    fn to_device(self, device: Device) -> Result<Self>;
}

impl Target for Tensor {
    fn to_device(self, device: Device) -> Result<Self> {
        self.f_to_device(device)
            .doing("moving the target to the device")
    }
}

impl<A: Target, B: Target> Target for (A, B) {
    fn to_device(self, device: Device) -> Result<Self> {
        Ok((self.0.to_device(device)?, self.1.to_device(device)?))
    }
}

/// Inputs with their target.
#[derive(Debug)]
pub struct Batch<T> {
    /// What goes into the model.
    pub inputs: Inputs,
    /// What its logits are compared with.
    pub target: T,
    /// Real tokens in the batch, padding not counted.
    pub tokens: usize,
}

impl<T: Target> Batch<T> {
    /// The same batch on `device`, where the model that it is for has its weights. Collators
    /// make batches on the CPU.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn to_device(self, device: Device) -> Result<Self> {
        Ok(Self {
            inputs: self.inputs.to_device(device)?,
            target: self.target.to_device(device)?,
            tokens: self.tokens,
        })
    }
}

/// What a model accepts: beyond these, an embedding look-up would fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Token ids are below this.
    pub vocab_size: i64,
    /// Rows have at most so many tokens.
    pub max_length: usize,
    /// Segment ids are below this.
    pub type_vocab_size: i64,
}

impl Limits {
    fn check(&self, encoding: &Encoding) -> Result<(), RowProblem> {
        if encoding.len() > self.max_length {
            return Err(RowProblem::TooLong {
                length: encoding.len(),
                limit: self.max_length,
            });
        }
        let (ids, types) = (encoding.input_ids.len(), encoding.token_type_ids.len());
        if ids != types {
            return Err(RowProblem::Field {
                field: "token_type_ids".to_owned(),
                problem: format!("{types} of them, but {ids} tokens"),
            });
        }
        let vocab = 0..self.vocab_size;
        if let Some(&id) = encoding.input_ids.iter().find(|id| !vocab.contains(id)) {
            return Err(RowProblem::TokenId {
                id,
                vocab_size: self.vocab_size as usize,
            });
        }
        let types = 0..self.type_vocab_size;
        if let Some(id) = encoding
            .token_type_ids
            .iter()
            .find(|id| !types.contains(id))
        {
            let problem = format!("segment {id}, the model has {}", self.type_vocab_size);
            return Err(RowProblem::Field {
                field: "token_type_ids".to_owned(),
                problem,
            });
        }
        Ok(())
    }
}

/// How long the rows of a batch become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Padding {
    /// As long as the longest row of the batch.
    #[default]
    Longest,
    /// So many tokens, whatever the rows; not more than the model has positions.
    Fixed(usize),
}

/// Pads token lists on the right into the tensors of one batch, `[B, L]`, on the
/// CPU.
///
/// # Errors
/// When a row goes beyond `limits` or the fixed length, or has not one segment id for each token;
/// the error has the row's place in `encodings`. When the fixed length goes beyond `limits`.
pub fn pad(
    encodings: &[Encoding],
    pad_id: i64,
    padding: Padding,
    limits: &Limits,
) -> Result<Inputs> {
    let longest = encodings.iter().map(Encoding::len).max().unwrap_or(0);
    let length = match padding {
        Padding::Longest => longest,
        Padding::Fixed(length) if length > limits.max_length => {
            let rule = format!("at most {} tokens", limits.max_length);
            return Err(Error::config("padding", rule, length));
        }
        Padding::Fixed(length) => length,
    };
    // Before there is memory for them: a row that is too long may be very long.
    for (row, encoding) in encodings.iter().enumerate() {
        let fits = limits.check(encoding);
        fits.map_err(|problem| Error::Row { row, problem })?;
    }
    let mut input_ids = vec![pad_id; encodings.len() * length];
    let mut attention_mask = vec![0_i64; encodings.len() * length];
    let mut token_type_ids = vec![0_i64; encodings.len() * length];
    for (row, encoding) in encodings.iter().enumerate() {
        if encoding.len() > length {
            let problem = RowProblem::TooLong {
                length: encoding.len(),
                limit: length,
            };
            return Err(Error::Row { row, problem });
        }
        let cells = row * length..row * length + encoding.len();
        input_ids[cells.clone()].copy_from_slice(&encoding.input_ids);
        token_type_ids[cells.clone()].copy_from_slice(&encoding.token_type_ids);
        attention_mask[cells].fill(1);
    }
    let tensor = |values: &[i64]| {
        Tensor::f_from_slice(values)
            .and_then(|x| x.f_view([encodings.len() as i64, length as i64]))
            .doing("making a batch")
    };
    Ok(Inputs {
        input_ids: tensor(&input_ids)?,
        attention_mask: tensor(&attention_mask)?,
        token_type_ids: tensor(&token_type_ids)?,
        lengths: Some(encodings.iter().map(Encoding::len).collect()),
        places: None,
        decoder_input_ids: None,
        known: None,
        windows: None,
        features: None,
    })
}
