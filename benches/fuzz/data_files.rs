//! The readers of data files, and well-formed files of them.

use std::path::Path;

use bertfit::{ChoiceFile, Dataset, Result, SkippedRows, SquadFile, Table, TaggedFile};
use serde_json::json;

use super::targets::{Seed, repository};

const TSV: &str = "text\tlabel\tpair\nthe film was good\tgood\ta\n\"it\" was dull\tbad\tb\n";
const CSV: &str = "text,label,pair\n\"the film, was\ngood\",1,\"a \"\"b\"\"\"\r\nx,0.5,\n\nz,2,c\n";
const JSONL: &str = "{\"text\": \"a\\u00e9\", \"label\": [\"x\", \"y\"]}\n\n\
                     {\"label\": 0.25, \"text\": \"b\", \"other\": {\"c\": [null, 1e3]}}\n\
                     {\"text\": \"c\", \"label\": true}\n";

pub fn tables() -> Vec<Seed> {
    vec![
        Seed::new("a.tsv", TSV),
        Seed::new("a.csv", CSV),
        Seed::new("a.jsonl", JSONL),
        Seed::new(
            "b.jsonl",
            "{\"text\": \"a\", \"label\": \"1\"}\n{\"text\": \"b\", \"label\": 2}\n",
        ),
        Seed::new("c.tsv", format!("text\tlabel\n{}", "row\t1\n".repeat(1500))),
    ]
}

/// Reads a table in all ways; rows that are read at once and through an index must be the
/// same.
pub fn read_table(path: &Path) -> Result<()> {
    let table = Table::open(path);
    let rows = table.read();
    let indexed = table.index().and_then(|indexed| {
        let rows = (0..indexed.len()).map(|row| indexed.get(row));
        rows.collect::<Result<Vec<_>>>()
    });
    match (&rows, &indexed) {
        (Ok(rows), Ok(indexed)) => assert_eq!(rows, indexed, "read and indexed"),
        (Err(one), Err(other)) => assert_eq!(one.chain(), other.chain(), "read and indexed"),
        _ => panic!("read and indexed: {rows:?} and {indexed:?}"),
    }
    let texts = table.read_texts().map(|_| ());
    let others = [
        table.clone().label_delimiter(' ').read_lists().map(|_| ()),
        table.read_numbers().map(|_| ()),
        Table::open(path)
            .no_header()
            .text(0)
            .label(1)
            .read()
            .map(|_| ()),
        Table::open(path).pair("pair").read_texts().map(|_| ()),
        table.has_label().map(|_| ()),
        table.problem_type().map(|_| ()),
    ];
    // Accepted is what any of them can read.
    let accepted = others
        .into_iter()
        .chain([rows.map(|_| ())])
        .find(Result::is_ok);
    accepted.unwrap_or(texts)
}

pub fn compressed() -> Vec<Seed> {
    use std::io::Write as _;
    let gzip = |text: &str| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes())
            .and_then(|()| gzip.finish())
            .expect("memory")
    };
    let xz = |text: &str| {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(text.as_bytes())
            .and_then(|()| xz.finish())
            .expect("memory")
    };
    let long = format!("text\tlabel\n{}", "a\t1\n".repeat(300));
    vec![
        Seed::new("a.tsv.gz", gzip(TSV)),
        Seed::new("a.csv.gz", gzip(CSV)),
        Seed::new("a.jsonl.xz", xz(JSONL)),
        Seed::new("b.tsv.gz", [gzip(TSV), gzip("x\ty\tz\n")].concat()),
        Seed::new("b.tsv.xz", [xz(TSV), vec![0; 8], xz("x\ty\tz\n")].concat()),
        Seed::new("c.tsv.gz", gzip(&long)),
    ]
}

/// What pyarrow writes.
pub fn parquet() -> Vec<Seed> {
    let seed = |name| Seed::new("a.parquet", repository(name));
    vec![
        seed("parquet/rows.parquet"),
        seed("parquet/rows-zstd.parquet"),
        seed("parquet/rows-gzip.parquet"),
        seed("parquet/rows-lz4.parquet"),
        seed("parquet/odd.parquet"),
        seed("parquet/tagged.parquet"),
        seed("parquet/squad.parquet"),
    ]
}

