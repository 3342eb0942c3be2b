//! Names and ids of classes.

use bertfit::Labels;

#[test]
fn ids_follow_the_order_given() {
    let labels = Labels::new(["positive", "negative"]).expect("two names");
    assert_eq!(labels.len(), 2);
    assert!(!labels.is_empty());
    assert_eq!(labels.names(), ["positive", "negative"]);
    assert_eq!(labels.id("negative").expect("a known name"), 1);
    assert_eq!(labels.get("positive"), Some(0));
    assert_eq!(labels.get("neutral"), None);
    assert_eq!(labels.name(1), Some("negative"));
    assert_eq!(labels.name(2), None);
    assert_eq!(labels.name(-1), None);
}

#[test]
fn sorted_names_are_distinct_and_numbers_go_by_value() {
    let sorted = |names: &[&str]| Labels::sorted(names).expect("names").names().to_vec();
    assert_eq!(sorted(&["b", "a", "b", "C"]), ["C", "a", "b"]);
    assert_eq!(sorted(&["10", "2", "-1", "2", "0"]), ["-1", "0", "2", "10"]);
    assert_eq!(sorted(&["1", "01", "0"]), ["0", "01", "1"]);
    assert_eq!(sorted(&["10", "2", "x"]), ["10", "2", "x"]);
    assert_eq!(sorted(&["10", "2.5", "9"]), ["2.5", "9", "10"]);
}

#[test]
fn labels_are_saved_as_a_list() {
    let labels = Labels::new(["no", "yes"]).expect("two names");
    let json = serde_json::to_string(&labels).expect("strings can be written");
    assert_eq!(json, r#"["no","yes"]"#);
    assert_eq!(
        serde_json::from_str::<Labels>(&json).expect("just written"),
        labels
    );
    let error = serde_json::from_str::<Labels>(r#"["no","no"]"#).expect_err("a name twice");
    assert_eq!(
        error.to_string(),
        "`labels` must be distinct names, got `no` twice"
    );
}

#[test]
fn error_of_names_that_cannot_be_labels() {
    let message = |names: &[&str]| {
        let refused = Labels::new(names.iter().copied()).expect_err("not a list of labels");
        refused.to_string()
    };
    assert_eq!(message(&[]), "`labels` must be at least one name, got none");
    let rule = "`labels` must be names that are not empty, got an empty one with id 1";
    assert_eq!(message(&["a", ""]), rule);
    assert_eq!(
        message(&["a", "b", "a"]),
        "`labels` must be distinct names, got `a` twice"
    );
}

#[test]
fn error_of_an_unknown_label_lists_the_known_ones() {
    let labels = Labels::new(["no", "yes"]).expect("two names");
    let error = labels.id("maybe").expect_err("not a label");
    assert_eq!(error.to_string(), "label `maybe` is not one of no, yes");
}

#[test]
fn a_label_of_a_file_stands_for_a_name() {
    let of = |names: &[&str]| Labels::new(names.iter().copied()).expect("names");
    let names = of(&["0", "1.5", "True", "x"]);
    for (label, name) in [
        ("0", Some("0")),
        ("0.0", Some("0")),
        ("-0", Some("0")),
        ("1.50", Some("1.5")),
        ("true", Some("True")),
        ("x", Some("x")),
        ("X", None),
        ("false", None),
        ("2", None),
        ("nan", None),
        ("", None),
    ] {
        assert_eq!(names.resolve(label), name, "{label}");
    }
    // Ids are ids only where no name is a number.
    assert_eq!(names.or_ids().resolve("2"), None);
    let named = of(&["no", "yes"]);
    assert_eq!(named.resolve("1"), None);
    let named = named.or_ids();
    assert_eq!(
        (named.resolve("1"), named.resolve("1.0")),
        (Some("yes"), Some("yes"))
    );
    for label in ["2", "-1", "0.5", "1e300"] {
        assert_eq!(named.resolve(label), None, "{label}");
    }
    let unnamed = of(&["LABEL_0", "LABEL_1"]);
    assert_eq!(unnamed.resolve("0"), Some("LABEL_0"));
}

#[test]
fn minus_one_beside_ids_marks_rows_without_a_label() {
    let gold = |names: &[&str]| {
        let labels = Labels::sorted(names).expect("names").without_missing();
        labels.map(|labels| labels.names().to_vec())
    };
    assert_eq!(
        gold(&["-1", "0", "1", "2"]).expect("SNLI's"),
        ["0", "1", "2"]
    );
    for names in [
        &["-1", "0", "1"][..],
        &["-1", "1"],
        &["0", "1", "2"],
        &["-2", "-1", "0", "1", "2"],
        &["-1", "1", "2", "3"],
        &["-1", "a", "b", "c"],
    ] {
        assert_eq!(gold(names), None, "{names:?}");
    }
}

#[test]
fn names_are_read_from_a_file() {
    let file = super::OneFile::new("a.txt", "\u{feff}no\r\n\n a b \nyes");
    let labels = Labels::from_file(&file.path).expect("names");
    assert_eq!(labels.names(), ["no", "a b", "yes"]);
    for (content, problem) in [
        (&b"a\na\n"[..], "a.txt: `labels` must be distinct names"),
        (b"\n", "a.txt: `labels` must be at least one name"),
        (b"\xff", "a.txt: it is not UTF-8"),
    ] {
        let file = super::OneFile::new("a.txt", content);
        let error = Labels::from_file(&file.path).expect_err("no names");
        let message = file.message(&error);
        assert!(message.starts_with(problem), "{message}");
    }
}
