//! Files of tagged sentences: what is read, and what is refused where.

use bertfit::{Labels, SkippedRows, TaggedFile, TaggedWords};
use proptest::prelude::*;

use super::OneFile;
use super::conll_u::CONLLU;

pub fn read(name: &str, content: &str) -> Vec<TaggedWords> {
    let file = OneFile::new(name, content);
    TaggedFile::open(&file.path).read().expect("sentences")
}

pub fn refused(name: &str, content: &str, change: impl FnOnce(TaggedFile) -> TaggedFile) -> String {
    let file = OneFile::new(name, content);
    let error = change(TaggedFile::open(&file.path)).read();
    file.message(&error.expect_err("an unusable file"))
}

pub fn sentence(words: &[&str], tags: &[&str]) -> TaggedWords {
    let owned = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect();
    TaggedWords {
        words: owned(words),
        tags: owned(tags),
    }
}

#[test]
fn columns_are_between_tabs_or_runs_of_spaces() {
    let expected = [
        sentence(&["EU", "rejects"], &["B-ORG", "O"]),
        sentence(&["Peter"], &["B-PER"]),
    ];
    let spaces =
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects  VBZ B-VP O\n\n\nPeter NNP B-NP B-PER";
    assert_eq!(read("a.conll", spaces), expected);
    let tabs = "EU\tB-ORG\r\nrejects\tO\r\n\t\r\nPeter\tB-PER\r\n\r\n";
    assert_eq!(read("a.tsv", tabs), expected);
    // With tabs, other white space belongs to the word, and so does a next-line character.
    let word = "New York\u{85}\u{a0}\tB-LOC\n";
    assert_eq!(
        read("a.txt", word),
        [sentence(&["New York\u{85}\u{a0}"], &["B-LOC"])]
    );
}

#[test]
fn any_column_can_be_words_or_tags() {
    let file = OneFile::new("a.conll", "1 EU NNP B-ORG\n2 rejects VBZ O\n");
    let read = TaggedFile::open(&file.path).words(1).tags(2).read();
    assert_eq!(
        read.expect("sentences"),
        [sentence(&["EU", "rejects"], &["NNP", "VBZ"])]
    );
}

