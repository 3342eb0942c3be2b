//! Looks over the rows before the first step, for what no step would show: labels that
//! are all the same, and rows that are learnt and then asked for.

use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hasher};

use super::warning::Warning;
use crate::data::Dataset;
use crate::encode::Collator;
use crate::error::Result;

/// Rows of the training set for each hundred of the development set that may stand in both:
/// short texts do, without harm.
const MOST_IN_BOTH: usize = 1;

/// What is wrong with the rows. Keeps eight bytes for each row of the development set;
/// of the training set, a row at a time.
pub(super) fn check_data<C: Collator>(
    collator: &C,
    train: &dyn Dataset<Item = C::Item>,
    dev: Option<&dyn Dataset<Item = C::Item>>,
) -> Result<Vec<Warning>> {
    let mut in_dev = Vec::new();
    if let Some(dev) = dev {
        in_dev.reserve(dev.len());
        for row in 0..dev.len() {
            in_dev.push(fingerprint(&dev.get(row)?));
        }
        in_dev.sort_unstable();
    }
    let mut label: Option<String> = None;
    let mut same = train.len() > 1;
    let (mut in_both, mut first) = (0, 0);
    for row in 0..train.len() {
        if in_dev.is_empty() && !same {
            break;
        }
        let item = train.get(row)?;
        if same {
            let this = collator.label(&item);
            same = this.is_some()
                && label
                    .as_ref()
                    .is_none_or(|label| Some(label) == this.as_ref());
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
        warnings.push(Warning::OneLabel { label });
    }
    if in_both > 0 && 100 * in_both >= MOST_IN_BOTH * in_dev.len() {
        let rows = in_both;
        warnings.push(Warning::TrainRowsInDev { rows, first });
    }
    Ok(warnings)
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
