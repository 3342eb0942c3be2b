//! The question answerer as a user meets it, and against transformers and rust-bert.

use std::collections::BTreeSet;

use bertfit::tch::Tensor;
use bertfit::{
    BertQuestionAnswerer, Collator, Error, FineTuner, QaExample, SquadMetrics, TrainConfig,
};
use proptest::prelude::*;
use rust_bert::pipelines::common::{ModelResource, ModelType};
use rust_bert::pipelines::question_answering::{
    QaInput, QuestionAnsweringConfig, QuestionAnsweringModel,
};
use rust_bert::resources::LocalResource;
use serde_json::Value;

use super::parity::{batch_equals, transformers_loads};
use crate::fixture::{data, minilm, tiny};

/// The questions that transformers' numbers belong to; their rows are equally long.
fn reference() -> Vec<QaExample> {
    let text = std::fs::read_to_string(data("task/question_answering.json")).expect("a file");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let example = |row: &Value| {
        let text = |name: &str| row[name].as_str().expect("a text");
        let question = QaExample::new(text("id"), text("question"), text("context"));
        match row["answer"].as_str() {
            Some(answer) => {
                let start = row["start"].as_u64().expect("a number") as usize;
                question.with_answer(answer, start)
            }
            None => question,
        }
    };
    rows.iter().map(example).collect()
}

fn of_transformers() -> BertQuestionAnswerer {
    BertQuestionAnswerer::load(data("task/question_answering")).expect("a question answerer")
}

fn answerer() -> BertQuestionAnswerer {
    let builder = BertQuestionAnswerer::builder(tiny())
        .max_length(24)
        .doc_stride(6);
    builder.build().expect("a question answerer")
}

fn both(logits: &Tensor) -> Vec<(&'static str, Tensor)> {
    vec![
        ("start_logits", logits.select(-1, 0)),
        ("end_logits", logits.select(-1, 1)),
    ]
}

#[test]
fn a_batch_gives_the_numbers_of_transformers() {
    batch_equals(&of_transformers(), &reference(), "question_answering", both);
}

#[test]
fn transformers_loads_a_saved_question_answerer() {
    let real = BertQuestionAnswerer::builder(minilm())
        .build()
        .expect("a model");
    for model in [of_transformers(), real] {
        transformers_loads(&model, &reference(), "AutoModelForQuestionAnswering", both);
    }
}

#[test]
fn rust_bert_loads_a_saved_question_answerer() {
    let answerer = BertQuestionAnswerer::builder(minilm())
        .n_best(100)
        .build()
        .expect("a model");
    // It reads without segments; here both have the same embedding.
    let segments =
        &answerer.backbone().named_variables()["bert.embeddings.token_type_embeddings.weight"];
    bertfit::tch::no_grad(|| segments.get(1).copy_(&segments.get(0)));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    answerer.save_for_rust_bert(&saved).expect("a saved model");
    let file = |name: &str| LocalResource {
        local_path: saved.join(name),
    };
    let config = QuestionAnsweringConfig::new(
        ModelType::Bert,
        ModelResource::Torch(Box::new(file("model.safetensors"))),
        file("config.json"),
        file("vocab.txt"),
        None::<LocalResource>,
        true,
        None,
        None,
    );
    let model = QuestionAnsweringModel::new(config).expect("rust-bert's pipeline");
    let question = "Where does Amy live?";
    let context = "Amy lives in Amsterdam, which is a city.";
    let input = QaInput {
        question: question.to_owned(),
        context: context.to_owned(),
    };
    let theirs = model.predict(&[input], 1, 32).remove(0).remove(0);
    let ours = answerer
        .predict(&[QaExample::new("1", question, context)])
        .expect("an answer");
    assert_eq!(ours[0].text, theirs.answer.trim());
    assert_eq!((ours[0].start, ours[0].end), (theirs.start, theirs.end));
}

#[test]
fn an_answer_is_learnt_and_found_where_it_stands() {
    let example = |context: &str, answer: &str| {
        let byte = context.find(answer).expect("an answer");
        let start = context[..byte].chars().count();
        QaExample::new(context, "what was good ?", context).with_answer(answer, start)
    };
    let rows = [
        example("the film was good", "film"),
        example("very good food", "food"),
        example("💙 it was very good food", "food"),
        example("it was a good film", "film"),
    ];
    let mut answerer = answerer();
    let config = TrainConfig {
        epochs: 60.0,
        learning_rate: 3e-3,
        ..TrainConfig::default()
    };
    let report = answerer
        .fit(&rows.to_vec(), &rows.to_vec(), &config)
        .expect("a run");
    assert_eq!(report.best_metric, Some(100.0));
    let answers = answerer.predict(&rows).expect("answers");
    for (answer, row) in answers.iter().zip(&rows) {
        let right = &row.answers[0];
        assert_eq!(
            (&answer.text, Some(answer.start)),
            (&right.text, right.start)
        );
        assert!(answer.score > 0.0 && answer.score <= 1.0);
    }
    let evaluation = answerer.evaluate(&rows.to_vec()).expect("an evaluation");
    assert_eq!(evaluation.metrics["exact_match"], 100.0);
    assert!(!evaluation.metrics.contains_key("NoAns_f1"));

    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    answerer.save(&saved).expect("a saved model");
    let again = BertQuestionAnswerer::load(&saved).expect("a question answerer");
    assert_eq!(again.predict(&rows).expect("answers"), answers);
}

