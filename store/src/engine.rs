//! Starts, watches and stops `ledgerline-engine`, for `storage.url: embedded`.
//!
//! The listening socket is bound here, once, and handed to every engine in turn: the address never changes, and callers queue in the
//! kernel while the next engine starts. Its passwords are made at each start of the collector: one for the collector and its commands, one
//! for people who read. Each is with the address in a file of the data directory that only its owner reads.
//!
//! Must never: block the runtime, restart without a pause that doubles, or leave a process behind.

mod binary;
mod process;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use ledgerline_process::backoff::Backoff;
use ledgerline_process::error;
use ledgerline_process::lock::{self, DirectoryLock, LockError};
use ledgerline_process::telemetry::TelemetryConfig;
use prometheus_client::metrics::counter::Counter;
use tempfile::{NamedTempFile, TempPath};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ConnectError, Target};
use crate::limits;
pub use binary::find_binary;
use process::{Launch, Process};

/// How to run the engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The binary; `None`: `ledgerline-engine` beside our own, else the first in PATH.
    pub binary: Option<PathBuf>,
    /// Where the data is. The engine makes it and locks it.
    pub data_dir: PathBuf,
    /// libchdb.so; `None`: the engine looks in its environment and cache.
    pub library: Option<PathBuf>,
    /// Statements at once; `None`: the engine's default.
    pub connections: Option<usize>,
    /// Bytes of all queries together; `None`: the engine's default.
    pub memory_bytes_max: Option<u64>,
    /// Where it sends spans of its own work.
    pub telemetry: TelemetryConfig,
}

/// Why the engine does not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what happened and what to do")]
pub enum EngineError {
    #[error("there is no engine at {0}; build it with `cargo build -p ledgerline-engine`, or give its path")]
    NoBinary(PathBuf),
    #[error(
        "there is no {0} beside the collector or in PATH; build it with `cargo build -p ledgerline-engine`, or set \
         storage.engine.binary to its path"
    )]
    NotFound(String),
    #[error(transparent)]
    DataDir(#[from] LockError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make a listening socket on loopback for the engine")]
    Socket(#[source] io::Error),
    #[error("cannot use {path}")]
    Url { path: PathBuf, source: io::Error },
    #[error(
        "the collector of {data_dir} runs and does not say where its engine is: after {} s there is no {OWNER_URL} there, or none that \
         can be read",
        limits::ENGINE_START_WAIT.as_secs()
    )]
    NoOwnerUrl { data_dir: PathBuf },
    #[error("cannot start {binary}")]
    Spawn { binary: PathBuf, source: io::Error },
    #[error("the engine ended at its start ({status}): {last_line}")]
    Exited { status: ExitStatus, last_line: String },
    #[error(
        "the engine did not answer within {} s of its start; its last line: {last_line}",
        limits::ENGINE_START_WAIT.as_secs()
    )]
    Silent { last_line: String },
    #[error("the start of the engine was interrupted")]
    Interrupted,
}

/// The file of the data directory with the URL for people, `http://reader:PASSWORD@127.0.0.1:PORT/`, while an engine is supervised.
pub const READER_URL: &str = "reader.url";

/// The same for the collector's own commands: who has it may change everything.
pub const OWNER_URL: &str = "owner.url";

/// The user of [`OWNER_URL`].
const OWNER: &str = "default";

/// A supervised engine.
#[derive(Debug)]
pub struct Engine {
    target: Target,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts the engine and waits until it answers. `shutdown` ends it as `stop` does; `restarts` counts its deaths.
    pub async fn start(
        config: EngineConfig,
        restarts: Counter,
        shutdown: CancellationToken,
    ) -> Result<Self, EngineError> {
        let binary = find_binary(config.binary.as_deref())?;
        let data_dir = DirectoryLock::take(&config.data_dir, lock::COLLECTOR)?;
        remove_urls_of_a_predecessor(data_dir.path())?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EngineError::Socket)?;
        let address = socket.local_addr().map_err(EngineError::Socket)?;
        let secret = || format!("{:032x}", rand::random::<u128>());
        let (password, reader) = (secret(), secret());
        let passwords = format!("{password}\n{reader}\n");
        let target = Target {
            url: format!("http://{address}"),
            database: String::new(),
            cluster: None,
            user: Some(OWNER.to_owned()),
            password: Some(password.clone().into()),
        };
        let client = Client::new(target.clone())?;
        let launch = Launch { binary, config, socket, client, passwords };
        let stop = shutdown.child_token();
        let process = tokio::select! {
            started = start_after_predecessor(&launch, data_dir.path()) => started?,
            () = stop.cancelled() => return Err(EngineError::Interrupted),
        };
        let reader_url =
            write_url(data_dir.path(), READER_URL, &format!("http://reader:{reader}@{address}/\n"))?;
        let owner_url =
            write_url(data_dir.path(), OWNER_URL, &format!("http://{OWNER}:{password}@{address}/\n"))?;
        tracing::info!(%address, "the engine runs");
        let supervisor =
            Supervisor { launch, restarts, stop: stop.clone(), _held: ([reader_url, owner_url], data_dir) };
        let task = tokio::spawn(supervisor.run(process));
        Ok(Self { target, stop, task })
    }

    /// Where the engine is that another process supervises in that directory, for a client of that database. One that is starting is
    /// waited for.
    pub async fn of_another(data_dir: &Path, database: &str) -> Result<Target, EngineError> {
        let deadline = Instant::now() + limits::ENGINE_START_WAIT;
        loop {
            let text = std::fs::read_to_string(data_dir.join(OWNER_URL)).unwrap_or_default();
            if let Some(target) = target_of(text.trim(), database) {
                return Ok(target);
            }
            if Instant::now() >= deadline {
                return Err(EngineError::NoOwnerUrl { data_dir: data_dir.to_owned() });
            }
            sleep(limits::ENGINE_PREDECESSOR_LOOK).await;
        }
    }

    /// Where the engine is, for a client of that database; good for as long as this value.
    pub fn target(&self, database: &str) -> Target {
        Target { database: database.to_owned(), ..self.target.clone() }
    }

    /// Stops it in order, or by force after [`limits::ENGINE_STOP_WAIT`], and waits until it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the engine's supervisor panicked");
        }
    }
}

