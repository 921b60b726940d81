//! Starts, watches and stops `ledgerline-engine`, for `storage.url: embedded`.
//!
//! The engine is a child process that holds the read end of a pipe from us: when we stop, or die in any way, the pipe ends and it closes
//! its store in order. So stopping needs no signal, and no engine outlives its collector. When it dies it is started again, on the same
//! port where that is possible, after a pause that doubles; the address is published so that clients follow.
//!
//! Must never: block the runtime, restart without a pause, or leave a process behind.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The engine must answer `/ping` within this time of its start; recovery of a large store is most of it.
const START_WAIT: Duration = Duration::from_secs(60);

/// The engine has this long to close its store before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// The engine of a collector that was killed closes its store by itself; until then the data directory is its. A little
/// longer than it gives its statements to end.
const PREDECESSOR_WAIT: Duration = Duration::from_secs(40);

/// One `/ping`.
const PING_WAIT: Duration = Duration::from_secs(2);

/// Between two looks at an engine that starts.
const POLL: Duration = Duration::from_millis(20);

/// The pause before the first restart.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// An engine that ran this long is healthy again: the next pause is the first one.
const BACKOFF_RESET: Duration = Duration::from_secs(60);

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
    /// The system would not start it.
    #[error("cannot start {binary}")]
    Spawn {
        /// The binary.
        binary: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("the engine ended at its start ({status}): {said}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote.
        said: String,
    },
    /// It runs and does not answer.
    #[error("the engine did not answer within {} s of its start; its last words: {said}", START_WAIT.as_secs())]
    Silent {
        /// The last line it wrote.
        said: String,
    },
    /// We are stopping.
    #[error("the start of the engine was interrupted")]
    Interrupted,
}

/// A supervised engine.
#[derive(Debug)]
pub struct Engine {
    url: watch::Receiver<String>,
    process_id: watch::Receiver<Option<u32>>,
    restarts: Arc<AtomicU64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts the engine and waits until it answers. `shutdown` ends it as `stop` does.
    pub async fn start(config: EngineConfig, shutdown: CancellationToken) -> Result<Self, EngineError> {
        let binary = find_binary(config.binary.as_deref())?;
        let stop = shutdown.child_token();
        let process = tokio::select! {
            started = Process::start_after_predecessor(&binary, &config) => started?,
            () = stop.cancelled() => return Err(EngineError::Interrupted),
        };
        let (url_sender, url) = watch::channel(process.url());
        let (process_id_sender, process_id) = watch::channel(process.child.id());
        let restarts = Arc::new(AtomicU64::new(0));
        let supervisor = Supervisor {
            binary,
            config,
            url: url_sender,
            process_id: process_id_sender,
            restarts: Arc::clone(&restarts),
            stop: stop.clone(),
        };
        let task = tokio::spawn(supervisor.run(process));
        Ok(Self { url, process_id, restarts, stop, task })
    }

    /// Where the engine listens, `http://127.0.0.1:port`; changes if a restart could not have the old port.
    pub fn url(&self) -> watch::Receiver<String> {
        self.url.clone()
    }

    /// The process, while one runs.
    pub fn process_id(&self) -> Option<u32> {
        *self.process_id.borrow()
    }

    /// How often it died and was started again.
    pub fn restarts(&self) -> u64 {
        self.restart_counter().load(Ordering::Relaxed)
    }

    /// What [`Engine::restarts`] reads, for somebody who outlives the borrow.
    pub fn restart_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.restarts)
    }

    /// Stops it in order, or by force after 30 s, and waits until it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::error!("the engine's supervisor panicked");
        }
    }
}

