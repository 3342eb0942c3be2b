//! The tagger as a user meets it, and against transformers and rust-bert.

use bertfit::{
    BertTokenClassifier, Collator, EntityMetrics, Error, FineTuner, RowProblem, TaggedFile,
    TaggedWords, TrainConfig,
};
use proptest::prelude::*;
use rust_bert::pipelines::common::{ModelResource, ModelType};
use rust_bert::pipelines::token_classification::{
    LabelAggregationOption, TokenClassificationConfig, TokenClassificationModel,
};
use rust_bert::resources::LocalResource;
use serde_json::Value;

use super::parity::{batch_equals, logits, transformers_loads};
use crate::fixture::{data, minilm, tiny};

fn tagged(words: &str, tags: &str) -> TaggedWords {
    let split = |text: &str| text.split(' ').map(str::to_owned).collect();
    TaggedWords {
        words: split(words),
        tags: split(tags),
    }
}

/// The sentences that transformers' numbers belong to.
fn reference() -> Vec<TaggedWords> {
    let text = std::fs::read_to_string(data("task/token_classification.json")).expect("a file");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().expect("a list").iter();
        items
            .map(|item| item.as_str().expect("a string").to_owned())
            .collect()
    };
    rows.iter()
        .map(|row| TaggedWords {
            words: list(&row["words"]),
            tags: list(&row["tags"]),
        })
        .collect()
}

fn of_transformers() -> BertTokenClassifier {
    BertTokenClassifier::load(data("task/token_classification")).expect("a tagger")
}

fn tagger() -> BertTokenClassifier {
    let labels = ["B-PER", "I-PER", "O"];
    let builder = BertTokenClassifier::builder(tiny()).labels(labels);
    builder.max_length(16).overlap(6).build().expect("a tagger")
}

#[test]
fn a_batch_gives_the_numbers_of_transformers() {
    let model = of_transformers();
    assert_eq!(model.labels().names(), ["B-PER", "B-WORK", "I-WORK", "O"]);
    batch_equals(&model, &reference(), "token_classification", |logits| {
        // Logits of padding mean nothing; here the second row has some.
        let expected = crate::fixture::tensors(data("task/token_classification.safetensors"));
        let here = |name: &str| expected[name].to_device(logits.device());
        let mask = here("attention_mask").unsqueeze(-1);
        let padding = 1 - &mask;
        vec![("logits", logits * &mask + here("logits") * padding)]
    });
}

#[test]
fn transformers_loads_a_saved_tagger() {
    let items = reference();
    transformers_loads(
        &of_transformers(),
        &items,
        "AutoModelForTokenClassification",
        logits,
    );
    let labels = ["B-PER", "B-WORK", "I-WORK", "O"];
    let real = BertTokenClassifier::builder(minilm()).labels(labels);
    let real = real.build().expect("a tagger");
    transformers_loads(&real, &items, "AutoModelForTokenClassification", logits);
}

