//! Pickles that were made to do harm: each is refused by what it asks for.

use super::super::old_form;
use super::{refused, refused_file};

#[test]
fn names_that_could_run_code_are_refused_by_name() {
    let calls: [(&[u8], &str); 9] = [
        (b"cos\nsystem\nX\x04\0\0\0true\x85R.", "os.system"),
        (b"cposix\nsystem\n.", "posix.system"),
        (b"cbuiltins\neval\nX\x01\0\0\x001\x85R.", "builtins.eval"),
        (b"c__builtin__\nexec\n.", "__builtin__.exec"),
        (b"csubprocess\nPopen\n.", "subprocess.Popen"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"ctorch\nload\n.", "torch.load"),
        (
            b"ctorch._utils\n_rebuild_sparse_tensor\n.",
            "torch._utils._rebuild_sparse_tensor",
        ),
        (b"cos\x1b[31m\nsy\"stem\n.", "os\\u{1b}[31m.sy\\\"stem"),
    ];
    for (pickle, name) in calls {
        let message = refused(pickle);
        assert!(
            message.starts_with(&format!("it asks for `{name}`, which ")),
            "{message}"
        );
        // The old form as well, wherever it stands.
        let start = [
            b"\x80\x02\x8a\x0a",
            old_form::MAGIC,
            b".M\xe9\x03.}X\x0d\0\0\0little_endian\x88s.",
        ];
        let message = refused_file(&[&start.concat(), pickle].concat());
        assert!(
            message.starts_with(&format!("it asks for `{name}`, which ")),
            "{message}"
        );
    }
    let long = [b"c", &b"a".repeat(300)[..], b"\nb\n."].concat();
    assert_eq!(refused(&long), "a name in it has more than 256 bytes");
}

#[test]
fn instructions_that_make_objects_are_refused() {
    for (pickle, start) in [
        (
            &b"(ios\nsystem\n."[..],
            "instruction INST at byte 1 of its pickle would make",
        ),
        (
            b"(ccollections\nOrderedDict\no.",
            "instruction OBJ at byte ",
        ),
        (
            b"ccollections\nOrderedDict\n)\x81.",
            "instruction NEWOBJ at byte ",
        ),
        (
            b"ccollections\nOrderedDict\n)}\x92.",
            "instruction NEWOBJ_EX at byte ",
        ),
        (b"\x82\x01.", "instruction EXT at byte 0"),
        (
            b"Pos.system\n.",
            "instruction 0x50 at byte 0 of its pickle is none that a state",
        ),
        (
            b"\x96\xff\xff\xff\xff\xff\xff\xff\xff.",
            "instruction 0x96 at byte 0",
        ),
    ] {
        let message = refused(pickle);
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn listed_names_are_called_only_as_torch_calls_them() {
    for (pickle, problem) in [
        (
            &b"ctorch\nFloatStorage\n)R."[..],
            "`torch.FloatStorage` gets other arguments than",
        ),
        (
            b"ccollections\nOrderedDict\nK\x01\x85R.",
            "`collections.OrderedDict` gets other",
        ),
        (
            b"ccollections\nOrderedDict\n]R.",
            "`collections.OrderedDict` gets what is no tuple",
        ),
        (
            b"ctorch._utils\n_rebuild_parameter\nN\x89N\x87R.",
            "`torch._utils._rebuild_parameter`",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n(NK\0))tR.",
            "a tensor has no storage",
        ),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
            "`torch._utils._rebuild_tensor_v2` gets other",
        ),
        (b"X\x01\0\0\0a)R.", "its pickle calls what is no name"),
        (
            b"ccollections\nOrderedDict\n}b.",
            "its pickle sets attributes of what is no dictionary",
        ),
        (b"K\x01K\x02a.", "its pickle appends to what is no list"),
        (
            b"]K\x01K\x02s.",
            "its pickle sets items of what is no dictionary",
        ),
        (b"}(K\x01u.", "its pickle has a name without a value"),
    ] {
        let message = refused(pickle);
        assert!(message.starts_with(problem), "{message}");
    }
}

#[test]
fn pickles_that_end_early_or_take_too_much_are_refused() {
    let end = "it ends in the middle of its pickle";
    let below = "its pickle takes more values than it has made";
    for (pickle, problem) in [
        (&b""[..], end),
        (b"}", end),
        (b"cos", end),
        (b"\x80", end),
        (b"X\xff\xff\xff\xff", end),
        (b"T\xff\xff\xff\xff", end),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", end),
        (b"\x8b\xff\xff\xff\x7f", end),
        (b"\x8a\xff1", end),
        (b"J\x01", end),
        (b".", below),
        (b"0.", below),
        (b"R.", below),
        (b"a.", below),
        (b"\x87.", below),
        (b"(K\x01(\x86.", below),
        (b"q\0.", below),
        (b"t.", "its pickle lacks a mark"),
        (b"u.", "its pickle lacks a mark"),
        (
            b"h\x07.",
            "its pickle asks for a value that it has not made",
        ),
        (
            b"j\xff\xff\xff\xff.",
            "its pickle asks for a value that it has not made",
        ),
        (
            b"X\x01\0\0\0\xff.",
            "text at byte 5 of its pickle is not UTF-8",
        ),
    ] {
        assert_eq!(refused(pickle), problem, "{pickle:?}");
    }
    let many = [&b"N".repeat((1 << 20) + 1)[..], b"."].concat();
    assert!(refused(&many).starts_with("its pickle has more than 1,048,576 values"));
    let long = vec![b'N'; (16 << 20) + 1];
    assert_eq!(
        refused(&long),
        "its data.pkl has 16777217 bytes, at most 16777216 are read"
    );
}

/// Neither nesting nor values that are used many times take a stack or more memory.
#[test]
fn deep_and_doubled_values_are_no_bombs() {
    let nested = [&b")"[..], &b"\x85".repeat(1 << 19), b"."].concat();
    assert!(refused(&nested).starts_with("it holds no dictionary"));
    // 2^400 values, if each were counted.
    let mut doubled = b"]q\0".to_vec();
    for _ in 0..400 {
        doubled.extend(b"0h\0h\0\x86q\0");
    }
    doubled.push(b'.');
    assert!(refused(&doubled).starts_with("it holds no dictionary"));
    // A list that holds itself, and a dictionary of itself.
    assert!(refused(b"]q\0h\0a.").starts_with("it holds no dictionary"));
    let message = refused(b"}q\0X\x01\0\0\0ah\0s.");
    assert!(
        message.starts_with("`a` is no tensor, as all of a state dict are"),
        "{message}"
    );
    let marks = [&b"(".repeat(1 << 20)[..], b"."].concat();
    assert_eq!(
        refused(&marks),
        "its pickle takes more values than it has made"
    );
}

#[test]
fn what_is_no_state_dict_is_refused() {
    for (pickle, start) in [
        (&b"N."[..], "it holds no dictionary of names and tensors"),
        (
            b"]X\x01\0\0\0aa.",
            "it holds no dictionary of names and tensors",
        ),
        (b"}K\x01Ns.", "a name in its dictionary is no text"),
        (
            b"}X\x05\0\0\0epochK\x03s.",
            "`epoch` is no tensor, as all of a state dict are",
        ),
        (
            b"}X\x05\0\0\0model}s.",
            "`model` is no tensor, as all of a state dict are",
        ),
        (
            b"ccollections\nOrderedDict\n]]X\x01\0\0\0aaa\x85R.",
            "an OrderedDict is made of something",
        ),
    ] {
        let message = refused(pickle);
        assert!(message.starts_with(start), "{message}");
    }
}
