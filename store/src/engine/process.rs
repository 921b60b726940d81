//! One run of the engine's binary: its standard input is its life line and brings the passwords, its standard output is the listening
//! socket, its standard error is its log.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{EngineConfig, EngineError};
use crate::client::Client;
use crate::limits;

pub(super) struct Launch {
    pub binary: PathBuf,
    pub config: EngineConfig,
    /// Stays open here, so that connections wait for the next run.
    pub socket: TcpListener,
    /// Of that socket.
    pub client: Client,
    /// One a line: the owner's, the reader's.
    pub passwords: String,
}

impl Launch {
    fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(&self.binary);
        command.arg("--supervised").arg("--data-dir").arg(&self.config.data_dir);
        let EngineConfig { library, connections, memory_bytes_max, telemetry, .. } = &self.config;
        let options = [
            ("--library", library.as_ref().map(|path| path.clone().into_os_string())),
            ("--max-connections", connections.map(|count| count.to_string().into())),
            ("--max-memory", memory_bytes_max.map(|bytes| bytes.to_string().into())),
            ("--telemetry-endpoint", telemetry.endpoint.as_ref().map(|url| url.to_string().into())),
        ];
        for (name, value) in options {
            command.args(value.map(|value| [name.into(), value]).into_iter().flatten());
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
    /// One task, which passes its log on into ours and ends with its pipe; it gives the last line.
    log: JoinSet<String>,
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
        let mut log = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            log.spawn(forward(stderr));
        }
        let mut process = Self { child, stdin, log };
        tokio::select! {
            status = process.child.wait() => {
                let status = status.map_err(spawn_error)?;
                Err(EngineError::Exited { status, last_line: process.last_line().await })
            }
            answered = timeout(limits::ENGINE_START_WAIT, until_it_answers(&launch.client)) => {
                if answered.is_ok() {
                    return Ok(process);
                }
                process.kill().await;
                Err(EngineError::Silent { last_line: process.last_line().await })
            }
        }
    }

    /// The last line of one that ended. Its pipe may hold it for a moment longer.
    async fn last_line(&mut self) -> String {
        match timeout(limits::ENGINE_LOG_WAIT, self.log.join_next()).await {
            Ok(Some(Ok(last_line))) => last_line,
            _ => String::new(),
        }
    }

    /// Waits for its end and says how it was, with its last line.
    pub(super) async fn ended(&mut self) -> (String, String) {
        let status = self.child.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        (status, self.last_line().await)
    }

    /// In order, or by force after [`limits::ENGINE_STOP_WAIT`]; with the last lines of its log.
    pub(super) async fn stop(mut self) {
        // The end of its standard input is the engine's sign to stop.
        drop(self.stdin.take());
        if timeout(limits::ENGINE_STOP_WAIT, self.child.wait()).await.is_err() {
            let wait_s = limits::ENGINE_STOP_WAIT.as_secs();
            tracing::warn!(wait_s, "the engine did not stop and is killed");
            self.kill().await;
        }
        self.last_line().await;
    }

    async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "could not kill the engine");
        }
    }
}

async fn forward(stderr: ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last_line = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(target: "ledgerline_engine", line, "engine");
        last_line = line;
    }
    last_line
}

/// The request waits in the kernel until the engine accepts, so one is mostly enough.
async fn until_it_answers(client: &Client) {
    while client.ping().await.is_err() {
        sleep(limits::ENGINE_PAUSE_FIRST).await;
    }
}
