//! From what a user calls a model to its folder: a folder stays as it is, a name on
//! the Hugging Face Hub is downloaded into the cache that Python programs use too.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod download;
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
/// The environment variables of `huggingface_hub` hold: `HF_HUB_CACHE`, `HF_HOME`,
/// `HF_ENDPOINT`, `HF_TOKEN` (or the file of a login) and `HF_HUB_OFFLINE`, with which
/// nothing but the cache is used. If the Hub cannot be reached, a whole snapshot in the
/// cache serves, with a warning in the log.
///
/// # Errors
/// When it is neither a folder nor such a name, or the feature is off; when the Hub has
/// no such model or file, or gives it to others only; when the Hub cannot be reached (or
/// is not to be) and the cache lacks a file; when the cache cannot be written.
pub fn model_dir(name_or_dir: impl AsRef<Path>) -> Result<PathBuf> {
    let path = name_or_dir.as_ref();
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    match path.to_str().and_then(Name::parse) {
        Some(name) => find(&name),
        None => Err(not_a_model(
            path,
            "an existing folder or a name on the Hugging Face Hub",
        )),
    }
}

#[cfg(feature = "hub")]
fn find(name: &Name) -> Result<PathBuf> {
    download::Download::new(name, settings::Settings::from_env()?).run()
}

#[cfg(not(feature = "hub"))]
fn find(name: &Name) -> Result<PathBuf> {
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
