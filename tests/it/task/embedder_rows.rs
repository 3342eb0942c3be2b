//! What is made of rows for embeddings: which texts are negatives, which numbers are
//! reported, what cannot be used.

use bertfit::{BertEmbedder, Collator, EmbeddingExample, EmbeddingLoss, Error, FineTuner, Pooling};
use proptest::prelude::*;

use super::embedder::{COSENT, EUCLIDEAN, embedder, reference};
use super::embedder_training::fast;
use crate::fixture::{batch_of, tiny, without_dropout};

#[test]
fn numbers_are_reported_for_what_rows_have() {
    let model = embedder(EmbeddingLoss::default());
    let names = |rows: &Vec<EmbeddingExample>| -> Vec<String> {
        let evaluation = model.evaluate(rows).expect("an evaluation");
        evaluation.metrics.into_keys().collect()
    };
    let pairs = vec![EmbeddingExample::pair("good", "great"); 3];
    assert!(names(&pairs).is_empty());
    assert_eq!(
        names(&vec![EmbeddingExample::scored("good", "great", 1.0)]),
        ["pearson", "spearmanr"]
    );
    assert_eq!(
        names(&vec![EmbeddingExample::triplet("good", "great", "bad")]),
        ["accuracy"]
    );
    // Rows of all kinds together.
    let mut rows = pairs;
    rows.extend(reference());
    rows.push(EmbeddingExample::scored("film", "food", 0.5));
    assert_eq!(names(&rows), ["accuracy", "pearson", "spearmanr"]);
}

/// The number that a pair adds to the loss, by the formula: in a batch of `rows`, with the
/// negatives that `is_negative` names by row and candidate.
fn expected(
    model: &BertEmbedder,
    rows: &[EmbeddingExample],
    is_negative: impl Fn(usize, usize) -> bool,
) -> f64 {
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let mut candidates: Vec<&str> = rows.iter().map(|row| row.pair.as_str()).collect();
    candidates.extend(rows.iter().filter_map(|row| row.negative.as_deref()));
    let cosines = model.similarity(&texts, &candidates).expect("cosines");
    let of = |row: usize, candidate: usize| 20.0 * f64::from(cosines[[row, candidate]]);
    let losses = (0..rows.len()).map(|row| {
        let all = (0..candidates.len()).filter(|&c| c == row || is_negative(row, c));
        all.map(|c| of(row, c).exp()).sum::<f64>().ln() - of(row, row)
    });
    losses.sum::<f64>() / rows.len() as f64
}

