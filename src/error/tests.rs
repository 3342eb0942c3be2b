//! Each kind of error has an example here with its whole message: one more variant without
//! an example does not compile.

use super::*;

#[test]
fn an_error_is_small_and_can_cross_threads() {
    fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<Error>();
    // clippy's result_large_err warns above this.
    assert!(size_of::<Error>() <= 128);
}

/// A test that each example is of its variant and has its message. The variants are those
/// of one enum, all of them.
macro_rules! messages {
    ($test:ident, $kind:ident { $($variant:ident $fields:tt => $message:expr,)* }) => {
        #[test]
        fn $test() {
            #[deny(unreachable_patterns)]
            fn all_are_here(error: &$kind) {
                match error {
                    $($kind::$variant { .. } => {})*
                }
            }
            $(
                let error = example!($kind $variant $fields);
                all_are_here(&error);
                assert!(matches!(error, $kind::$variant { .. }));
                assert_eq!(error.to_string(), $message);
            )*
        }
    };
}

macro_rules! example {
    ($kind:ident $variant:ident ()) => { $kind::$variant };
    ($kind:ident $variant:ident { $($fields:tt)* }) => { $kind::$variant { $($fields)* } };
    ($kind:ident $variant:ident ( $($fields:tt)* )) => { $kind::$variant($($fields)*) };
}

fn path() -> PathBuf {
    PathBuf::from("a.tsv")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn io() -> io::Error {
    io::Error::other("no")
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("x").expect_err("no number")
}

messages!(each_error_says_what_and_where, Error {
    Line { path: path(), line: 7, problem: RowProblem::Changed } =>
        "a.tsv:7: the file has changed, here or a little after, since it was indexed",
    Row { row: 3, problem: RowProblem::TooLong { length: 9, limit: 8 } } =>
        "row 3: 9 tokens, the model takes at most 8",
    Read { path: path(), source: io() } => "cannot read a.tsv",
    Write { path: path(), source: io() } => "cannot write a.tsv",
    File { path: path(), problem: "the file is empty".to_owned() } => "a.tsv: the file is empty",
    Json { path: path(), source: json() } => "a.tsv is not valid",
    Config { field: "epochs", rule: "above 0".to_owned(), got: "-1".to_owned() } =>
        "`epochs` must be above 0, got -1",
    ModelConfig { path: path(), field: "vocab_size", rule: "above 0".to_owned(), got: "0".to_owned() } =>
        "a.tsv: `vocab_size` must be above 0, got 0",
    MissingWeights { path: path(), missing: 2, total: 5, first: "a.bias".to_owned() } =>
        "2 of 5 weights are not in a.tsv, the first is `a.bias`",
    WeightShape { path: path(), name: "a".to_owned(), found: vec![2], expected: vec![3, 4] } =>
        "a.tsv: `a` has shape [2], the model needs [3, 4]",
    UnknownLabel { label: "c".to_owned(), known: names(&["a", "b"]) } =>
        "label `c` is not one of a, b",
    OtherHead { path: path(), found: names(&["a", "b"]), asked: names(&["c"]) } =>
        "a.tsv has a head for the labels a, b, not for c: ask for a fresh head to replace it",
    Hub {
        model: "a/b".to_owned(), file: "config.json".to_owned(),
        endpoint: "https://hub".to_owned(), problem: "not there".to_owned()
    } => "`a/b`: config.json from https://hub: not there",
    HubUnreachable {
        model: "a/b".to_owned(), file: "config.json".to_owned(),
        endpoint: "https://hub".to_owned(), source: io()
    } => "`a/b`: cannot download config.json from https://hub: try again, or look at the \
          connection, proxies and `HF_ENDPOINT`",
    InUse { path: path() } =>
        "another run is writing into a.tsv: wait until it ends, stop it, or choose another folder \
         (--out)",
    NotEmpty { path: path() } => "a.tsv is not empty",
    OtherRun { path: path(), differences: names(&["seed: 1, now 2", "rows: 3, now 4"]) } =>
        "a.tsv is of another run: seed: 1, now 2; rows: 3, now 4",
    NotFinite {
        what: "loss", value: f64::NAN, step: 3, learning_rate: 2e-5, rows: (0..10).collect(),
        parameter: "classifier.bias".to_owned(), largest: -1e30
    } => "loss is NaN at step 3 (learning rate 2e-5, rows 0, 1, 2, 3, 4, 5, 6, 7, …; the \
          largest parameter is -1e30 in `classifier.bias`)",
    Gradient { name: "a".to_owned(), problem: GradientProblem::Absent } =>
        "`a` is to be trained but received no gradient",
    Torch { doing: "adding".to_owned(), source: TchError::Torch("no".to_owned()) } =>
        "libtorch failed while adding",
    OutOfMemory {
        problem: "`memory` is 9 MiB".to_owned(), rows: 1, longest: 512, plan: "17 MiB".to_owned()
    } => "`memory` is 9 MiB: training on 1 rows at once, the longest of 512 tokens, takes 17 MiB",
    Other {
        doing: "reading the table `films`".to_owned(), source: "no such table".into()
    } => "failed while reading the table `films`",
    Worker { doing: "making batches" } => "a worker thread panicked while making batches",
});

messages!(each_problem_of_a_row_is_said, RowProblem {
    Columns { expected: 3, found: 2 } => "expected 3 columns, found 2",
    Field { field: "label".to_owned(), problem: "absent".to_owned() } => "field `label`: absent",
    Utf8 { byte: 4 } => "invalid UTF-8 at byte 4 of the line",
    Syntax ("open quotes".to_owned()) => "open quotes",
    Changed () => "the file has changed, here or a little after, since it was indexed",
    UnknownLabel { label: "c".to_owned(), known: names(&["a", "b"]) } =>
        "label `c` is not one of a, b",
    TooLong { length: 9, limit: 8 } => "9 tokens, the model takes at most 8",
    Truncation { length: 9, limit: 8, strategy: "only_second" } =>
        "9 tokens, which `only_second` truncation cannot bring down to 8",
    TokenId { id: 9, vocab_size: 8 } => "token id 9 is outside the vocabulary of 8",
});

messages!(each_problem_of_a_gradient_is_said, GradientProblem {
    Absent () => "is to be trained but received no gradient",
    Zero () => "is to be trained but its gradient is zero everywhere",
    NotFinite () => "received a gradient that is not finite",
    Frozen () => "is frozen but received a gradient",
});