/// The task that watches.
struct Supervisor {
    binary: PathBuf,
    config: EngineConfig,
    url: watch::Sender<String>,
    process_id: watch::Sender<Option<u32>>,
    restarts: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Supervisor {
    async fn run(self, mut process: Process) {
        let mut backoff = Backoff::new();
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                ended = process.child.wait() => ended,
                () = self.stop.cancelled() => return process.stop().await,
            };
            self.process_id.send_replace(None);
            let restarts = self.restarts.fetch_add(1, Ordering::Relaxed) + 1;
            let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let said = process.said.borrow().clone();
            tracing::warn!(status, said, restarts, "the engine died");
            if started.elapsed() >= BACKOFF_RESET {
                backoff = Backoff::new();
            }
            match self.restart(process.address, &mut backoff).await {
                Some(next) => process = next,
                None => return,
            }
        }
    }

    /// Tries until it runs; `None`: we are stopping.
    async fn restart(&self, address: SocketAddr, backoff: &mut Backoff) -> Option<Process> {
        // The old port first, so that clients need not notice; when it cannot be had, any.
        let mut wanted = Some(address);
        loop {
            let pause = backoff.next();
            let attempt = async {
                sleep(pause).await;
                Process::start(&self.binary, &self.config, wanted).await
            };
            let started = tokio::select! {
                started = attempt => started,
                () = self.stop.cancelled() => return None,
            };
            match started {
                Ok(process) => {
                    self.process_id.send_replace(process.child.id());
                    self.url.send_if_modified(|url| {
                        let changed = *url != process.url();
                        *url = process.url();
                        changed
                    });
                    tracing::info!(url = process.url(), "the engine runs again");
                    return Some(process);
                }
                Err(error) => {
                    tracing::warn!(%error, pause_ms = pause.as_millis(), "could not restart the engine");
                    wanted = wanted.filter(|_| !is_address_in_use(&error));
                }
            }
        }
    }
}

fn is_address_in_use(error: &EngineError) -> bool {
    matches!(error, EngineError::Exited { said, .. } if said.contains("cannot listen"))
}

fn is_data_in_use(error: &EngineError) -> bool {
    matches!(error, EngineError::Exited { said, .. } if said.contains("in use by another engine"))
}

/// A doubling pause.
struct Backoff {
    pause: Duration,
}

impl Backoff {
    fn new() -> Self {
        Self { pause: BACKOFF_FIRST }
    }

    fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(BACKOFF_MAX);
        pause
    }
}

/// One run of the binary.
struct Process {
    child: Child,
    /// Its life line. Kept apart from `child`, whose `wait` would close it.
    stdin: Option<ChildStdin>,
    address: SocketAddr,
    /// The last line it wrote.
    said: watch::Receiver<String>,
}

