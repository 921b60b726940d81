//! The supervisor against the real engine.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ledgerline_process::lock::LockError;
use ledgerline_store::client::{Client, StoreError};
use ledgerline_store::engine::{Engine, EngineConfig, EngineError, OWNER_URL, READER_URL};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::engine;

fn config(directory: &Path) -> EngineConfig {
    EngineConfig {
        connections: Some(2),
        memory_bytes_max: Some(2 << 30),
        ..engine::config(directory.to_owned())
    }
}

async fn start(directory: &Path, restarts: &Counter) -> Result<Engine, EngineError> {
    Engine::start(config(directory), restarts.clone(), CancellationToken::new()).await
}

async fn ask(client: &Client, sql: &str) -> Result<String, StoreError> {
    client.text(client.query(sql)).await
}

/// Looks until there is a value, and fails after 30 s.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The engine of that directory, as it wrote itself into its lock.
fn process_of(directory: &Path) -> Option<u32> {
    std::fs::read_to_string(directory.join("engine.lock")).ok()?.trim().parse().ok()
}

fn alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
}

/// Scenario: the engine is killed under its supervisor, twice, and asked at once; then stopped.
/// Guarantees: the question waits and is answered at the same address, with the rows; the deaths are counted, nobody else can have
/// the port meanwhile, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_engine_comes_back_on_its_address_and_callers_wait() {
    let directory = tempfile::tempdir().unwrap();
    let restarts = Counter::default();
    let engine = start(directory.path(), &restarts).await.unwrap();
    let target = engine.target("default");
    let address = target.url.strip_prefix("http://").unwrap().to_owned();
    let client = Client::new(target).unwrap();
    ask(&client, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await.unwrap();
    ask(&client, "INSERT INTO t VALUES (1)").await.unwrap();
    for deaths in 1..=2 {
        let process = process_of(directory.path()).unwrap();
        kill(process);
        eventually("its end", || (!alive(process)).then_some(())).await;
        TcpListener::bind(&address).unwrap_err();
        assert_eq!(ask(&client, "SELECT * FROM t").await.unwrap(), "1\n");
        eventually("the count", || (restarts.get() == deaths).then_some(())).await;
        eventually("the new process", || process_of(directory.path()).filter(|next| *next != process)).await;
    }
    let process = process_of(directory.path()).unwrap();
    engine.stop().await;
    assert!(!alive(process));
    for name in [READER_URL, OWNER_URL] {
        assert!(!directory.path().join(name).exists(), "{name}");
    }
}

/// Scenario: another local user, a person with the file, and the collector ask the engine.
/// Guarantees: the first is refused; the second, whose file only the owner reads, may read and not change; no secret is on a command line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_a_password_gets_in_and_the_reader_only_reads() {
    let directory = tempfile::tempdir().unwrap();
    let engine = start(directory.path(), &Counter::default()).await.unwrap();
    let target = engine.target("default");
    let file = directory.path().join(READER_URL);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let url = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let curl = |url: &str, sql: &str| {
        let output =
            Command::new("curl").args(["-s", "-w", " %{http_code}", url, "-d", sql]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&url, "SELECT 7"), "7\n 200");
    let refused = curl(&url, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a");
    assert!(refused.starts_with("Code: 164.") && refused.ends_with(" 500"), "{refused}");
    let strangers = curl(&target.url, "SYSTEM SHUTDOWN");
    assert!(strangers.starts_with("Code: 516.") && strangers.ends_with(" 403"), "{strangers}");
    let client = Client::new(target.clone()).unwrap();
    for sql in ["SYSTEM SHUTDOWN", "SYSTEM KILL"] {
        let error = ask(&client, sql).await.unwrap_err();
        assert!(matches!(error, StoreError::Exception { code: 497, .. }), "{sql}: {error}");
    }
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), "1\n");
    let process = process_of(directory.path()).unwrap();
    let read = |name: &str| std::fs::read(format!("/proc/{process}/{name}")).unwrap();
    let owner = target.password.unwrap();
    for shown in [read("cmdline"), read("environ")] {
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(!shown.contains(owner.expose()), "{shown}");
    }
    // A process group of its own: the fifth field of its stat.
    let stat = String::from_utf8(read("stat")).unwrap();
    let group = stat.rsplit(')').next().unwrap().split_whitespace().nth(2).unwrap().to_owned();
    assert_eq!(group, process.to_string());
    engine.stop().await;
}

/// Scenario: a command of the collector looks for the engine of a running one, on a directory where one was killed before.
/// Guarantees: it waits until this one has said where, may change what is there, and only the owner reads the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_reaches_the_engine_of_a_running_collector() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(OWNER_URL);
    std::fs::write(&file, "").unwrap();
    let path = directory.path().to_owned();
    let command = tokio::spawn(async move {
        let client = Client::new(Engine::of_another(&path, "default").await.unwrap()).unwrap();
        ask(&client, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await.unwrap();
    });
    let engine = start(directory.path(), &Counter::default()).await.unwrap();
    command.await.unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let client = Client::new(engine.target("default")).unwrap();
    assert_eq!(ask(&client, "EXISTS t").await.unwrap(), "1\n");
    engine.stop().await;
}

/// Scenario: a second collector is started on the data of a running one.
/// Guarantees: it is told so at once, and the first one and its files are as they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_collector_on_one_folder_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let engine = start(directory.path(), &Counter::default()).await.unwrap();
    let url = std::fs::read(directory.path().join(READER_URL)).unwrap();
    let error = start(directory.path(), &Counter::default()).await.unwrap_err();
    assert!(matches!(error, EngineError::DataDir(LockError::InUse { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("another collector (process") && text.contains("storage.data_dir"), "{text}");
    assert_eq!(std::fs::read(directory.path().join(READER_URL)).unwrap(), url);
    let client = Client::new(engine.target("default")).unwrap();
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), "1\n");
    engine.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_gives_the_engines_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = config(directory.path());
    wrong.library = Some(PathBuf::from("/nonexistent/libchdb.so"));
    let error = Engine::start(wrong, Counter::default(), CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Exited { last_line, .. } if last_line.contains("engine/fetch.sh")),
        "{error}"
    );
    assert!(!directory.path().join(READER_URL).exists());
}
