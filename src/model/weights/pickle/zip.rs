//! The container that torch has written since 1.6: a zip file whose entries are stored as they
//! are. Only what such files have is read; all places and sizes are checked against the file
//! before there is memory for them.

use std::collections::BTreeMap;
use std::fs::File;

use super::known::shown;
use super::{Extent, Problem, read_at, read_many};

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";

const END_LENGTH: usize = 22;
const END_64_LENGTH: usize = 56;
const LOCATOR_LENGTH: usize = 20;
const ENTRY_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;

/// A comment may follow the end.
const LONGEST_COMMENT: usize = u16::MAX as usize;

/// The most bytes of the list of entries: that of a BERT with 24 layers has 40 KB.
const LONGEST_LIST: u64 = 16 << 20;

const NOT_WHOLE: &str = "it is not a whole zip file: copy or download it again";

/// The entries of a zip file of `length` bytes, by name.
pub(super) fn entries(file: &File, length: u64) -> Result<BTreeMap<String, Extent>, Problem> {
    let list = list(file, length)?;
    let mut entries = BTreeMap::new();
    let (mut rest, mut total) = (&list.bytes[..], 0_u64);
    for _ in 0..list.entries {
        let (entry, after) = Entry::read(rest)?;
        rest = after;
        // Entries that lie upon each other would make much of a small file.
        total = total.saturating_add(entry.bytes);
        if total > list.start {
            return Err(NOT_WHOLE.into());
        }
        let local: [u8; LOCAL_LENGTH] = read_at(file, entry.local)?;
        let start = [
            u64::from(number16(&local, 26)),
            u64::from(number16(&local, 28)),
        ];
        let start = start
            .iter()
            .try_fold(entry.local + LOCAL_LENGTH as u64, |place, &more| {
                place.checked_add(more)
            });
        let start = start.filter(|start| {
            local.starts_with(LOCAL)
                && start
                    .checked_add(entry.bytes)
                    .is_some_and(|end| end <= list.start)
        });
        let extent = Extent {
            start: start.ok_or(NOT_WHOLE)?,
            bytes: entry.bytes,
            crc: Some(entry.crc),
        };
        if entries.contains_key(&entry.name) {
            return Err(format!("its zip file has `{}` twice", shown(&entry.name)));
        }
        entries.insert(entry.name, extent);
    }
    Ok(entries)
}

/// The list of entries at the end.
struct List {
    start: u64,
    entries: u64,
    bytes: Vec<u8>,
}

fn list(file: &File, length: u64) -> Result<List, Problem> {
    let tail = length.min((END_LENGTH + LONGEST_COMMENT) as u64);
    let tail_start = length - tail;
    let tail = read_many(file, tail_start, tail)?;
    let ends_there = |&place: &usize| {
        tail[place..].starts_with(END)
            && place + END_LENGTH + usize::from(number16(&tail, place + 20)) == tail.len()
    };
    let last = tail.len().checked_sub(END_LENGTH).ok_or(NOT_WHOLE)?;
    let end = (0..=last).rev().find(ends_there).ok_or(NOT_WHOLE)?;
    let mut entries = u64::from(number16(&tail, end + 10));
    let mut bytes = u64::from(number32(&tail, end + 12));
    let mut start = u64::from(number32(&tail, end + 16));
    let mut after = tail_start + end as u64;
    let locator = after.checked_sub(LOCATOR_LENGTH as u64);
    if let Some(locator) = locator {
        let read: [u8; LOCATOR_LENGTH] = read_at(file, locator)?;
        if read.starts_with(LOCATOR) {
            after = number64(&read, 8);
            if after > locator {
                return Err(NOT_WHOLE.into());
            }
            let end: [u8; END_64_LENGTH] = read_at(file, after)?;
            if !end.starts_with(END_64) {
                return Err(NOT_WHOLE.into());
            }
            (entries, bytes, start) = (number64(&end, 32), number64(&end, 40), number64(&end, 48));
        }
    }
    if start.checked_add(bytes).is_none_or(|end| end > after) {
        return Err(NOT_WHOLE.into());
    }
    if bytes > LONGEST_LIST {
        let most = LONGEST_LIST >> 20;
        return Err(format!(
            "its list of entries has {bytes} bytes, at most {most} MiB are read"
        ));
    }
    let bytes = read_many(file, start, bytes)?;
    Ok(List {
        start,
        entries,
        bytes,
    })
}

/// What the list says of a file in the zip file.
struct Entry {
    name: String,
    bytes: u64,
    crc: u32,
    /// Where its own header is.
    local: u64,
}

impl Entry {
    /// Reads the first entry; returns the rest too.
    fn read(list: &[u8]) -> Result<(Self, &[u8]), Problem> {
        let (head, rest) = list.split_at_checked(ENTRY_LENGTH).ok_or(NOT_WHOLE)?;
        if !head.starts_with(ENTRY) {
            return Err(NOT_WHOLE.into());
        }
        let length = |place| usize::from(number16(head, place));
        let (name, rest) = rest.split_at_checked(length(28)).ok_or(NOT_WHOLE)?;
        let (extra, rest) = rest.split_at_checked(length(30)).ok_or(NOT_WHOLE)?;
        let (_, rest) = rest.split_at_checked(length(32)).ok_or(NOT_WHOLE)?;
        let name = std::str::from_utf8(name).map_err(|_| NOT_WHOLE)?.to_owned();
        if number16(head, 8) & 1 != 0 {
            return Err("its zip file is encrypted: save it again with torch.save".into());
        }
        let method = number16(head, 10);
        if method != 0 {
            return Err(format!(
                "its zip file is compressed (method {method}), which torch.save does not do: unpack \
                 it and pack it again without compression (zip -0), or save it again with torch.save"
            ));
        }
        let mut large = LargeNumbers::find(extra);
        let [packed, bytes, local] = [20, 24, 42].map(|place| number32(head, place));
        // In this order, whatever the order above.
        let bytes = large.or(bytes)?;
        let packed = large.or(packed)?;
        let local = large.or(local)?;
        if packed != bytes {
            return Err(NOT_WHOLE.into());
        }
        let crc = number32(head, 16);
        Ok((
            Self {
                name,
                bytes,
                crc,
                local,
            },
            rest,
        ))
    }
}

/// The numbers of an entry that have no room in its 32 bits.
struct LargeNumbers<'a>(&'a [u8]);

impl<'a> LargeNumbers<'a> {
    fn find(mut extra: &'a [u8]) -> Self {
        while let Some((head, rest)) = extra.split_at_checked(4) {
            let Some((field, rest)) = rest.split_at_checked(number16(head, 2).into()) else {
                break;
            };
            if number16(head, 0) == 1 {
                return Self(field);
            }
            extra = rest;
        }
        Self(&[])
    }

    /// The number itself, or the next of these if it says so.
    fn or(&mut self, number: u32) -> Result<u64, Problem> {
        if number != u32::MAX {
            return Ok(number.into());
        }
        let (first, rest) = self.0.split_at_checked(8).ok_or(NOT_WHOLE)?;
        self.0 = rest;
        Ok(number64(first, 0))
    }
}

fn array<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[place..place + N]);
    array
}

fn number16(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes(array(bytes, place))
}

fn number32(bytes: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(array(bytes, place))
}

fn number64(bytes: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(array(bytes, place))
}
