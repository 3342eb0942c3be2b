//! Weights between `model.safetensors` and the variables of a model, by name.
//! Older names are understood on the way in; nothing is skipped in silence: the
//! `LoadReport` says what was found, what is fresh and what had no use.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result, TorchContext};
use crate::native::Numbers;
use crate::whole_file;

/// File name of the weights in a model folder.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

/// The longest header that is read, in bytes: that of a BERT with 24 layers has 45 KB.
const MOST_HEADER: u64 = 16 << 20;

/// Bytes of weights that may be too many at first; loading says more exactly what lacks.
const SMALL: u64 = 4 << 20;

/// What loading a checkpoint did; names in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Variables of the model that were found in the checkpoint.
    pub loaded: Vec<String>,
    /// Variables of the model that were not, and are as they were initialised.
    pub fresh: Vec<String>,
    /// Tensors of the checkpoint that the model has no use for.
    pub unexpected: Vec<String>,
}

/// Which variables may be absent from the file (they stay as they are), and which
/// are left alone even if they are in it.
pub(crate) struct LoadRules<'a> {
    pub(crate) may_be_fresh: &'a dyn Fn(&str) -> bool,
    pub(crate) keep_fresh: &'a dyn Fn(&str) -> bool,
    /// The variable that a tensor of the file belongs to; most often its [`current_name`].
    /// None for a tensor that is known to be of no use.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// The variable whose tensor a variable begins with if the file has none for it.
    pub(crate) begins_as: &'a dyn Fn(&str) -> Option<String>,
}

/// Copies the weights of `dir` into `variables`.
pub(crate) fn load(
    dir: &Path,
    variables: &BTreeMap<String, Tensor>,
    rules: &LoadRules,
) -> Result<LoadReport> {
    let path = dir.join(WEIGHTS_FILE);
    if !path.exists() {
        refuse_others(dir)?;
    }
    let bytes = whole_file::read(&path)?;
    let file = parse(&bytes, &path)?;

    let mut by_name = HashMap::new();
    for name in file.names() {
        let Some(variable) = (rules.variable)(name) else {
            continue;
        };
        if let Some(twin) = by_name.insert(variable, name) {
            let problem = format!("`{name}` and `{twin}` are the same weight");
            return Err(Error::File { path, problem });
        }
    }
    let mut report = LoadReport::default();
    let (mut missing, mut used) = (Vec::new(), HashSet::new());
    for (name, variable) in variables {
        let own = by_name.get(name).copied();
        used.extend(own);
        let own = own.filter(|_| !(rules.keep_fresh)(name));
        let other = || by_name.get(&(rules.begins_as)(name)?).copied();
        match own.or_else(other) {
            Some(stored) => {
                used.insert(stored);
                let view = file.tensor(stored).map_err(|source| Error::File {
                    path: path.clone(),
                    problem: source.to_string(),
                })?;
                copy(&view, variable, name, &path)?;
                report.loaded.push(name.clone());
            }
            None if (rules.keep_fresh)(name) || (rules.may_be_fresh)(name) => {
                report.fresh.push(name.clone());
            }
            None => missing.push(name.clone()),
        }
    }
    if let Some(first) = missing.first().cloned() {
        let (missing, total) = (missing.len(), variables.len());
        return Err(Error::MissingWeights {
            path,
            missing,
            total,
            first,
        });
    }
    let unexpected = by_name
        .into_values()
        .filter(|stored| !used.contains(stored));
    report.unexpected = unexpected.map(str::to_owned).collect();
    report.unexpected.sort();
    Ok(report)
}

/// Says what to do with weights in another form than [`WEIGHTS_FILE`]. No file that an
/// index names is opened, wherever it lies.
fn refuse_others(dir: &Path) -> Result<()> {
    let others = [
        (
            "model.safetensors.index.json",
            "weights in several files are not read: put them into one model.safetensors first \
             (save_pretrained with max_shard_size)",
        ),
        (
            "pytorch_model.bin",
            "there is no model.safetensors, and pickled weights can run code when they \
             are read: convert them first (safetensors.torch.save_file)",
        ),
    ];
    for (name, problem) in others {
        let path = dir.join(name);
        if path.exists() {
            let problem = problem.to_owned();
            return Err(Error::File { path, problem });
        }
    }
    Ok(())
}

/// Refuses a configuration that asks for many more numbers than the weights of `dir` can
/// be, before there is memory for them.
pub(crate) fn check_room(dir: &Path, numbers: u128) -> Result<()> {
    // Absent weights are an error of their own.
    let Ok(file) = std::fs::metadata(dir.join(WEIGHTS_FILE)) else {
        return Ok(());
    };
    let bytes = file.len();
    // No kind of number that is read has less than two bytes.
    if 2 * numbers <= u128::from(bytes + SMALL) {
        return Ok(());
    }
    Err(Error::File {
        path: dir.join("config.json"),
        problem: format!(
            "asks for a model of {numbers} numbers, far more than the {bytes} bytes of \
             {WEIGHTS_FILE} can be"
        ),
    })
}

