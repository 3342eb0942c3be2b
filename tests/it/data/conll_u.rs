//! Comment lines, CoNLL-U, and words that look like something else in files of columns.

use bertfit::{Labels, TaggedFile};

use super::OneFile;
use super::tagged::{read, refused, sentence};

#[test]
fn comments_are_told_from_words_by_their_columns() {
    let expected = [
        sentence(&["Aufgrund", "seiner"], &["O", "B-PER"]),
        sentence(&["good"], &["O"]),
    ];
    for content in [
        // Another number of columns: GermEval, CoNLL files of many kinds.
        "#\thttp://example.org [2009]\nAufgrund\tx\tO\nseiner\tx\tB-PER\n\n# b\ngood\tx\tO\n",
        "# sent_id = 1\n# text = a\nAufgrund O\nseiner B-PER\n\n\n# sent_id = 2\ngood O\n",
        "#\n\n# a b c d e\nAufgrund x O\nseiner x B-PER\n\n#x\ngood x O\n\n# the end\n",
        // The same number, and a tag that no word has: MultiCoNER.
        "# id 1 domain=en\nAufgrund _ _ O\nseiner _ _ B-PER\n\n# id 2 domain=de\ngood _ _ O\n",
        "# id 1\tdomain=en\nAufgrund\tO\nseiner\tB-PER\n\n# id 2\tdomain=de\ngood\tO\n",
    ] {
        assert_eq!(read("a.conll", content), expected, "{content}");
        let file = OneFile::new("a.conll", content);
        let file = TaggedFile::open(&file.path);
        assert!(file.has_tags().expect("a file"));
        let words = file.read_words().expect("words");
        assert_eq!(words, [vec!["Aufgrund", "seiner"], vec!["good"]]);
    }
    // Words: with a tag that others have, within a sentence, or where there is nothing else.
    for (content, words, tags) in [
        ("#love O\nit O\n", vec!["#love", "it"], vec!["O", "O"]),
        ("# O\n1 O\n", vec!["#", "1"], vec!["O", "O"]),
        (
            "is VB\n# #\n1 CD\n",
            vec!["is", "#", "1"],
            vec!["VB", "#", "CD"],
        ),
        ("# #\n1 CD\n\nx VB\n# #\n", vec!["#", "1"], vec!["#", "CD"]),
        ("#a X\n#b Y\n", vec!["#a", "#b"], vec!["X", "Y"]),
    ] {
        assert_eq!(
            read("a.conll", content)[0],
            sentence(&words, &tags),
            "{content}"
        );
    }
    // A known tag is one that words have.
    let labels = Labels::new(["O", "B-X"]).expect("labels");
    let file = OneFile::new("a.conll", "#1 B-X\nit O\n");
    let known = TaggedFile::open(&file.path).known_labels(&labels).read();
    assert_eq!(
        known.expect("sentences"),
        [sentence(&["#1", "it"], &["B-X", "O"])]
    );
    // Words alone have no tags to tell them by.
    let file = OneFile::new("a.txt", "# sent_id = 1\n#love\nit\n");
    let words = TaggedFile::open(&file.path).read_words().expect("words");
    assert_eq!(words, [vec!["#love", "it"]]);
    // Within a sentence such a line is a slip.
    assert_eq!(
        refused("a.conll", "a O\n# b c d\n", |file| file),
        "a.conll:2: expected 2 columns, found 4"
    );
}

/// A sentence as Universal Dependencies has it.
pub const CONLLU: &str = "# newdoc id = a\n# sent_id = 1\n# text = vámonos al mar\n\
    1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n\
    1\tvamos\tir\tVERB\tV\t_\t0\troot\t_\t_\n\
    2\tnos\tnosotros\tPRON\tP\t_\t1\tobj\t_\t_\n\
    3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n\
    3\ta\ta\tADP\tA\t_\t5\tcase\t_\t_\n\
    4\tel\tel\tDET\tD\t_\t5\tdet\t_\t_\n\
    4.1\tmar\tmar\tNOUN\tN\t_\t_\t_\t_\t_\n\
    5\tmar\tmar\tNOUN\tN\t_\t1\tobl\t_\tSpaceAfter=No\n\n";

#[test]
fn conll_u_is_read() {
    let words = ["vamos", "nos", "a", "el", "mar"];
    let universal = ["VERB", "PRON", "ADP", "DET", "NOUN"];
    for (name, content) in [
        ("a.conllu", CONLLU.to_owned()),
        ("a.tsv", CONLLU.repeat(2)),
        (
            "a.conll",
            CONLLU
                .lines()
                .skip(4)
                .map(|line| format!("{line}\n"))
                .collect(),
        ),
    ] {
        assert_eq!(read(name, &content)[0], sentence(&words, &universal));
    }
    let file = OneFile::new("a.conllu", CONLLU);
    let read = |file: TaggedFile| file.read().expect("sentences").remove(0);
    let own = read(TaggedFile::open(&file.path).tags(4));
    assert_eq!(own, sentence(&words, &["V", "P", "A", "D", "N"]));
    let lemmas = read(TaggedFile::open(&file.path).words(2));
    assert_eq!(lemmas.words, ["ir", "nosotros", "a", "el", "mar"]);
    let none = CONLLU.replace("\tPRON", "\t_");
    assert_eq!(
        refused("a.conllu", &none, |file| file),
        "a.conllu:6: field `3`: the tag is `_`, which says nothing"
    );
}

#[test]
fn numbers_of_words_are_no_words() {
    let content = "#\tx\n1\tAufgrund\tO\tO\n2\tfilm\tB-PER\tO\n\n1\tgood\tO\tO\n";
    assert_eq!(
        refused("a.tsv", content, |file| file),
        "a.tsv: the first column numbers the words of each sentence: name the column of the words \
         (--text-column)"
    );
    let file = OneFile::new("a.tsv", content);
    let read = TaggedFile::open(&file.path).words(1).tags(2).read();
    assert_eq!(
        read.expect("sentences"),
        [
            sentence(&["Aufgrund", "film"], &["O", "B-PER"]),
            sentence(&["good"], &["O"]),
        ]
    );
    let asked = TaggedFile::open(&file.path).words(0).read();
    assert_eq!(asked.expect("sentences")[1].words, ["1"]);
}

#[test]
fn an_empty_word_is_a_word_everywhere() {
    let expected = [sentence(&["the", "", "film"], &["O", "O", "B-A"])];
    for (name, content) in [
        ("a.tsv", "the\tO\n\tO\nfilm\tB-A\n"),
        (
            "a.jsonl",
            r#"{"tokens": ["the", "", "film"], "ner_tags": ["O", "O", "B-A"]}"#,
        ),
    ] {
        assert_eq!(read(name, content), expected);
    }
}
