//! Starts, watches and stops `ledgerline-engine`, for `storage.url: embedded`.
//!
//! The listening socket is bound here, once, and handed to every engine in turn: the address never changes, and callers queue in the
//! kernel while the next engine starts. Its passwords are made here too, at each start of the collector: one for the collector, which
//! leaves this process only through a pipe, and one for people, in a file of the data directory that only its owner reads.
//! When an engine dies it is started again after a pause that doubles.
//!
//! Must never: block the runtime, restart without a pause, or leave a process behind.

mod binary;
mod process;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ledgerline_process::config::SecretText;
use ledgerline_process::lock::{self, DirectoryLock, LockError};
use ledgerline_process::telemetry::TelemetryConfig;
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::client::Target;
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
pub enum EngineError {
    /// No binary where the configuration says.
    #[error("there is no engine at {0}; build it with `cargo build -p ledgerline-engine`, or give its path")]
    NoBinary(PathBuf),
    /// No binary where it is looked for.
    #[error(
        "there is no {0} beside the collector or in PATH; build it with `cargo build -p ledgerline-engine`, or set \
         storage.engine.binary to its path"
    )]
    NotFound(String),
    /// The data directory cannot be used, or another collector has it.
    #[error(transparent)]
    DataDir(#[from] LockError),
    /// No socket on loopback, or it cannot be handed on.
    #[error("cannot make a listening socket on loopback for the engine")]
    Socket(#[source] io::Error),
    /// The address and password for people cannot be written.
    #[error("cannot write {path}")]
    ReaderUrl {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system would not start it.
    #[error("cannot start {binary}")]
    Spawn {
        /// The binary.
        binary: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("the engine ended at its start ({status}): {last_line}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote.
        last_line: String,
    },
    /// It runs and does not answer.
    #[error(
        "the engine did not answer within {} s of its start; its last line: {last_line}",
        limits::ENGINE_START_WAIT.as_secs()
    )]
    Silent {
        /// The last line it wrote.
        last_line: String,
    },
    /// We are stopping.
    #[error("the start of the engine was interrupted")]
    Interrupted,
}

/// The file of the data directory with the URL for people: `http://reader:PASSWORD@127.0.0.1:PORT/`. It is there while an engine is
/// supervised.
pub const READER_URL: &str = "reader.url";

/// The user of the collector.
const OWNER: &str = "default";

/// A supervised engine.
#[derive(Debug)]
pub struct Engine {
    address: SocketAddr,
    password: SecretText,
    process_id: Arc<AtomicU32>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts the engine and waits until it answers. `shutdown` ends it as `stop` does; `restarts` counts its deaths.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn start(
        config: EngineConfig,
        restarts: Counter,
        shutdown: CancellationToken,
    ) -> Result<Self, EngineError> {
        let binary = find_binary(config.binary.as_deref())?;
        let data_dir = DirectoryLock::take(&config.data_dir, lock::COLLECTOR)?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EngineError::Socket)?;
        let address = socket.local_addr().map_err(EngineError::Socket)?;
        let [password, reader] = [secret(), secret()];
        let launch = Launch { binary, config, socket, address, passwords: format!("{password}\n{reader}\n") };
        let stop = shutdown.child_token();
        let process = tokio::select! {
            started = start_after_predecessor(&launch, data_dir.path()) => started?,
            () = stop.cancelled() => return Err(EngineError::Interrupted),
        };
        let reader_url = ReaderUrl::write(data_dir.path(), &format!("http://reader:{reader}@{address}/\n"))?;
        tracing::info!(%address, "the engine runs");
        let process_id = Arc::new(AtomicU32::new(process.id()));
        let supervisor = Supervisor {
            launch,
            process_id: Arc::clone(&process_id),
            restarts,
            stop: stop.clone(),
            _reader_url: reader_url,
            _data_dir: data_dir,
        };
        let task = tokio::spawn(supervisor.run(process));
        Ok(Self { address, password: password.into(), process_id, stop, task })
    }

    /// Where the engine is, for a client of that database; good for as long as this value.
    #[must_use]
    pub fn target(&self, database: &str) -> Target {
        Target {
            url: format!("http://{}", self.address),
            database: database.to_owned(),
            user: Some(OWNER.to_owned()),
            password: Some(self.password.clone()),
        }
    }

    /// The process, while one runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        Some(self.process_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Stops it in order, or by force after [`limits::ENGINE_STOP_WAIT`], and waits until it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the engine's supervisor panicked");
        }
    }
}

