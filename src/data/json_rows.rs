//! A file that is one list of JSON objects, or one object with such a list under `data`, as JSON
//! lines: each object on a line of its own, on which it also stands in the file, or on a later one
//! where several stand on the same. What is JSON lines already goes through as it is. No more than
//! one object is in memory.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde_json::Value;

/// Bytes that are looked at to tell JSON lines from a list.
const LOOKED_AT: u64 = 1 << 16;

/// A byte-order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The content as JSON lines, and whether it was written in another way.
pub(super) fn as_lines(mut content: Box<dyn BufRead>) -> io::Result<(Box<dyn BufRead>, bool)> {
    let mut head = Vec::new();
    loop {
        let left = LOOKED_AT - head.len() as u64;
        let read = content.by_ref().take(left).read_until(b'\n', &mut head)?;
        if read == 0 || !after_mark(&head).trim_ascii().is_empty() {
            break;
        }
    }
    let ends = head.ends_with(b"\n") || content.fill_buf()?.is_empty();
    let start = after_mark(&head).trim_ascii();
    let kind = match start.first() {
        Some(b'[') => Some(Kind::List),
        // Only as much as blank lines and one that is not cut off.
        Some(b'{') if ends => match serde_json::from_slice(start) {
            Ok(object) => match is_nested(&object) && rest_is_blank(&mut content, &mut head)? {
                true => Some(Kind::Values),
                false => None,
            },
            // Lines that are broken do not end so.
            Err(error) => {
                let goes_on = matches!(start.last(), Some(b'{' | b'[' | b','));
                (error.is_eof() && goes_on).then_some(Kind::Values)
            }
        },
        Some(b'{') if begins_nested(start) => Some(Kind::Values),
        _ => None,
    };
    let content = Cursor::new(head).chain(content);
    Ok(match kind {
        Some(kind) => (Box::new(BufReader::new(Rows::new(content, kind))), true),
        None => (Box::new(content), false),
    })
}

fn after_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Whether an object holds the rows under `data`.
fn is_nested(object: &Value) -> bool {
    let rows = object.get("data").and_then(Value::as_array);
    rows.is_some_and(|rows| rows.iter().all(Value::is_object))
}

/// The same of the beginning of an object.
fn begins_nested(start: &[u8]) -> bool {
    let mut rows = Rows::new(start, Kind::Values);
    // The first row may be cut off.
    let _ = rows.next_row();
    rows.nested
}

/// Whether nothing follows but white space. What is read to find that out goes to `head`.
fn rest_is_blank(content: &mut impl BufRead, head: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let before = head.len();
        let read = content.take(LOOKED_AT).read_until(b'\n', head)?;
        match read {
            0 => return Ok(true),
            _ if head[before..].trim_ascii().is_empty() => {}
            _ => return Ok(false),
        }
    }
}

/// What there is at the top.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A list of the rows.
    List,
    /// Objects, each a row; the first may be one with a list of the rows.
    Values,
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first value.
    Start,
    /// In the list, after the bracket or a row.
    Opened,
    Between,
    /// After an object that is a row.
    Value,
    End,
}

/// The rows as lines.
struct Rows<R> {
    content: R,
    kind: Kind,
    state: State,
    /// Whether the list stands in an object.
    nested: bool,
    /// Of the file, from 1.
    line: u64,
    /// Ends of lines that were given.
    given: u64,
    out: Vec<u8>,
    /// Bytes of `out` that have been read.
    read: usize,
}

impl<R: BufRead> Rows<R> {
    fn new(content: R, kind: Kind) -> Self {
        Self {
            content,
            kind,
            state: State::Start,
            nested: false,
            line: 1,
            given: 0,
            out: Vec::new(),
            read: 0,
        }
    }

    /// Puts the next row into `out`; `false` after the last.
    fn next_row(&mut self) -> io::Result<bool> {
        self.out.clear();
        self.read = 0;
        loop {
            let state = self.state;
            match state {
                State::Start => {
                    if self.content.fill_buf()?.starts_with(MARK) {
                        self.content.consume(MARK.len());
                    }
                    self.state = match self.kind {
                        Kind::List => {
                            self.expect(b'[', "`[`")?;
                            State::Opened
                        }
                        Kind::Values => State::Value,
                    };
                }
                State::Opened if self.peek()? == Some(b']') => {
                    self.content.consume(1);
                    self.close()?;
                }
                State::Opened => return self.row(State::Between),
                State::Between => match self.peek()? {
                    Some(b',') => {
                        self.content.consume(1);
                        return self.row(State::Between);
                    }
                    _ => {
                        self.expect(b']', "`,` or `]` after an object of the list")?;
                        self.close()?;
                    }
                },
                State::Value if self.peek()?.is_none() => self.state = State::End,
                State::Value => {
                    if self.object_or_list()? {
                        return Ok(true);
                    }
                }
                State::End => return Ok(false),
            }
        }
    }

