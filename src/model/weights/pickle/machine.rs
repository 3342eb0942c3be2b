//! The stack machine that a pickle is a program of, for the instructions that a state dict
//! needs and no other: bytes come in, plain values go out. A name (`GLOBAL`) is looked up in a
//! closed list, no object is made by it, and nothing is called.
//!
//! Values refer to each other by their place in one list, so that neither deep nesting nor a
//! value that is used many times takes more than its bytes in the file.

use std::collections::HashMap;
use std::ops::Range;

use super::Problem;
use super::known::{Global, View};

/// The most values that are made, and the most names in a dictionary: a BERT with 24 layers
/// needs about 10,000.
const MOST_VALUES: usize = 1 << 20;

/// The longest name of a module or of something in it, in bytes.
const LONGEST_NAME: usize = 256;

const TOO_SHORT: &str = "it ends in the middle of its pickle";

/// The place of a value in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number that has more than 64 bits, as its bytes.
    Long(Range<usize>),
    Float,
    Text(Range<usize>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Names and values, the later ones of two counting; after those of a list of pairs.
    Dict(Vec<(Id, Id)>, Option<Id>),
    Global(Global),
    /// What stands outside of the pickle, as it is named there.
    Outside(Id),
    Tensor(Box<View>),
}

/// A pickle that has been read.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    values: Vec<Value>,
    pub(super) result: Id,
    /// Where the next one begins.
    pub(super) end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that begins at `start`.
    pub(super) fn read(bytes: &'a [u8], start: usize) -> Result<Self, Problem> {
        let mut machine = Machine {
            pickle: Pickle {
                bytes,
                values: Vec::new(),
                result: Id(0),
                end: start,
            },
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        Ok(machine.pickle)
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id.0 as usize]
    }

    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.value(id) {
            // Checked when the value was made.
            Value::Text(place) => std::str::from_utf8(&self.bytes[place.clone()]).ok(),
            _ => None,
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: Id) -> Option<u64> {
        match self.value(id) {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn long(&self, id: Id) -> Option<&'a [u8]> {
        match self.value(id) {
            Value::Long(place) => Some(&self.bytes[place.clone()]),
            _ => None,
        }
    }

    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The names and values of a dictionary.
    pub(super) fn pairs(&self, id: Id) -> Result<Option<Vec<(Id, Id)>>, Problem> {
        let Value::Dict(own, first) = self.value(id) else {
            return Ok(None);
        };
        let mut pairs = Vec::new();
        if let Some(first) = first {
            for &pair in self.items(*first).unwrap_or_default() {
                match self.items(pair) {
                    Some(&[name, value]) => pairs.push((name, value)),
                    _ => return Err("an OrderedDict is made of something else than pairs".into()),
                }
            }
        }
        pairs.extend(own);
        Ok(Some(pairs))
    }
}

