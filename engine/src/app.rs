//! The engine as a value: open the store, serve it, close it in order.
//!
//! The order of closing is the point. libchdb crashes at exit when a connection is open, and aborts when one is closed under a running
//! statement; so statements end first, then threads, then connections, then the library.

use std::collections::HashMap;
use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ledgerline_process::lock::{self, DirectoryLock, LockError};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Passwords};
use crate::cancel::Canceller;
use crate::connection::{self, Connector};
use crate::errors::QueryError;
use crate::execute::Shared;
use crate::ffi::{Connection, Library, LibraryError};
use crate::http::response::ServerInfo;
use crate::http::{self, Server};
use crate::limits;
use crate::pool::Pool;
use crate::sessions::Sessions;

/// How to run the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Made when it is not there, and locked while the engine runs.
    pub data_dir: PathBuf,
    /// `libchdb.so`, of the version that `fetch.sh` pins.
    pub library: PathBuf,
    /// Statements at once, each on a thread of its own; more wait.
    pub connections: usize,
    /// Threads of one query; `None`: as many as cores.
    pub threads_max: Option<u16>,
    /// Bytes of all queries together; `None`: ClickHouse's 90 % of the machine.
    pub memory_bytes_max: Option<u64>,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used, or another engine has it.
    #[error(transparent)]
    DataDir(#[from] LockError),
    /// The library is not there, or not the one we know.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// libchdb does not open what is in the directory.
    #[error("cannot open the store in {path}: {reason}")]
    Store {
        /// The data directory.
        path: PathBuf,
        /// In ClickHouse's words.
        reason: String,
    },
    /// Others could reach it.
    #[error("{0} is not a loopback address: the engine serves this machine only")]
    NotLoopback(SocketAddr),
    /// The port is taken, or may not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Started as a collector starts it, by something that is none.
    #[error("standard output is no listening socket: only a collector says --supervised")]
    NotSupervised(#[source] std::io::Error),
    /// No thread could be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// An open store, not yet served.
pub struct Engine {
    library: &'static Library,
    root: Connection,
    shared: Shared,
    pool: Pool,
    threads: Vec<JoinHandle<()>>,
    cancel_thread: JoinHandle<()>,
    _data_dir: DirectoryLock,
}

impl Engine {
    /// Locks the directory, loads the library and opens the store. Blocks, 0.1 s for an empty one.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let data_dir = DirectoryLock::take(&config.data_dir, lock::ENGINE)?;
        let library = Library::load(&config.library)?;
        let store_error = |reason: String| StartError::Store { path: config.data_dir.clone(), reason };
        let users = access::write_users(data_dir.path()).map_err(|error| store_error(error.to_string()))?;
        let arguments =
            arguments(data_dir.path(), &users, config).map_err(|error| store_error(error.to_string()))?;
        // The root connection boots the engine and stays open: closing the last connection shuts the engine down.
        let mut root = library.connect(&arguments).ok_or_else(|| {
            store_error("libchdb refused it; is it the store of a newer ClickHouse?".to_owned())
        })?;
        let info = server_info(&mut root, data_dir.path()).map_err(|error| store_error(error.to_string()))?;
        let connector = Connector::new(library, arguments);
        let (canceller, cancel_thread) = Canceller::start(connector.clone())?;
        let (pool, threads) = Pool::start(config.connections.clamp(1, limits::CONNECTIONS_MAX))?;
        tracing::info!(version = info.version, chdb = library.version(), path = %data_dir.path().display(), "store opened");
        let sessions = Sessions::new(connector.clone());
        let shared = Shared { connector, sessions, canceller, info: Arc::new(info) };
        Ok(Self { library, root, shared, pool, threads, cancel_thread, _data_dir: data_dir })
    }

    /// Serves until `shutdown`, then closes everything. False: a statement would not end, and the store was left open.
    pub async fn serve(
        self,
        listener: TcpListener,
        passwords: Passwords,
        shutdown: CancellationToken,
    ) -> bool {
        let Self { library, root, shared, pool, threads, cancel_thread, _data_dir } = self;
        let shared = Arc::new(shared);
        let tasks = TaskTracker::new();
        let server = Arc::new(Server { shared: Arc::clone(&shared), pool, passwords, tasks: tasks.clone() });
        tasks.spawn(expire_sessions(Arc::clone(&shared), shutdown.clone()));
        http::accept(Arc::clone(&server), listener, shutdown).await;
        tasks.close();
        if timeout(limits::SHUTDOWN_GRACE, tasks.wait()).await.is_err()
            && !cancel_all(&shared.canceller, &tasks).await
        {
            return false;
        }
        drop(server);
        let closed =
            tokio::task::spawn_blocking(move || close(library, root, shared, threads, cancel_thread));
        closed.await.unwrap_or(false)
    }
}

/// Binds, on loopback only.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// The listening socket that the collector passes as standard output: it outlives this process, so that callers queue while the next
/// one starts. Standard input is the collector's life line already, and nothing here prints.
pub fn inherited_listener() -> Result<TcpListener, StartError> {
    let inherited = || {
        let listener = std::net::TcpListener::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, TcpListener::from_std(listener)?))
    };
    let (address, listener) = inherited().map_err(StartError::NotSupervised)?;
    if address.ip().is_loopback() { Ok(listener) } else { Err(StartError::NotLoopback(address)) }
}