#[test]
fn no_answer_is_an_answer_too() {
    let mut rows: Vec<QaExample> = Vec::new();
    for context in ["the film was good", "good food", "it was good"] {
        let start = context.find("good").expect("an answer");
        rows.push(QaExample::new(context, "how was it ?", context).with_answer("good", start));
        let dull = context.replace("good", "dull");
        rows.push(QaExample::new(&dull[..], "how good was it ?", &dull[..]));
    }
    let builder = BertQuestionAnswerer::builder(tiny())
        .unanswerable(true)
        .max_length(24);
    let mut answerer = builder.build().expect("a question answerer");
    let config = TrainConfig {
        epochs: 60.0,
        learning_rate: 3e-3,
        ..TrainConfig::default()
    };
    let report = answerer.fit(&rows, &rows, &config).expect("a run");
    assert_eq!(answerer.null_threshold(), 0.0);
    answerer.tune_null_threshold(&rows).expect("a threshold");
    let metrics = answerer.evaluate(&rows).expect("an evaluation").metrics;
    assert!(Some(metrics["f1"]) >= report.best_metric);
    assert_eq!(metrics["f1"], 100.0);
    assert_eq!((metrics["HasAns_f1"], metrics["NoAns_f1"]), (100.0, 100.0));
    // It is of that head, and of no other.
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    answerer.save(&saved).expect("a saved model");
    let again = BertQuestionAnswerer::load(&saved).expect("a question answerer");
    assert_eq!(again.null_threshold(), answerer.null_threshold());
    let fresh = BertQuestionAnswerer::builder(&saved).fresh_head().build();
    assert_eq!(fresh.expect("a question answerer").null_threshold(), 0.0);
    let answers = answerer.predict_n_best(&rows).expect("answers");
    for (answers, row) in answers.iter().zip(&rows) {
        assert_eq!(answers[0].text.is_empty(), row.answers.is_empty());
        assert!(answers.iter().any(|answer| answer.text.is_empty()));
        let sum: f32 = answers.iter().map(|answer| answer.score).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_answer_is_a_part_of_its_context_however_long(
        contexts in prop::collection::vec("([a-zé💙.]{1,8} ){1,40}", 1..6), pick: prop::sample::Index,
    ) {
        let answerer = answerer();
        let questions: Vec<QaExample> = contexts
            .iter()
            .map(|context| {
                let words: Vec<(usize, &str)> = context.split(' ').map(|word| {
                    let byte = word.as_ptr() as usize - context.as_ptr() as usize;
                    (context[..byte].chars().count(), word)
                }).filter(|(_, word)| !word.is_empty()).collect();
                let (start, word) = words[pick.index(words.len())];
                QaExample::new(&context[..], "what ?", &context[..]).with_answer(word, start)
            })
            .collect();
        for (answers, question) in answerer.predict_n_best(&questions).expect("answers").iter().zip(&questions) {
            prop_assert!(!answers.is_empty());
            for answer in answers {
                let part: String = question.context.chars().skip(answer.start).take(answer.end - answer.start).collect();
                prop_assert_eq!(&answer.text, &part);
            }
        }
        // Every token of a context is in some window, and each answer is learnt in one at
        // least, unless it is longer than what two windows share.
        let collator = answerer.collator().expect("a collator");
        let batch = collator.collate(&questions).expect("a batch");
        prop_assert!(batch.inputs.size().1 <= 24);
        let positions = Vec::<i64>::try_from(batch.target.positions.reshape([-1])).expect("places");
        for (rows, question) in batch.target.questions.iter().zip(&questions) {
            let tokens = |row: &bertfit::Encoding| -> Vec<(usize, usize)> {
                let parts = row.sequence_ids().zip(&row.offsets);
                parts.filter(|(part, _)| *part == Some(1)).map(|(_, &offset)| offset).collect()
            };
            let seen: BTreeSet<_> = rows.rows.iter().flat_map(tokens).collect();
            let whole = answerer.backbone().tokenizer()
                .encode("what ?", Some(&question.context), 10_000, Default::default()).expect("tokens");
            prop_assert_eq!(seen, tokens(&whole).into_iter().collect());
            let mut learnt = 0;
            for (row, encoding) in rows.rows.iter().enumerate() {
                let place = 2 * (rows.first_row + row);
                let (first, last) = (positions[place] as usize, positions[place + 1] as usize);
                prop_assert!(first <= last);
                if first > 0 {
                    let answer = &question.answers[0];
                    let start = answer.start.expect("a place");
                    prop_assert_eq!(encoding.offsets[first].0, start);
                    prop_assert_eq!(encoding.offsets[last].1, start + answer.text.chars().count());
                    learnt += 1;
                }
            }
            let answer = &question.answers[0];
            let start = answer.start.expect("a place");
            let end = start + answer.text.chars().count();
            let tokens = tokens(&whole).iter().filter(|o| o.0 >= start && o.1 <= end).count();
            prop_assert!(learnt > 0 || tokens == 0 || tokens > 6, "{:?}", question);
        }
    }
}

#[test]
fn an_evaluation_scores_what_is_predicted() {
    let answerer = of_transformers();
    let questions = reference();
    let evaluation = answerer.evaluate(&questions).expect("an evaluation");
    let mut metrics = SquadMetrics::new();
    for (answer, question) in answerer
        .predict(&questions)
        .expect("answers")
        .iter()
        .zip(&questions)
    {
        let right: Vec<&str> = question
            .answers
            .iter()
            .map(|answer| answer.text.as_str())
            .collect();
        metrics.update(&answer.text, &right);
    }
    assert_eq!(evaluation.metrics, metrics.to_metrics());
}

#[test]
fn a_context_of_more_than_512_tokens_is_read_to_its_end() {
    let answerer = BertQuestionAnswerer::builder(minilm())
        .build()
        .expect("a question answerer");
    let context = format!("{}the last word is Zoë", "it was a dull film. ".repeat(130));
    let start = context.chars().count() - 3;
    let example = QaExample::new("1", "what is the last word ?", context).with_answer("Zoë", start);
    let collator = answerer.collator().expect("a collator");
    let batch = collator.collate(std::slice::from_ref(&example));
    let target = batch.expect("a batch").target;
    let rows = &target.questions[0].rows;
    assert!(rows.iter().map(bertfit::Encoding::len).sum::<usize>() > 512);
    // The last window alone shows the answer.
    let positions = Vec::<i64>::try_from(target.positions.reshape([-1])).expect("places");
    let (before, last) = positions.split_at(positions.len() - 2);
    assert!(before.iter().all(|&place| place == 0));
    let [first, end] = [last[0] as usize, last[1] as usize];
    let row = rows.last().expect("a row");
    assert_eq!(
        (row.offsets[first].0, row.offsets[end].1),
        (start, start + 3)
    );
    let answers = answerer
        .predict_n_best(std::slice::from_ref(&example))
        .expect("answers");
    for answer in &answers[0] {
        let part = example.context.chars().skip(answer.start);
        let part: String = part.take(answer.end - answer.start).collect();
        assert_eq!(answer.text, part);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let answerer = answerer();
    let good = || QaExample::new("1", "what ?", "the film").with_answer("film", 4);
    let refused = |second: QaExample| match answerer.predict(&[good(), second]) {
        Err(error @ Error::Row { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let cases = [
        (
            QaExample::new("2", " ", "film"),
            "row 1: field `question`: the question is empty",
        ),
        (
            QaExample::new("2", "what ?", ""),
            "row 1: field `question`: the context is empty",
        ),
        (
            good().with_answer("film", 3),
            "row 1: field `question`: the answer `film` does not stand at character 3, but at 4",
        ),
        (
            QaExample::new("2", "good ".repeat(20), "film ".repeat(9)),
            "row 1: field `question`: the 20 tokens of `2` leave too little room in rows of 24 that share 6",
        ),
    ];
    for (question, expected) in cases {
        assert_eq!(refused(question), expected);
    }
    let build = |change: fn(
        bertfit::BertQuestionAnswererBuilder,
    ) -> bertfit::BertQuestionAnswererBuilder| {
        let builder = BertQuestionAnswerer::builder(tiny()).max_length(24);
        change(builder)
            .build()
            .expect_err("an unusable setting")
            .to_string()
    };
    assert_eq!(
        build(|builder| builder.doc_stride(24)),
        "`doc_stride` must be below 24, the maximal length, got 24"
    );
    assert_eq!(
        build(|builder| builder.n_best(0)),
        "`n_best` must be at least 1, got 0"
    );
    assert!(BertQuestionAnswerer::load(tiny()).is_err());
}
