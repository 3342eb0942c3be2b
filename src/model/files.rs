//! The content of a model folder, on its way to the disk.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::backbone::ENCODER_PREFIX;
use super::weights;
use crate::checkpoint::NewFolder;
use crate::encode::Tokenizer;
use crate::error::{PathContext, Result, TorchContext};
use crate::json;

pub(super) const CONFIG_FILE: &str = "config.json";

/// The content of a model folder.
#[derive(Debug)]
pub struct ModelFiles {
    /// JSON files by their paths in the folder, `config.json` among them.
    pub json: BTreeMap<String, Value>,
    /// The tensors of `model.safetensors` by name; they share memory with the model's.
    pub weights: BTreeMap<String, Tensor>,
    /// Writes `vocab.txt` and what belongs to it.
    pub tokenizer: Tokenizer,
}

impl ModelFiles {
    /// Writes the folder; a new one appears whole or not at all. In an existing one each file,
    /// whole, takes the place of its namesake, one after another; other files stay, but for
    /// those of another tokenizer.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let folder = NewFolder::create_or_fill(dir)?;
        self.write(folder.path())?;
        self.tokenizer.remove_others(dir)?;
        folder.commit()
    }

    /// Writes the files into an existing folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (name, content) in &self.json {
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).writing(parent)?;
            json::write(&path, &of_float32(content.clone()))?;
        }
        weights::save(&folder.join(weights::WEIGHTS_FILE), &self.weights)?;
        self.tokenizer.save(folder)
    }

    /// Adds a pooler of zeros where there is none.
    pub(crate) fn add_pooler(&mut self) -> Result<()> {
        let size = self.json[CONFIG_FILE]["hidden_size"].as_i64();
        let size = size.expect("a configuration has it");
        for (part, shape) in [("weight", &[size, size][..]), ("bias", &[size])] {
            let name = format!("{ENCODER_PREFIX}.pooler.dense.{part}");
            if let Entry::Vacant(place) = self.weights.entry(name) {
                let zeros = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu));
                place.insert(zeros.doing("making a pooler")?);
            }
        }
        Ok(())
    }
}

/// A configuration of weights that are float32, whatever its model's were before: transformers
/// loads them as the file says.
fn of_float32(mut content: Value) -> Value {
    if let Value::Object(fields) = &mut content {
        for (name, value) in fields.iter_mut() {
            match name.as_str() {
                "dtype" | "torch_dtype" if value.is_string() => *value = "float32".into(),
                "encoder" | "decoder" => *value = of_float32(value.take()),
                _ => {}
            }
        }
    }
    content
}
