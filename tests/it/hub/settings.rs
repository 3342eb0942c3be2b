//! What the environment says of the Hub, as `huggingface_hub` 0.36 reads it, and what is said
//! while files come.

use bertfit::write_tiny_model;

use super::place::{OFFLINE, Place};
use super::server::{Hub, commit};
use crate::fixture::data;

#[test]
fn the_older_names_of_variables_hold_where_the_newer_are_absent() {
    let place = Place::new();
    let other = tempfile::tempdir().expect("a temporary folder");
    let path = other.path().to_string_lossy();
    let old = [
        ("HUGGING_FACE_HUB_TOKEN", "hf_old"),
        ("HUGGINGFACE_HUB_CACHE", &*path),
    ];
    let dir = place.found("owner/tiny", &old);
    let snapshot =
        |root: &std::path::Path| root.join("models--owner--tiny/snapshots").join(commit(1));
    assert_eq!(dir, snapshot(other.path()));
    let tokens = |place: &Place| -> Vec<String> {
        let requests = std::mem::take(&mut place.hub.state().requests);
        requests
            .into_iter()
            .filter_map(|(_, token)| token)
            .collect()
    };
    let sent = tokens(&place);
    assert!(
        !sent.is_empty() && sent.iter().all(|token| token == "Bearer hf_old"),
        "{sent:?}"
    );

    let both = [
        old[0],
        old[1],
        ("HF_TOKEN", "hf_new"),
        ("HF_HUB_CACHE", &format!("{path}/new")),
    ];
    assert_eq!(
        place.found("owner/tiny", &both),
        snapshot(&other.path().join("new"))
    );
    let sent = tokens(&place);
    assert!(
        !sent.is_empty() && sent.iter().all(|token| token == "Bearer hf_new"),
        "{sent:?}"
    );
}

#[test]
fn variables_and_the_home_folder_in_paths_are_replaced() {
    let place = Place::new();
    let other = tempfile::tempdir().expect("a temporary folder");
    let root = other.path().to_string_lossy();
    for (variable, value, expected) in [
        ("HF_HUB_CACHE", "$SCRATCH/a", other.path().join("a")),
        (
            "HUGGINGFACE_HUB_CACHE",
            "${SCRATCH}/b",
            other.path().join("b"),
        ),
        ("HF_HOME", "$SCRATCH/c", other.path().join("c/hub")),
        ("HF_HOME", "~/d", place.home.path().join("d/hub")),
        (
            "XDG_CACHE_HOME",
            "$HOME/e",
            place.home.path().join("e/huggingface/hub"),
        ),
    ] {
        let home = if variable == "HF_HOME" { value } else { "" };
        let variables = [("SCRATCH", &*root), ("HF_HOME", home), (variable, value)];
        let dir = place.found("owner/tiny", &variables);
        assert_eq!(
            dir.ancestors().nth(3),
            Some(&*expected),
            "{variable}={value}"
        );
    }
}

#[test]
fn the_variable_that_keeps_a_program_offline_is_named() {
    let place = Place::new();
    for variable in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
        let error = place.error("owner/tiny", &[(variable, "1")]);
        assert!(
            error.ends_with(&format!(
                "and {variable} is set: unset it to download the model"
            )),
            "{error}"
        );
    }
    // The first that is set decides.
    place.found(
        "owner/tiny",
        &[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")],
    );
}

#[test]
fn certificates_are_trusted_as_the_environment_says() {
    let model = tempfile::tempdir().expect("a temporary folder");
    write_tiny_model(model.path()).expect("a model");
    let place = Place::of(Hub::serve_encrypted(model.path()));
    assert!(place.hub.endpoint.starts_with("https://"));
    let error = place.error("owner/tiny", &[]);
    assert!(
        error.contains("cannot download config.json") && error.contains("UnknownIssuer"),
        "{error}"
    );

    let authority = data("hub/authority.pem");
    let authority = authority.to_string_lossy();
    for variable in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"] {
        let place = Place::of(Hub::serve_encrypted(model.path()));
        assert_eq!(
            place.found("owner/tiny", &[(variable, &authority)]),
            place.snapshot(1)
        );
        let error = place.error("owner/tiny", &[(variable, "/no/such.pem")]);
        let start =
            format!("`{variable}` must be a file of certificates (PEM), got `/no/such.pem`");
        assert!(error.starts_with(&start), "{error}");
        // Nobody is asked, so nobody is trusted.
        place.found("owner/tiny", &[OFFLINE, (variable, "/no/such.pem")]);
    }
}

#[test]
fn what_takes_long_is_told() {
    let place = Place::new();
    let weights = ("model.safetensors".to_owned(), vec![0; 3 << 20]);
    place.hub.state().files.extend([weights]);
    let outcome = place.run("+owner/tiny", &[]);
    assert!(outcome.result.is_ok());
    let told: Vec<&str> = outcome
        .log
        .lines()
        .filter(|line| line.contains("downloading"))
        .collect();
    let [line] = told[..] else { panic!("{told:?}") };
    assert!(
        line.ends_with("downloading model.safetensors of `owner/tiny` (3.1 MB)"),
        "{line}"
    );
    assert!(line.contains("bertfit::hub"), "{line}");
}
