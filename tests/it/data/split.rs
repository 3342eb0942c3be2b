//! Training and development parts.

use std::collections::BTreeMap;

use bertfit::{DevSize, Example, stratified_split, train_dev_split};
use proptest::prelude::*;

fn counts(labels: &[u8], rows: &[usize]) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    for &row in rows {
        *counts.entry(labels[row]).or_default() += 1;
    }
    counts
}

proptest! {
    #[test]
    fn each_row_is_in_one_part_and_each_class_keeps_its_share(
        labels in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), 0_u8..12], 2..300),
        share in 0.01..0.99_f64,
        seed: u64,
    ) {
        let asked = (share * labels.len() as f64).round();
        let Ok((train, dev)) = stratified_split(&labels, share, seed) else {
            // Too few rows for two parts, or only classes of one row.
            let all: Vec<usize> = (0..labels.len()).collect();
            let spare = counts(&labels, &all).values().any(|&rows| rows > 1);
            prop_assert!(asked < 1.0 || asked >= labels.len() as f64 || !spare);
            return Ok(());
        };
        prop_assert!(train.is_sorted() && dev.is_sorted());
        let mut all = [train.clone(), dev.clone()].concat();
        all.sort();
        prop_assert_eq!(&all, &(0..labels.len()).collect::<Vec<_>>());

        let (whole, held_out) = (counts(&labels, &all), counts(&labels, &dev));
        for (label, rows) in whole {
            let own = held_out.get(&label).copied().unwrap_or_default();
            let exact = rows as f64 * asked / labels.len() as f64;
            prop_assert!((own as f64 - exact).abs() < 1.0, "{own} of {rows} for {exact}");
            prop_assert!(own < rows, "class {label} has nothing to train on");
        }
        prop_assert!(dev.len() as f64 <= asked);
        prop_assert_eq!(stratified_split(&labels, share, seed).expect("as before"), (train, dev));
    }
}

/// 60 rows of class 0, 30 of 1, 10 of 2, mixed.
fn hundred() -> Vec<u8> {
    (0..100)
        .map(|row| [0, 0, 1, 0, 0, 1, 0, 2, 1, 0][row % 10])
        .collect()
}

#[test]
fn the_size_is_met_exactly_where_no_class_is_too_small() {
    let labels = hundred();
    for (dev, expected) in [
        (DevSize::Fraction(0.1), [6, 3, 1]),
        (DevSize::Rows(20), [12, 6, 2]),
        (DevSize::Rows(15), [9, 5, 1]), // 9, 4.5, 1.5: class 1 first among equals
        (DevSize::Rows(99), [59, 29, 9]), // asked 99, but each class keeps one row
    ] {
        let (_, rows) = stratified_split(&labels, dev, 1).expect("enough rows");
        assert_eq!(
            counts(&labels, &rows).into_values().collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn the_largest_remainders_get_the_rows_that_are_left_over() {
    let dev = |sizes: &[usize], dev: usize| -> Vec<usize> {
        let labels: Vec<usize> = (0..sizes.len())
            .flat_map(|class| vec![class; sizes[class]])
            .collect();
        let (_, rows) = stratified_split(&labels, dev, 0).expect("enough rows");
        let of = |class| rows.iter().filter(|&&row| labels[row] == class).count();
        (0..sizes.len()).map(of).collect()
    };
    assert_eq!(dev(&[70, 26, 4], 10), [7, 3, 0]); // 7, 2.6, 0.4
    assert_eq!(dev(&[4, 26, 70], 10), [0, 3, 7]);
    // 1 exactly, and five times 0.2 of a class with a single row
    assert_eq!(dev(&[5, 1, 1, 1, 1, 1], 2), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_class_with_one_row_is_trained_on() {
    let labels = ["a", "a", "b", "a", "a"];
    for seed in 0..20 {
        let (train, dev) = stratified_split(&labels, 2_usize, seed).expect("enough rows");
        assert!(train.contains(&2));
        assert_eq!(dev.len(), 2);
    }
}

/// Written down once: a split must never change from version to version.
#[test]
fn a_seed_means_the_same_rows_for_ever() {
    let dev = |seed| {
        stratified_split(&hundred(), 0.1, seed)
            .expect("enough rows")
            .1
    };
    assert_eq!(dev(42), [7, 19, 38, 42, 46, 49, 63, 82, 84, 91]);
    assert_eq!(dev(43), [8, 14, 17, 19, 30, 44, 65, 68, 71, 84]);
}

#[test]
fn examples_keep_their_order() {
    let examples: Vec<Example> = (0..20)
        .map(|row| Example::new(row.to_string(), "x"))
        .collect();
    let (train, dev) = train_dev_split(examples, 5_usize, 3).expect("enough rows");
    let rows = |part: &[Example]| -> Vec<usize> {
        part.iter()
            .map(|example| example.text.parse().expect("a number"))
            .collect()
    };
    let expected = stratified_split(&["x"; 20], 5_usize, 3).expect("enough rows");
    assert_eq!((rows(&train), rows(&dev)), expected);
}

#[test]
fn error_of_a_size_that_leaves_a_part_empty() {
    let message = |labels: &[&str], dev: DevSize| {
        stratified_split(labels, dev, 0)
            .expect_err("no two parts")
            .to_string()
    };
    let four = ["a", "a", "b", "b"];
    for (share, got) in [(0.0, "0"), (1.0, "1"), (-0.5, "-0.5"), (f64::NAN, "NaN")] {
        let expected = format!("`dev` must be above 0 and below 1, got {got}");
        assert_eq!(message(&four, DevSize::Fraction(share)), expected);
    }
    for (dev, got) in [
        (DevSize::Fraction(0.1), "0 of 4 rows"),
        (DevSize::Fraction(0.9), "4 of 4 rows"),
        (DevSize::Rows(0), "0 of 4 rows"),
        (DevSize::Rows(5), "5 of 4 rows"),
    ] {
        let expected = format!("`dev` must be such that both parts have rows, got {got}");
        assert_eq!(message(&four, dev), expected);
    }
    let expected = "`dev` must be such that both parts have rows, got 0 of 0 rows";
    assert_eq!(message(&[], DevSize::Fraction(0.5)), expected);
    let expected =
        "`dev` must be such that some class can spare a row, got 1 of 3 rows in 3 classes";
    assert_eq!(message(&["a", "b", "c"], DevSize::Rows(1)), expected);
}
