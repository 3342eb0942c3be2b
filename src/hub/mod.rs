//! From what a user calls a model to its folder: a folder stays as it is, a name on
//! the Hugging Face Hub is downloaded into the cache that Python programs use too.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod certificates;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod progress;
#[cfg(feature = "hub")]
mod repository;
#[cfg(feature = "hub")]
mod settings;

/// The longest name that the Hub allows.
const NAME_LENGTH: usize = 96;

/// The folder of a model: `name_or_dir` itself if it is a folder. Otherwise, with the
/// feature `hub`, it is a name on the Hugging Face Hub (`bert-base-uncased`,
/// `sentence-transformers/all-MiniLM-L6-v2`), of its branch `main` or of the branch, tag
/// or commit after an `@`; what is not there yet is downloaded into Hugging Face's
/// cache, and the folder of that snapshot is returned.
///
/// Downloaded are the configuration first, which is checked before anything else, then the
/// files of the tokenizer and of sentence-transformers, where the repository has such, and the
/// weights last: `model.safetensors`, else its shards, else `pytorch_model.bin` or its shards.
///
/// While a file is on its way, a bar on standard error shows how far it is, if that is a
/// terminal (and the feature `progress` is on); otherwise files of a megabyte or more are
/// logged at the level `info`, each ten seconds again. [`model_dir_quietly`] draws no bar.
///
/// The environment variables of `huggingface_hub` hold: `HF_HUB_CACHE`, `HF_HOME`,
/// `HF_ENDPOINT`, `HF_TOKEN` (or the file of a login), `HF_HUB_DISABLE_PROGRESS_BARS` and
/// `HF_HUB_OFFLINE`, with which nothing but the cache is used. If the Hub cannot be reached, a
/// whole snapshot in the cache serves, with a warning in the log. Trusted are the certificates
/// of the system (or Mozilla's, where it has none), or instead of them those in the file that
/// `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or `SSL_CERT_FILE` names.
///
/// # Errors
/// When it is neither a folder nor such a name, or the feature is off; when the Hub has
/// no such model or file, or gives it to others only, or when the model is no BERT; when the
/// Hub cannot be reached (or is not to be) and the cache lacks a file; when the cache cannot be
/// written.
pub fn model_dir(name_or_dir: impl AsRef<Path>) -> Result<PathBuf> {
    dir_of(name_or_dir.as_ref(), true)
}

/// The folder of a model, as [`model_dir`] finds it, without a bar on standard error.
///
/// # Errors
/// Those of [`model_dir`].
pub fn model_dir_quietly(name_or_dir: impl AsRef<Path>) -> Result<PathBuf> {
    dir_of(name_or_dir.as_ref(), false)
}

fn dir_of(path: &Path, draws: bool) -> Result<PathBuf> {
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    match path.to_str().and_then(Name::parse) {
        Some(name) => find(&name, draws),
        None => Err(not_a_model(
            path,
            "an existing folder or a name on the Hugging Face Hub",
        )),
    }
}

/// Refuses a name on the Hub where a folder is expected and there is none, and says what finds
/// it.
pub(crate) fn expect_folder(dir: &Path) -> Result<()> {
    let name = dir.to_str().and_then(Name::parse);
    match name.filter(|_| !dir.exists()) {
        Some(_) => Err(not_a_model(
            dir,
            "an existing folder (`bertfit::model_dir` makes one of a name on the Hugging Face \
             Hub)",
        )),
        None => Ok(()),
    }
}

#[cfg(feature = "hub")]
fn find(name: &Name, draws: bool) -> Result<PathBuf> {
    let mut settings = settings::Settings::from_env()?;
    settings.draws &= draws;
    download::Download::new(name, settings)?.run()
}

#[cfg(not(feature = "hub"))]
fn find(name: &Name, _: bool) -> Result<PathBuf> {
    Err(feature_is_off(name))
}

#[cfg(any(test, not(feature = "hub")))]
fn feature_is_off(name: &Name) -> Error {
    not_a_model(
        Path::new(name.given),
        "an existing folder (bertfit's feature `hub`, which downloads models by their names \
         on the Hugging Face Hub, is off)",
    )
}

fn not_a_model(path: &Path, rule: &str) -> Error {
    Error::config("model", rule, format!("`{}`", path.display()))
}

/// A name on the Hub. Its parts become parts of paths, so none may lead out of the
/// cache.
#[cfg_attr(not(feature = "hub"), allow(dead_code))]
struct Name<'a> {
    given: &'a str,
    /// `name` or `owner/name`.
    repository: &'a str,
    /// A branch, a tag or a commit.
    revision: &'a str,
}

impl<'a> Name<'a> {
    fn parse(given: &'a str) -> Option<Self> {
        let (repository, revision) = given.split_once('@').unwrap_or((given, "main"));
        // The Hub has no `--`, which stands for `/` in the cache.
        let good = |part: &str| is_safe(part) && !part.contains("--") && !part.contains("..");
        let repository_is_good = repository.split('/').count() <= 2
            && repository.split('/').all(good)
            && repository.len() <= NAME_LENGTH;
        // A branch may be called `refs/pr/1`.
        let all_good = repository_is_good && revision.split('/').all(is_safe);
        all_good.then_some(Self {
            given,
            repository,
            revision,
        })
    }
}

/// Whether this can be the name of a file, and of one in its folder only.
fn is_safe(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.') && !part.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let parsed = |given| Name::parse(given).map(|name| (name.repository, name.revision));
        assert_eq!(parsed("bert"), Some(("bert", "main")));
        assert_eq!(parsed("a-1/B_2.c"), Some(("a-1/B_2.c", "main")));
        assert_eq!(parsed("a/b@refs/pr/1"), Some(("a/b", "refs/pr/1")));
        for path in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "a/b/c",
            ".",
            "..",
            "../a",
            "a/..",
            "./a",
            "a\\b",
            "C:\\a",
            "C:a",
            "a b",
            "a--b",
            "a..b",
            ".a",
            "a.",
            "a@",
            "a@..",
            "a@../b",
            "a@/b",
            "a@b/../../c",
            "a@b@c",
            "a@b\\c",
            "é",
            "a\0b",
        ] {
            assert_eq!(parsed(path), None, "{path}");
        }
        assert_eq!(parsed(&"a".repeat(97)), None);
    }

    #[test]
    fn without_the_feature_a_name_says_what_is_off() {
        let name = Name::parse("owner/name").expect("a name");
        assert_eq!(
            feature_is_off(&name).to_string(),
            "`model` must be an existing folder (bertfit's feature `hub`, which downloads models \
             by their names on the Hugging Face Hub, is off), got `owner/name`"
        );
    }
}
