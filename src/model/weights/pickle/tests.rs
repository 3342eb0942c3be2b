//! Files of torch.save, compared with what torch.load makes of them
//! (`tests/data/weights/make_weights.py`), and hostile ones.

use std::path::{Path, PathBuf};

use super::*;
use zipped::zipped;

mod containers;
mod hostile;
#[path = "../../../../benches/fuzz/zipped.rs"]
mod zipped;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/weights")
        .join(name)
}

/// Kind, shape and bits of each tensor.
type Bits = BTreeMap<String, (Kind, Vec<i64>, Vec<u8>)>;

fn bits(tensor: &Tensor) -> (Kind, Vec<i64>, Vec<u8>) {
    let tensor = tensor.contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    (tensor.kind(), tensor.size(), bytes)
}

fn read(path: &Path) -> Result<Bits> {
    let file = Pickled::open(path)?;
    let mut tensors = Bits::new();
    file.read(
        path,
        |_| true,
        |name, tensor| {
            tensors.insert(name.to_owned(), bits(tensor));
            Ok(())
        },
    )?;
    Ok(tensors)
}

/// The numbers of the fixtures whose names begin so.
fn expected(prefix: &str) -> Bits {
    let all = Tensor::read_safetensors(data("reference.safetensors")).expect("the numbers");
    let of_python2 = |name: &str| name.starts_with("python2.");
    all.iter()
        .filter(|(name, _)| of_python2(name) != prefix.is_empty())
        .map(|(name, tensor)| (name[prefix.len()..].to_owned(), bits(tensor)))
        .collect()
}

#[test]
fn all_kinds_of_tensors_are_bit_equal_to_those_of_torch() {
    let reference = expected("");
    assert_eq!(reference.len(), 25);
    for name in ["new", "old", "new-1.13", "old-1.13", "new-protocol4"] {
        let read = read(&data(&format!("{name}.bin"))).expect("a state dict");
        assert!(read.keys().eq(reference.keys()), "{name}");
        for (key, bits) in &read {
            assert_eq!(bits, &reference[key], "{key} of {name}.bin");
        }
    }
}

#[test]
fn text_and_storages_of_the_first_releases_are_understood() {
    let read = read(&data("python2.bin")).expect("a state dict");
    assert_eq!(read, expected("python2."));
}

/// What a pickle in a zip file as torch's is refused with, without the path.
fn refused(pickle: &[u8]) -> String {
    refused_file(&zipped(&[("a/data.pkl", pickle)]))
}

fn refused_file(content: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("pytorch_model.bin");
    std::fs::write(&path, content).expect("a file");
    let message = read(&path).expect_err("a hostile file").to_string();
    let start = format!("{}: ", path.display());
    message
        .strip_prefix(&start)
        .expect("the file's name")
        .to_owned()
}

/// A dictionary `{"w": tensor}`, where the tensor's storage has two numbers.
fn one_tensor(offset: &[u8], sizes: &[u8], strides: &[u8]) -> Vec<u8> {
    [
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage",
        &b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ"[..],
        offset,
        sizes,
        strides,
        b"\x89}tRs.",
    ]
    .concat()
}
