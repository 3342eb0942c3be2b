//! Texts token by token: the likeliest token each time, or one that is drawn. What all
//! searches share, beams included, is here: who writes, and which tokens may come. The
//! numbers are those of transformers' logits processors.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor};

use super::beams;
use super::generation::Generation;
use crate::encode::mix;
use crate::error::{Result, TorchContext};

/// A model that has read some inputs and writes texts about them, one in each row. Rows about
/// the same input stand side by side, and there are as many about each.
pub(super) trait Writer {
    /// The logits `[R, V]` of the token after each text; texts grow by one token each time.
    fn next(&mut self, texts: &[Vec<i64>]) -> Result<Tensor>;

    /// Goes on with some rows, in the order given; a row may come more than once. `inputs`
    /// are those of which there still is a row, if they are not all.
    fn keep(&mut self, rows: &[i64], inputs: Option<&[i64]>) -> Result<()>;
}

/// What a search must know of the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The token before all texts.
    pub(super) start: i64,
    /// The token that ends a text.
    pub(super) end: i64,
    /// The most tokens of a text, the end included.
    pub(super) max_new_tokens: usize,
}

/// A text for each of the writer's inputs, whose numbers among all texts are `rows`: without
/// the start, and with the end if it came.
pub(super) fn search(
    writer: &mut impl Writer,
    rows: &[usize],
    limits: &Limits,
    generation: &Generation,
) -> Result<Vec<Vec<i64>>> {
    match generation.num_beams {
        1 => one_by_one(writer, rows, limits, generation),
        _ => beams::search(writer, rows.len(), limits, generation),
    }
}

fn one_by_one(
    writer: &mut impl Writer,
    rows: &[usize],
    limits: &Limits,
    generation: &Generation,
) -> Result<Vec<Vec<i64>>> {
    let mut written = vec![Vec::new(); rows.len()];
    // The places in `written` of the texts that have not ended.
    let mut places: Vec<usize> = (0..rows.len()).collect();
    let mut texts = vec![vec![limits.start]; rows.len()];
    let generator = |&row: &usize| ChaCha8Rng::seed_from_u64(mix(generation.seed, row as u64));
    let mut generators: Vec<ChaCha8Rng> = rows.iter().map(generator).collect();
    for _ in 0..limits.max_new_tokens {
        if places.is_empty() {
            break;
        }
        let logits = allowed(writer.next(&texts)?, &texts, generation)?;
        let tokens = match generation.do_sample {
            true => {
                let chances: Vec<f64> = places
                    .iter()
                    .map(|&place| generators[place].random())
                    .collect();
                draw(&logits, &chances, generation).doing("drawing tokens")?
            }
            false => {
                let best = logits.f_argmax(-1, false);
                best.and_then(Vec::<i64>::try_from)
                    .doing("choosing tokens")?
            }
        };
        let mut kept = Vec::with_capacity(places.len());
        for (row, (&place, token)) in places.iter().zip(tokens).enumerate() {
            written[place].push(token);
            texts[row].push(token);
            if token != limits.end {
                kept.push(row);
            }
        }
        if kept.len() < places.len() {
            places = kept.iter().map(|&row| places[row]).collect();
            texts = kept
                .iter()
                .map(|&row| std::mem::take(&mut texts[row]))
                .collect();
            let kept: Vec<i64> = kept.iter().map(|&row| row as i64).collect();
            writer.keep(&kept, Some(&kept))?;
        }
    }
    Ok(written)
}

/// Scores `[R, V]` of the tokens that may come after each text; of others minus infinity.
pub(super) fn allowed(
    mut scores: Tensor,
    texts: &[Vec<i64>],
    generation: &Generation,
) -> Result<Tensor> {
    let (mut rows, mut tokens) = (Vec::new(), Vec::new());
    for (row, text) in texts.iter().enumerate() {
        for token in repeating(text, generation.no_repeat_ngram_size) {
            rows.push(row as i64);
            tokens.push(token);
        }
    }
    if rows.is_empty() {
        return Ok(scores);
    }
    let mut forbid = || {
        let index = |ids: &[i64]| Tensor::f_from_slice(ids)?.f_to_device(scores.device());
        let indices = [Some(index(&rows)?), Some(index(&tokens)?)];
        let lowest = Tensor::f_full([1], f64::NEG_INFINITY, (scores.kind(), scores.device()))?;
        scores.f_index_put_(&indices, &lowest, false)
    };
    forbid().doing("forbidding tokens")
}

