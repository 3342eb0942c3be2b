//! Looks over the rows before the first step, for what no step would show: labels that
//! are all the same, and rows that are learnt and then asked for.

use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hasher};

use super::warning::Warning;
use crate::data::Dataset;
use crate::encode::Collator;
use crate::error::Result;

/// Rows of each set that are looked at; of a larger set so many, equally far apart. They
/// are read, not tokenized, and of each row of the development set 8 bytes are kept.
pub(super) const MOST_ROWS: usize = 1 << 16;

/// Rows of the training set for each hundred of the development set that may stand in both:
/// short texts do, without harm.
const MOST_IN_BOTH: usize = 1;

/// What is wrong with the rows, of which at most `most` are read in each set.
pub(super) fn check_data<C: Collator>(
    collator: &C,
    train: &dyn Dataset<Item = C::Item>,
    dev: Option<&dyn Dataset<Item = C::Item>>,
    most: usize,
) -> Result<Vec<Warning>> {
    let mut in_dev = Vec::new();
    if let Some(dev) = dev {
        for row in sample(dev.len(), most) {
            in_dev.push(fingerprint(&dev.get(row)?));
        }
        in_dev.sort_unstable();
    }
    let mut label: Option<String> = None;
    let mut same = train.len() > 1;
    let (mut looked_at, mut in_both, mut first) = (0, 0, 0);
    for row in sample(train.len(), most) {
        if in_dev.is_empty() && !same {
            break;
        }
        let item = train.get(row)?;
        looked_at += 1;
        if same {
            let this = collator.label(&item);
            same = this.is_some() && (label.is_none() || label == this);
            label = label.or(this);
        }
        if !in_dev.is_empty() && in_dev.binary_search(&fingerprint(&item)).is_ok() {
            if in_both == 0 {
                first = row;
            }
            in_both += 1;
        }
    }
    let mut warnings = Vec::new();
    if let Some(label) = label.filter(|_| same) {
        let rows = looked_at;
        warnings.push(Warning::OneLabel { label, rows });
    }
    // Of both sets the same share of the rows would be found, were they read whole.
    let share_of_train = looked_at as f64 / train.len() as f64;
    let fewest = MOST_IN_BOTH as f64 * share_of_train * in_dev.len() as f64;
    if in_both > 0 && 100.0 * in_both as f64 >= fewest {
        let rows = in_both;
        warnings.push(Warning::TrainRowsInDev {
            rows,
            first,
            looked_at,
        });
    }
    Ok(warnings)
}

/// At most `most` of so many rows, equally far apart.
fn sample(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = rows.min(most);
    (0..taken).map(move |i| (i as u128 * rows as u128 / taken as u128) as usize)
}

/// A hash of all that is in a row, as it prints.
fn fingerprint(row: &impl Debug) -> u64 {
    struct Hashed(DefaultHasher);
    impl Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashed = Hashed(DefaultHasher::new());
    // Writing to a hash cannot fail.
    let _ = write!(hashed, "{row:?}");
    hashed.0.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::data::Example;
    use crate::encode::Batch;

    #[test]
    fn samples_are_equally_far_apart_and_whole_where_they_can_be() {
        let of = |rows, most| sample(rows, most).collect::<Vec<_>>();
        assert_eq!(of(3, 4), [0, 1, 2]);
        assert_eq!(of(8, 4), [0, 2, 4, 6]);
        assert_eq!(of(10, 4), [0, 2, 5, 7]);
        assert_eq!(of(0, 4), [0_usize; 0]);
    }

    /// Knows labels, and makes no batches.
    struct Labels;

    impl Collator for Labels {
        type Item = Example;
        type Target = tch::Tensor;

        fn collate(&self, _: &[Example]) -> Result<Batch<tch::Tensor>> {
            panic!("the rows are to be read, not tokenized")
        }
        fn label(&self, row: &Example) -> Option<String> {
            Some(row.label.clone())
        }
    }

    /// So many rows, all different, of which reads are counted.
    struct Rows(usize, AtomicUsize);

    impl Dataset for Rows {
        type Item = Example;

        fn len(&self) -> usize {
            self.0
        }
        fn get(&self, row: usize) -> Result<Example> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(Example::new(format!("row {row}"), "good"))
        }
    }

    #[test]
    fn of_large_sets_a_part_is_read_and_its_warnings_say_of_how_many_rows() {
        let rows = |rows| Rows(rows, AtomicUsize::new(0));
        let (train, dev) = (rows(30_000_000), rows(1000));
        let found = check_data(&Labels, &train, Some(&dev), 100).expect("rows");
        assert_eq!((train.1.into_inner(), dev.1.into_inner()), (100, 100));
        let one_label = Warning::OneLabel {
            label: "good".to_owned(),
            rows: 100,
        };
        // The first row is read of both.
        let in_both = Warning::TrainRowsInDev {
            rows: 1,
            first: 0,
            looked_at: 100,
        };
        assert_eq!(found, [one_label, in_both]);
    }
}
