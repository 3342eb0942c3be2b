//! The form of torch before 1.6: some pickles, then the numbers of each storage after how many
//! they are.

use std::collections::BTreeMap;
use std::fs::File;

use super::machine::{Pickle, Value};
use super::state::State;
use super::{Extent, LONGEST, Problem, read_at, read_many};

/// What the first pickle of such a file holds, the lowest byte first.
pub(super) const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const VERSION: u64 = 1001;

/// Bytes of the count before the numbers of a storage.
const COUNT: u64 = 8;

pub(super) fn read(file: &File, length: u64) -> Result<(State, BTreeMap<String, Extent>), Problem> {
    let bytes = read_many(file, 0, length.min(LONGEST))?;
    let mut at = 0;
    let mut next = || {
        let pickle =
            Pickle::read(&bytes, at).map_err(|problem| match bytes.len() as u64 == length {
                true => problem,
                false => format!("in its first {} MiB: {problem}", LONGEST >> 20),
            })?;
        at = pickle.end;
        Ok::<_, Problem>(pickle)
    };

    let magic = next()?;
    let version = next()?;
    if magic.long(magic.result) != Some(MAGIC) || version.count(version.result) != Some(VERSION) {
        return Err("it is none that torch.save has written".into());
    }
    let system = next()?;
    let fields = system.pairs(system.result)?.unwrap_or_default();
    let little_endian = |&(name, value): &_| {
        system.text(name) == Some("little_endian")
            && matches!(system.value(value), Value::Bool(true))
    };
    if !fields.iter().any(little_endian) {
        return Err("its numbers have their highest byte first, which is not read".into());
    }
    let state = State::read(&next()?)?;
    let keys = next()?;
    let list = keys
        .items(keys.result)
        .ok_or("its list of storages is none")?;
    let mut extents = BTreeMap::new();
    let mut place = keys.end as u64;
    for &key in list {
        let storage = keys
            .text(key)
            .and_then(|key| Some((key, state.storages.get(key)?)));
        let Some((key, storage)) = storage else {
            return Err("its list of storages has one that no tensor is of".into());
        };
        let too_short = "it ends in the middle of its numbers: copy or download it again";
        let start = place + COUNT;
        let bytes = storage
            .bytes()
            .filter(|&bytes| bytes <= length.saturating_sub(start));
        let bytes = bytes.ok_or(too_short)?;
        if u64::from_le_bytes(read_at(file, place)?) != storage.numbers {
            return Err("a storage of it has not as many numbers as its pickle says".into());
        }
        let crc = None;
        if extents
            .insert(key.to_owned(), Extent { start, bytes, crc })
            .is_some()
        {
            return Err("its list of storages has one twice".into());
        }
        place = start + bytes;
    }
    Ok((state, extents))
}
