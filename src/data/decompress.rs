//! Opens a file for reading, through gzip or xz where its name ends in `.gz` or
//! `.xz`, and as JSON lines where it ends in `.parquet`. All members of a compressed file
//! are read, and one that ends early is an error, never a short file.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::format::Syntax;
use super::json_rows;
use crate::error::{PathContext, Result};

/// More than this many bytes are unpacked only while they are at most [`MOST_OUT_OF_ONE`]
/// for each byte of the file. Text packs to a fifth or a tenth; zeros to a thousandth.
const SMALL: u64 = 64 << 20;
const MOST_OUT_OF_ONE: u64 = 200;

/// Memory that an xz file may ask for: `xz -9` takes 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// How much a compressed file may become, and ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Unpack {
    #[default]
    Limited,
    Everything,
}

/// The content of the file at `path`, decompressed, as a stream.
pub(super) fn open(path: &Path, unpack: Unpack) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).reading(path)?;
    Ok(match Compression::of(path) {
        Some(compression) => {
            let decoder = compression.decoder(file, unpack).reading(path)?;
            Box::new(BufReader::new(decoder))
        }
        None => Box::new(BufReader::new(file)),
    })
}

/// The same of a file of rows: lists of JSON become JSON lines.
pub(super) fn open_rows(path: &Path, unpack: Unpack, syntax: Syntax) -> Result<Box<dyn BufRead>> {
    let content = open(path, unpack)?;
    match may_be_list(path, syntax) {
        true => Ok(json_rows::as_lines(content).reading(path)?.0),
        false => Ok(content),
    }
}

/// Whether a file of rows may be a list of JSON; the rows of Parquet are lines already.
fn may_be_list(path: &Path, syntax: Syntax) -> bool {
    let parquet = |ending: &OsStr| ending.eq_ignore_ascii_case("parquet");
    syntax == Syntax::JsonLines && !path.extension().is_some_and(parquet)
}

/// The same as [`open_rows`], and a file that has the content at its places once the stream has
/// been read: the file itself or, where that is compressed, a list or no regular file, a
/// temporary one that is filled from the stream.
pub(super) fn open_twice(
    path: &Path,
    unpack: Unpack,
    syntax: Syntax,
) -> Result<(Box<dyn BufRead>, File)> {
    let file = File::open(path).reading(path)?;
    let stream = file.try_clone().reading(path)?;
    let compression = Compression::of(path);
    let has_places = compression.is_none() && file.metadata().reading(path)?.is_file();
    let mut content: Box<dyn BufRead> = match compression {
        Some(compression) => {
            let decoder = compression.decoder(stream, unpack).reading(path)?;
            Box::new(BufReader::new(decoder))
        }
        None => Box::new(BufReader::new(stream)),
    };
    let mut is_list = false;
    if may_be_list(path, syntax) {
        (content, is_list) = json_rows::as_lines(content).reading(path)?;
    }
    if has_places && !is_list {
        return Ok((content, file));
    }
    let copy = tempfile::tempfile().map_err(not_copied).reading(path)?;
    let stream = Copied {
        content,
        copy: copy.try_clone().reading(path)?,
    };
    Ok((Box::new(BufReader::new(stream)), copy))
}

/// How a file is compressed, as its name says.
enum Compression {
    Gzip,
    Xz,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Compression {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        if ending.eq_ignore_ascii_case("gz") {
            Some(Self::Gzip)
        } else if ending.eq_ignore_ascii_case("xz") {
            Some(Self::Xz)
        } else {
            #[cfg(feature = "parquet")]
            if ending.eq_ignore_ascii_case("parquet") {
                return Some(Self::Parquet);
            }
            None
        }
    }

    fn decoder(self, file: File, unpack: Unpack) -> io::Result<Box<dyn Read>> {
        let packed = Rc::new(Cell::new(0));
        let counted = |inner| {
            let count = Rc::clone(&packed);
            BufReader::new(Counted { inner, count })
        };
        let memory = match unpack {
            Unpack::Limited => XZ_MEMORY,
            Unpack::Everything => u64::MAX,
        };
        let (kind, inner): (_, Box<dyn Read>) = match self {
            Self::Gzip => ("gzip", Box::new(MultiGzDecoder::new(counted(file)))),
            Self::Xz => {
                let stream = Stream::new_auto_decoder(memory, CONCATENATED)?;
                ("xz", Box::new(XzDecoder::new_stream(counted(file), stream)))
            }
            #[cfg(feature = "parquet")]
            Self::Parquet => {
                // It is read here and there, and not from its start on.
                packed.set(file.metadata()?.len());
                (
                    "Parquet",
                    Box::new(super::parquet::JsonLines::new(file, unpack)?),
                )
            }
        };
        Ok(Box::new(Decoder {
            inner,
            kind,
            packed,
            unpacked: 0,
            unpack,
        }))
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Writes what is read to another file as well.
struct Copied {
    content: Box<dyn BufRead>,
    copy: File,
}

impl Read for Copied {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.copy.write_all(&buffer[..read]).map_err(not_copied)?;
        Ok(read)
    }
}

/// Says of an error that it is not the file's own: its folder may be full, for one.
fn not_copied(error: io::Error) -> io::Error {
    let folder = std::env::temp_dir();
    let problem = format!("no copy of it in {} ({error})", folder.display());
    io::Error::new(error.kind(), problem)
}

/// Says of an error in compressed data that it is one: the decoders' own words
/// are as short as "unexpected end of file". Refuses data that unpacks to far more than
/// text does, before it fills the memory.
struct Decoder<R> {
    inner: R,
    kind: &'static str,
    /// Bytes of the file so far.
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    unpack: Unpack,
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).map_err(|error| {
            if error.raw_os_error().is_some() {
                return error;
            }
            let problem = match needs_memory(&error) {
                true => format!(
                    "unpacking it takes more than {} MiB of memory; if you trust it, lift the \
                     limit (`unpack_everything`)",
                    XZ_MEMORY >> 20
                ),
                false => format!("the {} data is damaged or ends early ({error})", self.kind),
            };
            io::Error::new(error.kind(), problem)
        })?;
        self.unpacked += read as u64;
        let packed = self.packed.get();
        if self.unpack == Unpack::Limited && is_much(self.unpacked, packed) {
            return Err(too_much(self.kind, packed));
        }
        Ok(read)
    }
}

/// Whether so many bytes are more than text becomes of so many packed ones.
pub(super) fn is_much(unpacked: u64, packed: u64) -> bool {
    unpacked > SMALL && unpacked / MOST_OUT_OF_ONE > packed
}

pub(super) fn too_much(kind: &str, packed: u64) -> io::Error {
    let problem = format!(
        "{packed} bytes of {kind} data became more than {} MiB, which no text does; if that is \
         right, lift the limit (`unpack_everything`), or unpack it yourself",
        SMALL >> 20
    );
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Whether the xz decoder stops for its limit of memory.
fn needs_memory(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(liblzma::stream::Error::MemLimit))
}
