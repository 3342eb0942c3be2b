//! Where the Hub and its cache are, as Hugging Face's own programs find them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

pub(super) struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub(super) endpoint: String,
    /// The folder with a folder for each model.
    pub(super) cache: PathBuf,
    /// Proves who asks.
    pub(super) token: Option<String>,
    /// Ask nobody; the variable that says so.
    pub(super) offline: Option<&'static str>,
    /// Certificates that are trusted instead of the system's; the variable and its file.
    pub(super) certificates: Option<(&'static str, PathBuf)>,
    /// Whether progress may be drawn on a terminal.
    pub(super) draws: bool,
}

impl Settings {
    pub(super) fn from_env() -> Result<Self> {
        let home = match folder("HF_HOME") {
            Some(home) => home,
            None => {
                let cache = folder("XDG_CACHE_HOME")
                    .or_else(|| Some(env::home_dir()?.join(".cache")))
                    .ok_or_else(|| {
                        Error::config("HF_HOME", "set where there is no home folder", "nothing")
                    })?;
                cache.join("huggingface")
            }
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".to_owned());
        let token_file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        // The second of each is the older name. The file is there only after a login.
        let token = variable("HF_TOKEN")
            .or_else(|| variable("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| fs::read_to_string(token_file).ok());
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let first_set = |names: &[&'static str]| {
            let names = names.iter().copied();
            names.clone().find(|name| variable(name).is_some())
        };
        let offline = first_set(&["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]);
        // The first two are those of Python's requests.
        let certificates = first_set(&["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]);
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: cache.unwrap_or_else(|| home.join("hub")),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            offline: offline.filter(|name| is_on(name)),
            certificates: certificates.and_then(|name| Some((name, folder(name)?))),
            draws: !is_on("HF_HUB_DISABLE_PROGRESS_BARS"),
        })
    }
}

/// An empty variable counts as absent.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A path. Shells expand `~` and variables in it, files of settings do not.
fn folder(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    let path = PathBuf::from(match value.into_string() {
        Ok(text) => with_variables(&text, |name| env::var_os(name)),
        Err(other) => other,
    });
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(path),
    }
}

/// `$NAME` and `${NAME}` replaced by their values; those that are not set stay as they are, as
/// with Python's `os.path.expandvars`.
fn with_variables(text: &str, value: impl Fn(&str) -> Option<OsString>) -> OsString {
    let mut expanded = OsString::new();
    let mut rest = text;
    while let Some(place) = rest.find('$') {
        let (before, after) = rest.split_at(place);
        expanded.push(before);
        let (name, length) = match after[1..].strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 3),
                None => ("", 1),
            },
            None => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let name = &after[1..];
                let end = name.find(|c| !is_part(c)).unwrap_or(name.len());
                (&name[..end], end + 1)
            }
        };
        match Some(name).filter(|name| !name.is_empty()).and_then(&value) {
            Some(value) => expanded.push(value),
            None => expanded.push(&after[..length]),
        }
        rest = &after[length..];
    }
    expanded.push(rest);
    expanded
}

fn is_on(name: &str) -> bool {
    let value = variable(name).unwrap_or_default().to_uppercase();
    ["1", "ON", "YES", "TRUE"].contains(&&*value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are those of `os.path.expandvars` in Python 3.11.
    #[test]
    fn variables_in_paths_are_those_of_python() {
        let value = |name: &str| match name {
            "A" => Some("x".into()),
            "A_1" => Some("y$A".into()),
            _ => None,
        };
        for (text, expected) in [
            ("$A/b", "x/b"),
            ("${A}b", "xb"),
            ("$A_1/$A", "y$A/x"),
            ("/$B/${B}c/$A", "/$B/${B}c/x"),
            ("a$", "a$"),
            ("${A", "${A"),
            ("$$A", "$x"),
            ("${}", "${}"),
            ("é$A", "éx"),
            ("$Aé", "xé"),
        ] {
            assert_eq!(with_variables(text, value), *expected, "{text}");
        }
    }
}
