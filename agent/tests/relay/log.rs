//! What the log of the process says about its peers.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::support::*;

/// The agent as a process whose log is read.
struct Process {
    child: std::process::Child,
    lines: Receiver<String>,
    _directory: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Process {
    fn start(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerline-agent"));
        command.args(["--config", path.to_str().unwrap()]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines, _directory: directory }
    }

    /// The next line with this text; how often another text was in the lines before it.
    fn next(&self, text: &str, other: &str) -> (String, usize) {
        let mut others = 0;
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no line with {text}"));
            if line.contains(text) {
                return (line, others);
            }
            others += usize::from(line.contains(other));
        }
    }

    fn relay(&self) -> std::net::SocketAddr {
        let (line, _) = self.next("forwarding calls", "-");
        let address = line.split("relay=").nth(1).unwrap().split_whitespace().next().unwrap();
        address.trim_matches('"').parse().unwrap()
    }
}

async fn call(relay: std::net::SocketAddr, expected: &str) {
    let mut client = Connection::open(relay).await;
    client.send(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with(expected), "{head}");
}

/// Scenario: a provider and a collector are away for some calls, then both are back.
/// Guarantees: one warning for each when it is lost, whatever the number of calls, and one line when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_peer_is_told_once_and_so_is_its_return() {
    let (provider, collector) = (dead_address().await, dead_address().await);
    let process = Process::start(&openai(provider, "", collector));
    let relay = process.relay();
    for _ in 0..5 {
        call(relay, "HTTP/1.1 502 ").await;
    }
    let lost = "no answer from the upstream";
    let (line, before) = process.next(lost, lost);
    assert!(
        line.contains("WARN") && line.contains("openai") && line.contains(&provider.to_string()),
        "{line}"
    );
    assert_eq!(before, 0);
    let (line, _) = process.next("the collector does not take requests", "-");
    assert!(line.contains("WARN"), "{line}");

    let upstream = Upstream::start_at(provider, |mut message| async move {
        message.connection.send(completion()).await;
    })
    .await;
    call(relay, "HTTP/1.1 200 ").await;
    let (line, again) = process.next("the upstream answers again", lost);
    assert!(line.contains("INFO") && line.contains("openai"), "{line}");
    assert_eq!(again, 0);
    let accepting = Collector::scripted(collector, |_| Ok(Default::default())).await;
    let (line, _) = process.next("the collector takes requests again", "-");
    assert!(line.contains("INFO"), "{line}");
    drop((upstream, accepting));
}

/// Guarantees: an agent that sends to a port without gRPC says which setting to change and to what.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_port_without_grpc_is_recognised() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, axum::Router::new()).await });
    let process = Process::start(&openai(upstream.address, "", plain));
    call(process.relay(), "HTTP/1.1 200 ").await;
    let (line, _) = process.next("this is no port for OTLP over gRPC", "-");
    assert!(line.contains("4317"), "{line}");
    server.abort();
}
