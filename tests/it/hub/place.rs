//! A Hub and a home folder for downloads. The environment belongs to the whole process, so each
//! download is in another one: this binary with a single test.

use std::path::PathBuf;
use std::process::Command;

use bertfit::{BertClassifier, model_dir};
use tempfile::TempDir;

use super::server::{Hub, commit};

/// Not a test of its own, but what the other process runs; without the variable it is
/// nothing.
#[test]
fn other_process() {
    let Ok(name) = std::env::var("BERTFIT_TEST_HUB_NAME") else {
        return;
    };
    let _ = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .try_init();
    // `+` in front of it: the folder is not looked into.
    let loaded = match name.strip_prefix('+') {
        Some(name) => model_dir(name),
        None => model_dir(&name).and_then(|dir| {
            let builder = BertClassifier::builder(&dir).labels(["good", "bad"]);
            builder.build().map(|_| dir)
        }),
    };
    let line = match loaded {
        Ok(dir) => format!("found {}", dir.display()),
        Err(error) => match std::error::Error::source(&error) {
            Some(source) => format!("error {error}: {source}"),
            None => format!("error {error}"),
        },
    };
    println!("\n{line}");
}

/// A Hub, and a computer with an empty home folder.
pub struct Place {
    pub hub: Hub,
    pub home: TempDir,
}

pub struct Outcome {
    pub result: Result<PathBuf, String>,
    pub log: String,
}

impl Place {
    pub fn new() -> Self {
        let model = tempfile::tempdir().expect("a temporary folder");
        bertfit::write_tiny_model(model.path()).expect("a model");
        Self::of(Hub::serve(model.path()))
    }

    pub fn of(hub: Hub) -> Self {
        Self {
            hub,
            home: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub fn run(&self, name: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(std::env::current_exe().expect("the path of this binary"));
        let test = module_path!().split_once("::").expect("a module").1;
        command.args(["--exact", "--nocapture", &format!("{test}::other_process")]);
        for (variable, _) in std::env::vars_os() {
            let upper = variable.to_string_lossy().to_uppercase();
            let starts = ["HF_", "HUGGING", "SSL_CERT_"].iter();
            let ends = ["_PROXY", "_CA_BUNDLE"].iter();
            if starts.clone().any(|start| upper.starts_with(start))
                || ends.clone().any(|end| upper.ends_with(end))
            {
                command.env_remove(variable);
            }
        }
        command
            .env_remove("XDG_CACHE_HOME")
            .env_remove("TRANSFORMERS_OFFLINE")
            .env("HOME", self.home.path())
            .env("HF_HOME", self.home.path())
            .env("HF_ENDPOINT", &self.hub.endpoint)
            .env("BERTFIT_TEST_HUB_NAME", name)
            .envs(variables.iter().copied());
        let output = command.output().expect("a process");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let log = String::from_utf8(output.stderr).expect("UTF-8");
        let found = text.lines().find_map(|line| line.strip_prefix("found "));
        let error = text.lines().find_map(|line| line.strip_prefix("error "));
        let result = match (found, error) {
            (Some(dir), None) => Ok(PathBuf::from(dir)),
            (None, Some(error)) => Err(error.to_owned()),
            _ => panic!("no outcome in {text} {log}"),
        };
        Outcome { result, log }
    }

    #[track_caller]
    pub fn found(&self, name: &str, variables: &[(&str, &str)]) -> PathBuf {
        self.run(name, variables).result.expect("a model")
    }

    #[track_caller]
    pub fn error(&self, name: &str, variables: &[(&str, &str)]) -> String {
        let error = self.run(name, variables).result.expect_err("an error");
        error
            .replace(&self.hub.endpoint, "ENDPOINT")
            .replace(&*self.home.path().to_string_lossy(), "HOME")
    }

    pub fn cache(&self) -> PathBuf {
        self.home.path().join("hub/models--owner--tiny")
    }

    pub fn snapshot(&self, number: u64) -> PathBuf {
        self.cache().join("snapshots").join(commit(number))
    }

    /// Names of the files in the cache's folder of contents.
    pub fn blobs(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.cache().join("blobs")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

pub const OFFLINE: (&str, &str) = ("HF_HUB_OFFLINE", "1");
