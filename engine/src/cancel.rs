//! Cancelling statements whose client has gone, or that outlive the server's patience at shutdown.
//!
//! libchdb can cancel only through a handle that a blocked call has not returned yet, so the one way to stop a running statement
//! is ClickHouse's own: KILL QUERY from another connection. Query ids are the library's to choose, so each request carries a
//! tag in its `log_comment` setting and is found by it. The kill is repeated until the statement is gone: it may arrive before the
//! statement is registered.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::{self, Connector};
use crate::limits;

/// The statements that run, and the way to end them.
#[derive(Clone)]
pub struct Canceller {
    running: Arc<Mutex<HashMap<String, Arc<AtomicBool>>>>,
    requests: SyncSender<String>,
    sequence: Arc<AtomicU64>,
    refusing: Arc<AtomicBool>,
}

impl Canceller {
    /// Starts the thread that kills. It ends when the last clone is dropped.
    pub fn start(connector: Connector) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (requests, received) = sync_channel(limits::CANCELLATIONS_MAX);
        let running = Arc::default();
        let of_thread = Arc::clone(&running);
        let thread = std::thread::Builder::new()
            .name("engine-cancel".to_owned())
            .spawn(move || kill_loop(&connector, &received, &of_thread))?;
        Ok((Self { running, requests, sequence: Arc::default(), refusing: Arc::default() }, thread))
    }

    /// Registers a request under a tag of its own. It counts as running until the `Running` is dropped.
    pub fn register(&self, query_id: &str) -> Running {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{query_id}/{number}");
        let cancelled = Arc::new(AtomicBool::new(self.refusing.load(Ordering::Relaxed)));
        lock(&self.running).insert(tag.clone(), Arc::clone(&cancelled));
        Running { tag, cancelled, running: Arc::clone(&self.running) }
    }

    /// Ends one statement, if it still runs. Does not wait.
    pub fn cancel(&self, tag: &str) {
        let known =
            lock(&self.running).get(tag).map(|cancelled| cancelled.store(true, Ordering::Relaxed)).is_some();
        // A full queue means a thousand kills are under way; the flag alone then ends the statement at its next step.
        if known && self.requests.try_send(tag.to_owned()).is_err() {
            tracing::warn!(tag, "cancellation queue is full");
        }
    }

    /// From now on every request is cancelled as it registers: the server stops.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }

    /// Ends all statements. Does not wait.
    pub fn cancel_all(&self) {
        let tags: Vec<String> = lock(&self.running).keys().cloned().collect();
        tags.iter().for_each(|tag| self.cancel(tag));
    }
}

/// One registered request.
pub struct Running {
    tag: String,
    cancelled: Arc<AtomicBool>,
    running: Arc<Mutex<HashMap<String, Arc<AtomicBool>>>>,
}

impl Running {
    /// What to put into `log_comment`.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// True once the request should end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.tag);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A map of flags is whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill_loop(
    connector: &Connector,
    received: &Receiver<String>,
    running: &Mutex<HashMap<String, Arc<AtomicBool>>>,
) {
    let mut pending: Vec<String> = Vec::new();
    loop {
        if pending.is_empty() {
            match received.recv() {
                Ok(tag) => pending.push(tag),
                Err(_) => return,
            }
        } else {
            match received.recv_timeout(limits::CANCEL_RETRY) {
                Ok(tag) => pending.push(tag),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        pending.extend(received.try_iter());
        pending.retain(|tag| lock(running).contains_key(tag));
        if !pending.is_empty() {
            kill(connector, &pending);
        }
    }
}

fn kill(connector: &Connector, tags: &[String]) {
    let conditions: Vec<String> = tags
        .iter()
        .map(|tag| format!("endsWith(Settings['log_comment'], {})", connection::literal(tag)))
        .collect();
    let sql = format!("KILL QUERY WHERE {} ASYNC", conditions.join(" OR "));
    let outcome = connector.connect().and_then(|mut connection| connection::run(&mut connection, &sql));
    if let Err(error) = outcome {
        tracing::warn!(%error, "could not kill a query");
    }
}

/// Ends a statement when its response is no longer wanted.
pub struct CancelOnDrop {
    canceller: Canceller,
    tag: Option<String>,
}

impl CancelOnDrop {
    /// Ends the statement of that tag unless it is disarmed before.
    pub fn new(canceller: Canceller, tag: &str) -> Self {
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
