//! Cuts labelled rows into a training and a development part, at random by a
//! seed, such that each class keeps its share. The same seed gives the same parts
//! on every platform. Rows that belong together (the same text twice, sentences
//! of one document) are not kept together.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::example::Example;
use crate::error::{Error, Result};

/// How large the development part is to be: `0.1` and `300` both convert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DevSize {
    /// A share of all rows, above 0 and below 1, rounded to whole rows.
    Fraction(f64),
    /// A number of rows.
    Rows(usize),
}

impl From<f64> for DevSize {
    fn from(fraction: f64) -> Self {
        Self::Fraction(fraction)
    }
}

impl From<usize> for DevSize {
    fn from(rows: usize) -> Self {
        Self::Rows(rows)
    }
}

impl DevSize {
    /// The number of development rows out of `rows`, with one left for training.
    fn of(self, rows: usize) -> Result<usize> {
        let refuse = |rule: &str, got: String| Err(Error::config("dev", rule, got));
        let dev = match self {
            Self::Fraction(share) if share > 0.0 && share < 1.0 => {
                (share * rows as f64).round() as usize
            }
            Self::Fraction(share) => return refuse("above 0 and below 1", share.to_string()),
            Self::Rows(dev) => dev,
        };
        if dev == 0 || dev >= rows {
            return refuse(
                "such that both parts have rows",
                format!("{dev} of {rows} rows"),
            );
        }
        Ok(dev)
    }
}

/// Cuts rows with these labels into `(train, dev)`: indexes in ascending order,
/// each row in exactly one part.
///
/// A class gets its share of the development part to within one row (largest
/// remainder), and at least one row of each class is trained on. Only for that
/// reason `dev` may come out smaller than asked for.
///
/// # Errors
/// [`Error::Config`] when the size is out of its range, or no class can spare a
/// row.
pub fn stratified_split<L: Ord>(
    labels: &[L],
    dev: impl Into<DevSize>,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let dev_rows = dev.into().of(labels.len())?;
    let mut classes: BTreeMap<&L, Vec<usize>> = BTreeMap::new();
    for (row, label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(row);
    }
    let mut classes: Vec<Vec<usize>> = classes.into_values().collect();
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let shares = shares(&sizes, dev_rows, labels.len());

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut in_dev = vec![false; labels.len()];
    for (rows, &share) in classes.iter_mut().zip(&shares) {
        rows.shuffle(&mut random);
        for &row in &rows[..share] {
            in_dev[row] = true;
        }
    }
    let (dev, train): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&row| in_dev[row]);
    if dev.is_empty() {
        let rule = "such that some class can spare a row".to_owned();
        let got = format!(
            "{dev_rows} of {} rows in {} classes",
            labels.len(),
            sizes.len()
        );
        return Err(Error::config("dev", rule, got));
    }
    Ok((train, dev))
}

/// Cuts examples into `(train, dev)` by [`stratified_split`]; both keep the order
/// of `examples`.
///
/// # Errors
/// As [`stratified_split`].
pub fn train_dev_split(
    examples: Vec<Example>,
    dev: impl Into<DevSize>,
    seed: u64,
) -> Result<(Vec<Example>, Vec<Example>)> {
    let labels: Vec<&str> = examples
        .iter()
        .map(|example| example.label.as_str())
        .collect();
    let (_, dev) = stratified_split(&labels, dev, seed)?;
    let mut dev = dev.into_iter().peekable();
    let (mut train_part, mut dev_part) = (Vec::new(), Vec::new());
    for (row, example) in examples.into_iter().enumerate() {
        match dev.next_if_eq(&row) {
            Some(_) => dev_part.push(example),
            None => train_part.push(example),
        }
    }
    Ok((train_part, dev_part))
}

/// How many of `dev` rows each class gives, by largest remainder in whole
/// numbers; none gives its last row.
fn shares(sizes: &[usize], dev: usize, rows: usize) -> Vec<usize> {
    let quota = |size: usize| size as u128 * dev as u128;
    let whole = |size: usize| usize::try_from(quota(size) / rows as u128).unwrap_or(size);
    let mut shares: Vec<usize> = sizes.iter().map(|&size| whole(size)).collect();
    let missing = dev - shares.iter().sum::<usize>();

    let remainder = |class: usize| quota(sizes[class]) % rows as u128;
    let mut next: Vec<usize> = (0..sizes.len())
        .filter(|&class| remainder(class) > 0 && shares[class] + 1 < sizes[class])
        .collect();
    // Stable: among equal remainders the order of the labels decides.
    next.sort_by_key(|&class| std::cmp::Reverse(remainder(class)));
    for class in next.into_iter().take(missing) {
        shares[class] += 1;
    }
    shares
}