    /// The row that starts here.
    fn row(&mut self, then: State) -> io::Result<bool> {
        self.peek()?;
        self.begin_line();
        self.value(true)?;
        self.end_line();
        self.state = then;
        Ok(true)
    }

    fn begin_line(&mut self) {
        let blank = self.line.saturating_sub(1 + self.given);
        self.out.resize(self.out.len() + blank as usize, b'\n');
        self.given += blank;
    }

    fn end_line(&mut self) {
        self.out.push(b'\n');
        self.given += 1;
    }

    /// From the bracket to the end of the file, past what else the object around the list has.
    fn close(&mut self) -> io::Result<()> {
        if self.nested {
            while self.peek()? == Some(b',') {
                self.content.consume(1);
                self.peek()?;
                self.value(false)?;
                self.expect(b':', "`:` after a key")?;
                self.peek()?;
                self.value(false)?;
            }
            self.expect(b'}', "`,` or `}` after the list")?;
        }
        self.state = State::End;
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.problem("the end of the file after the list")),
        }
    }

    /// An object at the top: a row, or at the very beginning one with the list of rows, into which
    /// it then goes. Whether it was a row.
    fn object_or_list(&mut self) -> io::Result<bool> {
        let first = self.given == 0;
        self.begin_line();
        if !first || self.peek()? != Some(b'{') {
            self.value(true)?;
            self.end_line();
            return Ok(true);
        }
        self.content.consume(1);
        self.out.push(b'{');
        while self.peek()? == Some(b'"') {
            let key = self.out.len();
            self.value(true)?;
            let holds_rows = &self.out[key..] == b"\"data\"";
            self.expect(b':', "`:` after a key")?;
            self.out.push(b':');
            if holds_rows && self.peek()? == Some(b'[') {
                self.content.consume(1);
                if matches!(self.peek()?, Some(b'{' | b']')) {
                    self.out.clear();
                    self.given = 0;
                    self.nested = true;
                    self.state = State::Opened;
                    return Ok(false);
                }
                // A list of something else is no list of rows.
                self.out.push(b'[');
                self.rest(true, 1)?;
            } else {
                self.peek()?;
                self.value(true)?;
            }
            if self.peek()? != Some(b',') {
                break;
            }
            self.content.consume(1);
            self.out.push(b',');
        }
        self.expect(b'}', "`,` or `}`")?;
        self.out.push(b'}');
        self.end_line();
        Ok(true)
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let Some(&byte) = self.content.fill_buf()?.first() else {
                return Ok(None);
            };
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                other => return Ok(Some(other)),
            }
            self.content.consume(1);
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> io::Result<()> {
        match self.peek()? {
            Some(found) if found == byte => {
                self.content.consume(1);
                Ok(())
            }
            _ => Err(self.problem(what)),
        }
    }

    fn problem(&mut self, expected: &str) -> io::Error {
        let found = match self.peek() {
            Ok(Some(byte)) => format!("`{}`", byte.escape_ascii()),
            _ => "the end of the file".to_owned(),
        };
        let line = self.line;
        let problem = format!("not valid JSON: line {line}: expected {expected}, found {found}");
        io::Error::new(io::ErrorKind::InvalidData, problem)
    }

    /// The value that begins at the next byte, on one line; what is wrong within it, the reader of
    /// lines says.
    fn value(&mut self, keep: bool) -> io::Result<()> {
        match self.content.fill_buf()?.first() {
            Some(b'{' | b'[' | b'"') => self.rest(keep, 0),
            Some(b',' | b':' | b']' | b'}') | None => Err(self.problem("a value")),
            // A number or a word.
            Some(_) => loop {
                match self.content.fill_buf()?.first() {
                    None | Some(b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => return Ok(()),
                    Some(&byte) => {
                        self.content.consume(1);
                        if keep {
                            self.out.push(byte);
                        }
                    }
                }
            },
        }
    }

    /// To the end of the value that is open `depth` times.
    fn rest(&mut self, keep: bool, mut depth: usize) -> io::Result<()> {
        let (mut in_string, mut escaped) = (false, false);
        loop {
            let buffer = self.content.fill_buf()?;
            if buffer.is_empty() {
                return Err(self.problem("the end of an object or a list"));
            }
            let mut done = false;
            let mut taken = 0;
            for &byte in buffer {
                taken += 1;
                self.line += u64::from(byte == b'\n');
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    b'{' | b'[' if !in_string => depth += 1,
                    b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if keep {
                    // JSON lets no line end into a string, nor this character.
                    let on_one_line = if in_string { 0x0b } else { b' ' };
                    self.out
                        .push(if byte == b'\n' { on_one_line } else { byte });
                }
                if depth == 0 && !in_string {
                    done = true;
                    break;
                }
            }
            self.content.consume(taken);
            if done {
                return Ok(());
            }
        }
    }
}

impl<R: BufRead> Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.out.len() && !self.next_row()? {
            return Ok(0);
        }
        let read = (&self.out[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}
