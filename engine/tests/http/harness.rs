//! An engine process, and a plain HTTP client.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep};

pub const BINARY: &str = env!("CARGO_BIN_EXE_ledgerline-engine");

/// Of user `default`.
pub const PASSWORD: &str = "password";

/// Of user `reader`.
pub const READER_PASSWORD: &str = "look";

const START_WAIT: Duration = Duration::from_secs(60);

/// A running engine. Dropped it is killed.
pub struct Engine {
    child: Child,
    log: Arc<Mutex<String>>,
    address: String,
    data_dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn summary(&self, name: &str) -> u64 {
        let summary: HashMap<String, String> =
            serde_json::from_str(self.header("x-clickhouse-summary")).unwrap();
        summary[name].parse().unwrap()
    }

    /// The body of an answer that must be good.
    #[track_caller]
    pub fn good(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text()
    }
}

impl Engine {
    /// A fresh engine on an empty directory.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with more arguments.
    pub async fn with(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut engine = Self::on(temporary.path(), arguments).await;
        engine._temporary = Some(temporary);
        engine
    }

    /// An engine on a directory that outlives it.
    pub async fn on(data_dir: &Path, arguments: &[&str]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut child = Command::new(BINARY)
            .args(["--supervised", "--data-dir"])
            .arg(data_dir)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let passwords = format!("{PASSWORD}\n{READER_PASSWORD}\n");
        child.stdin.as_mut().unwrap().write_all(passwords.as_bytes()).unwrap();
        let log = collect_log(&mut child);
        let deadline = Instant::now() + START_WAIT;
        while !log.lock().unwrap().contains("listening") {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the engine ended: {status}: {}", log.lock().unwrap());
            }
            assert!(Instant::now() < deadline, "the engine does not start: {}", log.lock().unwrap());
            sleep(Duration::from_millis(5)).await;
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { child, log, address, data_dir: data_dir.to_owned(), _temporary: None, client }
    }

    /// With the owner's name and password, as curl and Python take them.
    pub fn url(&self) -> String {
        format!("http://default:{PASSWORD}@{}", self.address)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Resident bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub async fn send(&self, request: http::Request<Full<Bytes>>) -> Reply {
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        Reply { status: parts.status.as_u16(), headers, body }
    }

    /// POST with the statement in the body.
    pub async fn query(&self, sql: &str) -> Reply {
        self.post(&[], &[], sql.as_bytes().to_vec()).await
    }

    /// A statement that must succeed.
    pub async fn run(&self, sql: &str) -> String {
        let reply = self.query(sql).await;
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
        reply.text()
    }

    /// POST with parameters, headers and a body.
    pub async fn post(
        &self,
        parameters: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let body = body.into();
        // hyper leaves it out for an empty body, and ClickHouse insists on it.
        let mut request = http::Request::post(self.target(parameters)).header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body)).unwrap()).await
    }

    pub async fn get(&self, parameters: &[(&str, &str)]) -> Reply {
        self.send(http::Request::get(self.target(parameters)).body(Full::default()).unwrap()).await
    }

    /// The URL of a request with these parameters, and the owner's password; credentials in headers come before it.
    pub fn target(&self, parameters: &[(&str, &str)]) -> String {
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        format!("http://{}/?password={PASSWORD}&{}", self.address, pairs.join("&"))
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(name).arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Ends the engine's standard input.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + START_WAIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the engine does not end: {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file for `--passwords` in that directory.
pub fn passwords(directory: &Path) -> PathBuf {
    let path = directory.join("passwords");
    std::fs::write(&path, format!("{PASSWORD}\n{READER_PASSWORD}\n")).unwrap();
    path
}

fn collect_log(child: &mut Child) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let of_thread = Arc::clone(&log);
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut log = of_thread.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    log
}

/// Percent-encoding of everything that is not plain.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Polls until `probe` gives a value.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(10)).await;
    }
}
