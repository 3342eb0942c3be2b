//! How the tokens of a batch lie in the matrix of hidden states, `[T, H]`.

use std::cmp::Reverse;

use tch::{Device, Kind, TchError, Tensor};

use crate::encode::{Inputs, LOWEST};
use crate::error::{Result, TorchContext};
use crate::native::fused::Row;

/// The share of tokens in a batch, padding counted, below which padding is left out. With
/// less padding it is no gain.
const WORTH_PACKING: f64 = 0.9;

/// A batch without padding has a multiple of so many tokens, the last of which may belong to
/// no row: every other number of tokens is a new shape to oneDNN, which makes new programs
/// for it.
const TOKENS_STEP: usize = 32;

/// Whether padding is left out of a batch of rows of known lengths.
fn is_packed(lengths: &[usize], longest: usize, device: Device) -> bool {
    let tokens: usize = lengths.iter().sum();
    let share = tokens as f64 / (lengths.len() * longest).max(1) as f64;
    device == Device::Cpu && share < WORTH_PACKING && !lengths.contains(&0)
}

/// The number of tokens in the matrix of hidden states, of rows of known lengths.
pub(crate) fn matrix_tokens(lengths: &[usize], longest: usize, device: Device) -> usize {
    match is_packed(lengths, longest, device) {
        true => lengths.iter().sum::<usize>().next_multiple_of(TOKENS_STEP),
        false => lengths.len() * longest,
    }
}

/// Where each row of a batch has its tokens. Padding has a place of its own only where
/// the lengths of the rows are not known, there is little of it, or on a GPU, where a few
/// large operations are better than many small ones.
#[derive(Debug)]
pub(crate) struct Layout {
    batch: i64,
    length: i64,
    /// The matrix's tokens as places in the padded batch, of `B·L`; none if the matrix
    /// is the whole padded batch.
    places: Option<Tensor>, // [T]
    /// Tokens that belong to a row of the batch; those after them are none of its own.
    tokens: usize,
    /// The first token of each row.
    firsts: Tensor, // [B]
    /// The rows in the order of the groups, and the place of each row in it; none if it is theirs.
    order: Option<[Tensor; 2]>, // [B]
    groups: Vec<Group>,
    /// Where each row's tokens are, if its length is known.
    rows: Option<Vec<Row>>,
}

/// Rows of the same length that follow each other.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) rows: i64,
    pub(super) length: i64,
    /// Added to the attention scores: 0 where the key is a token, the lowest number
    /// where it is padding. `[rows, 1, 1, L]`; none if there is no padding.
    pub(super) bias: Option<Tensor>,
}

impl Group {
    pub(super) fn tokens(&self) -> i64 {
        self.rows * self.length
    }
}

impl Layout {
    pub(super) fn of(inputs: &Inputs) -> Result<Self> {
        let (_, length) = inputs.size();
        let device = inputs.input_ids().device();
        match inputs.lengths() {
            Some(lengths) => {
                let row = |(row, &tokens): (i64, &usize)| [row * length, tokens as i64];
                let rows = || Some((0..).zip(lengths).map(row).collect());
                if lengths.iter().all(|&tokens| tokens as i64 == length) {
                    Self::padded(inputs, None, rows())
                } else if is_packed(lengths, length as usize, device) {
                    Self::packed(lengths, length)
                } else {
                    Self::padded(inputs, Some(inputs.attention_mask()), rows())
                }
            }
            None => Self::padded(inputs, Some(inputs.attention_mask()), None),
        }
        .doing("laying out a batch")
    }

    fn padded(
        inputs: &Inputs,
        mask: Option<&Tensor>,
        of_rows: Option<Vec<Row>>,
    ) -> Result<Self, TchError> {
        let (batch, length) = inputs.size();
        let bias = |mask: &Tensor| {
            let mask = mask.f_to_kind(Kind::Float)?;
            // A row without a single token then gives an even spread instead of NaN.
            let bias = mask.f_rsub_scalar(1.0)?.f_mul_scalar(LOWEST)?;
            bias.f_view([batch, 1, 1, length])
        };
        let rows = Tensor::f_arange(batch, (Kind::Int64, inputs.input_ids().device()))?;
        let group = Group {
            rows: batch,
            length,
            bias: mask.map(bias).transpose()?,
        };
        Ok(Self {
            batch,
            length,
            places: None,
            tokens: (batch * length) as usize,
            firsts: rows.f_mul_scalar(length)?,
            order: None,
            groups: vec![group],
            rows: of_rows,
        })
    }

