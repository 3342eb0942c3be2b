//! A model's files from the Hub into the cache, and the words for all that can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Response;
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

use super::cache::{Cache, Version};
use super::certificates::trusted;
use super::progress::Progress;
use super::repository::{
    CONFIG, MODULES, OF_MODULES, OPTIONAL, VOCABULARIES, check_config, module_files,
};
use super::settings::Settings;
use super::{Name, is_safe};
use crate::error::{Error, Result};
use crate::model::weights::files::{FORMS, is_index, weight_map};

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

/// A file that a snapshot in the cache lacks.
struct Lacking {
    file: String,
    /// Whether the repository lacks it too.
    nowhere: bool,
}

impl<'a> Download<'a> {
    pub(super) fn new(name: &'a Name<'a>, settings: Settings) -> Result<Self> {
        // Redirects are followed here: headers on the way say the version, and the token
        // is for the Hub alone.
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .user_agent(concat!("bertfit/", env!("CARGO_PKG_VERSION")));
        if settings.offline.is_none() {
            let trusted = TlsConfig::builder().root_certs(trusted(&settings)?);
            config = config.tls_config(trusted.build());
        }
        Ok(Self {
            name,
            cache: Cache::new(&settings.cache, name),
            settings,
            agent: config.build().into(),
        })
    }

    /// The folder of the snapshot.
    pub(super) fn run(&self) -> Result<PathBuf> {
        if let Some(variable) = self.settings.offline {
            return self.cached().map_err(|lacking| {
                let cache = self.settings.cache.display();
                match lacking.nowhere {
                    true => self.lacks(&lacking.file),
                    false => self.refused(
                        &lacking.file,
                        &format!(
                            "it is not in the cache {cache}, and {variable} is set: unset it to \
                             download the model"
                        ),
                    ),
                }
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
    fn cached(&self) -> Result<PathBuf, Lacking> {
        let lacking = |file: &str, nowhere| Lacking {
            file: file.to_owned(),
            nowhere,
        };
        let commit = self.cache.commit().ok_or_else(|| lacking(CONFIG, false))?;
        let has = |file: &str| self.cache.has(file, &commit);
        let snapshot = self.cache.snapshot(&commit);
        let all = |files: &[&str]| match files.iter().find(|file| has(file)) {
            Some(file) => Ok(file.to_string()),
            // The first names them all.
            None => {
                let is_absent = |file: &&str| self.cache.is_absent(file, &commit);
                Err(lacking(files[0], files.iter().all(is_absent)))
            }
        };
        all(&[CONFIG])?;
        all(&VOCABULARIES)?;
        if has(MODULES) {
            let files = module_files(&snapshot.join(MODULES)).unwrap_or_default();
            for (file, _) in files.iter().filter(|(_, needed)| *needed) {
                all(&[file])?;
            }
        } else if !self.cache.is_absent(MODULES, &commit) {
            log::warn!(
                "`{}`: the cache does not say whether the repository has {MODULES}; if it has, a \
                 model of embeddings makes other vectors without it",
                self.name.given
            );
        }
        let weights = all(&FORMS)?;
        let index = snapshot.join(&weights);
        if is_index(&index) {
            // One that is damaged is an error when it is loaded.
            for part in weight_map(&index).unwrap_or_default().values() {
                all(&[part])?;
            }
        }
        Ok(snapshot)
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
        let snapshot = self.cache.snapshot(&commit);
        let refused = |file, problem: String| self.refused(file, &problem);
        check_config(&snapshot.join(CONFIG)).map_err(|problem| refused(CONFIG, problem))?;

        let mut vocabularies = 0;
        for file in VOCABULARIES {
            vocabularies += usize::from(self.optional(file, &commit)?);
        }
        if vocabularies == 0 {
            return Err(self.lacks(VOCABULARIES[0]));
        }
        for file in OPTIONAL {
            self.optional(file, &commit)?;
        }
        if self.optional(MODULES, &commit)? {
            for file in OF_MODULES {
                self.optional(file, &commit)?;
            }
            let files = module_files(&snapshot.join(MODULES));
            for (file, needed) in files.map_err(|problem| refused(MODULES, problem))? {
                if !self.optional(&file, &commit)? && needed {
                    return Err(self.lacks(&file));
                }
            }
        }
        self.weights(&commit)?;
        // Last, so that the revision means the old snapshot until the new one is whole.
        self.cache.set_commit(&commit)?;
        Ok(snapshot)
    }

    /// The weights come last: where they are, all else is.
    fn weights(&self, commit: &str) -> Result<()> {
        for form in FORMS {
            if !self.optional(form, commit)? {
                continue;
            }
            let path = self.cache.snapshot(commit).join(form);
            if !is_index(&path) {
                return Ok(());
            }
            let mut parts: Vec<String> = weight_map(&path)?.into_values().collect();
            parts.sort();
            parts.dedup();
            for part in parts {
                if !is_safe(&part) {
                    let part = part.escape_debug();
                    let problem = format!("`{part}` is no file of a repository");
                    return Err(self.refused(form, &problem));
                }
                if !self.optional(&part, commit)? {
                    return Err(self.lacks(&part));
                }
            }
            return Ok(());
        }
        Err(self.lacks(FORMS[0]))
    }

    /// Sees to it that a file is in the snapshot, or is known to be in none; false if the
    /// repository lacks it.
    fn optional(&self, file: &str, commit: &str) -> Result<bool> {
        if self.cache.has(file, commit) {
            return Ok(true);
        }
        if self.cache.is_absent(file, commit) {
            return Ok(false);
        }
        if self.file(file, commit)?.is_some() {
            return Ok(true);
        }
        self.cache.mark_absent(file, commit)?;
        Ok(false)
    }

    /// Sees to it that a file is in the snapshot of its commit, which it returns; `None`
    /// if the repository lacks the file.
    fn file(&self, file: &str, revision: &str) -> Result<Option<String>> {
        let Some(answer) = self.ask(file, revision)? else {
            return Ok(None);
        };
        let version = answer.version;
        if !self.cache.link(file, &version)? {
            let (body, length) = (answer.body.into_reader(), answer.length);
            let progress = Progress::begin(file, self.name.given, length, self.settings.draws);
            let received = self.cache.receive(&version, body, length, progress)?;
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
        let problem = match file {
            _ if file == FORMS[0] => format!(
                "the repository has none of {}, which weights of PyTorch are: choose another model",
                FORMS.join(", ")
            ),
            _ if file == VOCABULARIES[0] => format!(
                "the repository has neither {}: choose a BERT model",
                VOCABULARIES.join(" nor ")
            ),
            _ => "the repository has no such file: choose a BERT model".to_owned(),
        };
        self.refused(file, &problem)
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
