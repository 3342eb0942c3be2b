//! `pytorch_model.bin`: the names and tensors that torch.save has written, without Python and
//! without running what the file says. What is read is a closed list of instructions and names
//! (`machine`, `known`); anything else is refused by its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use tch::{Kind, Tensor};

use self::known::shown;
use self::machine::Pickle;
use self::state::{State, Storage, StoredTensor};
use crate::error::{Error, Result, TorchContext};
use crate::whole_file;

mod known;
mod machine;
mod old_form;
mod state;
mod zip;

/// The most bytes of a pickle: that of a BERT with 24 layers has 60 KB.
const LONGEST: u64 = 16 << 20;

/// What is wrong with a file, and what to do.
type Problem = String;

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct Pickled {
    file: File,
    state: State,
    /// Where the numbers of each storage are.
    extents: BTreeMap<String, Extent>,
}

/// Bytes in a file.
#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    bytes: u64,
    crc: Option<u32>,
}

impl Pickled {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, length) = whole_file::open(path)?;
        Self::read_header(file, length).map_err(|problem| refused(path, problem))
    }

    /// Reads all but the numbers.
    fn read_header(file: File, length: u64) -> Result<Self, Problem> {
        let start = read_many(&file, 0, length.min(64))?;
        let (state, extents) = match &start[..] {
            [0x80, ..] => old_form::read(&file, length)?,
            start if start.starts_with(zip::LOCAL) => of_zip(&file, length)?,
            start if start.starts_with(b"version https://git-lfs") => {
                return Err("it is a pointer of Git LFS: fetch the file (git lfs pull)".into());
            }
            _ => return Err("it is none that torch.save has written".into()),
        };
        for (name, storage) in &state.storages {
            let extent = extents.get(name);
            let extent = extent.ok_or_else(|| format!("it lacks the storage `{}`", shown(name)))?;
            if Some(extent.bytes) != storage.bytes() {
                let Storage { kind, numbers } = storage;
                return Err(format!(
                    "its storage `{}` has {} bytes, but should have {numbers} numbers of {kind:?}",
                    shown(name),
                    extent.bytes
                ));
            }
        }
        Ok(Self {
            file,
            state,
            extents,
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.state.tensors.keys().map(String::as_str)
    }

    /// Shape and kind of a tensor.
    pub(super) fn describe(&self, name: &str) -> Option<(&[i64], Kind)> {
        let tensor = self.state.tensors.get(name)?;
        let storage = self.state.storages.get(&tensor.storage)?;
        Some((&tensor.sizes, storage.kind))
    }

    /// Reads tensors, one storage after another, and gives each with its name to `each`.
    pub(super) fn read(
        &self,
        path: &Path,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&str, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let mut by_storage: BTreeMap<&str, Vec<(&str, &StoredTensor)>> = BTreeMap::new();
        for (name, tensor) in self.state.tensors.iter().filter(|(name, _)| wanted(name)) {
            by_storage
                .entry(&tensor.storage)
                .or_default()
                .push((name, tensor));
        }
        for (key, tensors) in by_storage {
            let bytes = self
                .storage(key)
                .map_err(|problem| refused(path, problem))?;
            let kind = self.state.storages[key].kind;
            for (name, tensor) in tensors {
                each(name, &tensor.of(&bytes, kind).doing("reading weights")?)?;
            }
        }
        Ok(())
    }

    /// The bytes of a storage, of which there are as many as its numbers take.
    fn storage(&self, key: &str) -> Result<Vec<u8>, Problem> {
        let extent = self.extents[key];
        let bytes = read_many(&self.file, extent.start, extent.bytes)?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        match extent.crc {
            Some(expected) if expected != crc.sum() => Err(format!(
                "the numbers of its storage `{}` are damaged (their CRC-32 is another): copy or \
                 download it again",
                shown(key)
            )),
            _ => Ok(bytes),
        }
    }
}

impl StoredTensor {
    /// The tensor, given its whole storage.
    fn of(&self, storage: &[u8], kind: Kind) -> Result<Tensor, tch::TchError> {
        let is_empty = self.sizes.contains(&0);
        let steps = self.sizes.iter().zip(&self.strides);
        let span: i64 = steps.map(|(size, stride)| (size - 1) * stride).sum();
        let numbers = if is_empty { 0 } else { span + 1 };
        let width = kind.elt_size_in_bytes();
        let (start, length) = (self.offset * width, numbers as usize * width);
        // libtorch copies as much as the shape says; the slice is checked.
        let bytes = &storage[start..start + length];
        let flat = Tensor::f_from_data_size(bytes, &[numbers], kind)?;
        match is_empty {
            true => flat.f_reshape(&self.sizes),
            false => flat.f_as_strided(&self.sizes, &self.strides, 0),
        }
    }
}

fn refused(path: &Path, problem: Problem) -> Error {
    let path = path.to_owned();
    Error::File { path, problem }
}

/// The form since torch 1.6: `NAME/data.pkl`, and a file for each storage beside it.
fn of_zip(file: &File, length: u64) -> Result<(State, BTreeMap<String, Extent>), Problem> {
    let entries = zip::entries(file, length)?;
    let mut folders = entries
        .keys()
        .filter_map(|name| name.strip_suffix("data.pkl"));
    let (Some(folder), None) = (folders.next(), folders.next()) else {
        return Err("its zip file does not hold one data.pkl, as torch.save writes it".into());
    };
    let content = |name: &str, most: u64| match entries.get(&format!("{folder}{name}")) {
        Some(entry) if entry.bytes > most => Err(format!(
            "its {name} has {} bytes, at most {most} are read",
            entry.bytes
        )),
        Some(entry) => read_many(file, entry.start, entry.bytes).map(Some),
        None => Ok(None),
    };
    if entries.contains_key(&format!("{folder}constants.pkl")) {
        return Err("it is a TorchScript program: save model.state_dict() with torch.save".into());
    }
    if content("byteorder", 16)?.is_some_and(|order| order != b"little") {
        return Err("its numbers have their highest byte first, which is not read".into());
    }
    let pickle = content("data.pkl", LONGEST)?.unwrap_or_default();
    let state = State::read(&Pickle::read(&pickle, 0)?)?;
    let extents = state.storages.keys().filter_map(|key| {
        let entry = entries.get(&format!("{folder}data/{key}"))?;
        Some((key.clone(), *entry))
    });
    let extents = extents.collect();
    Ok((state, extents))
}

/// `length` bytes of a file; it must be known that there are as many.
fn read_many(mut file: &File, start: u64, length: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(unreadable)?);
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let read = file
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    match read as u64 == length {
        true => Ok(bytes),
        false => Err(unreadable(io::Error::from(io::ErrorKind::UnexpectedEof))),
    }
}

fn read_at<const N: usize>(mut file: &File, start: u64) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    let sought = file.seek(SeekFrom::Start(start));
    sought
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(unreadable)?;
    Ok(bytes)
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    format!("it cannot be read to its end: {error}")
}

#[cfg(test)]
mod tests;
