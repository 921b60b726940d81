//! One run of the engine's binary: its standard input is its life line and brings the passwords, its standard output is the listening
//! socket, its standard error is its log.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{EngineConfig, EngineError};
use crate::limits;

/// What every run begins with.
pub(super) struct Launch {
    pub binary: PathBuf,
    pub config: EngineConfig,
    /// Stays open here, so that connections wait for the next run.
    pub socket: TcpListener,
    pub address: SocketAddr,
    /// One a line: the owner's, the reader's.
    pub passwords: String,
}

impl Launch {
    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(&self.binary);
        command.arg("--supervised").arg("--data-dir").arg(&self.config.data_dir);
        if let Some(library) = &self.config.library {
            command.arg("--library").arg(library);
        }
        if let Some(connections) = self.config.connections {
            command.arg("--max-connections").arg(connections.to_string());
        }
        if let Some(bytes) = self.config.memory_bytes_max {
            command.arg("--max-memory").arg(bytes.to_string());
        }
        if let Some(endpoint) = &self.config.telemetry.endpoint {
            command.arg("--telemetry-endpoint").arg(endpoint.to_string());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::from(OwnedFd::from(self.socket.try_clone()?)))
            .stderr(Stdio::piped())
            // A signal to its group, from it or from a terminal, is not one to ours.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

pub(super) struct Process {
    child: Child,
    /// Its life line. Kept apart from `child`, whose `wait` would close it.
    stdin: Option<ChildStdin>,
    last_line: watch::Receiver<String>,
}

impl Process {
    /// Starts it and waits until it answers.
    pub(super) async fn start(launch: &Launch) -> Result<Self, EngineError> {
        let spawn_error = |source| EngineError::Spawn { binary: launch.binary.clone(), source };
        let mut child = launch.command().map_err(EngineError::Socket)?.spawn().map_err(spawn_error)?;
        let mut stdin = child.stdin.take();
        if let Some(pipe) = &mut stdin
            && let Err(error) = pipe.write_all(launch.passwords.as_bytes()).await
        {
            // It has ended already; why is told below.
            tracing::debug!(%error, "the engine did not read its passwords");
        }
        let mut last_line = forward_log(&mut child);
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(spawn_error)?;
                // The pipe may hold its last words for a moment longer.
                let _ = timeout(limits::ENGINE_LOG_WAIT, async { while last_line.changed().await.is_ok() {} }).await;
                let last_line = last_line.borrow().clone();
                Err(EngineError::Exited { status, last_line })
            }
            answered = timeout(limits::ENGINE_START_WAIT, until_it_answers(launch.address)) => match answered {
                Ok(()) => Ok(Self { child, stdin, last_line }),
                Err(_) => Err(EngineError::Silent { last_line: last_line.borrow().clone() }),
            },
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(super) fn last_line(&self) -> String {
        self.last_line.borrow().clone()
    }

    /// Waits for its end and says how it was.
    pub(super) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// In order, or by force after [`limits::ENGINE_STOP_WAIT`].
    pub(super) async fn stop(mut self) {
        // The end of its standard input is the engine's sign to stop.
        drop(self.stdin.take());
        if timeout(limits::ENGINE_STOP_WAIT, self.child.wait()).await.is_ok() {
            return;
        }
        let wait_s = limits::ENGINE_STOP_WAIT.as_secs();
        tracing::warn!(wait_s, "the engine did not stop and is killed");
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "could not kill the engine");
        }
    }
}

/// Passes the engine's log on into ours. The task ends with the child's pipe.
fn forward_log(child: &mut Child) -> watch::Receiver<String> {
    let (sender, last_line) = watch::channel(String::new());
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::info!(target: "ledgerline_engine", line, "engine");
                sender.send_replace(line);
            }
        });
    }
    last_line
}

/// The request waits in the kernel until the engine accepts, so one is enough; but for an engine that died with it.
async fn until_it_answers(address: SocketAddr) {
    while !matches!(ping(address).await, Ok(true)) {
        sleep(limits::ENGINE_PAUSE_FIRST).await;
    }
}

/// One small request, so no client is kept for it.
async fn ping(address: SocketAddr) -> io::Result<bool> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut response = Vec::new();
    socket.take(4096).read_to_end(&mut response).await?;
    Ok(response.starts_with(b"HTTP/1.1 200"))
}
