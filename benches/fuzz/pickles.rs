//! Weights as PyTorch pickles them, and weights in several files: well-formed ones of
//! torch 2.4, and hostile ones made of them.

use super::mutate::{LONGEST, Random, mutated};
use super::targets::{Seed, repository};
use super::zipped::zipped;

/// Instructions of pickles that run code, ask for memory, or leave a stack of another height.
const INSTRUCTIONS: [&[u8]; 36] = [
    b"cos\nsystem\nX\x04\0\0\0true\x85R",
    b"c__builtin__\neval\n",
    b"\x8c\x05posix\x8c\x06system\x93",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nHalfStorage\n",
    b"ccollections\nOrderedDict\n",
    b"X\xff\xff\xff\x7f",
    b"X\x03\0\0\0abc",
    b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x8b\xff\xff\xff\x7f",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
    b"J\xff\xff\xff\xff",
    b"K\0",
    b"M\xff\xff",
    b"N",
    b"\x88",
    b"(",
    b"0",
    b"1",
    b"2",
    b"t",
    b"\x85",
    b"\x87",
    b")",
    b"]",
    b"}",
    b"a",
    b"e",
    b"s",
    b"u",
    b"R",
    b"b",
    b"Q",
    b"q\0h\0",
    b"r\xff\xff\xff\xffj\xff\xff\xff\xff",
];

pub fn seeds() -> Vec<Seed> {
    let file = |name: &str| repository(&format!("weights/masked_lm/{name}"));
    let model = [
        ("config.json", file("config.json")),
        ("vocab.txt", file("vocab.txt")),
    ];
    let pickled = [
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
    ];
    let plain = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let index = |folder: &str, name: &'static str, parts: [&'static str; 2]| {
        let parts = parts.map(|part| (part, file(&format!("{folder}/{part}"))));
        let seed = Seed::new(name, file(&format!("{folder}/{name}")));
        seed.beside(&model).beside(&parts)
    };
    let of_torch = |name: &str| Seed::new("pytorch_model.bin", file(name)).beside(&model);
    vec![
        of_torch("new.bin"),
        of_torch("old.bin"),
        index("pickled_shards", "pytorch_model.bin.index.json", pickled),
        index("shards", "model.safetensors.index.json", plain),
    ]
}

/// A file of torch.save with other instructions. Most zip files get sums that fit, so that
/// what is in them is read.
pub fn mutated_pickle(random: &mut Random, file: &[u8], other: &[u8]) -> Vec<u8> {
    let changed = |random: &mut Random, bytes: &[u8]| {
        let mut bytes = match random.below(2) {
            0 => bytes.to_vec(),
            _ => mutated(random, bytes, other),
        };
        for _ in 0..random.below(4) {
            let place = random.below(bytes.len() + 1);
            let times = match random.below(16) {
                0 => random.below(LONGEST),
                _ => 1,
            };
            let one = INSTRUCTIONS[random.below(INSTRUCTIONS.len())];
            let room = LONGEST.saturating_sub(bytes.len()) / one.len();
            bytes.splice(place..place, one.repeat(times.min(room)));
        }
        bytes
    };
    let mut entries = entries(file);
    if entries.is_empty() || random.below(8) == 0 {
        return changed(random, file);
    }
    let place = match random.below(4) {
        0 => random.below(entries.len()),
        _ => {
            let pickle = entries
                .iter()
                .position(|(name, _)| name.ends_with("data.pkl"));
            pickle.unwrap_or_default()
        }
    };
    match random.below(16) {
        0 => drop(entries.remove(place)),
        1 => entries[place].0.push('_'),
        2 => entries.push(entries[place].clone()),
        _ => entries[place].1 = changed(random, &entries[place].1),
    }
    let mut whole = zipped(&entries);
    whole.truncate(LONGEST);
    whole
}

/// The entries of a well-formed zip file; none of another.
fn entries(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |place: usize, width: usize| {
        let bytes = file[place..place + width].iter().rev();
        bytes.fold(0, |number, &byte| number << 8 | usize::from(byte))
    };
    let mut entries = Vec::new();
    if !file.starts_with(b"PK\x03\x04") {
        return entries;
    }
    let is_entry = |place: &usize| file[*place..].starts_with(b"PK\x01\x02");
    for place in (0..file.len()).filter(is_entry) {
        let [bytes, name, local] =
            [(24, 4), (28, 2), (42, 4)].map(|(at, width)| number(place + at, width));
        let name = String::from_utf8_lossy(&file[place + 46..place + 46 + name]).into_owned();
        let start = local + 30 + number(local + 26, 2) + number(local + 28, 2);
        entries.push((name, file[start..start + bytes].to_vec()));
    }
    entries
}
