//! The names that a state dict needs, and what they stand for: a closed list.

use std::fmt;

use tch::Kind;

use super::Problem;
use super::machine::{Id, Pickle, Value};

/// The most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

/// The most characters that are shown of a name.
const SHOWN: usize = 80;

/// A name that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    /// A tensor of a storage.
    Tensor,
    /// A tensor that is trained.
    Parameter,
    /// Numbers of one kind.
    Storage(Kind),
}

const STORAGES: [(&str, Kind); 10] = [
    ("BFloat16Storage", Kind::BFloat16),
    ("BoolStorage", Kind::Bool),
    ("ByteStorage", Kind::Uint8),
    ("CharStorage", Kind::Int8),
    ("DoubleStorage", Kind::Double),
    ("FloatStorage", Kind::Float),
    ("HalfStorage", Kind::Half),
    ("IntStorage", Kind::Int),
    ("LongStorage", Kind::Int64),
    ("ShortStorage", Kind::Int16),
];

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Self, Problem> {
        let storage = || STORAGES.iter().find(|(known, _)| *known == name);
        let found = match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            // The older one of the first releases lacks the last arguments.
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Some(Self::Tensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::Parameter),
            ("torch", _) => storage().map(|&(_, kind)| Self::Storage(kind)),
            _ => None,
        };
        found.ok_or_else(|| {
            format!(
                "it asks for `{}.{}`, which the names and tensors of a state dict do not need, and \
                 which may run code: nothing of it is read. If you trust it, let Python save the \
                 tensors alone, as safetensors or by torch.save(model.state_dict())",
                shown(module),
                shown(name)
            )
        })
    }
}

impl fmt::Display for Global {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let of_kind = |kind: Kind| STORAGES.iter().find(|(_, known)| *known == kind);
        match self {
            Self::OrderedDict => f.write_str("collections.OrderedDict"),
            Self::Tensor => f.write_str("torch._utils._rebuild_tensor_v2"),
            Self::Parameter => f.write_str("torch._utils._rebuild_parameter"),
            Self::Storage(kind) => {
                let name = of_kind(*kind).map_or("Storage", |(name, _)| name);
                write!(f, "torch.{name}")
            }
        }
    }
}

/// A tensor as the pickle describes it; its numbers are in a storage.
#[derive(Debug)]
pub(super) struct View {
    /// How the storage is named.
    pub(super) storage: Id,
    /// Where its first number is in the storage.
    pub(super) offset: u64,
    pub(super) sizes: Vec<u64>,
    /// Numbers of the storage from one to the next in each dimension.
    pub(super) strides: Vec<u64>,
}

impl View {
    pub(super) fn new(
        pickle: &Pickle,
        storage: Id,
        offset: Id,
        shape: [Id; 2],
    ) -> Result<Self, Problem> {
        let Value::Outside(storage) = pickle.value(storage) else {
            return Err("a tensor has no storage".into());
        };
        let whole = "a tensor's offset, sizes and strides must be whole numbers, 8 dimensions at \
                     most";
        let numbers = |list: Id| -> Option<Vec<u64>> {
            let items = pickle.items(list)?;
            let items = Some(items).filter(|items| items.len() <= MOST_DIMENSIONS)?;
            items.iter().map(|&item| pickle.count(item)).collect()
        };
        let [sizes, strides] = shape.map(|list| numbers(list).ok_or(whole));
        let (sizes, strides) = (sizes?, strides?);
        if sizes.len() != strides.len() {
            return Err("a tensor has not as many strides as sizes".into());
        }
        Ok(Self {
            storage: *storage,
            offset: pickle.count(offset).ok_or(whole)?,
            sizes,
            strides,
        })
    }
}

/// Text of a file, as it may be shown.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}