/// The tokens after which the last `size` tokens would have come before.
fn repeating(text: &[i64], size: usize) -> impl Iterator<Item = i64> {
    let last = match size {
        0 => None,
        _ => text.len().checked_sub(size - 1).map(|first| &text[first..]),
    };
    let windows = last.map(|last| {
        let windows = text.windows(size);
        windows.filter(move |window| window[..size - 1] == *last)
    });
    windows
        .into_iter()
        .flatten()
        .map(move |window| window[size - 1])
}

/// A token for each row of logits `[R, V]`, by numbers from 0 to below 1.
fn draw(logits: &Tensor, chances: &[f64], generation: &Generation) -> Result<Vec<i64>, TchError> {
    let lowest = f64::NEG_INFINITY;
    let size = logits.size()[1];
    // The likeliest is 0 at any temperature; others may leave the range of numbers.
    let temperature = generation.temperature.max(f32::MIN_POSITIVE.into());
    let best = logits.f_amax([-1_i64].as_slice(), true)?;
    let mut logits = logits.f_sub(&best)?.f_div_scalar(temperature)?;
    let top_k = generation.top_k as i64;
    if (1..size).contains(&top_k) {
        let (best, _) = logits.f_topk(top_k, -1, true, true)?;
        let least = best.f_narrow(1, top_k - 1, 1)?; // [R, 1]
        logits = logits.f_masked_fill(&logits.f_lt_tensor(&least)?, lowest)?;
    }
    if generation.top_p < 1.0 {
        let (sorted, order) = logits.f_sort(-1, false)?;
        let shares = sorted
            .f_softmax(-1, None::<Kind>)?
            .f_cumsum(-1, None::<Kind>)?;
        let unlikely = shares.f_le(1.0 - generation.top_p)?;
        // The likeliest may always come.
        let _ = unlikely.f_narrow(1, size - 1, 1)?.f_fill_(0.0)?;
        let unlikely = unlikely.f_scatter(1, &order, &unlikely)?;
        logits = logits.f_masked_fill(&unlikely, lowest)?;
    }
    let sums = logits
        .f_softmax(-1, Kind::Double)?
        .f_cumsum(-1, None::<Kind>)?; // [R, V]
    let chances = Tensor::f_from_slice(chances)?.f_to_device(sums.device())?;
    let ends = sums.f_narrow(1, size - 1, 1)?; // [R, 1]
    let bounds = chances.f_unsqueeze(1)?.f_mul(&ends)?;
    let below = sums
        .f_le_tensor(&bounds)?
        .f_sum_dim_intlist(-1, false, Kind::Int64)?;
    // Rounding may take the product to the end itself.
    Vec::<i64>::try_from(below.f_clamp_max(size - 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_repeat_is_found() {
        let found = |text: &[i64], size| repeating(text, size).collect::<Vec<_>>();
        assert_eq!(found(&[1, 2, 1], 0), [0; 0]);
        assert_eq!(found(&[1, 2, 1], 1), [1, 2, 1]);
        assert_eq!(found(&[1, 2, 1], 2), [2]);
        assert_eq!(found(&[1, 2, 3, 1, 2], 3), [3]);
        assert_eq!(found(&[1, 2], 3), [0; 0]);
        assert_eq!(found(&[1], 3), [0; 0]);
    }

    #[test]
    fn tokens_are_drawn_by_their_shares() {
        let logits = Tensor::from_slice(&[0.1_f64, 0.4, 0.2, 0.3])
            .log()
            .view([1, 4]);
        let drawn = |chance, generation: &Generation| {
            draw(&logits, &[chance], generation).expect("a token")[0]
        };
        let all = Generation::default();
        let tokens = [0.0, 0.09, 0.11, 0.49, 0.51, 0.69, 0.71, 0.999_999].map(|c| drawn(c, &all));
        assert_eq!(tokens, [0, 0, 1, 1, 2, 2, 3, 3]);
        let two = Generation {
            top_k: 2,
            ..Generation::default()
        };
        assert_eq!(
            [0.0, 0.57, 0.58, 0.99].map(|c| drawn(c, &two)),
            [1, 1, 3, 3]
        );
        // 0.4 and 0.3 reach less than 0.75, so that 0.2 is taken too.
        let nucleus = Generation {
            top_p: 0.75,
            ..Generation::default()
        };
        assert_eq!(
            [0.0, 0.44, 0.45, 0.66, 0.67].map(|c| drawn(c, &nucleus)),
            [1, 1, 2, 2, 3]
        );
        let logits = logits.to_kind(Kind::Float);
        for temperature in [0.01, 1e-30, 1e-300] {
            let cold = Generation {
                temperature,
                ..Generation::default()
            };
            let drawn = [0.01, 0.5, 0.99].map(|c| draw(&logits, &[c], &cold).expect("a token")[0]);
            assert_eq!(drawn, [1, 1, 1]);
        }
    }
}