/// Reads the rows as those of a table, as sentences, and as questions.
pub fn read_parquet(path: &Path) -> Result<()> {
    let table = read_table(path);
    let file = TaggedFile::open(path);
    let _ = file.class_names();
    let others = [
        file.read().map(|_| ()),
        SquadFile::open(path).read().map(|_| ()),
    ];
    others.into_iter().find(Result::is_ok).unwrap_or(table)
}

pub fn tagged() -> Vec<Seed> {
    vec![
        Seed::new(
            "a.conll",
            "-DOCSTART- -X- O O\n\nEU NNP B-ORG\nrejects VBZ O\n\nPeter NNP B-PER\n",
        ),
        Seed::new("b.conll", "EU\tB-ORG\n\u{2028}\tO\n \n\nde l\tO\n"),
        Seed::new(
            "a.jsonl",
            "{\"words\": [\"EU\", \"x\"], \"tags\": [\"B-ORG\", \"O\"]}\n{\"tokens\": [\"a\"], \"ner_tags\": [\"I-ORG\"]}\n",
        ),
        Seed::new("b.jsonl", "{\"tokens\": [\"a\"], \"ner_tags\": [3]}\n"),
        Seed::new(
            "c.conll",
            "# id 1 domain=en\n#a _ _ O\nb _ _ B-X\n\n# c\n# id 2 domain=en\nd _ _ I-X\n# _ _ O\n",
        ),
        Seed::new(
            "a.conllu",
            "# sent_id = 1\n1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n\
             1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_\n2\tel\tel\tDET\t_\t_\t3\tdet\t_\t_\n\
             2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n3\tmar\tmar\tNOUN\t_\t_\t0\troot\t_\t_\n",
        ),
    ]
}

pub fn read_tagged(path: &Path) -> Result<()> {
    let file = TaggedFile::open(path);
    let (tagged, words) = (file.read(), file.read_words());
    let skipped = SkippedRows::new();
    let some = file.clone().skip_bad_rows(&skipped).read();
    if let (Ok(tagged), Ok(some)) = (&tagged, &some) {
        assert_eq!(tagged, some, "with and without skipping");
    }
    file.has_tags()?;
    let _ = file.class_names();
    let _ = file.has_usable_tags();
    if let (Ok(tagged), Ok(words)) = (&tagged, &words) {
        assert_eq!(tagged.len(), words.len(), "tagged and not");
    }
    tagged.map(|_| ())
}

pub fn questions() -> Vec<Seed> {
    let squad = json!({"version": "v2.0", "data": [{"title": "t", "paragraphs": [{
    "context": "Ein Café in Köln öffnet um acht.",
    "qas": [
        {"id": "1", "question": "Wo?", "answers": [{"text": "Köln", "answer_start": 12}],
         "is_impossible": false},
        {"id": "2", "question": "Wer?", "answers": [], "is_impossible": true},
    ]}]}]});
    let row = |id: usize| {
        let answers = json!({"text": ["Köln", ""], "answer_start": [12, -1]});
        json!({"id": id, "context": "Ein Café in Köln", "question": "Wo?", "answers": answers})
    };
    let rows = [row(1), row(2)];
    let lines = format!("{}\n{}\n", rows[0], rows[1]);
    vec![
        Seed::new("a.json", squad.to_string()),
        Seed::new("b.json", json!({"data": rows}).to_string()),
        Seed::new("c.json", json!(rows).to_string()),
        Seed::new("d.json", lines),
        Seed::new(
            "a.jsonl",
            "{\"question\": \"q\", \"endings\": [\"a\", \"b\"], \"label\": 1}\n{\"sent1\": \"q\", \"choices\": [\"a\", \"b\", \"c\"], \"label\": \"0\"}\n",
        ),
    ]
}

pub fn read_questions(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|end| end == "jsonl") {
        return ChoiceFile::open(path).read().map(|_| ());
    }
    let file = SquadFile::open(path);
    let (all, loose) = (file.read(), file.read_to_evaluate());
    let skipped = SkippedRows::new();
    let some = file.clone().skip_bad_rows(&skipped).read();
    if let Ok(all) = &all {
        assert_eq!(loose.as_ref().ok(), Some(all), "to learn and to evaluate");
        assert_eq!(some.as_ref().ok(), Some(all), "with and without skipping");
    }
    all.map(|_| ())
}
