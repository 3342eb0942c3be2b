//! Downloads from a Hub on this machine into the cache.

use std::path::Path;

use super::place::{OFFLINE, Place};
use super::server::{WEIGHTS, commit, etag};

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn a_model_is_downloaded_once_into_the_cache_that_python_uses() {
    let place = Place::new();
    let dir = place.found("owner/tiny", &[]);
    assert_eq!(dir, place.snapshot(1));
    let first = place.hub.asked();
    assert!(
        first.contains(&format!("/{WEIGHTS}?signature=1")),
        "{first:?}"
    );

    assert_eq!(read(place.cache().join("refs/main")), commit(1));
    let mut blobs = Vec::new();
    for (file, content) in &place.hub.state().files {
        assert_eq!(&std::fs::read(dir.join(file)).expect("a file"), content);
        if cfg!(unix) {
            let link = std::fs::read_link(dir.join(file)).expect("a link");
            let blob = Path::new("../../blobs").join(etag(content));
            assert_eq!(link, blob);
        }
        blobs.push(etag(content));
    }
    let mut kept = place.blobs();
    kept.sort();
    blobs.sort();
    assert_eq!(kept, blobs);
    let absent = place.cache().join(".no_exist").join(commit(1));
    assert!(absent.join("added_tokens.json").exists());

    // Again: what `main` is now, and no more.
    assert_eq!(place.found("owner/tiny", &[]), dir);
    let again = place.hub.asked();
    assert!(
        again.iter().all(|path| path.ends_with("/config.json")),
        "{again:?}"
    );
    assert_eq!(place.found("owner/tiny@main", &[OFFLINE]), dir);
    let by_commit = format!("owner/tiny@{}", commit(1));
    assert_eq!(place.found(&by_commit, &[]), dir);
    assert_eq!(place.found(&by_commit, &[OFFLINE]), dir);
    assert_eq!(place.hub.asked(), Vec::<String>::new());
}

#[test]
fn the_cache_is_where_the_environment_says() {
    let place = Place::new();
    let other = tempfile::tempdir().expect("a temporary folder");
    let dir = place.found(
        "old-name@refs/pr/1",
        &[("HF_HUB_CACHE", &other.path().to_string_lossy())],
    );
    let folder = other.path().join("models--old-name");
    assert_eq!(dir, folder.join("snapshots").join(commit(1)));
    assert_eq!(read(folder.join("refs/refs/pr/1")), commit(1));

    let xdg = other.path().to_string_lossy();
    let dir = place.found("owner/tiny", &[("HF_HOME", ""), ("XDG_CACHE_HOME", &xdg)]);
    assert!(dir.starts_with(other.path().join("huggingface/hub/models--owner--tiny")));
    let dir = place.found("owner/tiny", &[("HF_HOME", "")]);
    assert!(dir.starts_with(place.home.path().join(".cache/huggingface/hub")));
}

#[test]
fn a_new_commit_replaces_the_old_one_when_it_is_whole() {
    let place = Place::new();
    place.found("owner/tiny", &[]);
    let weights = place.hub.state().files[WEIGHTS].clone();
    {
        let mut state = place.hub.state();
        state.commit = commit(2);
        for name in ["vocab.txt", "tokenizer.json"] {
            let file = String::from_utf8(state.files[name].clone()).expect("UTF-8");
            let other = file.replace("dull", "poor").into_bytes();
            state.files.insert(name.to_owned(), other);
        }
        state.cut = Some("vocab.txt");
    }
    // The connection breaks: the old snapshot serves, and stays the branch's.
    let outcome = place.run("owner/tiny", &[]);
    assert_eq!(outcome.result, Ok(place.snapshot(1)));
    assert!(
        outcome.log.contains("no vocab.txt from the Hub"),
        "{}",
        outcome.log
    );
    assert_eq!(read(place.cache().join("refs/main")), commit(1));
    assert_eq!(place.found("owner/tiny", &[OFFLINE]), place.snapshot(1));

    place.hub.state().cut = None;
    place.hub.asked();
    assert_eq!(place.found("owner/tiny", &[]), place.snapshot(2));
    assert!(read(place.snapshot(2).join("vocab.txt")).contains("poor"));
    assert!(read(place.snapshot(1).join("vocab.txt")).contains("dull"));
    // The weights are the same: linked, not fetched again.
    assert!(place.blobs().contains(&etag(&weights)));
    assert_eq!(place.blobs().len(), place.hub.state().files.len() + 2);

    // No network at all, or a Hub that is down.
    let nowhere = ("HF_ENDPOINT", "http://127.0.0.1:9");
    let outcome = place.run("owner/tiny", &[nowhere]);
    assert_eq!(outcome.result, Ok(place.snapshot(2)));
    place.hub.state().refuse = Some((503, ""));
    assert_eq!(place.found("owner/tiny", &[]), place.snapshot(2));
}