#[test]
fn rust_bert_loads_a_saved_tagger() {
    let labels = ["B-PER", "I-PER", "B-LOC", "O"];
    let tagger = BertTokenClassifier::builder(minilm())
        .labels(labels)
        .build();
    let tagger = tagger.expect("a tagger");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    tagger.save(&saved).expect("a saved model");
    let file = |name: &str| LocalResource {
        local_path: saved.join(name),
    };
    let model = TokenClassificationModel::new(TokenClassificationConfig::new(
        ModelType::Bert,
        ModelResource::Torch(Box::new(file("model.safetensors"))),
        file("config.json"),
        file("vocab.txt"),
        None::<LocalResource>,
        true,
        None,
        None,
        LabelAggregationOption::First,
    ))
    .expect("rust-bert's pipeline");
    let text = "Ada Lovelace met Charles Babbage near Trafalgar Square in London";
    let theirs = model.predict(&[text], true, false).remove(0);
    let words: Vec<&str> = text.split(' ').collect();
    let ours = tagger
        .predict(std::slice::from_ref(&words))
        .expect("tags")
        .remove(0);
    assert_eq!(theirs.len(), words.len());
    let mut compared = 0;
    for ((ours, theirs), word) in ours.iter().zip(&theirs).zip(words) {
        assert_eq!(theirs.label, ours.label, "{word}");
        // Of a word of several tokens it multiplies their probabilities.
        let tokenizer = tagger.backbone().tokenizer();
        if tokenizer.encode_words(&[word], 64).expect("tokens").len() == 3 {
            let difference = theirs.score - f64::from(ours.score);
            assert!(difference.abs() < 1e-5, "{word}: {difference}");
            compared += 1;
        }
    }
    assert!(compared > 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_word_gets_a_tag_and_is_learnt_once_however_long_the_sentence(
        sentences in prop::collection::vec(
            prop::collection::vec("good|film|unbelievabl[ey]{1,30}|\u{200b}|\u{7}|[a-zé.]{0,9}", 0..60), 1..6,
        )
    ) {
        let tagger = tagger();
        let tags = tagger.predict(&sentences).expect("tags");
        prop_assert_eq!(tags.len(), sentences.len());
        for (tags, words) in tags.iter().zip(&sentences) {
            prop_assert_eq!(tags.len(), words.len());
        }
        let rows: Vec<TaggedWords> = sentences
            .iter()
            .map(|words| TaggedWords { words: words.clone(), tags: vec!["O".to_owned(); words.len()] })
            .collect();
        let collator = tagger.collator().expect("a collator");
        let batch = collator.collate(&rows).expect("a batch");
        prop_assert!(batch.inputs.size().1 <= 16);
        let learnt = batch.target.labels.ge(0).sum(bertfit::tch::Kind::Int64).int64_value(&[]);
        prop_assert_eq!(learnt, batch.target.count() as i64);
        let whole = |word: &String| {
            let encoding = tagger.backbone().tokenizer().encode_words(&[word], 100);
            encoding.expect("an encoding").len() > 2
        };
        let seen = sentences.iter().flatten().filter(|word| whole(word)).count();
        prop_assert_eq!(batch.target.count(), seen);
    }
}

#[test]
fn a_window_shows_what_stands_around_a_word() {
    // In one row, and in windows that all show the same two words: the tags of a sentence
    // that repeats itself are the same in its middle.
    let tagger = tagger();
    let words = ["good", "film"].repeat(30);
    let windows = tagger
        .predict(std::slice::from_ref(&words))
        .expect("tags")
        .remove(0);
    let (first, second) = (&windows[28], &windows[29]);
    for pair in windows[20..40].chunks(2) {
        assert_eq!(pair[0].label, first.label);
        assert_eq!(pair[1].label, second.label);
    }
    let short = tagger
        .predict(&[words[..6].to_vec()])
        .expect("tags")
        .remove(0);
    assert_eq!(short.len(), 6);
}

#[test]
fn entities_stand_where_they_are_in_the_text() {
    let sentences = [
        tagged("the film was good", "O O O O"),
        tagged("Zoë likes good food", "B-PER O O O"),
        tagged("it was bad , Zoë", "O O O O B-PER"),
        tagged("💙 very good , Zoë Zoë", "O O O O B-PER I-PER"),
        tagged("Zoë Zoë likes the film", "B-PER I-PER O O O"),
        tagged("it was Zoë Zoë", "O O B-PER I-PER"),
    ];
    let mut tagger = tagger();
    let config = TrainConfig {
        epochs: 40.0,
        learning_rate: 3e-3,
        ..TrainConfig::default()
    };
    let report = tagger.fit(&sentences.to_vec(), &sentences.to_vec(), &config);
    assert_eq!(report.expect("a run").best_metric, Some(1.0));
    let text = "💙 very good , Zoë Zoë";
    let found = tagger.entities(&[text, "", "the film"]).expect("entities");
    assert_eq!(found[1..], [vec![], vec![]]);
    let entity = &found[0][0];
    assert_eq!(
        (found[0].len(), entity.label.as_str()),
        (1, "PER"),
        "{found:?}"
    );
    assert_eq!(entity.text, "Zoë Zoë");
    let characters: String = text
        .chars()
        .skip(entity.start)
        .take(entity.end - entity.start)
        .collect();
    assert_eq!(characters, entity.text);
    assert!(entity.score > 0.5);
}

#[test]
fn an_evaluation_counts_the_tags_that_are_predicted() {
    let tagger = of_transformers();
    let sentences = reference();
    let evaluation = tagger.evaluate(&sentences).expect("an evaluation");
    let mut metrics = EntityMetrics::new();
    for sentence in &sentences {
        let tags = tagger
            .predict(std::slice::from_ref(&sentence.words))
            .expect("tags")
            .remove(0);
        let tags: Vec<_> = tags.into_iter().map(|tag| tag.label).collect();
        metrics.update(&tags, &sentence.tags).expect("counts");
    }
    assert_eq!(evaluation.metrics, metrics.to_metrics());
    assert_eq!(evaluation.samples, 3);
}

#[test]
fn parts_of_speech_are_counted_by_word() {
    let labels = ["NOUN", "VERB", "DET"];
    let tagger = BertTokenClassifier::builder(tiny())
        .labels(labels)
        .build()
        .expect("a tagger");
    let evaluation = tagger.evaluate(&vec![tagged("the film was", "DET NOUN VERB")]);
    let metrics = evaluation.expect("an evaluation").metrics;
    assert!(metrics.contains_key("accuracy") && metrics.contains_key("f1_macro"));
    assert_eq!(tagger.main_metric(), "accuracy");
    // Of two kinds of words, the numbers of one would be taken for those of entities.
    let tagger = BertTokenClassifier::builder(tiny()).labels(["NOUN", "VERB"]);
    let tagger = tagger.build().expect("a tagger");
    let evaluation = tagger.evaluate(&vec![tagged("film was", "NOUN VERB")]);
    let metrics = evaluation.expect("an evaluation").metrics;
    for name in ["f1", "precision", "recall"] {
        assert!(!metrics.contains_key(name), "{metrics:?}");
    }
}

#[test]
fn words_without_tokens_are_in_no_number() {
    let tagger = tagger();
    let metrics = |sentence: TaggedWords| {
        let evaluation = tagger.evaluate(&vec![sentence]);
        evaluation.expect("an evaluation").metrics
    };
    let mut sentence = tagged("good \u{7} film x", "B-PER I-PER O B-PER");
    sentence.words[3].clear();
    assert_eq!(metrics(sentence), metrics(tagged("good film", "B-PER O")));
}

#[test]
fn a_saved_tagger_comes_back() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    let tagger = tagger();
    tagger.save(&saved).expect("a saved model");
    let again = BertTokenClassifier::load(&saved).expect("a tagger");
    let words = [vec!["good"; 40]];
    assert_eq!(
        again.predict(&words).expect("tags"),
        tagger.predict(&words).expect("tags")
    );
    // A classifier of texts can start from it; its settings are not the classifier's.
    let classifier = bertfit::BertClassifier::builder(&saved)
        .labels(["a", "b"])
        .build();
    assert_eq!(
        classifier
            .expect("a classifier")
            .encoder()
            .expect("an encoder")
            .max_length(),
        64
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let tagger = tagger();
    let collator = tagger.collator().expect("a collator");
    let good = tagged("a b", "O O");
    let refused = |second: TaggedWords| match collator.collate(&[good.clone(), second]) {
        Err(Error::Row { row: 1, problem }) => problem,
        other => panic!("{other:?}"),
    };
    let problem = refused(tagged("a b", "O"));
    assert_eq!(problem.to_string(), "field `tags`: 1 tags for 2 words");
    let problem = refused(tagged("a", "B-LOC"));
    assert!(
        matches!(problem, RowProblem::UnknownLabel { .. }),
        "{problem}"
    );

    let builder = || BertTokenClassifier::builder(tiny()).labels(["O"]);
    let error = builder()
        .max_length(16)
        .overlap(9)
        .build()
        .expect_err("too much");
    assert_eq!(
        error.to_string(),
        "`overlap` must be at most 8, half of the maximal length, got 9"
    );
    assert!(builder().max_length(65).build().is_err());
    assert!(BertTokenClassifier::load(tiny()).is_err());
    assert!(TaggedFile::open("nowhere.conll").read().is_err());
}
