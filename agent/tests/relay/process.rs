//! The binary: its arguments, its complaints, and a log that cannot be written.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::*;

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerline-agent"));
    command.args(arguments);
    command
}

fn check(yaml: &str) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.yaml");
    std::fs::write(&path, yaml).unwrap();
    let output: Output = agent(&["check-config", "--config", path.to_str().unwrap()]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn version_and_help_say_what_it_is() {
    let version = String::from_utf8(agent(&["--version"]).output().unwrap().stdout).unwrap();
    assert_eq!(version, format!("ledgerline-agent {}\n", env!("CARGO_PKG_VERSION")));
    let help = String::from_utf8(agent(&["--help"]).output().unwrap().stdout).unwrap();
    for word in ["check-config", "--config", "OPENAI_BASE_URL", "SIGTERM"] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

/// Guarantees: one run of `check-config` tells everything that is wrong, also in files that the configuration names.
#[test]
fn check_config_tells_all() {
    let (valid, text) = check(include_str!("../../ledgerline-agent.example.yaml"));
    assert!(valid && text.ends_with("agent.yaml: the configuration is valid\n"), "{text}");
    let (valid, text) = check("listen: 0.0.0.0:1\nunknown: 1\nupstreams: [{name: a, prefix: b, url: c}]\n");
    assert!(!valid);
    for part in ["4 problems", "- unknown:", "- listen:", "- upstreams[0].prefix:", "- upstreams[0].url:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let not_a_key = env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml";
    let (valid, text) = check(&format!(
        "upstreams: [{{name: a, prefix: /, url: \"http://b\"}}]\ntls: {{cert_file: {not_a_key}, key_file: {not_a_key}}}\n"
    ));
    assert!(!valid && text.contains("- tls.cert_file: cannot read certificates"), "{text}");
}

struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A configuration file for a process, and where it will listen.
async fn configuration(upstream: SocketAddr, more: &str) -> (tempfile::TempDir, String, SocketAddr) {
    let ports = [dead_address().await, dead_address().await];
    let yaml = openai(upstream, "", dead_address().await)
        .replace("listen: 127.0.0.1:0", &format!("listen: {}", ports[0]))
        .replace("\"127.0.0.1:0\"", &format!("\"{}\"", ports[1]))
        .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0")
        + more;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.yaml");
    std::fs::write(&path, yaml).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path, ports[0])
}

async fn connect(child: &mut Running, address: SocketAddr) -> Connection {
    loop {
        match tokio::net::TcpStream::connect(address).await {
            Ok(stream) => return Connection::from(stream),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(child.0.try_wait().unwrap().is_none(), "the agent ended");
    }
}

async fn completes(connection: &mut Connection) {
    connection.send(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    let head = connection.read_head().await.unwrap();
    let answer = connection.read_body(&head).await;
    assert_eq!(answer, (COMPLETION.as_bytes().to_vec(), true), "{head}");
}

/// Starts the agent from a shell that sets limits first.
fn limited(limits: &str, configuration: &str) -> Running {
    let script = format!("{limits} && exec \"$0\" --config \"$1\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_ledgerline-agent"), configuration]);
    Running(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// Guarantees: the agent may open as many files as the hard limit allows, whatever the soft one is.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_of_descriptors_is_raised() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let (_directory, path, address) = configuration(upstream.address, "").await;
    let mut child = limited("ulimit -n 1000 && ulimit -Sn 100", &path);
    completes(&mut connect(&mut child, address).await).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.0.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["1000", "1000"]);
}

/// Scenario: 100 descriptors at most, and 60 clients at once that each want a connection to the upstream.
/// Guarantees: those for whom there is no descriptor wait instead of failing.
#[tokio::test]
async fn clients_wait_when_descriptors_run_out() {
    // It closes after each answer and says so; a kept connection that is closed without a word fails whoever takes it next.
    let closing = completion().replacen("content-length", "connection: close\r\ncontent-length", 1);
    let (upstream, _) = Upstream::fixed(closing).await;
    let (_directory, path, address) = configuration(upstream.address, "").await;
    let mut child = limited("ulimit -n 100", &path);
    drop(connect(&mut child, address).await);
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = Connection::open(address).await;
        clients.push(tokio::spawn(async move { completes(&mut client).await }));
    }
    for client in clients {
        within(client).await.unwrap();
    }
}

/// Scenario: 120 descriptors, and far more clients that connect and say nothing, or half a head, or one request and then
/// nothing.
/// Guarantees: other clients are served, and a call that runs is not closed for them.
#[tokio::test]
async fn silent_clients_make_room() {
    let (go, gate) = (tokio_util::sync::CancellationToken::new(), tokio_util::sync::CancellationToken::new());
    let (opened, arrived) = (go.clone(), gate.clone());
    let upstream = Upstream::start(move |mut message| {
        let (go, arrived) = (go.clone(), arrived.clone());
        async move {
            if message.head.contains("/slow") {
                arrived.cancel();
                go.cancelled().await;
            }
            let closing = completion().replacen("content-length", "connection: close\r\ncontent-length", 1);
            message.connection.send(closing).await;
        }
    })
    .await;
    let (_directory, path, address) = configuration(upstream.address, "").await;
    let mut child = limited("ulimit -n 120", &path);
    let mut slow = connect(&mut child, address).await;
    slow.send(post("/openai/slow", "", "{}")).await;
    within(gate.cancelled()).await;
    let mut others = Vec::new();
    for number in 0..150 {
        let mut client = Connection::open(address).await;
        match number % 3 {
            0 => {}
            1 => client.send("POST /openai/v1/x HTTP/1.1\r\nhost: ").await,
            _ => completes(&mut client).await,
        }
        others.push(client);
    }
    completes(&mut Connection::open(address).await).await;
    opened.cancel();
    let head = slow.read_head().await.unwrap();
    assert_eq!(slow.read_body(&head).await, (COMPLETION.as_bytes().to_vec(), true));
}

/// Scenario: standard error is a full disk, the level is the noisiest, the collector is dead.
/// Guarantees: calls pass, and SIGTERM ends the process with success.
#[tokio::test]
async fn a_log_that_cannot_be_written_harms_no_call() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let (_directory, path, address) = configuration(upstream.address, "log: {level: trace}\n").await;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = agent(&["--config", &path]);
    let mut child = Running(command.stderr(Stdio::from(full)).stdout(Stdio::null()).spawn().unwrap());
    let mut connection = connect(&mut child, address).await;
    for _ in 0..3 {
        completes(&mut connection).await;
    }
    drop(connection);
    Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    let mut status = None;
    for _ in 0..1_000 {
        status = child.0.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}
