//! Weights between the files of a folder and the variables of a model, by name.
//! Older names are understood on the way in; nothing is skipped in silence: the
//! `LoadReport` says what was found, what is fresh and what had no use.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use safetensors::tensor::{Dtype, View};
use tch::{Kind, Tensor};

use self::files::WeightFiles;
use self::part::{Described, Part};
use crate::error::{Error, Result, TorchContext};
use crate::native::Numbers;

pub(crate) mod files;
mod part;
mod pickle;

/// File name of the weights in a model folder that is written.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";

/// The longest header or index that is read, in bytes: that of a BERT with 24 layers has 45 KB.
const LONGEST_HEADER: u64 = 16 << 20;

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

/// Whether the files of a folder have a weight of this name.
pub(crate) fn has_weight(dir: &Path, name: &str) -> Result<bool> {
    Ok(WeightFiles::find(dir)?.names.contains_key(name))
}

/// Copies the weights of `dir` into `variables`.
pub(crate) fn load(
    dir: &Path,
    variables: &BTreeMap<String, Tensor>,
    rules: &LoadRules,
) -> Result<LoadReport> {
    let files = WeightFiles::find(dir)?;
    let mut by_name = HashMap::new();
    let mut twins = BTreeMap::new();
    for name in files.names.keys() {
        let Some(variable) = (rules.variable)(name) else {
            continue;
        };
        match by_name.entry(variable) {
            Entry::Vacant(place) => {
                place.insert(name.as_str());
            }
            // What stays as it was made has nothing in common with the file.
            Entry::Occupied(first)
                if variables.contains_key(first.key()) && !(rules.keep_fresh)(first.key()) =>
            {
                twins.insert(name.clone(), first.key().clone());
            }
            Entry::Occupied(_) => {}
        }
    }
    let mut report = LoadReport::default();
    let mut missing = Vec::new();
    // The variables that begin as each tensor of the files, and the tensors that were found at
    // all, though another may be used.
    let mut used: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut known = HashSet::new();
    for name in variables.keys() {
        let own = by_name.get(name).copied();
        known.extend(own);
        let own = own.filter(|_| !(rules.keep_fresh)(name));
        let other = || by_name.get(&(rules.begins_as)(name)?).copied();
        match own.or_else(other) {
            Some(stored) => {
                known.insert(stored);
                used.entry(stored).or_default().push(name);
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
            path: files.path,
            missing,
            total,
            first,
        });
    }
    let without_use = by_name.into_values().filter(|name| !known.contains(name));
    report.unexpected = without_use.map(str::to_owned).collect();
    for (place, part) in files.parts.into_iter().enumerate() {
        let here = |name: &str| files.names.get(name) == Some(&place);
        let wanted: BTreeMap<&str, &Vec<&str>> = used
            .iter()
            .filter(|(name, _)| here(name))
            .map(|(name, wanted)| (*name, wanted))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let (path, part) = part.open()?;
        for (stored, names) in &wanted {
            check(&part, stored, names, variables, &path)?;
        }
        part.read(
            &path,
            |name| wanted.contains_key(name),
            |stored, tensor| {
                wanted[stored]
                    .iter()
                    .try_for_each(|&name| copy(tensor, name, &variables[name]))
            },
        )?;
        // What an index does not list.
        let unlisted = part
            .names()
            .into_iter()
            .filter(|name| !files.names.contains_key(name));
        report.unexpected.extend(unlisted);
    }
    report.unexpected.sort();
    if !twins.is_empty() {
        check_twins(dir, variables, &twins)?;
    }
    Ok(report)
}

