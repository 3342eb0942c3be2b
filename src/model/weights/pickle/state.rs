//! What a pickle says of a state dict: tensors by their names, each of a part of a storage.
//! Every size is checked against its storage before there is memory for anything.

use std::collections::BTreeMap;

use tch::Kind;

use super::Problem;
use super::known::{Global, shown};
use super::machine::{Id, Pickle, Value};

/// Tensors and the storages that they are of, each by its name.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tensors: BTreeMap<String, StoredTensor>,
    pub(super) storages: BTreeMap<String, Storage>,
}

#[derive(Debug)]
pub(super) struct StoredTensor {
    pub(super) storage: String,
    /// In numbers, as the strides.
    pub(super) offset: usize,
    pub(super) sizes: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

/// Numbers of one kind, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) kind: Kind,
    pub(super) numbers: u64,
}

impl Storage {
    pub(super) fn bytes(self) -> Option<u64> {
        self.numbers
            .checked_mul(self.kind.elt_size_in_bytes() as u64)
    }
}

impl State {
    pub(super) fn read(pickle: &Pickle) -> Result<Self, Problem> {
        let mut state = Self::default();
        let Some(pairs) = pickle.pairs(pickle.result)? else {
            return Err(
                "it holds no dictionary of names and tensors: save model.state_dict()".into(),
            );
        };
        for (name, value) in pairs {
            let Some(name) = pickle.text(name) else {
                return Err("a name in its dictionary is no text: save model.state_dict()".into());
            };
            let Value::Tensor(view) = pickle.value(value) else {
                return Err(format!(
                    "`{}` is no tensor, as all of a state dict are: save model.state_dict() alone",
                    shown(name)
                ));
            };
            let of_it = |problem: &str| format!("`{}`: {problem}", shown(name));
            let outside = Outside::read(pickle, view.storage).map_err(|problem| of_it(&problem))?;
            let tensor = outside.tensor(view.offset, &view.sizes, &view.strides);
            let outside_of_storage = "it is larger than its storage";
            let tensor = tensor.ok_or_else(|| of_it(outside_of_storage))?;
            let storage = *state
                .storages
                .entry(outside.key.to_owned())
                .or_insert(outside.storage);
            if storage != outside.storage {
                return Err(of_it("its storage is described in two ways"));
            }
            state.tensors.insert(name.to_owned(), tensor);
        }
        Ok(state)
    }
}

/// How a pickle names a storage.
struct Outside<'a> {
    key: &'a str,
    storage: Storage,
    /// The numbers of it that this one means: early releases had storages of storages.
    part: (u64, u64),
}

impl<'a> Outside<'a> {
    fn read(pickle: &Pickle<'a>, id: Id) -> Result<Self, Problem> {
        let other = || "its storage is not named as torch names it".to_owned();
        let items = pickle.items(id).ok_or_else(other)?;
        let (&[word, kind, key, _place, numbers], rest) = match items.split_first_chunk::<5>() {
            Some(parts) => parts,
            None => return Err(other()),
        };
        let &Value::Global(Global::Storage(kind)) = pickle.value(kind) else {
            return Err(other());
        };
        let (Some("storage"), Some(key), Some(numbers)) =
            (pickle.text(word), pickle.text(key), pickle.count(numbers))
        else {
            return Err(other());
        };
        let part = match rest {
            [] => Some((0, numbers)),
            &[view] => match pickle.items(view) {
                Some(&[_, offset, length]) => pickle.count(offset).zip(pickle.count(length)),
                _ if matches!(pickle.value(view), Value::None) => Some((0, numbers)),
                _ => None,
            },
            _ => None,
        };
        let part = part.ok_or_else(other)?;
        if part.0.checked_add(part.1).is_none_or(|end| end > numbers) {
            return Err("its storage is a part that is larger than the whole".into());
        }
        let storage = Storage { kind, numbers };
        Ok(Self { key, storage, part })
    }

    /// A tensor of it; none if it is not within.
    fn tensor(&self, offset: u64, sizes: &[u64], strides: &[u64]) -> Option<StoredTensor> {
        let is_empty = sizes.contains(&0);
        let mut last = offset;
        for (&size, &stride) in sizes.iter().zip(strides) {
            last = last.checked_add(size.saturating_sub(1).checked_mul(stride)?)?;
        }
        if !is_empty && last >= self.part.1 {
            return None;
        }
        // Also where numbers stand for many, so that nobody's product of sizes overflows.
        sizes.iter().try_fold(1_i64, |numbers, &size| {
            numbers.checked_mul(i64::try_from(size).ok()?)
        })?;
        let signed = |numbers: &[u64]| -> Option<Vec<i64>> {
            numbers.iter().map(|&n| i64::try_from(n).ok()).collect()
        };
        Some(StoredTensor {
            storage: self.key.to_owned(),
            offset: if is_empty {
                0
            } else {
                usize::try_from(self.part.0 + offset).ok()?
            },
            sizes: signed(sizes)?,
            strides: signed(strides)?,
        })
    }
}