/// 128 random bits.
fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Starts the first engine of this process, once the one of a killed predecessor has let go of the data.
async fn start_after_predecessor(launch: &Launch, data_dir: &Path) -> Result<Process, EngineError> {
    let deadline = Instant::now() + limits::ENGINE_PREDECESSOR_WAIT;
    let mut told = false;
    loop {
        match DirectoryLock::take(data_dir, lock::ENGINE) {
            Ok(free) => {
                // For the engine itself to take.
                drop(free);
                return Process::start(launch).await;
            }
            Err(LockError::InUse { owner, .. }) if Instant::now() < deadline => {
                if !told {
                    tracing::info!(
                        engine = owner,
                        "waiting for the engine of an earlier collector to close its data"
                    );
                }
                told = true;
                sleep(limits::ENGINE_PREDECESSOR_LOOK).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The file for people. Removed with the value: the address in it is then nobody's.
struct ReaderUrl(PathBuf);

impl ReaderUrl {
    /// Whole or not at all, and for its owner alone from its first byte. A few bytes: not worth a thread of their own.
    fn write(data_dir: &Path, url: &str) -> Result<Self, EngineError> {
        let path = data_dir.join(READER_URL);
        let unfinished = data_dir.join(format!("{READER_URL}.tmp"));
        let write = || {
            match std::fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished)?;
            io::Write::write_all(&mut file, url.as_bytes())?;
            std::fs::rename(&unfinished, &path)
        };
        write().map_err(|source| EngineError::ReaderUrl { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for ReaderUrl {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, "could not remove the address of the engine");
        }
    }
}

/// The task that watches.
struct Supervisor {
    launch: Launch,
    process_id: Arc<AtomicU32>,
    restarts: Counter,
    stop: CancellationToken,
    _reader_url: ReaderUrl,
    _data_dir: DirectoryLock,
}

impl Supervisor {
    async fn run(self, mut process: Process) {
        let mut pauses = Pauses::new();
        loop {
            let started = Instant::now();
            let status = tokio::select! {
                status = process.ended() => status,
                () = self.stop.cancelled() => return process.stop().await,
            };
            self.process_id.store(0, Ordering::Relaxed);
            self.restarts.inc();
            let (last_line, restarts) = (process.last_line(), self.restarts.get());
            tracing::warn!(status, last_line, restarts, "the engine died");
            if started.elapsed() >= limits::ENGINE_HEALTHY_AFTER {
                pauses = Pauses::new();
            }
            match self.restart(&mut pauses).await {
                Some(next) => process = next,
                None => return,
            }
        }
    }

    /// Tries until it runs; `None`: we are stopping.
    async fn restart(&self, pauses: &mut Pauses) -> Option<Process> {
        loop {
            let pause = pauses.next();
            let attempt = async {
                sleep(pause).await;
                Process::start(&self.launch).await
            };
            let started = tokio::select! {
                started = attempt => started,
                () = self.stop.cancelled() => return None,
            };
            match started {
                Ok(process) => {
                    self.process_id.store(process.id(), Ordering::Relaxed);
                    tracing::info!("the engine runs again");
                    return Some(process);
                }
                Err(error) => {
                    // With its causes, which the text alone leaves out.
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, pause_ms = pause.as_millis(), "could not restart the engine");
                }
            }
        }
    }
}

/// Pauses that double up to [`limits::ENGINE_PAUSE_MAX`].
struct Pauses(Duration);

impl Pauses {
    const fn new() -> Self {
        Self(limits::ENGINE_PAUSE_FIRST)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(limits::ENGINE_PAUSE_MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut pauses = Pauses::new();
        let pauses: Vec<_> = std::iter::repeat_with(|| pauses.next().as_millis()).take(11).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[tokio::test]
    async fn an_engine_that_ends_at_its_start_is_an_error_with_its_last_line() {
        let directory = tempfile::tempdir().unwrap();
        let config = EngineConfig {
            binary: Some(PathBuf::from("/bin/sh")),
            data_dir: directory.path().to_owned(),
            library: None,
            connections: None,
            memory_bytes_max: None,
            telemetry: TelemetryConfig::default(),
        };
        let error = Engine::start(config, Counter::default(), CancellationToken::new()).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Exited { last_line, .. } if last_line.contains("option")),
            "{error}"
        );
        assert!(!directory.path().join(READER_URL).exists());
    }
}
