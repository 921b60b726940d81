//! The supervisor against the real engine.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ledgerline_store::engine::{Engine, EngineConfig, EngineError};
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

fn ask(url: &str, sql: &str) -> String {
    let output = Command::new("curl").args(["-s", "--fail-with-body", url, "-d", sql]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{sql}: {} {text}", output.status);
    text
}

/// Looks until there is a value, and fails after 30 s.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        sleep(Duration::from_millis(10)).await;
    }
}

fn alive(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

/// Scenario: the engine is killed under its supervisor, twice, then stopped.
/// Guarantees: it comes back on the same address with its rows, the deaths are counted, and nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_engine_comes_back_on_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::start(config(directory.path()), CancellationToken::new()).await.unwrap();
    let url = engine.url().borrow().clone();
    ask(&url, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a");
    ask(&url, "INSERT INTO t VALUES (1)");
    for deaths in 1..=2 {
        let process = engine.process_id().unwrap();
        assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
        eventually("the restart", || {
            let back = engine.restarts() == deaths && engine.process_id().is_some_and(|next| next != process);
            back.then_some(())
        })
        .await;
        assert_eq!(*engine.url().borrow(), url);
        assert_eq!(ask(&url, "SELECT * FROM t"), "1\n");
    }
    let process = engine.process_id().unwrap();
    engine.stop().await;
    assert!(!alive(process));
}

/// Scenario: another program takes the port while the engine is down.
/// Guarantees: the engine takes another one and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_port_is_replaced_and_published() {
    let directory = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let engine = Engine::start(config(directory.path()), shutdown.clone()).await.unwrap();
    let mut url = engine.url();
    let first = url.borrow_and_update().clone();
    let process = engine.process_id().unwrap();
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    let address = first.trim_start_matches("http://").to_owned();
    let taken = eventually("the port", || std::net::TcpListener::bind(&address).ok()).await;
    url.changed().await.unwrap();
    let second = url.borrow().clone();
    assert_ne!(first, second);
    assert_eq!(ask(&second, "SELECT 1"), "1\n");
    drop(taken);
    let process = engine.process_id().unwrap();
    shutdown.cancel();
    engine.stop().await;
    assert!(!alive(process));
}

#[tokio::test]
async fn a_start_that_fails_gives_the_engines_reason() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = config(directory.path());
    wrong.library = Some(std::path::PathBuf::from("/nonexistent/libchdb.so"));
    let error = Engine::start(wrong, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Exited { said, .. } if said.contains("engine/fetch.sh")),
        "{error}"
    );
}
