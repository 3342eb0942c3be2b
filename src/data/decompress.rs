//! Opens a file for reading, through gzip or xz where its name ends in `.gz` or
//! `.xz`. All members of a compressed file are read, and one that ends early is an
//! error, never a short file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;

use crate::error::{PathContext, Result};

/// The content of the file at `path`, decompressed, as a stream.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(path).reading(path)?);
    let ends_in = |ending| {
        path.extension()
            .is_some_and(|own| own.eq_ignore_ascii_case(ending))
    };
    Ok(if ends_in("gz") {
        Decoder {
            inner: MultiGzDecoder::new(file),
            kind: "gzip",
        }
        .buffered()
    } else if ends_in("xz") {
        Decoder {
            inner: XzDecoder::new_multi_decoder(file),
            kind: "xz",
        }
        .buffered()
    } else {
        Box::new(file)
    })
}

/// Says of an error in compressed data that it is one: the decoders' own words
/// are as short as "unexpected end of file".
struct Decoder<R> {
    inner: R,
    kind: &'static str,
}

impl<R: Read + 'static> Decoder<R> {
    fn buffered(self) -> Box<dyn BufRead> {
        Box::new(BufReader::new(self))
    }
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
