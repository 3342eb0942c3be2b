//! A model's files from the Hub into the cache, and the words for all that can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::cache::{Cache, Version};
use super::settings::Settings;
use super::{Name, is_safe};
use crate::error::{Error, Result};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const PICKLED: &str = "pytorch_model.bin";
const OPTIONAL: [&str; 4] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "added_tokens.json",
];
/// After `config.json`. The weights come last: where they are, all else is.
const REQUIRED: [&str; 2] = ["vocab.txt", WEIGHTS];

/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_REDIRECTS: usize = 10;

pub(super) struct Download<'a> {
    name: &'a Name<'a>,
    settings: Settings,
    cache: Cache<'a>,
    agent: Agent,
}

/// The Hub's answer to a question for a file.
struct Answer {
    version: Version,
    /// Bytes of the file.
    length: Option<u64>,
    body: Body,
}

impl<'a> Download<'a> {
    pub(super) fn new(name: &'a Name<'a>, settings: Settings) -> Self {
        // Redirects are followed here: headers on the way say the version, and the token
        // is for the Hub alone.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .user_agent(concat!("bertfit/", env!("CARGO_PKG_VERSION")));
        Self {
            name,
            cache: Cache::new(&settings.cache, name),
            settings,
            agent: config.build().into(),
        }
    }

    /// The folder of the snapshot.
    pub(super) fn run(&self) -> Result<PathBuf> {
        if self.settings.offline {
            return self.cached().map_err(|lacking| {
                let cache = self.settings.cache.display();
                let problem = format!(
                    "it is not in the cache {cache}, and HF_HUB_OFFLINE is set: unset it to \
                     download the model"
                );
                self.refused(lacking, &problem)
            });
        }
        let fetched = self.fetch();
        if let Err(Error::HubUnreachable { file, source, .. }) = &fetched
            && let Ok(snapshot) = self.cached()
        {
            let (model, snapshot_name) = (self.name.given, snapshot.display());
            log::warn!("`{model}`: no {file} from the Hub ({source}), so {snapshot_name} is used");
            return Ok(snapshot);
        }
        fetched
    }