#[test]
fn texts_that_are_known_to_be_alike_are_no_negatives_of_each_other() {
    let model = embedder(EmbeddingLoss::default());
    // Candidates: the five pairs, then the two negatives.
    let rows = vec![
        EmbeddingExample::triplet("good", "great", "bad"),
        // The pair once more, for another text.
        EmbeddingExample::pair("fine", "great"),
        // The text once more, with another pair: and that in other letters.
        EmbeddingExample::pair("GOOD", "very good"),
        // The first text as a pair.
        EmbeddingExample::pair("film", "good"),
        // A negative that is the first one's pair.
        EmbeddingExample::triplet("food", "no food", "great"),
    ];
    let left_out = [
        (0, vec![1, 2, 3, 6]),
        (1, vec![0, 6]),
        (2, vec![0, 3]),
        (3, vec![0, 2]),
        (4, vec![]),
    ];
    let batch = model
        .collator()
        .and_then(|collator| collator.collate(&rows))
        .expect("a batch");
    for (row, candidates) in &left_out {
        let like = batch.target.like.get(*row).nonzero().view([-1]);
        assert_eq!(
            Vec::<i64>::try_from(like).expect("numbers"),
            *candidates,
            "row {row}"
        );
    }
    let is_negative = |row: usize, c: usize| !left_out[row].1.contains(&(c as i64));
    let evaluation = model.evaluate(&rows).expect("an evaluation");
    assert!((evaluation.loss - expected(&model, &rows, is_negative)).abs() < 1e-4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_negative_is_a_text_that_the_row_has_itself(
        words in prop::collection::vec((0_usize..4, 0_usize..4, prop::option::of(0_usize..4)), 1..8)
    ) {
        let known = ["good", "bad", "film", "food"];
        let rows: Vec<EmbeddingExample> = words
            .iter()
            .map(|&(text, pair, negative)| EmbeddingExample {
                negative: negative.map(|word| known[word].to_owned()),
                ..EmbeddingExample::pair(known[text], known[pair])
            })
            .collect();
        let model = embedder(EmbeddingLoss::default());
        let batch = model.collator().and_then(|collator| collator.collate(&rows)).expect("a batch");
        let mut candidates: Vec<&str> = rows.iter().map(|row| row.pair.as_str()).collect();
        candidates.extend(rows.iter().filter_map(|row| row.negative.as_deref()));
        for (number, row) in rows.iter().enumerate() {
            for (place, candidate) in candidates.iter().enumerate() {
                let like = batch.target.like.int64_value(&[number as i64, place as i64]) == 1;
                if place == number {
                    prop_assert!(!like);
                } else if [&row.text, &row.pair].iter().any(|own| own == candidate) {
                    prop_assert!(like);
                }
            }
        }
    }
}

#[test]
fn a_batch_holds_no_more_tokens_than_allowed_padding_counted() {
    let model = embedder(EmbeddingLoss::default());
    let collator = model.collator().expect("a collator");
    let rows = vec![
        EmbeddingExample::triplet("good", "very good film , very good", "bad"),
        EmbeddingExample::pair("a film", "film"),
    ];
    let lengths = collator.lengths(&rows).expect("lengths");
    for (row, length) in rows.iter().zip(lengths) {
        let batch = collator
            .collate(std::slice::from_ref(row))
            .expect("a batch");
        let (count, longest) = batch.inputs.size();
        assert_eq!(length as i64, count * longest);
    }
}

#[test]
fn rows_without_anything_to_learn_from_end_no_run() {
    let one = |row: EmbeddingExample| vec![row];
    let same = EmbeddingExample::scored("good", "good", 0.5);
    for (loss, rows) in [
        // No negative; no second score; and a batch of one row among others.
        (
            EmbeddingLoss::default(),
            one(EmbeddingExample::pair("good", "great")),
        ),
        (
            EmbeddingLoss::default(),
            vec![EmbeddingExample::pair("good", "great"); 3],
        ),
        (COSENT, one(EmbeddingExample::scored("good", "great", 0.5))),
        (
            COSENT,
            vec![EmbeddingExample::scored("good", "bad", 0.5), same.clone()],
        ),
        (EmbeddingLoss::default(), reference()[..3].to_vec()),
        (COSENT, reference()[..3].to_vec()),
    ] {
        let mut model = embedder(loss);
        let report = model.fit(&rows, &rows, &fast()).expect("a run");
        assert!(report.train_loss.is_finite());
    }
    // The same text thrice: no distance is a root of zero with an infinite gradient.
    let dir = without_dropout(&tiny());
    for loss in [EUCLIDEAN, EmbeddingLoss::Cosine, EmbeddingLoss::default()] {
        let builder = BertEmbedder::builder(dir.path())
            .loss(loss)
            .pooling(Pooling::Cls);
        let model = builder.build().expect("an embedder");
        let rows = vec![
            EmbeddingExample {
                negative: Some("good".to_owned()),
                ..same.clone()
            },
            EmbeddingExample {
                negative: Some(String::new()),
                ..EmbeddingExample::scored("", "", 0.0)
            },
        ];
        let batch = batch_of(&model, &rows);
        let vectors = model.logits(&batch.inputs, true).expect("vectors");
        let loss = model.loss(&vectors, &batch.target).expect("a loss");
        loss.sum.backward();
        for (name, weight) in model.backbone().named_variables() {
            let finite = weight.grad().isfinite().all();
            assert!(bool::try_from(finite).expect("a bool"), "{name}");
        }
    }
}

#[test]
fn rows_that_the_loss_cannot_use_are_named() {
    let good = EmbeddingExample {
        score: Some(1.0),
        ..EmbeddingExample::triplet("a", "b", "c")
    };
    let with = |score: Option<f32>| EmbeddingExample {
        score,
        ..good.clone()
    };
    let without_negative = EmbeddingExample {
        negative: None,
        ..good.clone()
    };
    for (loss, row, expected) in [
        (
            EmbeddingLoss::Cosine,
            with(None),
            "field `score`: absent, but the loss compares with it",
        ),
        (
            EmbeddingLoss::Cosine,
            with(Some(4.5)),
            "field `score`: expected a number from -1 to 1, as a cosine is, found 4.5",
        ),
        (COSENT, with(None), "field `score`: absent"),
        (
            COSENT,
            with(Some(f32::NAN)),
            "field `score`: NaN is not a finite number",
        ),
        (
            EmbeddingLoss::default(),
            with(Some(f32::INFINITY)),
            "field `score`: inf is not a finite number",
        ),
        (
            EUCLIDEAN,
            without_negative,
            "field `negative`: absent, but the loss compares with it",
        ),
    ] {
        let rows = vec![good.clone(), good.clone(), row];
        let mut model = embedder(loss);
        for error in [
            model.evaluate(&rows).expect_err("an unusable row"),
            model
                .fit(&rows, &rows, &fast())
                .expect_err("an unusable row"),
        ] {
            let message = error.to_string();
            assert!(
                message.starts_with("row 2: ") && message.contains(expected),
                "{message}"
            );
        }
    }
    for (loss, field) in [
        (EmbeddingLoss::MultipleNegatives { scale: 0.0 }, "scale"),
        (EmbeddingLoss::CoSent { scale: f64::NAN }, "scale"),
        (
            EmbeddingLoss::Triplet {
                distance: bertfit::TripletDistance::Cosine,
                margin: -1.0,
            },
            "margin",
        ),
    ] {
        match BertEmbedder::builder(tiny()).loss(loss).build() {
            Err(Error::Config { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{other:?}"),
        }
    }
}
