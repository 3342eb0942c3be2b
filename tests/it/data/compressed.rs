//! Gzip and xz.

use std::io::Write;

use bertfit::Example;
use flate2::Compression;
use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;

use super::{OneFile, read, refused};

pub fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(content.as_bytes())
        .expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

pub fn xz(content: &str) -> Vec<u8> {
    let mut encoder = XzEncoder::new(Vec::new(), 6);
    encoder
        .write_all(content.as_bytes())
        .expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

const HEAD: &str = "text\tlabel\na\t1\n";
const TAIL: &str = "b\t0\nc\t1\n";

fn three() -> Vec<Example> {
    [("a", "1"), ("b", "0"), ("c", "1")]
        .map(|(text, label)| Example::new(text, label))
        .into()
}

#[test]
fn all_members_of_a_compressed_file_are_read() {
    assert_eq!(read("a.tsv.gz", gzip(&[HEAD, TAIL].concat())), three());
    assert_eq!(
        read("a.tsv.gz", [gzip(HEAD), gzip(""), gzip(TAIL)].concat()),
        three()
    );
    assert_eq!(read("a.tsv.xz", xz(&[HEAD, TAIL].concat())), three());
    assert_eq!(
        read("A.TSV.XZ", [xz(HEAD), xz(""), xz(TAIL)].concat()),
        three()
    );
    // Between and after xz streams there may be padding.
    let padded = [xz(HEAD), vec![0; 4], xz(TAIL), vec![0; 8]].concat();
    assert_eq!(read("a.tsv.xz", padded), three());
}

#[test]
fn error_of_a_compressed_file_cut_anywhere() {
    for (name, kind, whole) in [
        ("a.tsv.gz", "gzip", [gzip(HEAD), gzip(TAIL)]),
        ("a.tsv.xz", "xz", [xz(HEAD), xz(TAIL)]),
    ] {
        let (first, whole) = (whole[0].len(), whole.concat());
        for length in 0..whole.len() {
            // A file cut between two members is a whole file.
            if length == first {
                assert_eq!(read(name, &whole[..length]), three()[..1]);
                continue;
            }
            let message = refused(name, &whole[..length], |table| table);
            let start = format!("cannot read {name}: the {kind} data is damaged or ends early (");
            assert!(
                message.starts_with(&start),
                "{length} bytes of {name}: {message}"
            );
        }
    }
}

#[test]
fn error_of_a_compressed_file_says_what_the_decoder_says() {
    let message = |name, content: &[u8]| refused(name, content, |table| table);
    let gzip_data =
        |words| format!("cannot read a.tsv.gz: the gzip data is damaged or ends early ({words})");
    let xz_data =
        |words| format!("cannot read a.tsv.xz: the xz data is damaged or ends early ({words})");
    let plain = HEAD.as_bytes();
    assert_eq!(message("a.tsv.gz", plain), gzip_data("invalid gzip header"));
    assert_eq!(
        message("a.tsv.xz", plain),
        xz_data("stream/file format not recognized")
    );
    let (gz, xz) = (gzip(HEAD), xz(HEAD));
    assert_eq!(
        message("a.tsv.gz", &gz[..gz.len() - 1]),
        gzip_data("unexpected end of file")
    );
    assert_eq!(
        message("a.tsv.xz", &xz[..xz.len() - 1]),
        xz_data("premature eof")
    );
    let mut damaged = gz.clone();
    damaged[gz.len() - 8] ^= 1;
    assert_eq!(
        message("a.tsv.gz", &damaged),
        gzip_data("corrupt gzip stream does not have a matching checksum")
    );
    assert_eq!(
        message("a.tsv.gz", &[gz, b"text after the end".to_vec()].concat()),
        gzip_data("invalid gzip header")
    );
    assert_eq!(
        message("a.tsv.xz", &[xz, b"text after the end".to_vec()].concat()),
        xz_data("lzma data error")
    );
}

#[test]
fn error_of_a_compressed_file_under_a_plain_name() {
    let message = refused("a.tsv", gzip(HEAD), |table| table);
    assert_eq!(message, "a.tsv:1: invalid UTF-8 at byte 1 of the line");
}

#[test]
fn an_empty_compressed_file_is_empty() {
    let message = |name, content| refused(name, content, |table| table);
    assert_eq!(message("a.tsv.gz", gzip("")), "a.tsv.gz: the file is empty");
    assert_eq!(message("a.tsv.xz", xz("")), "a.tsv.xz: the file is empty");
    let file = OneFile::new("a.csv.gz", gzip("text,label\n\"a\nb\",1\n"));
    assert_eq!(
        file.table().read().expect("one row"),
        [Example::new("a\nb", "1")]
    );
}

/// So many megabytes of one letter, packed.
fn bomb(megabytes: usize, mut encoder: impl Write) {
    let block = vec![b'a'; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&block).expect("memory can be written");
    }
}

#[test]
fn error_of_a_compressed_file_that_unpacks_to_more_than_text_does() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    bomb(100, &mut gzip);
    let gzip = gzip.finish().expect("memory can be written");
    let mut xz = XzEncoder::new(Vec::new(), 0);
    bomb(100, &mut xz);
    let xz = xz.finish().expect("memory can be written");
    for (name, kind, packed) in [("a.tsv.gz", "gzip", gzip), ("a.tsv.xz", "xz", xz)] {
        // The whole of it is read for one who lifts the limit: a header without `text`.
        let lifted = refused(name, packed.clone(), |table| table.unpack_everything());
        assert!(
            lifted.contains("text") && !lifted.contains("64 MiB"),
            "{lifted:.200}"
        );
        // The decoders read ahead.
        let message = refused(name, packed, |table| table);
        let (start, rest) = message.split_once(" bytes of ").expect("the size");
        let size = start
            .strip_prefix(&format!("cannot read {name}: "))
            .expect("the file");
        assert!(size.parse::<u64>().is_ok(), "{message}");
        assert_eq!(
            rest,
            format!(
                "{kind} data became more than 64 MiB, which no text does; if that is right, \
                 lift the limit (`unpack_everything`), or unpack it yourself"
            )
        );
    }
    // The same content in a plain file, and a smaller one, are read up to their ends.
    let mut plain = Vec::new();
    bomb(65, &mut plain);
    assert!(refused("a.tsv", plain, |table| table).contains("text"));
    let mut small = GzEncoder::new(Vec::new(), Compression::default());
    bomb(60, &mut small);
    let small = small.finish().expect("memory can be written");
    assert!(!refused("a.tsv.gz", small, |table| table).contains("64 MiB"));
}

#[test]
fn error_of_an_xz_file_that_asks_for_much_memory() {
    let mut file = xz("text\tlabel\na\t1\n");
    // The header of the first block: size, flags, filter, size of its properties, and the
    // dictionary, of which 40 means four gigabytes; then its CRC-32.
    assert_eq!(file[12..16], [2, 0, 0x21, 1]);
    file[16] = 40;
    let mut sum = flate2::Crc::new();
    sum.update(&file[12..20]);
    file[20..24].copy_from_slice(&sum.sum().to_le_bytes());
    assert_eq!(
        refused("a.tsv.xz", file.clone(), |table| table),
        "cannot read a.tsv.xz: unpacking it takes more than 256 MiB of memory; if you trust it, \
         lift the limit (`unpack_everything`)"
    );
    let file = OneFile::new("a.tsv.xz", file);
    let read = file.table().unpack_everything().read();
    assert_eq!(read.expect("one row"), [Example::new("a", "1")]);
}
