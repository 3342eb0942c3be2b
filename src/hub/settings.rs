//! Where the Hub and its cache are, as Hugging Face's own programs find them.

use std::env;
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
    /// Ask nobody.
    pub(super) offline: bool,
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
        // The file is there only after a login.
        let token = variable("HF_TOKEN").or_else(|| fs::read_to_string(token_file).ok());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: folder("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
        })
    }
}

/// An empty variable counts as absent.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(name).filter(|value| !value.is_empty())?);
    // Shells expand this, files of settings do not.
    match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => Some(home.join(rest)),
        _ => Some(path),
    }
}

fn is_on(name: &str) -> bool {
    let value = variable(name).unwrap_or_default().to_uppercase();
    ["1", "ON", "YES", "TRUE"].contains(&&*value)
}