struct Machine<'a> {
    pickle: Pickle<'a>,
    stack: Vec<Id>,
    /// Lengths that the stack had.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Does one instruction; false after the last.
    fn step(&mut self) -> Result<bool, Problem> {
        let at = self.pickle.end;
        match self.number::<1>()? as u8 {
            // PROTO: what later versions add is refused where it occurs.
            0x80 => drop(self.number::<1>()?),
            // FRAME says how much may be read at once.
            0x95 => drop(self.number::<8>()?),
            b'.' => {
                self.pickle.result = self.pop()?;
                return Ok(false);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => match self.marks.last() == Some(&self.stack.len()) {
                true => drop(self.marks.pop()),
                false => drop(self.pop()?),
            },
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.make(Value::None)?,
            0x88 => self.make(Value::Bool(true))?,
            0x89 => self.make(Value::Bool(false))?,
            b'J' => {
                let number = self.number::<4>()? as u32 as i32;
                self.make(Value::Int(number.into()))?;
            }
            b'K' => self.int::<1>()?,
            b'M' => self.int::<2>()?,
            0x8a => self.long::<1>()?,
            0x8b => self.long::<4>()?,
            b'G' => {
                self.number::<8>()?;
                self.make(Value::Float)?;
            }
            // Text, and the bytes that Python 2 writes for it.
            b'X' | b'T' => self.text::<4>()?,
            0x8c | b'U' => self.text::<1>()?,
            0x8d => self.text::<8>()?,
            b')' => self.make(Value::Tuple(Vec::new()))?,
            b']' => self.make(Value::List(Vec::new()))?,
            b'}' => self.make(Value::Dict(Vec::new(), None))?,
            b't' => {
                let items = self.since_mark()?;
                self.make(Value::Tuple(items))?;
            }
            count @ 0x85..=0x87 => {
                let start = self.enough(usize::from(count - 0x84))?;
                let items = self.stack.split_off(start);
                self.make(Value::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b's' => {
                let start = self.enough(2)?;
                let items = self.stack.split_off(start);
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'q' => self.remember::<1>()?,
            b'r' => self.remember::<4>()?,
            0x94 => {
                let (place, top) = (self.memo.len() as u32, self.top()?);
                self.memo.insert(place, top);
            }
            b'h' => self.recall::<1>()?,
            b'j' => self.recall::<4>()?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.pickle.text(module), self.pickle.text(name)) {
                    (Some(module), Some(name)) => self.global(module, name)?,
                    _ => return Err("a name in it is no text".into()),
                }
            }
            b'Q' => {
                let name = self.pop()?;
                self.make(Value::Outside(name))?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(refused(other, at)),
        }
        Ok(true)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        let rest = &self.pickle.bytes[self.pickle.end..];
        let taken = rest.get(..length).ok_or(TOO_SHORT)?;
        self.pickle.end += length;
        Ok(taken)
    }

    /// A number of `N` bytes, the lowest first.
    fn number<const N: usize>(&mut self) -> Result<u64, Problem> {
        let mut number = [0; 8];
        number[..N].copy_from_slice(self.take(N)?);
        Ok(u64::from_le_bytes(number))
    }

    /// A line, without its end.
    fn line(&mut self) -> Result<&'a str, Problem> {
        let rest = &self.pickle.bytes[self.pickle.end..];
        let near = &rest[..rest.len().min(LONGEST_NAME + 1)];
        let end = near.iter().position(|&byte| byte == b'\n');
        let line = match end {
            Some(end) => self.take(end + 1)?,
            None if near.len() > LONGEST_NAME => {
                return Err(format!("a name in it has more than {LONGEST_NAME} bytes"));
            }
            None => return Err(TOO_SHORT.into()),
        };
        let text = std::str::from_utf8(&line[..line.len() - 1]);
        text.map_err(|_| "a name in it is not UTF-8".into())
    }

    fn make(&mut self, value: Value) -> Result<(), Problem> {
        if self.pickle.values.len() >= MOST_VALUES {
            let problem = "its pickle has more than 1,048,576 values, which no state dict needs";
            return Err(problem.into());
        }
        self.stack.push(Id(self.pickle.values.len() as u32));
        self.pickle.values.push(value);
        Ok(())
    }

    fn int<const N: usize>(&mut self) -> Result<(), Problem> {
        let number = self.number::<N>()? as i64;
        self.make(Value::Int(number))
    }

    /// A whole number as bytes, of which there are as many as the `N` bytes before say.
    fn long<const N: usize>(&mut self) -> Result<(), Problem> {
        let length = self.number::<N>()? as usize;
        let start = self.pickle.end;
        let bytes = self.take(length)?;
        if length > 8 {
            return self.make(Value::Long(start..start + length));
        }
        // The highest bit is the sign.
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut number = [if negative { 0xff } else { 0 }; 8];
        number[..length].copy_from_slice(bytes);
        self.make(Value::Int(i64::from_le_bytes(number)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), Problem> {
        let length = usize::try_from(self.number::<N>()?).map_err(|_| TOO_SHORT)?;
        let start = self.pickle.end;
        match std::str::from_utf8(self.take(length)?) {
            Ok(_) => self.make(Value::Text(start..start + length)),
            Err(_) => Err(format!("text at byte {start} of its pickle is not UTF-8")),
        }
    }

    /// Where the uppermost `count` values begin, none of which may lie below the last mark.
    fn enough(&self, count: usize) -> Result<usize, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count);
        let start = start.filter(|&start| start >= floor);
        start.ok_or("its pickle takes more values than it has made".into())
    }

    fn top(&self) -> Result<Id, Problem> {
        self.enough(1).map(|start| self.stack[start])
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let mark = self.marks.pop().ok_or("its pickle lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, more: Vec<Id>) -> Result<(), Problem> {
        let list = self.top()?;
        match &mut self.pickle.values[list.0 as usize] {
            Value::List(items) => items.extend(more),
            _ => return Err("its pickle appends to what is no list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Problem> {
        let dict = self.top()?;
        let Value::Dict(pairs, _) = &mut self.pickle.values[dict.0 as usize] else {
            return Err("its pickle sets items of what is no dictionary".into());
        };
        let chunks = items.chunks_exact(2);
        if !chunks.remainder().is_empty() {
            return Err("its pickle has a name without a value".into());
        }
        pairs.extend(chunks.map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn remember<const N: usize>(&mut self) -> Result<(), Problem> {
        let (place, top) = (self.number::<N>()? as u32, self.top()?);
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall<const N: usize>(&mut self) -> Result<(), Problem> {
        let place = self.number::<N>()? as u32;
        let value = self.memo.get(&place);
        let value = value.ok_or("its pickle asks for a value that it has not made")?;
        self.stack.push(*value);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Problem> {
        let global = Global::find(module, name)?;
        self.make(Value::Global(global))
    }

    /// What a call of a listed name stands for.
    fn reduce(&mut self) -> Result<(), Problem> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(global) = self.pickle.value(function) else {
            return Err("its pickle calls what is no name".into());
        };
        let global = *global;
        let Value::Tuple(items) = self.pickle.value(arguments) else {
            return Err(format!("`{global}` gets what is no tuple"));
        };
        match (global, &items[..]) {
            (Global::OrderedDict, []) => self.make(Value::Dict(Vec::new(), None)),
            // As Python 2 writes it.
            (Global::OrderedDict, &[list]) if matches!(self.pickle.value(list), Value::List(_)) => {
                self.make(Value::Dict(Vec::new(), Some(list)))
            }
            // What else a parameter has is of no use to anybody who reads it.
            (Global::Parameter, &[tensor, _, _])
                if matches!(self.pickle.value(tensor), Value::Tensor(_)) =>
            {
                self.stack.push(tensor);
                Ok(())
            }
            (Global::Tensor, &[storage, offset, sizes, strides, ..]) => {
                let view = View::new(&self.pickle, storage, offset, [sizes, strides])?;
                self.make(Value::Tensor(Box::new(view)))
            }
            _ => Err(format!(
                "`{global}` gets other arguments than torch gives it"
            )),
        }
    }

    /// The attributes of a dictionary (`_metadata` of torch) are of no use here; nothing else
    /// has any.
    fn build(&mut self) -> Result<(), Problem> {
        self.pop()?;
        let object = self.top()?;
        match self.pickle.value(object) {
            Value::Dict(..) => Ok(()),
            _ => Err("its pickle sets attributes of what is no dictionary".into()),
        }
    }
}

/// Why an instruction is not followed.
fn refused(code: u8, at: usize) -> Problem {
    let name = match code {
        b'i' => "INST",
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        0x82..=0x84 => "EXT",
        _ => {
            return format!(
                "instruction 0x{code:02x} at byte {at} of its pickle is none that a state dict needs"
            );
        }
    };
    format!("instruction {name} at byte {at} of its pickle would make an object by its name")
}