/// Starts the first engine of this process, once the one of a killed predecessor has let go of the data.
async fn start_after_predecessor(launch: &Launch, data_dir: &Path) -> Result<Process, EngineError> {
    let deadline = Instant::now() + limits::ENGINE_PREDECESSOR_WAIT;
    let mut told = false;
    loop {
        match DirectoryLock::take(data_dir, lock::ENGINE) {
            // Free: for the engine itself to take.
            Ok(lock) => break drop(lock),
            Err(LockError::InUse { owner, .. }) if Instant::now() < deadline => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(
                        engine = owner,
                        "waiting for an earlier collector's engine to close its data"
                    );
                }
                sleep(limits::ENGINE_PREDECESSOR_LOOK).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Process::start(launch).await
}

/// Of a collector that was killed: their address is nobody's.
fn remove_urls_of_a_predecessor(data_dir: &Path) -> Result<(), EngineError> {
    for path in [READER_URL, OWNER_URL].map(|name| data_dir.join(name)) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(EngineError::Url { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file with a password, whole or not at all, and for its owner alone from its first byte. It is removed with the value: the address
/// in it is then nobody's.
fn write_url(data_dir: &Path, name: &str, url: &str) -> Result<TempPath, EngineError> {
    let path = data_dir.join(name);
    let write = || {
        let mut file = NamedTempFile::new_in(data_dir)?;
        file.write_all(url.as_bytes())?;
        file.persist(&path)?;
        TempPath::try_from_path(&path)
    };
    write().map_err(|source| EngineError::Url { path: path.clone(), source })
}

/// What is in [`OWNER_URL`].
fn target_of(url: &str, database: &str) -> Option<Target> {
    let (user, rest) = url.strip_prefix("http://")?.split_once(':')?;
    let (password, address) = rest.split_once('@')?;
    Some(Target {
        url: format!("http://{}", address.trim_end_matches('/')),
        database: database.to_owned(),
        cluster: None,
        user: Some(user.to_owned()),
        password: Some(password.to_owned().into()),
    })
}

struct Supervisor {
    launch: Launch,
    restarts: Counter,
    stop: CancellationToken,
    _held: ([TempPath; 2], DirectoryLock),
}

impl Supervisor {
    async fn run(self, mut process: Process) {
        let mut pauses = Backoff::new(limits::ENGINE_PAUSE_FIRST, limits::ENGINE_PAUSE_MAX);
        loop {
            let started = Instant::now();
            let (status, last_line) = tokio::select! {
                ended = process.ended() => ended,
                () = self.stop.cancelled() => return process.stop().await,
            };
            self.restarts.inc();
            tracing::warn!(status, last_line, restarts = self.restarts.get(), "the engine died");
            if started.elapsed() >= limits::ENGINE_HEALTHY_AFTER {
                pauses.reset();
            }
            process = tokio::select! {
                started = self.restart(&mut pauses) => started,
                () = self.stop.cancelled() => return,
            };
        }
    }

    async fn restart(&self, pauses: &mut Backoff) -> Process {
        loop {
            let pause = pauses.pause();
            sleep(pause).await;
            match Process::start(&self.launch).await {
                Ok(process) => {
                    tracing::info!("the engine runs again");
                    return process;
                }
                Err(error) => {
                    let error = error::text(&error);
                    tracing::warn!(error, pause_ms = pause.as_millis(), "could not restart the engine");
                }
            }
        }
    }
}
