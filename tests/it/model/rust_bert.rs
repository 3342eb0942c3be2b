//! rust-bert as a second oracle for the encoder, and as a reader of what we save.

use bertfit::tch::nn::VarStore;
use bertfit::tch::{Device, Kind};
use bertfit::{Backbone, BertClassifier, FineTuner};
use rust_bert::Config;
use rust_bert::bert::{BertConfig, BertEmbeddings, BertModel};
use rust_bert::pipelines::common::{ModelResource, ModelType};
use rust_bert::pipelines::sequence_classification::{
    SequenceClassificationConfig, SequenceClassificationModel,
};
use rust_bert::resources::LocalResource;

use crate::fixture::{assert_close, minilm, rows};

#[test]
fn hidden_states_equal_those_of_rust_bert() {
    let (backbone, ()) = Backbone::builder(minilm())
        .build(|_, _| Ok(()))
        .expect("a model");
    let encoder = backbone
        .text_encoder(64, Default::default())
        .expect("an encoder");
    let inputs = encoder.batch(&rows()[..8], ()).expect("a batch").inputs;
    let ours = backbone
        .encoder()
        .hidden(&inputs, false)
        .expect("a hidden state");

    let mut variables = VarStore::new(Device::Cpu);
    let config = BertConfig::from_file(minilm().join("config.json"));
    let model = BertModel::<BertEmbeddings>::new(variables.root(), &config);
    variables
        .load(minilm().join("model.safetensors"))
        .expect("weights");
    let output = bertfit::tch::no_grad(|| {
        let (mask, types) = (Some(inputs.attention_mask()), Some(inputs.token_type_ids()));
        model.forward_t(
            Some(inputs.input_ids()),
            mask,
            types,
            None,
            None,
            None,
            None,
            false,
        )
    });
    let theirs = output.expect("an output").hidden_state;
    // Padding sees other padding in rust-bert's mask; tokens are what counts.
    let mask = inputs.attention_mask().unsqueeze(-1).to_kind(Kind::Float);
    assert_close("hidden state", &(ours * &mask), &(theirs * &mask), 1e-5);
}

#[test]
fn a_saved_classifier_loads_in_rust_bert() {
    let classifier = BertClassifier::builder(minilm())
        .labels(["negative", "neutral", "positive"])
        .build()
        .expect("a classifier");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let saved = dir.path().join("model");
    classifier.save(&saved).expect("a saved model");

    let file = |name: &str| LocalResource {
        local_path: saved.join(name),
    };
    let model = SequenceClassificationModel::new(SequenceClassificationConfig::new(
        ModelType::Bert,
        ModelResource::Torch(Box::new(file("model.safetensors"))),
        file("config.json"),
        file("vocab.txt"),
        None::<LocalResource>,
        true,
        None,
        None,
    ))
    .expect("rust-bert's pipeline");
    for row in &rows()[..4] {
        let text = row.text.as_str();
        // One text at a time: its pipeline attends to padding.
        let theirs = &model.predict([text])[0];
        let ours = classifier.predict(&[text]).expect("a prediction");
        let (label, score) = ours.best(0);
        assert_eq!(label, theirs.text);
        assert!(
            (f64::from(score) - theirs.score).abs() < 1e-5,
            "{score} {}",
            theirs.score
        );
    }
}
