//! Which files of a model folder hold its weights: one file, or several that an index lists; as
//! safetensors or, where there are none, as PyTorch pickles them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::part::Part;
use super::{LONGEST_HEADER, WEIGHTS_FILE};
use crate::error::{Error, Result};
use crate::json;

/// Ways to keep weights, the first that is there being read, as transformers does.
pub(crate) const FORMS: [&str; 4] = [
    WEIGHTS_FILE,
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Weights of other libraries, which are not read.
const OTHERS: [&str; 4] = [
    "tf_model.h5",
    "flax_model.msgpack",
    "rust_model.ot",
    "model.onnx",
];

/// The weights of a folder by name, before any number is read.
pub(super) struct WeightFiles {
    /// The file that names them all.
    pub(super) path: PathBuf,
    /// The file that each is in, as a place in `parts`.
    pub(super) names: BTreeMap<String, usize>,
    pub(super) parts: Vec<PartFile>,
}

pub(super) struct PartFile {
    pub(super) path: PathBuf,
    /// One of several is opened when its turn comes, so that only one is in memory.
    opened: Option<Part>,
}

impl PartFile {
    pub(super) fn open(self) -> Result<(PathBuf, Part)> {
        let part = match self.opened {
            Some(part) => part,
            None => Part::open(&self.path)?,
        };
        Ok((self.path, part))
    }
}

impl WeightFiles {
    pub(super) fn find(dir: &Path) -> Result<Self> {
        let Some(path) = found(dir) else {
            return Err(absent(dir));
        };
        if is_index(&path) {
            return Self::listed(path);
        }
        let part = Part::open(&path)?;
        let names = part.names().into_iter().map(|name| (name.to_owned(), 0));
        Ok(Self {
            names: names.collect(),
            parts: vec![PartFile {
                path: path.clone(),
                opened: Some(part),
            }],
            path,
        })
    }

    fn listed(path: PathBuf) -> Result<Self> {
        let by_name = weight_map(&path)?;
        let mut parts: Vec<&String> = by_name.values().collect();
        parts.sort();
        parts.dedup();
        let dir = path.parent().unwrap_or(&path);
        if let Some(absent) = parts.iter().find(|part| !dir.join(part).exists()) {
            let problem =
                format!("`{absent}`, which it names, is not in the folder: copy it there");
            return Err(Error::File { path, problem });
        }
        let place = |part: &String| parts.binary_search(&part).unwrap_or_default();
        let names = by_name
            .iter()
            .map(|(name, part)| (name.clone(), place(part)));
        Ok(Self {
            names: names.collect(),
            parts: parts
                .iter()
                .map(|part| PartFile {
                    path: dir.join(part),
                    opened: None,
                })
                .collect(),
            path,
        })
    }
}

/// The first file of the folder that may hold its weights or list them.
fn found(dir: &Path) -> Option<PathBuf> {
    FORMS
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.exists())
}

pub(crate) fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json")
}

fn absent(dir: &Path) -> Error {
    let other = OTHERS.iter().find(|name| dir.join(name).exists());
    let shard = |name: &str| {
        let number = name
            .strip_prefix("model-")
            .or(name.strip_prefix("pytorch_model-"));
        number.is_some_and(|number| number.contains("-of-"))
    };
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let there = match (other, names.min_by_key(|name| (!shard(name), name.clone()))) {
        (_, Some(name)) if shard(&name) => {
            format!("; {name} is a part of some, and the index of all parts is absent: copy it too")
        }
        (Some(name), _) => format!("; {name} is of another library: save it with PyTorch"),
        (None, _) => String::new(),
    };
    Error::File {
        path: dir.to_owned(),
        problem: format!(
            "there are no weights, which are {}{there}",
            FORMS.join(", ")
        ),
    }
}

/// The bytes of the folder's weights; none where they are absent or not to be read, which is an
/// error of its own.
pub(super) fn bytes(dir: &Path) -> Option<(PathBuf, u64)> {
    let path = found(dir)?;
    let length = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
    if !is_index(&path) {
        return length(&path).map(|length| (path, length));
    }
    let mut parts: Vec<String> = weight_map(&path).ok()?.into_values().collect();
    parts.sort();
    parts.dedup();
    let lengths = parts.iter().map(|part| length(&dir.join(part)));
    let total = lengths.sum::<Option<u64>>()?;
    Some((path, total))
}

/// The file that each weight is in, as an index says.
pub(crate) fn weight_map(path: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, Value>,
    }
    let refused = |problem| Error::File {
        path: path.to_owned(),
        problem,
    };
    if let Ok(file) = std::fs::metadata(path)
        && file.len() > LONGEST_HEADER
    {
        let most = LONGEST_HEADER >> 20;
        let problem = format!("has {} bytes, at most {most} MiB are read", file.len());
        return Err(refused(problem));
    }
    let index: Index = json::read(path)?;
    let mut map = BTreeMap::new();
    for (name, file) in index.weight_map {
        let in_folder = file.as_str().filter(|file| is_file_name(file));
        let Some(file) = in_folder else {
            let problem = format!("{file} is no name of a file in the folder, and is not read");
            return Err(refused(problem));
        };
        map.insert(name, file.to_owned());
    }
    match map.is_empty() {
        true => Err(refused("`weight_map` names no weights".to_owned())),
        false => Ok(map),
    }
}

/// Whether a path has one part that leads nowhere else.
fn is_file_name(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let first = matches!(parts.next(), Some(Component::Normal(name)) if name == path);
    first && parts.next().is_none() && !path.contains(['/', '\\', '\0'])
}
