//! Where the rows of a file begin, as blocks of some rows each: what has been read of
//! the file comes in, and the block that holds a row goes out. The place of each row
//! would take as much memory as the row, where rows are short.

use std::fs::File;
use std::io::{self, BufRead, Read};

use flate2::Crc;

/// Bytes after which a block ends with its row. A block takes 32 bytes of memory, and
/// to read one row its block is read.
const SIZE: u64 = 4096;

/// The blocks of a file, in order and without gaps.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Of the block that comes after the last one.
    next: Start,
}

/// Where a block starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Bytes before it in the file.
    pub(super) offset: u64,
    /// Its first line, from 1.
    pub(super) line: u64,
    /// Its first row, from 0.
    pub(super) row: usize,
}

/// Some rows of a file, and what is between them.
#[derive(Debug)]
struct Block {
    start: Start,
    /// CRC-32 of its bytes.
    sum: u32,
}

impl Blocks {
    /// Of a file of which nothing has been read.
    pub(super) fn new() -> Self {
        let next = Start {
            offset: 0,
            line: 1,
            row: 0,
        };
        Self {
            blocks: Vec::new(),
            next,
        }
    }

    /// Whether a block that ends before `offset` is large enough.
    pub(super) fn is_full(&self, offset: u64) -> bool {
        offset - self.next.offset >= SIZE
    }

    /// Ends a block where the next one starts.
    pub(super) fn push(&mut self, next: Start, sum: u32) {
        let start = std::mem::replace(&mut self.next, next);
        self.blocks.push(Block { start, sum });
    }

    /// The block of a row, and its bytes; `None` in place of bytes that are not those
    /// that were there at first.
    pub(super) fn read(&self, file: &File, row: usize) -> io::Result<(Start, Option<Vec<u8>>)> {
        let after = self.blocks.partition_point(|block| block.start.row <= row);
        let Block { start, sum } = &self.blocks[after - 1];
        let end = self.blocks.get(after).map_or(self.next, |next| next.start);
        // A block was in memory before, at least line by line.
        let mut bytes = vec![0; (end.offset - start.offset) as usize];
        let read = match read_exact_at(file, &mut bytes, start.offset) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        let mut now = Crc::new();
        now.update(&bytes);
        Ok((*start, (read && now.sum() == *sum).then_some(bytes)))
    }
}

/// Fills `buffer` from `offset` on; threads may do so at the same time.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills `buffer` from `offset` on; threads may do so at the same time.
#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sums up the bytes that are taken from a reader.
pub(super) struct Summed<R> {
    inner: R,
    sum: Crc,
}

impl<R> Summed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            sum: Crc::new(),
        }
    }

    /// The sum of what was taken since this was last called.
    pub(super) fn take_sum(&mut self) -> u32 {
        let sum = self.sum.sum();
        self.sum.reset();
        sum
    }
}

impl<R: BufRead> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Summed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // These bytes have been seen, so they are in the buffer.
        if let Ok(buffer) = self.inner.fill_buf() {
            self.sum.update(&buffer[..amount]);
        }
        self.inner.consume(amount);
    }
}
