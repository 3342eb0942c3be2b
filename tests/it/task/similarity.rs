//! Cosines of vectors, and searching a corpus.

use bertfit::ndarray::{Array2, array};
use bertfit::{BertEmbedder, Corpus, SearchHit, cosine_similarity, paired_cosine_similarity};
use proptest::prelude::*;

use crate::fixture::minilm;

#[test]
fn cosines_are_those_of_the_formula() {
    let a = array![[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]];
    let b = array![[2.0, 0.0], [0.0, -5.0], [1.0, 1.0]];
    let expected = array![
        [1.0, 0.0, 0.5_f32.sqrt()],
        [0.6, -0.8, 1.4 * 0.5_f32.sqrt()],
        [0.0, 0.0, 0.0]
    ];
    let all = cosine_similarity(a.view(), b.view());
    assert!(
        (&all - &expected)
            .iter()
            .all(|difference| difference.abs() < 1e-6),
        "{all}"
    );
    let pairs = paired_cosine_similarity(a.view(), b.view());
    assert!(
        (&pairs - &expected.diag())
            .iter()
            .all(|difference| difference.abs() < 1e-6)
    );
}

#[test]
fn the_nearest_texts_are_found() {
    let model = BertEmbedder::load(minilm()).expect("an embedder");
    let texts = [
        "The cat sits outside.",
        "A man is playing guitar.",
        "The new movie is awesome.",
        "The new film is great.",
    ];
    let corpus = Corpus::new(model.embed(&texts).expect("vectors").view());
    let queries = model.embed(&["What a film!", "music"]).expect("vectors");
    let found = corpus.search(queries.view(), 2).expect("hits");
    let rows = |hits: &[SearchHit]| -> Vec<usize> { hits.iter().map(|hit| hit.row).collect() };
    assert_eq!(rows(&found[0]), [3, 2]);
    assert_eq!(rows(&found[1])[0], 1);
    assert!(found[0][0].score >= found[0][1].score);
}

#[test]
fn a_search_may_find_less_and_never_panics() {
    let corpus = Corpus::new(array![[1.0, 0.0], [f32::NAN, 1.0], [0.0, 0.0], [2.0, 0.0]].view());
    let found = corpus.search(array![[1.0, 0.0]].view(), 10).expect("hits");
    let rows: Vec<usize> = found[0].iter().map(|hit| hit.row).collect();
    // Of equals the first one comes first, and what is no number last.
    assert_eq!(rows, [0, 3, 2, 1]);
    let none = Corpus::new(Array2::zeros((0, 2)).view());
    assert!(none.is_empty());
    assert_eq!(
        none.search(array![[1.0, 0.0]].view(), 1).expect("hits"),
        [vec![]]
    );
    let queries = Array2::zeros((0, 2));
    assert!(corpus.search(queries.view(), 1).expect("hits").is_empty());
    let error = corpus
        .search(array![[1.0]].view(), 1)
        .expect_err("another length");
    assert_eq!(
        error.to_string(),
        "`queries` must be of 2 numbers, as the corpus is, got 1"
    );
    assert!(corpus.search(array![[1.0, 0.0]].view(), 0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_search_finds_what_sorting_all_cosines_finds(
        numbers in prop::collection::vec(-3_i8..=3, 9000), top_k in 1_usize..40,
    ) {
        // More than a chunk of the corpus.
        let numbers: Vec<f32> = numbers.into_iter().map(f32::from).collect();
        let corpus = Array2::from_shape_vec((4500, 2), numbers).expect("a matrix");
        let queries = corpus.slice(bertfit::ndarray::s![..300;7, ..]).to_owned();
        let found = Corpus::new(corpus.view()).search(queries.view(), top_k).expect("hits");
        let all = cosine_similarity(queries.view(), corpus.view());
        for (hits, scores) in found.iter().zip(all.rows()) {
            let mut order: Vec<usize> = (0..4500).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            prop_assert_eq!(hits.len(), top_k);
            for (hit, &row) in hits.iter().zip(&order) {
                prop_assert!((hit.score - scores[row]).abs() < 1e-6);
            }
        }
    }
}