#[test]
fn a_broken_download_leaves_no_half_file() {
    let place = Place::new();
    place.hub.state().cut = Some(WEIGHTS);
    let error = place.error("owner/tiny", &[]);
    assert!(
        error.starts_with(
            "`owner/tiny`: cannot download model.safetensors from ENDPOINT: try again, or look \
             at the connection, proxies and `HF_ENDPOINT`: "
        ),
        "{error}"
    );
    let weights = etag(&place.hub.state().files[WEIGHTS]);
    let blobs = place.blobs();
    assert!(
        !blobs.is_empty() && blobs.iter().all(|name| !name.starts_with(&weights)),
        "{blobs:?}"
    );
    assert!(!place.snapshot(1).join(WEIGHTS).exists());
    let error = place.error("owner/tiny", &[OFFLINE]);
    assert!(error.contains("not in the cache"), "{error}");

    place.hub.state().cut = None;
    assert_eq!(place.found("owner/tiny", &[]), place.snapshot(1));
}

#[test]
fn refusals_say_what_to_do() {
    let place = Place::new();
    let token = ("HF_TOKEN", "hf_secret");
    assert_eq!(
        place.error("owner/tiny", &[OFFLINE]),
        "`owner/tiny`: config.json from ENDPOINT: it is not in the cache HOME/hub, and \
         HF_HUB_OFFLINE is set: unset it to download the model"
    );
    assert_eq!(place.hub.asked(), Vec::<String>::new());
    assert_eq!(
        place.error("owner/other", &[]),
        "`owner/other`: config.json from ENDPOINT: there is no such model, or it is private \
         (404), nor is there a folder of that name: check the name, or set HF_TOKEN to a token \
         that may read it"
    );
    assert_eq!(
        place.error("owner/tiny@v2", &[]),
        "`owner/tiny@v2`: config.json from ENDPOINT: the model has no revision `v2`"
    );
    place.hub.state().refuse = Some((401, "RepoNotFound"));
    assert!(
        place
            .error("owner/tiny", &[])
            .contains("no such model, or it is private (401)")
    );
    assert_eq!(
        place.error("owner/tiny", &[token]),
        "`owner/tiny`: config.json from ENDPOINT: the token is not accepted (401): check \
         HF_TOKEN, or the login, and the name"
    );
    for refusal in [(401, "GatedRepo"), (403, "")] {
        place.hub.state().refuse = Some(refusal);
        assert_eq!(
            place.error("owner/tiny", &[token]),
            format!(
                "`owner/tiny`: config.json from ENDPOINT: access is restricted ({}): ask for it \
                 on ENDPOINT/owner/tiny, and set HF_TOKEN to a token of that account",
                refusal.0
            )
        );
    }
    place.hub.state().refuse = Some((200, ""));
    assert!(
        place
            .error("owner/tiny", &[])
            .contains("not the answer of a Hub")
    );
    place.hub.state().refuse = Some((418, ""));
    assert!(
        place
            .error("owner/tiny", &[])
            .contains("unexpected status 418: check HF_ENDPOINT")
    );
    place.hub.state().refuse = Some((503, ""));
    assert!(
        place
            .error("owner/tiny", &[])
            .ends_with("`HF_ENDPOINT`: status 503")
    );
    let nowhere = ("HF_ENDPOINT", "http://127.0.0.1:9");
    let error = place.error("owner/tiny", &[nowhere]);
    assert!(error.starts_with("`owner/tiny`: cannot download config.json from http://127.0.0.1:9"));
    assert!(place.blobs().is_empty());
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let place = Place::new();
    std::fs::write(place.home.path().join("token"), "hf_of_login\n").expect("a file");
    let sent = |variables: &[(&str, &str)], name: &str| {
        place.found(name, variables);
        std::mem::take(&mut place.hub.state().requests)
    };
    for (path, token) in sent(&[("HF_TOKEN", "hf_secret")], "owner/tiny") {
        let expected = (!path.contains("signature")).then_some("Bearer hf_secret");
        assert_eq!(token.as_deref(), expected, "{path}");
    }
    for (path, token) in sent(&[], "old-name") {
        let expected = (!path.contains("signature")).then_some("Bearer hf_of_login");
        assert_eq!(token.as_deref(), expected, "{path}");
    }
}

#[test]
fn a_server_cannot_write_outside_of_the_cache() {
    let place = Place::new();
    for etag in ["../../../../escaped", "..", "/escaped", ""] {
        place.hub.state().etag = Some(etag);
        assert!(
            place
                .error("owner/tiny", &[])
                .contains("not the answer of a Hub")
        );
    }
    place.hub.state().etag = None;
    place.hub.state().commit = "../../../escaped".to_owned();
    assert!(place.run("owner/tiny", &[]).result.is_err());
    assert!(place.blobs().is_empty());
    assert!(!place.home.path().join("escaped").exists());
}