    /// Rows of the same length side by side, longest first.
    fn packed(lengths: &[usize], longest: i64) -> Result<Self, TchError> {
        let mut order: Vec<i64> = (0..lengths.len() as i64).collect();
        order.sort_by_key(|&row| Reverse(lengths[row as usize]));
        let mut ranks = vec![0_i64; lengths.len()];
        let mut places = Vec::with_capacity(lengths.iter().sum());
        let mut firsts = vec![0_i64; lengths.len()];
        let mut groups: Vec<Group> = Vec::new();
        for (rank, &row) in (0..).zip(&order) {
            let (first, row) = (row * longest, row as usize);
            ranks[row] = rank;
            firsts[row] = places.len() as i64;
            let length = lengths[row] as i64;
            places.extend(first..first + length);
            match groups.last_mut() {
                Some(group) if group.length == length => group.rows += 1,
                _ => groups.push(Group {
                    rows: 1,
                    length,
                    bias: None,
                }),
            }
        }
        let mut rows: Vec<Row> = (firsts.iter().zip(lengths))
            .map(|(&first, &length)| [first, length as i64])
            .collect();
        let tokens = places.len();
        let all = tokens.next_multiple_of(TOKENS_STEP);
        if all > tokens {
            groups.push(Group {
                rows: (all - tokens) as i64,
                length: 1,
                bias: None,
            });
            rows.extend((tokens..all).map(|place| [place as i64, 1]));
            places.resize(all, 0);
        }
        Ok(Self {
            rows: Some(rows),
            tokens,
            batch: lengths.len() as i64,
            length: longest,
            places: Some(Tensor::f_from_slice(&places)?),
            order: Some([Tensor::f_from_slice(&order)?, Tensor::f_from_slice(&ranks)?]),
            firsts: Tensor::f_from_slice(&firsts)?,
            groups,
        })
    }

    pub(super) fn shallow_clone(&self) -> Self {
        let group = |group: &Group| Group {
            bias: group.bias.as_ref().map(Tensor::shallow_clone),
            ..*group
        };
        Self {
            batch: self.batch,
            length: self.length,
            tokens: self.tokens,
            places: self.places.as_ref().map(Tensor::shallow_clone),
            firsts: self.firsts.shallow_clone(),
            order: (self.order.as_ref()).map(|order| order.each_ref().map(Tensor::shallow_clone)),
            groups: self.groups.iter().map(group).collect(),
            rows: self.rows.clone(),
        }
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The rows of each group of the batch; the tokens after them are of none.
    pub(super) fn rows_of_groups(&self) -> Vec<i64> {
        let mut seen = 0;
        let rows = self.groups.iter().map(|group| group.rows);
        rows.take_while(|rows| {
            seen += rows;
            seen <= self.batch
        })
        .collect()
    }

    /// What each row of the batch has, `[B, …]`, in the order of the groups.
    pub(super) fn in_groups(&self, of_rows: &Tensor) -> Result<Tensor, TchError> {
        match &self.order {
            Some([order, _]) => of_rows.f_index_select(0, order),
            None => Ok(of_rows.shallow_clone()),
        }
    }

    /// The same the other way round.
    pub(super) fn in_rows(&self, of_groups: &Tensor) -> Result<Tensor, TchError> {
        match &self.order {
            Some([_, ranks]) => of_groups.f_index_select(0, ranks),
            None => Ok(of_groups.shallow_clone()),
        }
    }

    /// Where the tokens of each row are, if no row is longer than this many.
    pub(super) fn rows_up_to(&self, longest: i64) -> Option<&[Row]> {
        let rows = self.rows.as_deref()?;
        rows.iter().all(|row| row[1] <= longest).then_some(rows)
    }

    /// Where the first tokens of the rows of the batch are among themselves; none of a row of none.
    pub(super) fn first_rows(&self, rows: &[Row]) -> Vec<Row> {
        let rows = (0..).zip(rows).take(self.batch as usize);
        rows.map(|(row, &[_, length])| [row, length.min(1)])
            .collect()
    }

    /// What the matrix's tokens have in a padded `[B, L, …]`: `[T, …]`.
    pub(super) fn pack(&self, padded: &Tensor) -> Result<Tensor, TchError> {
        let all = padded.f_flatten(0, 1)?;
        match &self.places {
            Some(places) => all.f_index_select(0, places),
            None => Ok(all),
        }
    }

    /// A matrix `[T, H]` as `[B, L, H]`; zero where padding has no place in it.
    pub(super) fn unpack(&self, state: &Tensor) -> Result<Tensor, TchError> {
        let size = [self.batch, self.length, -1];
        let Some(places) = &self.places else {
            return state.f_view(size);
        };
        let shape = [self.batch * self.length, state.size()[1]];
        let tokens = self.tokens as i64;
        let (places, own) = (
            places.f_narrow(0, 0, tokens)?,
            state.f_narrow(0, 0, tokens)?,
        );
        Tensor::f_zeros(shape, (state.kind(), state.device()))?
            .f_index_copy(0, &places, &own)?
            .f_view(size)
    }

    /// The first token of each row, `[B, H]`.
    pub(super) fn first_tokens(&self, state: &Tensor) -> Result<Tensor> {
        let first = state.f_index_select(0, &self.firsts);
        first.doing("taking the first token")
    }
}
