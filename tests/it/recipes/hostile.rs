//! Files that cannot be used: each recipe ends before any work, and says which file, which
//! line or row of it, and which field.

use super::{Bench, model};

const SQUAD: &str =
    r#"{"data": [{"paragraphs": [{"context": "the film was good", "qas": [QAS]}]}]}"#;
const RIGHT: &str =
    r#"{"id": "a", "question": "what ?", "answers": [{"text": "film", "answer_start": 4}]}"#;

fn squad(qas: &str) -> String {
    SQUAD.replace("QAS", qas)
}

/// Each recipe with these files must fail with status 1 and these words.
#[track_caller]
fn fails(files: &[(&str, &str)], cases: &[(&str, &str)]) {
    let bench = Bench::new(files);
    let model = model();
    for (words, expected) in cases {
        let (recipe, words) = words.split_once(' ').expect("a recipe");
        let words = format!("--model {model} --out @run --overwrite --quiet {words}");
        let (code, errors) = bench.fails(recipe, &words);
        assert_eq!(code, 1, "{recipe} {words}: {errors}");
        assert!(errors.contains(expected), "{recipe} {words}: {errors}");
        assert!(
            !bench.0.path().join("run/model.safetensors").exists(),
            "{recipe} {words}: there was work"
        );
    }
}

#[test]
fn questions_and_answers() {
    let shifted = RIGHT.replace("\"answer_start\": 4", "\"answer_start\": 5");
    let empty = RIGHT.replace("what ?", " ");
    let long = RIGHT.replace("what ?", &"what ".repeat(100));
    let long = squad(&format!("{RIGHT}, {}", long.replace("\"a\"", "\"b\"")));
    let none = r#"{"id": "a", "question": "what ?"}"#;
    fails(
        &[
            ("good.json", &squad(RIGHT)),
            ("shifted.json", &squad(&shifted)),
            ("twice.json", &squad(&format!("{RIGHT}, {RIGHT}"))),
            ("empty.json", &squad(&empty)),
            ("long.json", &long),
            ("none.json", &squad(none)),
        ],
        &[
            (
                "question_answering --train @shifted.json",
                "shifted.json: data[0].paragraphs[0].qas[0] (`a`): the answer `film` does not \
                 stand at character 5, but at 4",
            ),
            (
                "question_answering --train @good.json --dev @twice.json",
                "twice.json: data[0].paragraphs[0].qas[1] (`a`): an earlier question has the \
                 same id",
            ),
            (
                "question_answering --train @good.json --test @empty.json",
                "empty.json: data[0].paragraphs[0].qas[0] (`a`): the question is empty",
            ),
            (
                "question_answering --train @long.json --max-length 32 --doc-stride 8",
                "long.json: row 1: field `question`: the 100 tokens of `b` leave too little room",
            ),
            (
                "question_answering --train @good.json --dev @long.json --max-length 32 \
                 --doc-stride 8",
                "long.json: row 1: field `question`: the 100 tokens of `b` leave too little room",
            ),
            (
                "question_answering --train @none.json",
                "none.json: no question has an answer to learn",
            ),
        ],
    );
}

#[test]
fn tagged_words() {
    fails(
        &[
            ("good.conll", "the O\nfilm B-WORK\n"),
            ("unknown.conll", "the O\n\nfilm B-FILM\n"),
            ("odd.conll", "the O\nfilm B-WORK\n\nwas B_WORK\n"),
            ("ragged.conll", "the O\nfilm\n"),
        ],
        &[
            (
                "token_classification --train @good.conll --test @unknown.conll",
                "unknown.conll:3: label `B-FILM` is not one of B-WORK, O (--labels",
            ),
            (
                "token_classification --train @odd.conll",
                "odd.conll:4: field `1`: `B_WORK` marks no entity, as other tags do",
            ),
            (
                "token_classification --train @good.conll --dev @ragged.conll",
                "ragged.conll:2: expected 2 columns, found 1",
            ),
        ],
    );
}

#[test]
fn labelled_texts() {
    fails(
        &[
            ("good.tsv", "text\tlabel\na\tx\nb\ty\n"),
            ("one.tsv", "text\tlabel\na\tx\nb\tx\n"),
            ("unknown.tsv", "text\tlabel\na\tx\nb\tz\n"),
            ("number.tsv", "text\tlabel\na\t1.5\nb\t2\n"),
            ("numbers.tsv", "text\tlabel\na\t1.5,2\nb\t2,1\n"),
            ("empty.tsv", "text\tlabel\na\t\nb\ty\n"),
        ],
        &[
            (
                "text_classification --train @one.tsv",
                "`labels` must be at least 2 classes, got only `x`",
            ),
            (
                "text_classification --train @good.tsv --test @unknown.tsv",
                "unknown.tsv:3: label `z` is not one of x, y",
            ),
            (
                "text_classification --train @number.tsv --dev @numbers.tsv",
                "numbers.tsv:2: field `label`: 2 numbers, the model has 1",
            ),
            (
                "text_generation --train @good.tsv --dev @empty.tsv",
                "empty.tsv:2: field `label`: the label is empty",
            ),
        ],
    );
}

#[test]
fn endings_texts_and_pairs() {
    let good = r#"{"question": "a", "endings": ["b", "c"], "label": 1}"#;
    let unlabelled = format!(
        "{good}\n{}\n",
        r#"{"question": "a", "endings": ["b", "c"]}"#
    );
    fails(
        &[
            ("good.jsonl", good),
            ("unlabelled.jsonl", &unlabelled),
            ("none.txt", "\u{1}\n\u{2}\n"),
            ("good.txt", "good film\n"),
            ("pairs.tsv", "a\tb\tscore\nx\ty\t4\nx\ty\t-9\n"),
        ],
        &[
            (
                "multiple_choice --train @unlabelled.jsonl",
                "unlabelled.jsonl:2: field `label`: absent",
            ),
            (
                "multiple_choice --train @good.jsonl --test @unlabelled.jsonl",
                "unlabelled.jsonl:2: field `label`: absent",
            ),
            (
                "masked_lm --train @good.txt --dev @none.txt",
                "none.txt: `texts` must be at least one with a token, got none",
            ),
            (
                "sentence_embeddings --train @pairs.tsv --text-column a --pair-column b \
                 --label-column score",
                "pairs.tsv: row 1: field `score`: expected a number from -1 to 1",
            ),
        ],
    );
}
