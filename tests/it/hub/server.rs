//! A Hub on this machine: two servers that answer with the headers and redirects of the
//! real one, and its faults on request.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fixture::data;

pub const WEIGHTS: &str = "model.safetensors";

/// What the repository `owner/tiny` holds, and how it behaves.
#[derive(Default)]
pub struct State {
    pub commit: String,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Status and `X-Error-Code` of every answer.
    pub refuse: Option<(u16, &'static str)>,
    /// A file whose body ends in its middle.
    pub cut: Option<&'static str>,
    /// Instead of the true one.
    pub etag: Option<&'static str>,
    /// Path and token of each request to the Hub; host `large` is the other server.
    pub requests: Vec<(String, Option<String>)>,
}

pub struct Hub {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Serves the files of a folder. The threads end with the process.
    pub fn serve(dir: &Path) -> Self {
        Self::serve_by(dir, None)
    }

    /// The same over TLS, with the certificate of `tests/data/hub`.
    pub fn serve_encrypted(dir: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(data("hub/server.pem"));
        let key = PrivateKeyDer::from_pem_file(data("hub/server.key")).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("a certificate")], key);
        Self::serve_by(
            dir,
            Some(Arc::new(config.expect("a certificate with its key"))),
        )
    }

    fn serve_by(dir: &Path, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut state = State {
            commit: commit(1),
            ..State::default()
        };
        read_files(dir, "", &mut state.files);
        let state = Arc::new(Mutex::new(state));
        let large = listen(state.clone(), tls.clone(), |state, path| state.large(path));
        let redirect = large.clone();
        let hub = move |state: &State, path: &str| state.hub(path, &redirect);
        let endpoint = listen(state.clone(), tls, hub);
        Self { endpoint, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread has panicked")
    }

    /// The paths asked for since the last call.
    pub fn asked(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.state().requests);
        requests.into_iter().map(|(path, _)| path).collect()
    }
}

pub fn commit(number: u64) -> String {
    format!("{number:040x}")
}

pub fn etag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:040x}", hasher.finish())
}

/// The files below a folder by their paths.
fn read_files(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        let name = format!("{prefix}{name}");
        match path.is_dir() {
            true => read_files(&path, &format!("{name}/"), files),
            false => drop(files.insert(name, std::fs::read(&path).expect("a file"))),
        }
    }
}

fn listen(
    state: Arc<Mutex<State>>,
    tls: Option<Arc<ServerConfig>>,
    answer: impl Fn(&State, &str) -> Vec<u8> + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let scheme = if tls.is_some() { "https" } else { "http" };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may go at any time.
            let _ = match &tls {
                Some(config) => ServerConnection::new(config.clone())
                    .map_err(std::io::Error::other)
                    .and_then(|tls| reply(StreamOwned::new(tls, stream), &state, &answer)),
                None => reply(stream, &state, &answer),
            };
        }
    });
    format!("{scheme}://{address}")
}

fn reply(
    mut stream: impl Read + Write,
    state: &Mutex<State>,
    answer: &impl Fn(&State, &str) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut token = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            token = Some(value.to_owned());
        }
    }
    let mut state = state.lock().expect("no thread has panicked");
    state.requests.push((path.clone(), token));
    stream.write_all(&answer(&state, &path))?;
    stream.flush()
}

impl State {
    /// The Hub itself: a renamed repository, small files behind a redirect to a relative
    /// address, weights on another server.
    fn hub(&self, path: &str, large: &str) -> Vec<u8> {
        if let Some((status, code)) = self.refuse {
            let headers = match code {
                "" => String::new(),
                code => format!("X-Error-Code: {code}\r\n"),
            };
            return answer(status, &headers, b"");
        }
        if let Some(rest) = path.strip_prefix("/old-name/") {
            let headers = format!("Location: /owner/tiny/{rest}\r\n");
            return answer(307, &headers, b"Temporary Redirect");
        }
        let cached = path.strip_prefix("/api/resolve-cache/models/owner/tiny/");
        let resolved = path.strip_prefix("/owner/tiny/resolve/").or(cached);
        let Some((revision, file)) = resolved.and_then(|rest| rest.split_once('/')) else {
            return answer(404, "X-Error-Code: RepoNotFound\r\n", b"");
        };
        if revision != "main" && revision != "refs%2Fpr%2F1" && revision != self.commit {
            return answer(404, "X-Error-Code: RevisionNotFound\r\n", b"");
        }
        let commit = format!("X-Repo-Commit: {}\r\n", self.commit);
        let Some(content) = self.files.get(file) else {
            let headers = commit + "X-Error-Code: EntryNotFound\r\n";
            return answer(404, &headers, b"Entry not found");
        };
        let etag = self.etag.map_or_else(|| etag(content), str::to_owned);
        if file == WEIGHTS {
            let size = content.len();
            let headers = format!(
                "{commit}X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n\
                 Location: {large}/{file}?signature=1\r\n"
            );
            return answer(302, &headers, b"Found. Redirecting");
        }
        if cached.is_none() {
            let place = format!(
                "/api/resolve-cache/models/owner/tiny/{}/{file}",
                self.commit
            );
            let headers = format!("{commit}Location: {place}\r\n");
            return answer(307, &headers, b"Temporary Redirect");
        }
        let headers = format!("{commit}ETag: W/\"{etag}\"\r\n");
        self.cut(file, answer(200, &headers, content))
    }

    fn large(&self, path: &str) -> Vec<u8> {
        let file = path.trim_start_matches('/').split('?').next();
        let file = file.unwrap_or_default();
        let etag = "ETag: \"of-the-other-server\"\r\n";
        self.cut(file, answer(200, etag, &self.files[file]))
    }

    fn cut(&self, file: &str, mut answer: Vec<u8>) -> Vec<u8> {
        if self.cut == Some(file) {
            answer.truncate(answer.len() - self.files[file].len() / 2);
        }
        answer
    }
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