async fn cancel_all(canceller: &Canceller, tasks: &TaskTracker) -> bool {
    tracing::info!("cancelling what still runs");
    canceller.refuse();
    let deadline = Instant::now() + limits::SHUTDOWN_CANCEL_WAIT;
    while Instant::now() < deadline {
        canceller.cancel_all();
        if timeout(limits::CANCEL_RETRY, tasks.wait()).await.is_ok() {
            return true;
        }
    }
    false
}

/// Threads, sessions, the root connection, the library: in this order.
fn close(
    library: &Library,
    root: Connection,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    cancel_thread: JoinHandle<()>,
) -> bool {
    let join = |thread: JoinHandle<()>| {
        if thread.join().is_err() {
            tracing::error!("a thread panicked");
        }
    };
    // The pool's sender went with the server, so its threads end; what they still held of `shared` goes with them.
    threads.into_iter().for_each(join);
    shared.sessions.close();
    let released = Arc::into_inner(shared).is_some();
    if released {
        join(cancel_thread);
    }
    drop(root);
    if released && !library.shutdown() {
        // Some of ClickHouse's pools keep threads; with every connection closed the end of the process ends them safely.
        tracing::debug!("libchdb kept some threads");
    }
    released
}

async fn expire_sessions(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(limits::SESSION_TIMEOUT / 4);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Closing a connection calls into libchdb and may block.
        let shared = Arc::clone(&shared);
        let expired = tokio::task::spawn_blocking(move || shared.sessions.expire());
        if expired.await.is_err() {
            tracing::error!("expiring sessions panicked");
        }
    }
}

/// What libchdb is started with. It is made for one-shot queries on big machines; this is a small server.
fn arguments(path: &Path, users: &Path, config: &Config) -> Result<Vec<CString>, std::ffi::NulError> {
    let mut arguments: Vec<String> = vec![
        "ledgerline-engine".to_owned(),
        format!("--path={}", path.display()),
        // Named and absent, so that a config.xml in the working directory or the home is not picked up.
        format!("--config-file={}", path.join("no-config.xml").display()),
        format!("--users_config={}", users.display()),
        // As in ClickHouse's server, not its command line: `1 + 1` is no query.
        "--implicit_select=0".to_owned(),
        "--allow_introspection_functions=0".to_owned(),
        "--mark_cache_size=134217728".to_owned(),
        "--background_schedule_pool_size=2".to_owned(),
        "--max_thread_pool_free_size=16".to_owned(),
        "--max_io_thread_pool_free_size=0".to_owned(),
    ];
    if let Some(threads) = config.threads_max {
        arguments.push(format!("--max_threads={threads}"));
    }
    if let Some(bytes) = config.memory_bytes_max {
        arguments.push(format!("--max_server_memory_usage={bytes}"));
        arguments.push(format!("--max_memory_usage={bytes}"));
    }
    arguments.into_iter().map(CString::new).collect()
}

fn server_info(root: &mut Connection, data_dir: &Path) -> Result<ServerInfo, QueryError> {
    let version = connection::ask(root, "SELECT version()")?;
    let timezone = connection::ask(root, "SELECT timezone()")?;
    let listed =
        connection::ask(root, "SELECT lower(name), content_type FROM system.formats WHERE is_output")?;
    let content_types: HashMap<String, String> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, content_type)| (name.to_owned(), content_type.to_owned()))
        .collect();
    Ok(ServerInfo { version, timezone, content_types, temporary: data_dir.to_owned() })
}
