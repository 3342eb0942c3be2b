//! What a pickle says of its storages, and the files that these are in.

use tch::Kind;

use super::zipped::zipped;
use super::{data, one_tensor, read, refused, refused_file};

#[test]
fn tensors_that_are_larger_than_their_storage_are_refused() {
    let numbers: Vec<u8> = [1.0_f32, 2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let file = |pickle: &[u8]| zipped(&[("a/data.pkl", pickle), ("a/data/0", &numbers)]);
    let whole = one_tensor(b"K\0", b"K\x02\x85", b"K\x01\x85");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("pytorch_model.bin");
    std::fs::write(&path, file(&whole)).expect("a file");
    let read = read(&path).expect("a state dict");
    assert_eq!(read["w"], (Kind::Float, vec![2], numbers.clone()));

    let large = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85";
    let outside = "`w`: it is larger than its storage";
    for (offset, sizes, strides) in [
        (&b"K\x01"[..], &b"K\x02\x85"[..], &b"K\x01\x85"[..]),
        (b"K\0", b"K\x03\x85", b"K\x01\x85"),
        (b"K\0", b"K\x02\x85", b"K\x02\x85"),
        (b"K\0", large, b"K\x01\x85"),
        (b"K\0", b"K\x02\x85", large),
        (
            b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"K\x01\x85",
            b"K\x01\x85",
        ),
        // So many numbers that there is no number for it, all of them the first.
        (
            b"K\0",
            b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft",
            b"(K\0K\0K\0t",
        ),
    ] {
        let message = refused_file(&file(&one_tensor(offset, sizes, strides)));
        assert_eq!(message, outside);
    }
    for (offset, sizes, strides) in [
        (
            &b"J\xff\xff\xff\xff"[..],
            &b"K\x02\x85"[..],
            &b"K\x01\x85"[..],
        ),
        (b"K\0", b"N\x85", b"K\x01\x85"),
        (b"K\0", b"N", b"K\x01\x85"),
        (
            b"K\0",
            b"(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t",
            b")",
        ),
    ] {
        let message = refused_file(&file(&one_tensor(offset, sizes, strides)));
        assert!(
            message.starts_with("a tensor's offset, sizes and strides must be"),
            "{message}"
        );
    }
    let message = refused_file(&file(&one_tensor(b"K\0", b"K\x02\x85", b")")));
    assert_eq!(message, "a tensor has not as many strides as sizes");
    assert_eq!(refused(&whole), "it lacks the storage `0`");
    let half = zipped(&[("a/data.pkl", &whole[..]), ("a/data/0", &numbers[..4])]);
    assert_eq!(
        refused_file(&half),
        "its storage `0` has 4 bytes, but should have 2 numbers of Float"
    );
}

#[test]
fn damage_and_other_containers_are_refused_with_what_to_do() {
    for name in ["new.bin", "old.bin"] {
        let whole = std::fs::read(data(name)).expect("the fixture");
        for part in 0..32 {
            let message = refused_file(&whole[..whole.len() * part / 32]);
            assert!(!message.is_empty());
        }
    }
    // A byte of a storage, which is aligned and so in the middle of its numbers.
    let mut damaged = std::fs::read(data("new.bin")).expect("the fixture");
    let number = 2.5_f32.to_le_bytes();
    let place = damaged
        .windows(4)
        .position(|bytes| bytes == number)
        .expect("the scalar");
    damaged[place] ^= 1;
    let message = refused_file(&damaged);
    assert!(
        message.contains("are damaged (their CRC-32 is another)"),
        "{message}"
    );

    let pickle = one_tensor(b"K\0", b"K\x02\x85", b"K\x01\x85");
    let whole = zipped(&[("a/data.pkl", &pickle[..]), ("a/data/0", &[0; 8])]);
    let entry = whole
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .expect("an entry");
    for (place, value, problem) in [
        (
            8,
            1,
            "its zip file is encrypted: save it again with torch.save",
        ),
        (
            10,
            8,
            "its zip file is compressed (method 8), which torch.save does not do",
        ),
        (10, 99, "its zip file is compressed (method 99)"),
        (20, 7, "it is not a whole zip file"),
        (24, 0xff, "it is not a whole zip file"),
        (28, 0xff, "it is not a whole zip file"),
        (42, 0xff, "it is not a whole zip file"),
    ] {
        let mut changed = whole.clone();
        changed[entry + place] = value;
        let message = refused_file(&changed);
        assert!(message.starts_with(problem), "{message}");
    }
    for (entries, problem) in [
        (
            &["a/data.pkl", "a/data.pkl"][..],
            "its zip file has `a/data.pkl` twice",
        ),
        (
            &["a/data.pkl", "b/data.pkl"],
            "its zip file does not hold one data.pkl",
        ),
        (&["a/code.py"], "its zip file does not hold one data.pkl"),
        (
            &["a/data.pkl", "a/constants.pkl"],
            "it is a TorchScript program",
        ),
        (
            &["a/data.pkl", "a/byteorder"],
            "its numbers have their highest byte first",
        ),
    ] {
        let entries: Vec<_> = entries.iter().map(|&name| (name, &b"big"[..])).collect();
        let message = refused_file(&zipped(&entries));
        assert!(message.starts_with(problem), "{message}");
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    assert!(refused_file(pointer).starts_with("it is a pointer of Git LFS"));
    for other in [
        &b""[..],
        b"<!DOCTYPE html>",
        b"ustar",
        b"PK",
        b"\x80\x02K\x01.K\x01.N.}.].",
    ] {
        let message = refused_file(other);
        assert_eq!(message, "it is none that torch.save has written");
    }
}

/// A count of entries or a size that is a lie takes no memory.
#[test]
fn counts_of_a_zip_file_are_not_believed() {
    let whole = std::fs::read(data("new.bin")).expect("the fixture");
    let end = whole
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x06\x06")
        .expect("its end");
    for place in [32, 40, 48] {
        for number in [u64::MAX, 1 << 40] {
            let mut changed = whole.clone();
            changed[end + place..end + place + 8].copy_from_slice(&number.to_le_bytes());
            let message = refused_file(&changed);
            assert!(
                message.starts_with("it is not a whole zip file"),
                "{message}"
            );
        }
    }
}
