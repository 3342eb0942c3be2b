//! Rows by index.

use std::sync::Arc;

use bertfit::{Dataset, Subset};

/// As the trainer sees a data set.
fn rows(dataset: &dyn Dataset<Item = char>) -> String {
    let all = (0..dataset.len()).map(|index| dataset.get(index));
    all.collect::<Result<_, _>>()
        .expect("rows in memory can be read")
}

#[test]
fn everything_that_holds_rows_is_a_data_set() {
    let letters = vec!['a', 'b', 'c'];
    assert_eq!(rows(&letters), "abc");
    assert_eq!(rows(&&letters[1..]), "bc");
    assert_eq!(rows(&Arc::new(letters.clone())), "abc");
    let boxed: Box<dyn Dataset<Item = char> + '_> = Box::new(&letters);
    assert_eq!(rows(&boxed), "abc");
    assert!(!boxed.is_empty());
    assert!(Dataset::is_empty(&Vec::<char>::new()));
}

#[test]
fn a_subset_has_its_own_order() {
    let letters = vec!['a', 'b', 'c', 'd'];
    let subset = Subset::new(&letters, vec![3, 0, 3]).expect("all indexes exist");
    assert_eq!(rows(&subset), "dad");
    assert_eq!(subset.indices(), [3, 0, 3]);
    assert_eq!(rows(&Subset::first(&letters, 2)), "ab");
    assert_eq!(rows(&Subset::first(&letters, 9)), "abcd");
    let nested = Subset::new(subset, vec![1]).expect("all indexes exist");
    assert_eq!(rows(&nested), "a");
    assert!(Subset::first(&letters, 0).is_empty());
}

#[test]
fn error_of_an_index_outside_the_data_set() {
    let error = Subset::new(vec!['a', 'b'], vec![1, 2]).expect_err("2 does not exist");
    assert_eq!(
        error.to_string(),
        "`indices` must be below 2, the number of rows, got 2"
    );
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn asking_for_a_row_past_the_end_panics() {
    let _ = Dataset::get(&vec!['a'], 1);
}
