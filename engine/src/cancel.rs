//! Cancelling statements whose client has gone, or that outlive the server's patience at shutdown.
//!
//! libchdb can cancel only through a handle that a blocked call has not returned yet, so what stops a running statement is KILL
//! QUERY from another connection. Query ids are the library's to choose, so each request carries a tag in its `log_comment`
//! setting. The kill is repeated until the statement is gone: it may arrive before the statement is registered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::connection::{self, Connector};
use crate::limits;

/// The statements that run, and the way to end them.
#[derive(Default)]
pub struct Canceller {
    statements: Mutex<Statements>,
    /// Rung when there is something to kill, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct Statements {
    /// By tag, and whether it is cancelled.
    running: HashMap<String, Arc<AtomicBool>>,
    count: u64,
    /// The server stops: every request is cancelled as it registers.
    refusing: bool,
    closed: bool,
}

impl Canceller {
    /// Starts the thread that kills. It ends with [`Canceller::close`].
    pub fn start(connector: Connector) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let canceller = Arc::<Self>::default();
        let of_thread = Arc::clone(&canceller);
        let thread = Builder::new().name("engine-cancel".to_owned());
        let thread = thread.spawn(move || of_thread.kill(&connector))?;
        Ok((canceller, thread))
    }

    fn lock(&self) -> MutexGuard<'_, Statements> {
        // A map of flags is whole after any panic.
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request under a tag of its own. It counts as running until the `Running` is dropped.
    pub fn register(self: &Arc<Self>, query_id: &str) -> Running {
        let mut statements = self.lock();
        statements.count += 1;
        let tag = format!("{query_id}/{}", statements.count);
        let cancelled = Arc::new(AtomicBool::new(statements.refusing));
        statements.running.insert(tag.clone(), Arc::clone(&cancelled));
        Running { tag, cancelled, canceller: Arc::clone(self) }
    }

    /// Ends one statement, if it still runs. Does not wait.
    pub fn cancel(&self, tag: &str) {
        if let Some(cancelled) = self.lock().running.get(tag) {
            cancelled.store(true, Ordering::Relaxed);
            self.changed.notify_all();
        }
    }

    /// Ends all statements, and from now on every one that begins. Does not wait.
    pub fn cancel_all(&self) {
        let mut statements = self.lock();
        statements.refusing = true;
        statements.running.values().for_each(|cancelled| cancelled.store(true, Ordering::Relaxed));
        self.changed.notify_all();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Kills what is cancelled, again and again until it is gone.
    fn kill(&self, connector: &Connector) {
        let mut statements = self.lock();
        while !statements.closed {
            let cancelled = statements.running.iter().filter(|(_, flag)| flag.load(Ordering::Relaxed));
            let has =
                |tag: &String| format!("endsWith(Settings['log_comment'], {})", connection::literal(tag));
            let conditions: Vec<String> = cancelled.map(|(tag, _)| has(tag)).collect();
            if conditions.is_empty() {
                statements = self.changed.wait(statements).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(statements);
            let sql = format!("KILL QUERY WHERE {} ASYNC", conditions.join(" OR "));
            let killed =
                connector.connect(&[]).and_then(|mut connection| connection::run(&mut connection, &sql));
            if let Err(error) = killed {
                tracing::warn!(%error, "could not kill a query");
            }
            let waited = self.changed.wait_timeout(self.lock(), limits::CANCEL_RETRY);
            statements = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

pub struct Running {
    /// What to put into `log_comment`.
    pub tag: String,
    cancelled: Arc<AtomicBool>,
    canceller: Arc<Canceller>,
}

impl Running {
    /// True once the request should end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.canceller.lock().running.remove(&self.tag);
    }
}

/// Ends a statement when its response is no longer wanted.
pub struct CancelOnDrop {
    canceller: Arc<Canceller>,
    tag: Option<String>,
}

impl CancelOnDrop {
    /// Ends the statement of that tag unless it is disarmed before.
    pub fn new(canceller: Arc<Canceller>, tag: &str) -> Self {
        Self { canceller, tag: Some(tag.to_owned()) }
    }

    /// The response is complete.
    pub fn disarm(&mut self) {
        self.tag = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(tag) = self.tag.take() {
            self.canceller.cancel(&tag);
        }
    }
}
