//! Opens a file for reading, through gzip or xz where its name ends in `.gz` or
//! `.xz`. All members of a compressed file are read, and one that ends early is an
//! error, never a short file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;

use crate::error::{PathContext, Result};

/// The content of the file at `path`, decompressed, as a stream.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).reading(path)?;
    Ok(match Compression::of(path) {
        Some(compression) => Box::new(BufReader::new(compression.decoder(file))),
        None => Box::new(BufReader::new(file)),
    })
}

/// The same, and a file that has the content at its places once the stream has been
/// read: the file itself or, where that is compressed or no regular file, a temporary
/// one that is filled from the stream.
pub(super) fn open_twice(path: &Path) -> Result<(Box<dyn BufRead>, File)> {
    let file = File::open(path).reading(path)?;
    let content: Box<dyn Read> = match Compression::of(path) {
        Some(compression) => compression.decoder(file),
        None if file.metadata().reading(path)?.is_file() => {
            let stream = file.try_clone().reading(path)?;
            return Ok((Box::new(BufReader::new(stream)), file));
        }
        None => Box::new(file),
    };
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
}

impl Compression {
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        if ending.eq_ignore_ascii_case("gz") {
            Some(Self::Gzip)
        } else if ending.eq_ignore_ascii_case("xz") {
            Some(Self::Xz)
        } else {
            None
        }
    }

    fn decoder(self, file: File) -> Box<dyn Read> {
        let file = BufReader::new(file);
        match self {
            Self::Gzip => Box::new(Decoder {
                inner: MultiGzDecoder::new(file),
                kind: "gzip",
            }),
            Self::Xz => Box::new(Decoder {
                inner: XzDecoder::new_multi_decoder(file),
                kind: "xz",
            }),
        }
    }
}

/// Writes what is read to another file as well.
struct Copied {
    content: Box<dyn Read>,
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
/// are as short as "unexpected end of file".
struct Decoder<R> {
    inner: R,
    kind: &'static str,
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            if error.raw_os_error().is_some() {
                return error;
            }
            let problem = format!("the {} data is damaged or ends early ({error})", self.kind);
            io::Error::new(error.kind(), problem)
        })
    }
}
