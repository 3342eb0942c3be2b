//! A file of weights, in one form or the other, behind one door.

use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use tch::{Kind, Tensor};

use super::LONGEST_HEADER;
use super::pickle::Pickled;
use crate::error::{Error, Result, TorchContext};
use crate::whole_file;

pub(super) enum Part {
    Safetensors(Safetensors),
    Pickled(Pickled),
}

/// What a file says of a tensor.
pub(super) struct Described {
    pub(super) shape: Vec<usize>,
    /// Of floating-point numbers; else what the file calls them.
    pub(super) kind: Result<Kind, String>,
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self> {
        match path.extension().is_some_and(|end| end == "safetensors") {
            true => Safetensors::open(path).map(Self::Safetensors),
            false => Pickled::open(path).map(Self::Pickled),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.header.offset_keys(),
            Self::Pickled(file) => file.names().map(str::to_owned).collect(),
        }
    }

    /// None for a tensor that the file does not have.
    pub(super) fn describe(&self, name: &str) -> Option<Described> {
        match self {
            Self::Safetensors(file) => {
                let info = file.header.info(name)?;
                Some(Described {
                    shape: info.shape.clone(),
                    kind: real(info.dtype).ok_or_else(|| format!("{:?}", info.dtype)),
                })
            }
            Self::Pickled(file) => {
                let (shape, kind) = file.describe(name)?;
                let real = matches!(
                    kind,
                    Kind::Double | Kind::Float | Kind::Half | Kind::BFloat16
                );
                Some(Described {
                    shape: shape.iter().map(|&size| size as usize).collect(),
                    kind: if real {
                        Ok(kind)
                    } else {
                        Err(format!("{kind:?}"))
                    },
                })
            }
        }
    }

    /// Reads the tensors that are `wanted`, and gives each with its name to `each`. They must
    /// be of floating-point numbers.
    pub(super) fn read(
        &self,
        path: &Path,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(&str, &Tensor) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Safetensors(file) => {
                let names = file.header.offset_keys();
                for name in names.iter().filter(|name| wanted(name)) {
                    if let Some(tensor) = file.tensor(name)? {
                        each(name, &tensor)?;
                    }
                }
                Ok(())
            }
            Self::Pickled(file) => file.read(path, wanted, each),
        }
    }
}

/// A whole file in memory, which has been checked.
pub(super) struct Safetensors {
    bytes: Vec<u8>,
    header: Metadata,
    /// Where its numbers begin.
    start: usize,
}

impl Safetensors {
    fn open(path: &Path) -> Result<Self> {
        let bytes = whole_file::read(path)?;
        let refused = |problem: String| Error::File {
            path: path.to_owned(),
            problem: format!("not a whole safetensors file: {problem}"),
        };
        let length = bytes.first_chunk().map(|first| u64::from_le_bytes(*first));
        if let Some(length) = length.filter(|&length| length > LONGEST_HEADER) {
            let most = LONGEST_HEADER >> 20;
            let pointer = match bytes.starts_with(b"version https://git-lfs") {
                true => " (it is a pointer of Git LFS: fetch the file, git lfs pull)",
                false => "",
            };
            let problem =
                format!("its header has {length} bytes, at most {most} MiB are read{pointer}");
            return Err(refused(problem));
        }
        let header = SafeTensors::read_metadata(&bytes);
        let (length, header) = header.map_err(|source| refused(source.to_string()))?;
        Ok(Self {
            bytes,
            header,
            start: size_of::<u64>() + length,
        })
    }

    /// None for one that is absent or not of floating-point numbers.
    fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(info) = self.header.info(name) else {
            return Ok(None);
        };
        let Some(kind) = real(info.dtype) else {
            return Ok(None);
        };
        // The header was checked: these are as many bytes as the shape says.
        let (start, end) = info.data_offsets;
        let bytes = &self.bytes[self.start + start..self.start + end];
        let shape: Vec<i64> = info.shape.iter().map(|&size| size as i64).collect();
        let tensor = Tensor::f_from_data_size(bytes, &shape, kind);
        tensor.doing("reading weights").map(Some)
    }
}

fn real(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F64 => Some(Kind::Double),
        Dtype::F32 => Some(Kind::Float),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        _ => None,
    }
}
