//! One engine for all tests of this binary; each test has a database of its own.

use std::path::PathBuf;
use std::sync::LazyLock;

use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_store::Store;
use ledgerline_store::client::Target;
use ledgerline_store::engine::{Engine, EngineConfig};
use prometheus_client::metrics::counter::Counter;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The binary: LEDGERLINE_ENGINE_BIN, else the one built beside this test.
pub fn binary() -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("ledgerline-engine"));
    let binary = std::env::var_os("LEDGERLINE_ENGINE_BIN").map(PathBuf::from).or_else(beside).unwrap();
    assert!(
        binary.is_file(),
        "no engine at {}: run `cargo build -p ledgerline-engine`, or set LEDGERLINE_ENGINE_BIN",
        binary.display()
    );
    binary
}

pub fn config(data_dir: PathBuf) -> EngineConfig {
    EngineConfig {
        binary: Some(binary()),
        data_dir,
        library: None,
        connections: None,
        memory_bytes_max: None,
        telemetry: TelemetryConfig::default(),
    }
}

struct Shared {
    engine: Engine,
    // The supervisor lives on it, for as long as this process.
    _runtime: Runtime,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    // Tests run within runtimes of their own, where another must not block.
    std::thread::spawn(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let data_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("integration-engine");
        let _ = std::fs::remove_dir_all(&data_dir);
        let engine =
            runtime.block_on(Engine::start(config(data_dir), Counter::default(), CancellationToken::new()));
        let engine = engine.unwrap_or_else(|error| {
            panic!("{error}: `make setup` fetches libchdb; LEDGERLINE_LIBCHDB names one that is elsewhere")
        });
        Shared { engine, _runtime: runtime }
    })
    .join()
    .unwrap()
});

/// The engine, for a client of that database.
pub fn target(database: &str) -> Target {
    SHARED.engine.target(database)
}

/// An empty, migrated store in a database of that name.
pub async fn storage(database: &str) -> Store {
    Store::open(target(database)).await.unwrap()
}

/// The answer of a statement, columns by tab, rows by newline.
pub async fn ask(storage: &Store, sql: &str) -> String {
    storage.client().text(storage.client().query(sql)).await.unwrap().trim_end().to_owned()
}
