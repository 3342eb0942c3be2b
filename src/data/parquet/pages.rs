//! What the pages of a Parquet file say that they hold, read from their headers alone: the
//! reader takes as much memory as these ask for.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use parquet::file::metadata::ParquetMetaData;

/// Structures in structures; a page header has three.
const DEEPEST: u32 = 16;

/// Thrift's compact protocol: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// Of all pages together.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Bytes of the pages, unpacked.
    pub(super) bytes: u64,
    /// Values that a reader has in memory at once: those of dictionaries, and those of lists,
    /// all of which may be in one row.
    pub(super) values: u64,
}

/// # Errors
/// When a header cannot be read.
pub(super) fn held(file: &File, metadata: &ParquetMetaData) -> io::Result<Held> {
    let mut held = Held::default();
    for column in metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
    {
        let is_list = column.column_descr().max_rep_level() > 0;
        let (first, mut left) = column.byte_range();
        let mut file = BufReader::new(file);
        file.seek(SeekFrom::Start(first))?;
        while left > 0 {
            let mut bytes = Bytes {
                inner: (&mut file).take(left),
                read: 0,
            };
            let page = Page::read(&mut bytes)?;
            held.bytes = held.bytes.saturating_add(page.unpacked);
            if is_list || page.is_dictionary {
                held.values = held.values.saturating_add(page.values);
            }
            let header = bytes.read;
            left = match left.checked_sub(header + page.packed) {
                Some(left) => left,
                None => return Err(damaged("a page is longer than its column")),
            };
            file.seek_relative(i64::try_from(page.packed).map_err(|_| damaged("a long page"))?)?;
        }
    }
    Ok(held)
}

/// What is wanted of a page header.
#[derive(Debug, Default)]
struct Page {
    unpacked: u64,
    packed: u64,
    values: u64,
    is_dictionary: bool,
}

impl Page {
    /// <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>,
    /// `PageHeader`.
    fn read(bytes: &mut Bytes<impl Read>) -> io::Result<Self> {
        let mut page = Self::default();
        let mut seen = 0_u32;
        bytes.each_field(|bytes, field, kind| {
            let wanted = match field {
                2 | 3 => I32,
                5 | 7 | 8 => STRUCT,
                _ => return bytes.skip(kind, 0),
            };
            // Readers differ in which of two they take.
            if kind != wanted || seen & (1 << field) != 0 {
                return Err(damaged("a page header is none"));
            }
            seen |= 1 << field;
            match field {
                2 => page.unpacked = bytes.count()?,
                3 => page.packed = bytes.count()?,
                _ => {
                    page.is_dictionary |= field == 7;
                    bytes.each_field(|bytes, field, kind| match (field, kind) {
                        (1, I32) => {
                            page.values = page.values.saturating_add(bytes.count()?);
                            Ok(())
                        }
                        _ => bytes.skip(kind, 0),
                    })?;
                }
            }
            Ok(())
        })?;
        Ok(page)
    }
}

/// Thrift's compact protocol, as far as it is needed.
struct Bytes<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Bytes<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.inner.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(damaged("a number has no end"))
    }

    /// A number with a sign that must not be below 0.
    fn count(&mut self) -> io::Result<u64> {
        let number = self.varint()?;
        match number & 1 {
            0 => Ok(number >> 1),
            _ => Err(damaged("a count is below 0")),
        }
    }

    /// Calls `take` with the number and the kind of each field of a structure; it reads or
    /// skips the field.
    fn each_field(
        &mut self,
        mut take: impl FnMut(&mut Self, i64, u8) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut field = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Ok(());
            }
            field = match byte >> 4 {
                0 => {
                    let number = self.varint()?;
                    (number >> 1) as i64 ^ -((number & 1) as i64)
                }
                more => field + i64::from(more),
            };
            take(self, field, byte & 0x0f)?;
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(damaged("a page header is too deep"));
        }
        match kind {
            1 | 2 => Ok(()), // the kind is the value
            3 => self.byte().map(|_| ()),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let byte = self.byte()?;
                let count = match byte >> 4 {
                    15 => self.varint()?,
                    few => u64::from(few),
                };
                (0..count).try_for_each(|_| self.skip_item(byte & 0x0f, depth))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth)?;
                    self.skip_item(kinds & 0x0f, depth)
                })
            }
            STRUCT => self.each_field(|bytes, _, kind| bytes.skip(kind, depth + 1)),
            _ => Err(damaged("a page header is none")),
        }
    }

    /// An item of a list; a truth value has a byte there.
    fn skip_item(&mut self, kind: u8, depth: u32) -> io::Result<()> {
        match kind {
            1 | 2 => self.byte().map(|_| ()),
            kind => self.skip(kind, depth + 1),
        }
    }

    fn skip_bytes(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.inner).take(count), &mut io::sink())?;
        self.read += skipped;
        match skipped == count {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