impl Process {
    /// Starts the first engine of this process, once the one of a killed predecessor has let go of the data.
    async fn start_after_predecessor(binary: &Path, config: &EngineConfig) -> Result<Self, EngineError> {
        let deadline = Instant::now() + PREDECESSOR_WAIT;
        loop {
            match Self::start(binary, config, None).await {
                Err(error) if is_data_in_use(&error) && Instant::now() < deadline => {
                    tracing::info!(
                        "waiting for the engine of an earlier collector to close the data directory"
                    );
                    sleep(BACKOFF_FIRST * 5).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn start(
        binary: &Path,
        config: &EngineConfig,
        address: Option<SocketAddr>,
    ) -> Result<Self, EngineError> {
        let address_file = config.data_dir.join("engine.address");
        let spawn_error = |source| EngineError::Spawn { binary: binary.to_owned(), source };
        // For its owner alone, as the engine itself would make it.
        let mut directory = tokio::fs::DirBuilder::new();
        directory.recursive(true).mode(0o700).create(&config.data_dir).await.map_err(spawn_error)?;
        match tokio::fs::remove_file(&address_file).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(spawn_error(error)),
            _ => {}
        }
        let mut child = command(binary, config, address, &address_file).spawn().map_err(spawn_error)?;
        let stdin = child.stdin.take();
        let said = forward_log(&mut child);
        let deadline = Instant::now() + START_WAIT;
        loop {
            if let Some(status) = child.try_wait().map_err(spawn_error)? {
                // The pipe may hold its last words for a moment longer.
                let mut said = said;
                let _ = timeout(PING_WAIT, async { while said.changed().await.is_ok() {} }).await;
                let said = said.borrow().clone();
                return Err(EngineError::Exited { status, said });
            }
            if let Some(address) = read_address(&address_file).await
                && ping(address).await
            {
                return Ok(Self { child, stdin, address, said });
            }
            if Instant::now() >= deadline {
                let said = said.borrow().clone();
                return Err(EngineError::Silent { said });
            }
            sleep(POLL).await;
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn stop(mut self) {
        // The end of its standard input is the engine's sign to stop.
        drop(self.stdin.take());
        if timeout(STOP_WAIT, self.child.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(wait_s = STOP_WAIT.as_secs(), "the engine did not stop and is killed");
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "could not kill the engine");
        }
    }
}

fn command(
    binary: &Path,
    config: &EngineConfig,
    address: Option<SocketAddr>,
    address_file: &Path,
) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("--data-dir")
        .arg(&config.data_dir)
        .arg("--address-file")
        .arg(address_file)
        .arg("--exit-with-parent");
    let listen = address.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
    command.arg("--listen").arg(listen);
    if let Some(library) = &config.library {
        command.arg("--library").arg(library);
    }
    if let Some(connections) = config.connections {
        command.arg("--max-connections").arg(connections.to_string());
    }
    if let Some(bytes) = config.memory_bytes_max {
        command.arg("--max-memory").arg(bytes.to_string());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Passes the engine's log on into ours. The task ends with the child's pipe.
fn forward_log(child: &mut Child) -> watch::Receiver<String> {
    let (sender, said) = watch::channel(String::new());
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::info!(target: "ledgerline_engine", line, "engine");
                sender.send_replace(line);
            }
        });
    }
    said
}

async fn read_address(file: &Path) -> Option<SocketAddr> {
    tokio::fs::read_to_string(file).await.ok()?.trim().parse().ok()
}

/// True when the engine answers. One small request, so no client is kept for it.
async fn ping(address: SocketAddr) -> bool {
    let asked = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        socket.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    matches!(timeout(PING_WAIT, asked).await, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200"))
}

/// The binary that [`Engine::start`] runs: the configured one, else the one beside our own, else the first in PATH.
///
/// # Errors
/// When there is none.
pub fn find_binary(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    binary(configured, std::env::current_exe().ok().as_deref(), std::env::var_os("PATH").as_deref())
}

fn binary(
    configured: Option<&Path>,
    own: Option<&Path>,
    path: Option<&OsStr>,
) -> Result<PathBuf, EngineError> {
    if let Some(configured) = configured {
        let exists = configured.is_file();
        return if exists {
            Ok(configured.to_owned())
        } else {
            Err(EngineError::NoBinary(configured.to_owned()))
        };
    }
    let name = format!("ledgerline-engine{}", std::env::consts::EXE_SUFFIX);
    let beside = own.and_then(Path::parent).map(|directory| directory.join(&name));
    if let Some(beside) = beside.filter(|beside| beside.is_file()) {
        return Ok(beside);
    }
    // An empty or relative entry means the working directory, from which nothing is started by name.
    let folders = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let found = folders.map(|folder| folder.join(&name)).find(|file| is_program(file));
    found.ok_or(EngineError::NotFound(name))
}

/// As a shell sees it: a file that somebody may execute.
fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = std::iter::repeat_with(|| backoff.next().as_millis()).take(11).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn the_binary_is_the_configured_one_or_the_one_beside_us_or_in_path() {
        let directory = std::env::temp_dir().join(format!("ledgerline-engine-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let engine = directory.join("ledgerline-engine");
        let own = directory.join("ledgerline-collector");
        let missing = binary(None, Some(&own), None).unwrap_err();
        assert!(missing.to_string().contains("cargo build -p ledgerline-engine"), "{missing}");
        std::fs::write(&engine, "").unwrap();
        assert_eq!(binary(None, Some(&own), None).unwrap(), engine);
        assert_eq!(binary(Some(&engine), None, None).unwrap(), engine);
        // Elsewhere, PATH is searched: programs only, absolute folders only, and never instead of a configured path.
        let empty = directory.join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let path = std::env::join_paths([empty.as_path(), Path::new(""), &directory]).unwrap();
        let elsewhere = empty.join("ledgerline-collector");
        let search = |configured| binary(configured, Some(&elsewhere), Some(&path));
        assert!(matches!(search(None), Err(EngineError::NotFound(_))), "a file that is no program");
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(search(None).unwrap(), engine);
        let wrong = empty.join("ledgerline-engine");
        assert!(matches!(search(Some(&wrong)), Err(EngineError::NoBinary(path)) if path == wrong));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[tokio::test]
    async fn an_engine_that_ends_at_its_start_is_an_error_with_its_last_words() {
        let config = EngineConfig {
            binary: Some(PathBuf::from("/bin/sh")),
            data_dir: std::env::temp_dir().join(format!("ledgerline-engine-dies-{}", std::process::id())),
            library: None,
            connections: None,
            memory_bytes_max: None,
        };
        let error = Engine::start(config.clone(), CancellationToken::new()).await.unwrap_err();
        std::fs::remove_dir_all(&config.data_dir).unwrap();
        assert!(matches!(&error, EngineError::Exited { said, .. } if said.contains("option")), "{error}");
    }
}