#[test]
fn json_lines_have_lists() {
    for (content, expected) in [
        (
            r#"{"words": ["a", "b c"], "tags": ["O", "B-X"]}"#,
            sentence(&["a", "b c"], &["O", "B-X"]),
        ),
        (
            r#"{"tokens": ["d"], "ner_tags": [3], "id": "0"}"#,
            sentence(&["d"], &["3"]),
        ),
    ] {
        assert_eq!(read("a.jsonl", content), [expected]);
    }
    let file = OneFile::new("a.jsonl", r#"{"w": ["a"], "t": ["O"]}"#);
    let read = TaggedFile::open(&file.path).words("w").tags("t").read();
    assert_eq!(read.expect("sentences"), [sentence(&["a"], &["O"])]);
}

#[test]
fn a_file_to_predict_needs_no_tags() {
    for (name, content, tagged) in [
        ("a.conll", "EU\nrejects\n\nPeter\n", false),
        ("a.conll", "EU B-ORG\nrejects O\n\nPeter O\n", true),
        (
            "a.jsonl",
            "{\"tokens\": [\"EU\", \"rejects\"]}\n{\"tokens\": [\"Peter\"]}\n",
            false,
        ),
    ] {
        let file = OneFile::new(name, content);
        let file = TaggedFile::open(&file.path);
        assert_eq!(file.has_tags().expect("a file"), tagged);
        let words = file.read_words().expect("words");
        assert_eq!(words, [vec!["EU", "rejects"], vec!["Peter"]]);
    }
    let file = OneFile::new("a.jsonl", "{\"words\": []}\n");
    let words = TaggedFile::open(&file.path).read_words();
    assert_eq!(words.expect("words"), [Vec::<String>::new()]);
}

#[test]
fn the_labels_are_sorted() {
    let sentences = read("a.conll", "a O\nb B-X\n\nc B-A\n");
    let labels = TaggedWords::labels(&sentences).expect("labels");
    assert_eq!(labels.names(), ["B-A", "B-X", "O"]);
}

#[test]
fn each_line_that_cannot_be_used_is_named() {
    let plain = |name: &str, content: &str| refused(name, content, |file| file);
    let cases = [
        (
            "a.conll",
            "a b O\n\nc O\n",
            "a.conll:3: expected 3 columns, found 2",
        ),
        (
            "a.conll",
            "a\tO\nb\n",
            "a.conll:2: expected 2 columns, found 1",
        ),
        (
            "a.conll",
            "a\tO\nb\t\n",
            "a.conll:2: field `1`: the tag is empty",
        ),
        (
            "a.conll",
            "a\nb\n",
            "a.conll:1: field `0`: the tag is absent, there is one column",
        ),
        (
            "a.conll",
            "\n \n\t\n-DOCSTART- O\n",
            "a.conll: there are no sentences",
        ),
        ("a.conll", "", "a.conll: there are no sentences"),
        ("a.jsonl", "", "a.jsonl: there are no sentences"),
        (
            "a.jsonl",
            "{\"tags\": []}",
            "a.jsonl:1: field `words`: absent",
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\"]}",
            "a.jsonl:1: field `tags`: absent",
        ),
        (
            "a.jsonl",
            "{\"words\": \"a b\", \"tags\": [\"O\"]}",
            "a.jsonl:1: field `words`: expected a list, found a string",
        ),
        (
            "a.jsonl",
            "\n{\"words\": [\"a\", 1], \"tags\": [\"O\", \"O\"]}",
            "a.jsonl:2: field `words`: expected a list of strings, found a number in it",
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": [\"O\", \"O\"]}",
            "a.jsonl:1: field `tags`: 2 tags for 1 words",
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": [\"\"]}",
            "a.jsonl:1: field `tags`: a tag is empty",
        ),
        (
            "a.jsonl",
            "{\"words\": [], \"tags\": []}",
            "a.jsonl:1: field `tags`: the sentence has no words",
        ),
    ];
    for (name, content, expected) in cases {
        assert_eq!(plain(name, content), expected, "{content:?}");
    }
    let labels = Labels::new(["O", "B-X"]).expect("labels");
    assert_eq!(
        refused("a.conll", "a O\nb B-Y\n", |file| file.known_labels(&labels)),
        "a.conll:2: label `B-Y` is not one of O, B-X"
    );
    assert_eq!(
        refused("a.conll", "a O\n", |file| file.words(2)),
        "a.conll:1: field `2`: the word is absent, there are 2 columns"
    );
}

#[test]
fn the_odd_tag_among_those_of_entities_is_named() {
    let problem = "marks no entity, as other tags do: expected O, or B-, I-, E-, S-, L-, U- or \
                   M- and a type";
    for (name, content, place) in [
        (
            "a.conll",
            "a B-X\nb O\n\nc Q-X\nd R-X\n",
            "a.conll:4: field `1`: `Q-X`",
        ),
        (
            "a.conll",
            "a\tNN\tperson\nb\tNN\tO\nc\tNN\tI-X\n",
            "a.conll:1: field `2`: `person`",
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\", \"b\"], \"tags\": [\"B-X\", \"O\"]}\n\
             {\"words\": [\"c\"], \"tags\": [\"o\"]}\n",
            "a.jsonl:2: field `tags`: `o`",
        ),
    ] {
        assert_eq!(
            refused(name, content, |file| file),
            format!("{place} {problem}")
        );
    }
    // Parts of speech may have any names, and so may ids.
    for content in ["a O\nb NOUN\nc X\n", "a B-X\nb I-X\nc NOUN\n", "a 0\nb 1\n"] {
        assert_eq!(read("a.conll", content).len(), 1, "{content}");
    }
}

#[test]
fn ids_are_names_where_labels_allow_it() {
    let content = "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [2, 0]}\n";
    let labels = Labels::new(["O", "B-X", "I-X"]).expect("labels").or_ids();
    let expected = [sentence(&["a", "b"], &["I-X", "O"])];
    for (name, content) in [("a.jsonl", content), ("a.tsv", "a\t2\nb\t0\n")] {
        let file = OneFile::new(name, content);
        let read = TaggedFile::open(&file.path).known_labels(&labels).read();
        assert_eq!(read.expect("sentences"), expected);
    }
    for wrong in ["3", "-1"] {
        let content = content.replace("[2,", &format!("[{wrong},"));
        assert_eq!(
            refused("a.jsonl", &content, |file| file.known_labels(&labels)),
            format!("a.jsonl:1: label `{wrong}` is not one of O, B-X, I-X")
        );
    }
}

#[test]
fn placeholders_are_no_tags() {
    let labels = Labels::new(["O", "B-X"]).expect("labels").or_ids();
    for (name, content, has, usable) in [
        ("a.tsv", "a\t\nb\t\n", true, false),
        ("a.tsv", "a\t_\nb\t_\n", true, false),
        ("a.tsv", "a\t-1\nb\t-1\n", true, false),
        ("a.tsv", "a\t_\nb\tO\n", true, true),
        ("a.tsv", "a\nb\n", false, false),
        ("a.conllu", CONLLU, true, false),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": [null]}",
            true,
            false,
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": [-1]}",
            true,
            false,
        ),
        ("a.jsonl", "{\"words\": [\"a\"], \"tags\": []}", true, false),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": null}",
            true,
            false,
        ),
        (
            "a.jsonl",
            "{\"words\": [\"a\"], \"tags\": [\"\"]}",
            true,
            false,
        ),
        ("a.jsonl", "{\"words\": [\"a\"], \"tags\": [1]}", true, true),
        ("a.jsonl", "{\"words\": [\"a\"]}", false, false),
    ] {
        let file = OneFile::new(name, content);
        let file = TaggedFile::open(&file.path).known_labels(&labels);
        assert_eq!(file.has_tags().expect("a file"), has, "{content}");
        assert_eq!(file.has_usable_tags().expect("a file"), usable, "{content}");
        file.read_words().expect("words");
    }
}

