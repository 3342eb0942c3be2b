//! Errors that no other test provokes through the public interface. The message of each
//! kind is checked in `src/error/tests.rs`.

use std::error::Error as _;

use bertfit::tch::{Device, Kind, Tensor};
use bertfit::{BertClassifier, Linear};

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