    /// The snapshot in the cache if it is whole, else a file that it lacks.
    fn cached(&self) -> Result<PathBuf, &'static str> {
        let commit = self.cache.commit().ok_or(CONFIG)?;
        let mut required = [CONFIG].into_iter().chain(REQUIRED);
        match required.find(|file| !self.cache.has(file, &commit)) {
            Some(lacking) => Err(lacking),
            None => Ok(self.cache.snapshot(&commit)),
        }
    }

    fn fetch(&self) -> Result<PathBuf> {
        let revision = self.name.revision;
        // Only a commit has a snapshot under its own name; a branch may be another commit
        // today.
        let commit = match self.cache.has(CONFIG, revision) {
            true => revision.to_owned(),
            false => self
                .file(CONFIG, revision)?
                .ok_or_else(|| self.lacks(CONFIG))?,
        };
        for file in OPTIONAL.into_iter().chain(REQUIRED) {
            let optional = OPTIONAL.contains(&file);
            let absent = optional && self.cache.is_absent(file, &commit);
            if absent || self.cache.has(file, &commit) || self.file(file, &commit)?.is_some() {
                continue;
            }
            match optional {
                true => self.cache.mark_absent(file, &commit)?,
                false if file == WEIGHTS && self.ask(PICKLED, &commit)?.is_some() => {
                    let problem = "the repository has only pytorch_model.bin, and pickled weights \
                                   can run code when they are read: convert them first \
                                   (safetensors.torch.save_file)";
                    return Err(self.refused(file, problem));
                }
                false => return Err(self.lacks(file)),
            }
        }
        // Last, so that the revision means the old snapshot until the new one is whole.
        self.cache.set_commit(&commit)?;
        Ok(self.cache.snapshot(&commit))
    }

    /// Sees to it that a file is in the snapshot of its commit, which it returns; `None`
    /// if the repository lacks the file.
    fn file(&self, file: &str, revision: &str) -> Result<Option<String>> {
        let Some(answer) = self.ask(file, revision)? else {
            return Ok(None);
        };
        let version = answer.version;
        if !self.cache.link(file, &version)? {
            log::info!("downloading {file} of `{}`", self.name.given);
            let body = answer.body.into_reader();
            let received = self.cache.receive(&version, body, answer.length)?;
            received.map_err(|error| self.unreachable(file, error))?;
            self.cache.link(file, &version)?;
        }
        Ok(Some(version.commit))
    }

    /// Asks for a file; `None` if the repository lacks it.
    fn ask(&self, file: &str, revision: &str) -> Result<Option<Answer>> {
        let (endpoint, repository) = (&self.settings.endpoint, self.name.repository);
        let revision = revision.replace('/', "%2F");
        let mut url = format!("{endpoint}/{repository}/resolve/{revision}/{file}");
        let (mut version, mut length) = (None, None);
        for _ in 0..=MOST_REDIRECTS {
            let at_the_hub = origin(&url) == origin(endpoint);
            // Compressed, a file would not have its own length.
            let mut request = self.agent.get(&url).header("Accept-Encoding", "identity");
            if let (true, Some(token)) = (at_the_hub, &self.settings.token) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call();
            let response = response.map_err(|error| self.unreachable(file, error.into_io()))?;
            let status = response.status().as_u16();
            if !matches!(status, 200 | 301 | 302 | 303 | 307 | 308) {
                return match self.problem(file, &response) {
                    Some(error) => Err(error),
                    None => Ok(None),
                };
            }
            // Another server that keeps the large files has no commits.
            if (at_the_hub || version.is_none())
                && let Some(said) = version_of(&response)
            {
                version = Some(said);
                length = number(&response, "X-Linked-Size");
            }
            if status == 200 {
                length = length.or_else(|| number(&response, "Content-Length"));
                let body = response.into_body();
                return match version {
                    Some(version) => Ok(Some(Answer {
                        version,
                        length,
                        body,
                    })),
                    None => Err(self.no_hub(file)),
                };
            }
            url = match header(&response, "Location") {
                Some(path) if path.starts_with('/') && !path.starts_with("//") => {
                    format!("{}{path}", origin(&url))
                }
                Some(address) => address.to_owned(),
                None => break,
            };
        }
        Err(self.no_hub(file))
    }

    /// The error behind a status; `None` if it only means that there is no such file.
    fn problem(&self, file: &str, response: &Response<Body>) -> Option<Error> {
        let status = response.status().as_u16();
        let page = format!("{}/{}", self.settings.endpoint, self.name.repository);
        let code = header(response, "X-Error-Code").unwrap_or_default();
        let problem = match (status, code) {
            (404, "EntryNotFound") => return None,
            (404, "RevisionNotFound") => {
                format!("the model has no revision `{}`", self.name.revision)
            }
            // Not every mirror says what is not there; the first file tells.
            (404, "") if file != CONFIG => return None,
            (403, _) | (_, "GatedRepo") => format!(
                "access is restricted ({status}): ask for it on {page}, and set HF_TOKEN to a \
                 token of that account"
            ),
            (401, _) if self.settings.token.is_some() => format!(
                "the token is not accepted ({status}): check HF_TOKEN, or the login, and the name"
            ),
            (401 | 404, _) => format!(
                "there is no such model, or it is private ({status}), nor is there a folder of \
                 that name: check the name, or set HF_TOKEN to a token that may read it"
            ),
            (429 | 500.., _) => {
                let source = io::Error::other(format!("status {status}"));
                return Some(self.unreachable(file, source));
            }
            _ => format!("unexpected status {status}: check HF_ENDPOINT"),
        };
        Some(self.refused(file, &problem))
    }

    fn lacks(&self, file: &str) -> Error {
        self.refused(file, "the repository has no such file: choose a BERT model")
    }

    fn no_hub(&self, file: &str) -> Error {
        let problem = "this is not the answer of a Hub (no X-Repo-Commit and ETag, or redirects \
                       without an end): check HF_ENDPOINT";
        self.refused(file, problem)
    }

    fn refused(&self, file: &str, problem: &str) -> Error {
        Error::Hub {
            model: self.name.given.to_owned(),
            file: file.to_owned(),
            endpoint: self.settings.endpoint.clone(),
            problem: problem.to_owned(),
        }
    }

    fn unreachable(&self, file: &str, source: io::Error) -> Error {
        Error::HubUnreachable {
            model: self.name.given.to_owned(),
            file: file.to_owned(),
            endpoint: self.settings.endpoint.clone(),
            source,
        }
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn number(response: &Response<Body>, name: &str) -> Option<u64> {
    header(response, name)?.parse().ok()
}

/// What the Hub says in its headers; both become names in the cache.
fn version_of(response: &Response<Body>) -> Option<Version> {
    let commit = header(response, "X-Repo-Commit")?;
    let etag = header(response, "X-Linked-Etag").or_else(|| header(response, "ETag"))?;
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    (is_safe(commit) && is_safe(etag)).then(|| Version {
        commit: commit.to_owned(),
        etag: etag.to_owned(),
    })
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |colon| colon + "://".len());
    let end = url[host..].find(['/', '?', '#']);
    end.map_or(url, |end| &url[..host + end])
}
