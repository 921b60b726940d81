//! A real process under test: started, watched, killed without warning, started again.
//!
//! It must never outlive the test: dropping a service ends its whole process group.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::apart::Apart;
use crate::http;

/// How long a process may take to become ready or to end on request.
const DEADLINE: Duration = Duration::from_secs(60);

/// One of our binaries: in `LEDGERLINE_BIN_DIR`, else beside the running test or its parent folder.
///
/// # Errors
/// When it has not been built; the error says how.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("LEDGERLINE_BIN_DIR").map(PathBuf::from).into_iter().collect();
    let here = std::env::current_exe().context("the path of this program")?;
    places.extend(here.ancestors().skip(1).take(2).map(Path::to_owned));
    places.iter().map(|place| place.join(name)).find(|path| path.is_file()).with_context(|| {
        format!("{name} is not built; run `make test`, or `cargo build --workspace --bins` first")
    })
}

/// What to run, and how to know that it is ready.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables beside the inherited ones.
    pub environment: Vec<(String, String)>,
    /// The listener that answers `ready_path` with 200 once the process is ready.
    pub ready: (&'static str, &'static str),
    /// How to learn which ports it took.
    pub addresses: AddressSource,
    /// Where standard error goes, appended over restarts.
    pub log: PathBuf,
}

/// How a process that was told port 0 says which ports it took.
#[derive(Clone, Debug)]
pub enum AddressSource {
    /// It writes `name=address` lines into this file once all are taken.
    File(PathBuf),
    /// The same, on another machine.
    Apart(PathBuf, Arc<Apart>),
    /// It was told an address that is free where it runs.
    Known(SocketAddr),
    /// Its log holds a line with this text and, behind `address=`, the address of the one listener it has.
    Log(&'static str),
}

impl AddressSource {
    /// The addresses, once they are there. `logged_before` bytes of the log are of earlier runs.
    fn read(&self, recipe: &Recipe, logged_before: u64) -> Option<BTreeMap<String, SocketAddr>> {
        match self {
            Self::File(path) => listed(path),
            Self::Apart(path, apart) => {
                let reach = |(name, there): (String, SocketAddr)| {
                    let is_agent = matches!(name.as_str(), "relay" | "admin");
                    let here = if is_agent {
                        apart.to_agent(there.port())
                    } else {
                        apart.to_collector(there.port(), true).ok()?
                    };
                    Some((name, here))
                };
                listed(path)?.into_iter().map(reach).collect()
            }
            Self::Known(address) => Some([(recipe.ready.0.to_owned(), *address)].into()),
            Self::Log(mark) => {
                let log = std::fs::read(&recipe.log).ok()?;
                let log =
                    String::from_utf8_lossy(log.get(usize::try_from(logged_before).ok()?..)?).into_owned();
                let line = log.lines().find(|line| line.contains(mark))?;
                let address = line.split("address=").nth(1)?.split_whitespace().next()?;
                Some([(recipe.ready.0.to_owned(), address.parse().ok()?)].into())
            }
        }
    }
}

/// The addresses in a file, by listener.
pub(crate) fn listed(path: &Path) -> Option<BTreeMap<String, SocketAddr>> {
    let text = std::fs::read_to_string(path).ok()?;
    let pair = |line: &str| {
        let (name, address) = line.split_once('=')?;
        Some((name.to_owned(), address.parse().ok()?))
    };
    text.lines().map(pair).collect()
}

/// A running process.
#[derive(Debug)]
pub struct Service {
    recipe: Recipe,
    child: Option<Child>,
    logged_before: u64,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Service {
    /// Not started yet; see [`spawn`](Self::spawn).
    #[must_use]
    pub fn stopped(recipe: Recipe) -> Self {
        Self { recipe, child: None, logged_before: 0, addresses: BTreeMap::new() }
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot start, ends early or is not ready in a minute; the error quotes the end of its log.
    pub async fn start(recipe: Recipe) -> anyhow::Result<Self> {
        let mut service = Self::stopped(recipe);
        service.restart().await?;
        Ok(service)
    }

    /// Starts it again, after [`kill`](Self::kill) or [`terminate`](Self::terminate), and waits until it is ready.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.wait_ready().await
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        use std::os::unix::process::CommandExt;
        let Recipe { program, arguments, environment, log, addresses, .. } = &self.recipe;
        if let AddressSource::File(path) | AddressSource::Apart(path, _) = addresses {
            // What the last run wrote says nothing about this one.
            let _ = std::fs::remove_file(path);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        self.logged_before = log.metadata()?.len();
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("run {}", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it has said where it listens and answers 200 there.
    ///
    /// # Errors
    /// When the process ends first or a minute passes.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(addresses) = self.recipe.addresses.read(&self.recipe, self.logged_before) {
                self.addresses = addresses;
                let url = format!("{}{}", self.url(self.recipe.ready.0), self.recipe.ready.1);
                if http::get(&url).await.is_ok_and(|answer| answer.status.is_success()) {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("{} ended with {status}\n{}", self.recipe.program.display(), self.log_tail());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("{} not ready in {DEADLINE:?}\n{}", self.recipe.program.display(), self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Where the listener of this name is. Panics if the process has none, or has not said so.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.get(listener).unwrap_or_else(|| panic!("no `{listener}` in {:?}", self.addresses))
    }

    /// The base URL of the same.
    #[must_use]
    pub fn url(&self, listener: &str) -> String {
        format!("http://{}", self.address(listener))
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL: no warning, no last words. Only the process itself, not what it started.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, then waits for an orderly end.
    ///
    /// # Errors
    /// When it does not end in a minute.
    pub async fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        let mut child = self.child.take().context("not running")?;
        signal("TERM", &child.id().to_string());
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if tokio::time::Instant::now() > deadline {
                let _ = child.kill();
                bail!(
                    "{} did not end in {DEADLINE:?} after SIGTERM\n{}",
                    self.recipe.program.display(),
                    self.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Resident memory now, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        resident_kib(self.pid()?)
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.recipe.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The group: an embedded engine is a child of the collector and must go with it.
            signal("KILL", &format!("-{}", child.id()));
            let _ = child.wait();
        }
    }
}

/// Resident memory of a process, in KiB.
#[must_use]
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// The process whose parent is `parent` and whose command holds `name`.
#[must_use]
pub fn child_of(parent: u32, name: &str) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").ok()?;
    entries.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let is_child = status
            .lines()
            .any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()));
        let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        (is_child && command.contains(name)).then_some(pid)
    })
}

/// Sends a signal by the `kill` program; a process that is gone already is fine.
pub fn signal(name: &str, target: &str) {
    let _ = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
}