/// Copies the weights of `dir` into `variables`; each must be there, by the same name.
pub(crate) fn load_all(dir: &Path, variables: &BTreeMap<String, Tensor>) -> Result<()> {
    let rules = LoadRules {
        may_be_fresh: &|_| false,
        keep_fresh: &|_| false,
        variable: &|name| Some(name.to_owned()),
        begins_as: &|_| None,
    };
    load(dir, variables, &rules).map(|_| ())
}

/// The name that a tensor of any BERT checkpoint has in ours: with the `bert.`
/// prefix, and with the layer norms' later names.
pub(crate) fn current_name(name: &str) -> String {
    let name = match name {
        _ if name.ends_with("LayerNorm.gamma") => {
            name.replace("LayerNorm.gamma", "LayerNorm.weight")
        }
        _ if name.ends_with("LayerNorm.beta") => name.replace("LayerNorm.beta", "LayerNorm.bias"),
        _ => name.to_owned(),
    };
    let bare = ["embeddings.", "encoder.", "pooler."]
        .iter()
        .any(|part| name.starts_with(part));
    if bare { format!("bert.{name}") } else { name }
}

fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    let refused = |problem: String| Error::File {
        path: path.to_owned(),
        problem: format!("not a whole safetensors file: {problem}"),
    };
    let header = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
    if let Some(header) = header.filter(|&header| header > MOST_HEADER) {
        let most = MOST_HEADER >> 20;
        let problem = format!("its header has {header} bytes, at most {most} MiB are read");
        return Err(refused(problem));
    }
    SafeTensors::deserialize(bytes).map_err(|source| refused(source.to_string()))
}

/// All tensors of a file that [`save`] has written, on the CPU.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = whole_file::read(path)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in parse(&bytes, path)?.tensors() {
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let tensor =
            Tensor::f_zeros(&shape, (Kind::Float, Device::Cpu)).doing("reading tensors")?;
        copy(&view, &tensor, &name, path)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn copy(view: &TensorView, variable: &Tensor, name: &str, path: &Path) -> Result<()> {
    let expected: Vec<usize> = variable.size().iter().map(|&n| n as usize).collect();
    if view.shape() != expected {
        let (path, name, found) = (path.to_owned(), name.to_owned(), view.shape().to_vec());
        return Err(Error::WeightShape {
            path,
            name,
            found,
            expected,
        });
    }
    let kind = match view.dtype() {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        other => {
            let problem = format!("`{name}` holds {other:?}, not floating-point numbers");
            return Err(Error::File {
                path: path.to_owned(),
                problem,
            });
        }
    };
    let doing = "copying weights";
    let stored = Tensor::f_from_data_size(view.data(), &variable.size(), kind).doing(doing)?;
    // Master weights are float32 whatever the file holds; copy_ converts.
    let mut variable = variable.shallow_clone();
    tch::no_grad(|| variable.f_copy_(&stored)).doing(doing)
}

/// Writes tensors as float32 with the metadata that every reader of the format accepts. What is
/// float32 on the CPU already is written as it lies there, so that no second copy of it takes
/// memory.
pub(crate) fn save(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let stored = |(name, tensor)| Ok((name, Stored::of(tensor)?));
    let stored: Vec<(&String, Stored)> = tensors.iter().map(stored).collect::<Result<_>>()?;
    // Releases of transformers before 4.57 refuse a file without it.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(stored, Some(metadata), path).map_err(|source| Error::Write {
        path: path.to_owned(),
        source: std::io::Error::other(source.to_string()),
    })
}

/// A tensor on its way into a file.
struct Stored {
    shape: Vec<usize>,
    numbers: Numbers,
}

impl Stored {
    fn of(tensor: &Tensor) -> Result<Self> {
        Ok(Self {
            shape: tensor.size().iter().map(|&n| n as usize).collect(),
            numbers: numbers_of(tensor)?,
        })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.numbers.bytes())
    }

    fn data_len(&self) -> usize {
        self.numbers.bytes().len()
    }
}

/// The numbers of a tensor as float32, which may be the tensor's own memory.
pub(crate) fn numbers_of(tensor: &Tensor) -> Result<Numbers> {
    Numbers::of(tensor).doing("reading weights")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_written_from_its_own_memory() {
        let tensor = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).set_requires_grad(true);
        let stored = Stored::of(&tensor).expect("numbers");
        let Cow::Borrowed(bytes) = stored.data() else {
            panic!("a copy");
        };
        assert_eq!(bytes.as_ptr().addr(), tensor.data_ptr().addr());
        assert_eq!((stored.shape(), stored.data_len()), (&[3][..], 12));
    }
}
