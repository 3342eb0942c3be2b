//! rust-bert's pipeline, from texts to labels, as it comes.

use bertfit::{BertClassifier, Error, FineTuner, Result};
use rust_bert::pipelines::common::{ModelResource, ModelType};
use rust_bert::pipelines::sequence_classification::{
    SequenceClassificationConfig, SequenceClassificationModel,
};
use rust_bert::resources::LocalResource;

use crate::{Figures, number, speed_on, texts};

pub fn run(model: &str, file: &str, rows: &str) -> Result<Figures> {
    let texts = texts(file, number(rows)?)?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let saved = folder.path().join("model");
    // It wants a head in the file.
    let with_head = BertClassifier::builder(model).labels(["a", "b"]).build()?;
    with_head.save(&saved)?;
    drop(with_head);
    let part = |name: &str| LocalResource {
        local_path: saved.join(name),
    };
    let pipeline = SequenceClassificationModel::new(SequenceClassificationConfig::new(
        ModelType::Bert,
        ModelResource::Torch(Box::new(part("model.safetensors"))),
        part("config.json"),
        part("vocab.txt"),
        None::<LocalResource>,
        true,
        None,
        None,
    ));
    let pipeline = pipeline.map_err(|error| Error::config("model", "one for rust-bert", error))?;
    speed_on(&texts, |texts| {
        for batch in texts.chunks(32) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            assert_eq!(pipeline.predict(&batch).len(), batch.len());
        }
        Ok(())
    })
}