/// Refuses tensors that differ from others of the same variables, which have been loaded. Weights
/// that two parts of a model share may be there under both names, as transformers 5 wants them.
fn check_twins(
    dir: &Path,
    variables: &BTreeMap<String, Tensor>,
    twins: &BTreeMap<String, String>,
) -> Result<()> {
    for part in WeightFiles::find(dir)?.parts {
        let (path, part) = part.open()?;
        let names = part.names();
        for stored in names.iter().filter(|name| twins.contains_key(*name)) {
            check(&part, stored, &[&twins[stored]], variables, &path)?;
        }
        part.read(
            &path,
            |name| twins.contains_key(name),
            |stored, tensor| {
                let variable = &variables[&twins[stored]];
                let is_same = tensor
                    .f_to_device(variable.device())
                    .and_then(|tensor| tensor.f_to_kind(variable.kind()))
                    .and_then(|tensor| tensor.f_equal(variable))
                    .doing("comparing weights")?;
                if is_same {
                    return Ok(());
                }
                let (stored, variable) = (stored.escape_debug(), twins[stored].escape_debug());
                let problem = format!(
                    "`{stored}` and another tensor are the same weight, `{variable}`, but they \
                     differ"
                );
                let path = path.clone();
                Err(Error::File { path, problem })
            },
        )?;
    }
    Ok(())
}

/// Refuses a tensor that cannot be that of the variables, before it is read.
fn check(
    part: &Part,
    stored: &str,
    names: &[&str],
    variables: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<()> {
    let path = || path.to_owned();
    let Some(Described { shape, kind }) = part.describe(stored) else {
        let shown = stored.escape_debug();
        let problem = format!("`{shown}` is not there, though the index says so");
        return Err(Error::File {
            path: path(),
            problem,
        });
    };
    for &name in names {
        let expected: Vec<usize> = variables[name].size().iter().map(|&n| n as usize).collect();
        if shape != expected {
            return Err(Error::WeightShape {
                path: path(),
                name: name.to_owned(),
                found: shape,
                expected,
            });
        }
        if let Err(other) = &kind {
            let problem = format!("`{name}` holds {other}, not floating-point numbers");
            return Err(Error::File {
                path: path(),
                problem,
            });
        }
    }
    Ok(())
}

/// Refuses a configuration that asks for many more numbers than the weights of `dir` can
/// be, before there is memory for them.
pub(crate) fn check_room(dir: &Path, numbers: u128) -> Result<()> {
    // Absent weights are an error of their own.
    let Some((weights, bytes)) = files::bytes(dir) else {
        return Ok(());
    };
    // No kind of number that is read has less than two bytes.
    if 2 * numbers <= u128::from(bytes) + u128::from(SMALL) {
        return Ok(());
    }
    let weights = weights.file_name().unwrap_or_default().display();
    Err(Error::File {
        path: dir.join("config.json"),
        problem: format!(
            "asks for a model of {numbers} numbers, far more than the {bytes} bytes of \
             {weights} can be"
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

/// Names of modules around a model: `DataParallel`, `torch.compile`, and what Lightning's examples
/// call it.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// The name that a tensor of any BERT checkpoint has in ours: with the `bert.`
/// prefix, with the layer norms' later names, and without those of modules around the model.
pub(crate) fn current_name(name: &str) -> String {
    let mut name = name;
    while let Some(inside) = WRAPPERS.iter().find_map(|outer| name.strip_prefix(outer)) {
        name = inside;
    }
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

/// All tensors of a file that [`save`] has written, on the CPU.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let part = Part::open(path)?;
    let mut tensors = BTreeMap::new();
    for name in part.names() {
        let described = part.describe(&name);
        if let Some(Described {
            kind: Err(other), ..
        }) = described
        {
            let path = path.to_owned();
            let problem = format!("`{name}` holds {other}, not floating-point numbers");
            return Err(Error::File { path, problem });
        }
    }
    part.read(
        path,
        |_| true,
        |name, tensor| {
            let tensor = tensor.f_to_kind(Kind::Float).doing("reading tensors")?;
            tensors.insert(name.to_owned(), tensor);
            Ok(())
        },
    )?;
    Ok(tensors)
}

fn copy(stored: &Tensor, name: &str, variable: &Tensor) -> Result<()> {
    let sum = stored.f_sum(Kind::Float);
    let sum = sum.and_then(|sum| sum.f_double_value(&[]));
    if !sum.doing("adding up weights")?.is_finite() {
        log::warn!("`{name}` holds numbers that are not finite: nothing can be computed with them");
    }
    // Master weights are float32 whatever the file holds; copy_ converts.
    let mut variable = variable.shallow_clone();
    tch::no_grad(|| variable.f_copy_(stored)).doing("copying weights")
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
