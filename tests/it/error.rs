//! The message of each kind of error, whole, provoked through the public interface
//! where no other test does so.

use std::error::Error as _;
use std::path::PathBuf;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{BertClassifier, Error, GradientProblem, Linear, RowProblem};

use crate::fixture::{tiny, with_config};

#[test]
fn libtorchs_own_words_are_the_source_of_its_errors() {
    let variables = bertfit::tch::nn::VarStore::new(Device::Cpu);
    let dense = Linear::new(&variables.root(), 3, 2, 0.02).expect("a layer");
    let error = dense.forward(&Tensor::zeros([1, 4], (Kind::Float, Device::Cpu)));
    let error = error.expect_err("four are not three");
    assert_eq!(
        error.to_string(),
        "libtorch failed while applying a dense layer"
    );
    let source = error.source().expect("libtorch's error").to_string();
    assert!(
        source.contains("mat1 and mat2 shapes cannot be multiplied"),
        "{source}"
    );
}

#[test]
fn a_configuration_that_is_not_json_is_named_with_the_place() {
    let dir = with_config(&tiny(), &[]);
    let path = dir.path().join("config.json");
    std::fs::write(&path, "{\"vocab_size\": }").expect("a file");
    let error = BertClassifier::builder(dir.path())
        .labels(["a", "b"])
        .build();
    let error = error.expect_err("not JSON");
    assert_eq!(
        error.to_string(),
        format!("{} is not valid", path.display())
    );
    let source = error.source().expect("the JSON error").to_string();
    assert_eq!(source, "expected value at line 1 column 16");
}

#[test]
fn messages_say_what_and_where() {
    let path = || PathBuf::from("data/x.tsv");
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    let io = || std::io::Error::other("no");
    let expected = [
        (
            Error::Line {
                path: path(),
                line: 7,
                problem: RowProblem::Columns {
                    expected: 3,
                    found: 2,
                },
            },
            "data/x.tsv:7: expected 3 columns, found 2",
        ),
        (
            Error::Read {
                path: path(),
                source: io(),
            },
            "cannot read data/x.tsv",
        ),
        (
            Error::Write {
                path: path(),
                source: io(),
            },
            "cannot write data/x.tsv",
        ),
        (
            Error::OtherHead {
                path: path(),
                found: names(&["a", "b"]),
                asked: names(&["c"]),
            },
            "data/x.tsv has a head for the labels a, b, not for c: ask for a fresh head to \
             replace it",
        ),
        (
            Error::NotFinite {
                what: "loss",
                value: f64::NAN,
                step: 3,
                learning_rate: 2e-5,
                rows: (0..10).collect(),
                parameter: "classifier.bias".to_owned(),
                largest: -1e30,
            },
            "loss is NaN at step 3 (learning rate 2e-5, rows 0, 1, 2, 3, 4, 5, 6, 7, …; the \
             largest parameter is -1e30 in `classifier.bias`)",
        ),
        (
            Error::Gradient {
                name: "a".to_owned(),
                problem: GradientProblem::Zero,
            },
            "`a` is to be trained but its gradient is zero everywhere",
        ),
        (
            Error::Gradient {
                name: "a".to_owned(),
                problem: GradientProblem::NotFinite,
            },
            "`a` received a gradient that is not finite",
        ),
        (
            Error::Gradient {
                name: "a".to_owned(),
                problem: GradientProblem::Frozen,
            },
            "`a` is frozen but received a gradient",
        ),
    ];
    for (error, message) in expected {
        assert_eq!(error.to_string(), message);
    }
}
