//! Models by their names.

#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod place;
#[cfg(feature = "hub")]
mod repositories;
#[cfg(feature = "hub")]
mod server;
#[cfg(feature = "hub")]
mod settings;

use bertfit::model_dir;

use crate::fixture::tiny;

#[test]
fn a_folder_stays_as_it_is() {
    assert_eq!(model_dir(tiny()).expect("a folder"), tiny());
    assert_eq!(model_dir(".").expect("a folder").to_str(), Some("."));
}

#[test]
fn what_is_neither_a_folder_nor_a_name_is_refused() {
    let paths = [
        "",
        "no/such/folder",
        "../no-such",
        "/no-such",
        "a/..",
        "a\\b",
        "a b",
        "a@../b",
        "@main",
        "Cargo.toml@..",
    ];
    for path in paths {
        let error = model_dir(path).expect_err("no model").to_string();
        let expected = format!(
            "`model` must be an existing folder or a name on the Hugging Face Hub, got `{path}`"
        );
        assert_eq!(error, expected);
    }
}
