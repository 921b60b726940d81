//! The engine as a value: open the store, serve it, close it in order.
//!
//! The order of closing is the point. libchdb crashes at exit when a connection is open, and aborts when one is closed under a running
//! statement; so statements end first, then connections, then the library.

use std::ffi::CString;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledgerline_process::lock::{self, DirectoryLock, LockError};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Passwords};
use crate::connection::{self, Connector};
use crate::errors::QueryError;
use crate::execute::Shared;
use crate::ffi::{Connection, Library, LibraryError};
use crate::http::response::ServerInfo;
use crate::http::{self, Server};
use crate::limits;
use crate::pool::Pool;
use crate::sessions::Sessions;
use crate::tokens;

/// How to run the engine.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where the data is; one engine per directory
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Statements that run at once
    #[arg(long, default_value_t = limits::CONNECTIONS)]
    pub max_connections: usize,
    /// Bytes of memory of all queries together; 90 % of the machine when absent
    #[arg(long)]
    pub max_memory: Option<u64>,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] LockError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("cannot open the store in {path}: {reason}")]
    Store { path: PathBuf, reason: String },
    #[error("{0} is not a loopback address: the engine serves this machine only")]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("standard output is no listening socket: only a collector says --supervised")]
    NotSupervised(#[source] std::io::Error),
}

/// An open store, not yet served.
pub struct Engine {
    library: &'static Library,
    root: Connection,
    shared: Shared,
    pool: Pool,
    _data_dir: DirectoryLock,
}

impl Engine {
    /// Locks the directory, loads the library and opens the store. Blocks, 0.1 s for an empty one.
    pub fn open(config: &Config, library: &Path) -> Result<Self, StartError> {
        let data_dir = DirectoryLock::take(&config.data_dir, lock::ENGINE)?;
        let library = Library::load(library)?;
        let path = data_dir.path();
        let store_error = |reason: String| StartError::Store { path: config.data_dir.clone(), reason };
        let users = access::write_users(path).map_err(|error| store_error(error.to_string()))?;
        let arguments = arguments(path, &users, config).map_err(|error| store_error(error.to_string()))?;
        let forgotten = tokens::forget_lost(path).map_err(|error| store_error(error.to_string()))?;
        if forgotten > 0 {
            tracing::warn!(forgotten, "inserts were cut off by a kill; their repeats are taken as new");
        }
        // The root connection boots the engine and stays open: closing the last connection shuts the engine down.
        let mut root = library.connect(&arguments).ok_or_else(|| {
            store_error("libchdb refused it; is it the store of a newer ClickHouse?".to_owned())
        })?;
        let info = server_info(&mut root, path).map_err(|error| store_error(error.to_string()))?;
        let connector = Connector::new(library, arguments);
        let pool = Pool::new(config.max_connections.clamp(1, limits::CONNECTIONS_MAX));
        tracing::info!(version = info.version, chdb = library.version(), path = %path.display(), "store opened");
        let sessions = Sessions::new(connector.clone());
        let shared = Shared { connector, sessions, stopping: CancellationToken::new(), info: Arc::new(info) };
        Ok(Self { library, root, shared, pool, _data_dir: data_dir })
    }

    /// Serves until `shutdown`, then closes everything. False: a statement would not end, and the store was left open.
    pub async fn serve(
        self,
        listener: TcpListener,
        passwords: Passwords,
        shutdown: CancellationToken,
    ) -> bool {
        let Self { library, root, shared, pool, _data_dir } = self;
        let shared = Arc::new(shared);
        let tasks = TaskTracker::new();
        let server = Server { shared: Arc::clone(&shared), pool, passwords, tasks: tasks.clone() };
        let impatience = async {
            shutdown.cancelled().await;
            sleep(limits::SHUTDOWN_GRACE).await;
            tracing::info!("cancelling what still runs");
            shared.stopping.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = http::serve(Arc::new(server), listener, shutdown.clone()) => {}
            () = impatience => {}
        }
        // Connections that were cut off have no statement that anybody waits for.
        shared.stopping.cancel();
        tasks.close();
        if timeout(limits::SHUTDOWN_CANCEL_WAIT, tasks.wait()).await.is_err() {
            return false;
        }
        tokio::task::spawn_blocking(move || close(library, root, shared)).await.unwrap_or(false)
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

/// Sessions, the root connection, the library: in this order.
fn close(library: &Library, root: Connection, shared: Arc<Shared>) -> bool {
    shared.sessions.close();
    let released = Arc::into_inner(shared).is_some();
    drop(root);
    if released && !library.shutdown() {
        // Some of ClickHouse's pools keep threads; with every connection closed the end of the process ends them safely.
        tracing::debug!("libchdb kept some threads");
    }
    released
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
    if let Some(bytes) = config.max_memory {
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
    let content_types = listed.lines().filter_map(|line| line.split_once('\t'));
    let content_types = content_types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    Ok(ServerInfo { version, timezone, content_types, temporary: data_dir.to_owned() })
}