#[test]
fn sentences_that_cannot_be_used_are_left_out_and_listed() {
    let columns = "a O\nb\n\nc B-X\n\nd Q-X\n\ne O\n";
    let objects = "{\"words\": [\"a\", \"b\"], \"tags\": [\"O\"]}\nnothing\n\
                   {\"words\": [\"c\"], \"tags\": [\"B-X\"]}\n\
                   {\"words\": [\"d\"], \"tags\": [\"Q-X\"]}\n\
                   {\"words\": [\"e\"], \"tags\": [\"O\"]}\n";
    for (name, content, lines) in [
        ("a.conll", columns, vec![2, 6]),
        ("a.jsonl", objects, vec![1, 2, 4]),
    ] {
        let file = OneFile::new(name, content);
        let skipped = SkippedRows::new();
        let read = TaggedFile::open(&file.path).skip_bad_rows(&skipped).read();
        assert_eq!(
            read.expect("sentences"),
            [sentence(&["c"], &["B-X"]), sentence(&["e"], &["O"])]
        );
        let found: Vec<u64> = skipped.rows().iter().filter_map(|row| row.line).collect();
        assert_eq!(found, lines, "{name}");
    }
    // What is no text is of its sentence alone.
    let file = OneFile::new("a.conll", b"a O\nb\xff O\n\nc O\n");
    let skipped = SkippedRows::new();
    let read = TaggedFile::open(&file.path).skip_bad_rows(&skipped).read();
    assert_eq!(read.expect("sentences"), [sentence(&["c"], &["O"])]);
    assert_eq!(
        skipped.rows()[0].problem,
        "invalid UTF-8 at byte 1 of the line"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_is_read(
        sentences in prop::collection::vec(
            prop::collection::vec(("[^\t\n\r\u{feff}]{1,6}", "[BI]-[A-Z]{1,3}|O"), 1..5), 1..5,
        )
    ) {
        let expected: Vec<TaggedWords> = sentences
            .iter()
            .map(|words| TaggedWords {
                words: words.iter().map(|(word, _)| word.clone()).collect(),
                tags: words.iter().map(|(_, tag)| tag.clone()).collect(),
            })
            .collect();
        let lines = |sentence: &TaggedWords| {
            let lines = sentence.words.iter().zip(&sentence.tags);
            lines.map(|(word, tag)| format!("{word}\t{tag}\n")).collect::<String>()
        };
        let content: Vec<String> = expected.iter().map(lines).collect();
        prop_assume!(!expected.iter().any(|s| s.words[0] == "-DOCSTART-"));
        // Else such a line may be a comment, if no other word has its tag.
        prop_assume!(!expected.iter().any(|s| s.words[0].starts_with('#')));
        prop_assert_eq!(read("a.conll", &content.join("\n")), expected);
    }

    #[test]
    fn any_bytes_give_sentences_or_an_error(content: Vec<u8>, json: bool) {
        let file = OneFile::new(if json { "a.jsonl" } else { "a.conll" }, content);
        let file = TaggedFile::open(&file.path);
        let _ = file.has_tags();
        let _ = file.has_usable_tags();
        let _ = file.read_words();
        if let Ok(sentences) = file.read() {
            for sentence in sentences {
                prop_assert_eq!(sentence.words.len(), sentence.tags.len());
            }
        }
    }
}
