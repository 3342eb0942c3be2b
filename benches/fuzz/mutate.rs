//! Well-formed files become hostile ones: a file and a seed come in, the same changed
//! bytes go out each time. Nothing is drawn from anywhere but the seed.

use serde_json::{Value, json};

/// No file is longer, in bytes.
pub const LONGEST: usize = 64 << 10;

/// What readers may stumble over, wherever it stands.
const WORDS: [&str; 40] = [
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\t\t\t\t\t\t\t\t",
    ",",
    "\"",
    "\"\"",
    "\\",
    "\\u",
    "\\ud800",
    "\0",
    " ",
    "\u{feff}",
    "\u{2028}",
    "\u{85}",
    "\u{301}",
    "\u{fdfa}",
    "İ",
    "ﬃ",
    "中",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "true",
    "[]",
    "{}",
    "[UNK]",
    "[CLS]",
    "##",
    "-DOCSTART-",
    "O",
    "text",
    "label",
    "..",
    "/dev/zero",
    "1e999",
];

/// Bytes that are not UTF-8, and some that begin files of other kinds.
const BYTES: [&[u8]; 7] = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x1f\x8b",
    b"\xfd7zXZ\0",
    b"\x80",
];

/// Numbers at the edges of what is counted with.
const NUMBERS: [&str; 20] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "255",
    "65536",
    "16777216",
    "16777217",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e-320",
    "0.5",
];

/// The generator SplitMix64 (Steele et al. 2014).
pub struct Random(u64);

impl Random {
    /// Of the case `case` of a run with the seed `seed`.
    pub fn of(seed: u64, case: u64) -> Self {
        let mut random = Self(seed ^ 0x6a09_e667_f3bc_c908);
        random.0 = random.next() ^ case;
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number below one of three ends.
    fn below_one_of(&mut self, ends: [usize; 3]) -> usize {
        let end = ends[self.below(3)];
        self.below(end)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// A part of `length` bytes, most often a short one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let longest = match self.below(4) {
            0 => length - start,
            _ => (length - start).min(16),
        };
        start..start + self.below(longest + 1)
    }
}

/// `file` after up to six changes, with pieces of `other` among them.
pub fn mutated(random: &mut Random, file: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = match random.below(3) {
        0 => changed_json(random, file).unwrap_or_else(|| file.to_vec()),
        _ => file.to_vec(),
    };
    let changes = match bytes == file {
        true => 1 + random.below(6),
        false => random.below(2),
    };
    for _ in 0..changes {
        change(random, &mut bytes, other);
    }
    bytes.truncate(LONGEST);
    bytes
}

/// A file of safetensors with another header, of the length that its first bytes say, or
/// with other bytes anywhere.
pub fn mutated_safetensors(random: &mut Random, file: &[u8], other: &[u8]) -> Vec<u8> {
    let (start, rest) = file.split_at(8);
    let length = u64::from_le_bytes(start.try_into().expect("eight bytes")) as usize;
    if random.below(4) == 0 {
        return mutated(random, file, other);
    }
    let (header, data) = rest.split_at(length);
    let header = mutated(random, header, other);
    let mut whole = (header.len() as u64).to_le_bytes().to_vec();
    whole.extend(header);
    whole.extend(data);
    whole
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let place = random.below(bytes.len() + 1);
    let part = random.part(bytes.len());
    match random.below(13) {
        0 if !bytes.is_empty() => {
            let at = place.min(bytes.len() - 1);
            bytes[at] ^= 1 << random.below(8);
        }
        1 if !bytes.is_empty() => {
            let at = place.min(bytes.len() - 1);
            bytes[at] = random.below(256) as u8;
        }
        2 => drop(bytes.drain(part)),
        3 => {
            let copies = match random.below(8) {
                0 => 1 + random.below(1000),
                _ => 1,
            };
            let copied = bytes[part.clone()].repeat(copies.min(LONGEST / part.len().max(1)));
            insert(bytes, part.end, &copied);
        }
        4 => bytes.truncate(place),
        5 => {
            let from = random.part(other.len());
            insert(bytes, place, &other[from]);
        }
        6 => {
            bytes.truncate(place);
            bytes.extend(&other[random.below(other.len() + 1)..]);
        }
        7 => insert(bytes, place, random.one(&WORDS).as_bytes()),
        8 => insert(bytes, place, random.one(&BYTES)),
        9 => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[place..].iter().position(is_digit) else {
                return;
            };
            let start = place + start;
            let digits = bytes[start..]
                .iter()
                .take_while(|byte| is_digit(byte))
                .count();
            let number = random.one(&NUMBERS).bytes();
            bytes.splice(start..start + digits, number);
        }
        10 => {
            let opening = random.one(&["[", "{\"a\":", "{\"data\":[", "[{\"text\":"]);
            let depth = 1 + random.below_one_of([8, 200, 20_000]);
            insert(bytes, place, opening.repeat(depth).as_bytes());
        }
        11 => {
            let run = 1 + random.below_one_of([16, 300, LONGEST]);
            insert(bytes, place, random.one(&WORDS).repeat(run).as_bytes());
        }
        _ => {
            let moved: Vec<u8> = bytes.drain(part).collect();
            let place = random.below(bytes.len() + 1);
            bytes.splice(place..place, moved);
        }
    }
}

/// Puts `new` into the bytes, as far as there is room.
fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let room = LONGEST.saturating_sub(bytes.len());
    bytes.splice(at..at, new[..new.len().min(room)].iter().copied());
}

/// The same JSON with one value in it changed; of JSON lines, in one of them.
fn changed_json(random: &mut Random, file: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        change_value(random, &mut value);
        return serde_json::to_vec(&value).ok();
    }
    let mut lines: Vec<&str> = text.lines().collect();
    let place = random.below(lines.len());
    let mut value: Value = serde_json::from_str(lines.get(place)?).ok()?;
    change_value(random, &mut value);
    let changed = value.to_string();
    lines[place] = &changed;
    Some(lines.join("\n").into_bytes())
}

/// Changes a value somewhere below `value`, or itself.
fn change_value(random: &mut Random, value: &mut Value) {
    match value {
        Value::Array(values) if !values.is_empty() && random.below(8) > 0 => {
            let place = random.below(values.len());
            match random.below(8) {
                0 => drop(values.remove(place)),
                1 => values.insert(place, values[place].clone()),
                _ => change_value(random, &mut values[place]),
            }
        }
        Value::Object(fields) if !fields.is_empty() && random.below(8) > 0 => {
            let place = random.below(fields.len());
            let Some(key) = fields.keys().nth(place).cloned() else {
                return;
            };
            match random.below(8) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let copy = fields[&key].clone();
                    let name = random.one(&WORDS);
                    fields.insert(name.to_owned(), copy);
                }
                _ => change_value(random, &mut fields[&key]),
            }
        }
        _ => *value = other_value(random),
    }
}

fn other_value(random: &mut Random) -> Value {
    match random.below(9) {
        0 => Value::Null,
        1 => json!([true, false][random.below(2)]),
        2..=4 => serde_json::from_str(random.one(&NUMBERS)).unwrap_or_default(),
        5 => json!(random.one(&WORDS)),
        6 => json!(random.one(&WORDS).repeat(random.below(5000))),
        7 => [json!([]), json!([[]]), json!([1, "a"])][random.below(3)].clone(),
        _ => json!({ (random.one(&WORDS)): random.one(&WORDS) }),
    }
}
