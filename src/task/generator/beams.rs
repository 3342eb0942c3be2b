//! Beam search with the rules of transformers 4.57: which texts are followed, which whole
//! ones are kept, and when nothing can become better. Each input has its own beams, so that
//! what is written about it does not depend on the others.

use tch::{Kind, TchError, Tensor};

use super::generation::{Generation, StopBeams};
use super::search::{Limits, Writer, allowed};
use crate::error::{Result, TorchContext};

/// The score of a text that is not there; any that is has a higher one.
const NO_TEXT: f32 = -1e9;

/// Texts about one input; all that are followed have the same length.
#[derive(Debug)]
struct Beams {
    followed: Vec<Hypothesis>,
    /// Whole texts, the best first; at most as many as beams.
    whole: Vec<Hypothesis>,
}

#[derive(Debug, Clone)]
struct Hypothesis {
    /// With the start.
    text: Vec<i64>,
    /// The sum of the tokens' log-probabilities; of a whole text divided by its length's
    /// power.
    score: f32,
}

/// One more token for a text that is followed.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    beam: usize,
    token: i64,
    score: f32,
}

/// The best text for each of the writer's inputs, as [`search`](super::search::search).
pub(super) fn search(
    writer: &mut impl Writer,
    inputs: usize,
    limits: &Limits,
    generation: &Generation,
) -> Result<Vec<Vec<i64>>> {
    let beams = generation.num_beams;
    let mut all: Vec<Beams> = (0..inputs).map(|_| Beams::new(limits, beams)).collect();
    // The inputs that the writer still has.
    let mut open: Vec<usize> = (0..inputs).collect();
    for tokens in 1..=limits.max_new_tokens {
        let followed = open.iter().flat_map(|&input| &all[input].followed);
        let (texts, scores): (Vec<_>, Vec<_>) = followed
            .map(|hypothesis| (hypothesis.text.clone(), hypothesis.score))
            .unzip();
        let logits = writer.next(&texts)?;
        let shares = logits.f_log_softmax(-1, Kind::Float);
        let shares = allowed(shares.doing("scoring tokens")?, &texts, generation)?;
        let candidates = best(&shares, &scores, beams).doing("choosing tokens")?;
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        for (place, &input) in open.iter().enumerate() {
            let candidates = &candidates[place * 2 * beams..][..2 * beams];
            let parents = all[input].follow(candidates, tokens, limits, generation);
            if all[input].can_improve(tokens, limits, generation) {
                places.push(place as i64);
                rows.extend(parents.iter().map(|beam| (place * beams + beam) as i64));
            }
        }
        if places.is_empty() || tokens == limits.max_new_tokens {
            break;
        }
        let some_are_done = places.len() < open.len();
        writer.keep(&rows, some_are_done.then_some(&places[..]))?;
        open = places.iter().map(|&place| open[place as usize]).collect();
    }
    Ok(all.into_iter().map(Beams::best).collect())
}

/// For each input its `2 · beams` best continuations, the best first, by the shares `[R, V]`
/// of tokens and the scores of the texts so far.
fn best(shares: &Tensor, scores: &[f32], beams: usize) -> Result<Vec<Candidate>, TchError> {
    let vocab_size = shares.size()[1];
    let inputs = (scores.len() / beams) as i64;
    let scores = Tensor::f_from_slice(scores)?.f_to_device(shares.device())?;
    let sums = shares.f_add(&scores.f_unsqueeze(1)?)?;
    let sums = sums.f_reshape([inputs, beams as i64 * vocab_size])?;
    let (scores, places) = sums.f_topk(2 * beams as i64, -1, true, true)?;
    let scores = Vec::<f32>::try_from(scores.f_reshape([-1])?)?;
    let places = Vec::<i64>::try_from(places.f_reshape([-1])?)?;
    let candidate = |(place, score): (i64, f32)| Candidate {
        beam: (place / vocab_size) as usize,
        token: place % vocab_size,
        score,
    };
    Ok(places.into_iter().zip(scores).map(candidate).collect())
}

/// A sum of log-probabilities by the length of its text.
fn by_length(score: f32, tokens: usize, length_penalty: f64) -> f32 {
    score / (tokens as f64).powf(length_penalty) as f32
}

impl Beams {
    fn new(limits: &Limits, beams: usize) -> Self {
        // All begin with the same text; only the first one counts.
        let followed = (0..beams).map(|beam| Hypothesis {
            text: vec![limits.start],
            score: if beam == 0 { 0.0 } else { NO_TEXT },
        });
        Self {
            followed: followed.collect(),
            whole: Vec::new(),
        }
    }

    /// Takes in candidates, the best first, with which texts have so many tokens; returns
    /// the beam that each text now followed has come from.
    fn follow(
        &mut self,
        candidates: &[Candidate],
        tokens: usize,
        limits: &Limits,
        generation: &Generation,
    ) -> Vec<usize> {
        let beams = generation.num_beams;
        let text = |candidate: &Candidate, score| {
            let mut text = self.followed[candidate.beam].text.clone();
            text.push(candidate.token);
            Hypothesis { text, score }
        };
        let last = tokens == limits.max_new_tokens;
        // The rest of the candidates only makes up for those that end.
        for candidate in &candidates[..beams] {
            let score = by_length(candidate.score, tokens, generation.length_penalty);
            if (candidate.token == limits.end || last) && score > NO_TEXT {
                self.whole.push(text(candidate, score));
            }
        }
        let going_on = candidates.iter().filter(|next| next.token != limits.end);
        let (followed, parents) = going_on
            .take(beams)
            .map(|next| (text(next, next.score), next.beam))
            .unzip();
        self.followed = followed;
        self.whole.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.whole.truncate(beams);
        parents
    }

    /// Whether one of the texts that are followed may become better than the whole ones.
    fn can_improve(&self, tokens: usize, limits: &Limits, generation: &Generation) -> bool {
        let is_full = self.whole.len() == generation.num_beams;
        if is_full && generation.early_stopping == StopBeams::Early {
            return false;
        }
        let penalty = generation.length_penalty;
        let tokens = match generation.early_stopping {
            StopBeams::Never if penalty > 0.0 => limits.max_new_tokens,
            _ => tokens,
        };
        let best = self.followed.first().map_or(NO_TEXT, |first| first.score);
        let worst = match self.whole.last() {
            Some(worst) if is_full => worst.score,
            _ => NO_TEXT,
        };
        by_length(best, tokens, penalty) > worst
    }

    /// The best text without the start.
    fn best(mut self) -> Vec<i64> {
        let texts = match self.whole.is_empty() {
            true => &mut self.followed,
            false => &mut self.whole,
        };
        let best = texts.first_mut().map(|best| best.text.split_off(1));
        best.unwrap_or_default()
    }
}
