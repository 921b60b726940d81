//! The threads that call libchdb, and the bound on how many statements run at once.
//!
//! libchdb blocks, so it never runs on the runtime's threads. A request first gets a permit, waiting at most
//! `ADMISSION_WAIT` behind at most `WAITING_REQUESTS_MAX` others, and then a thread is free by construction: there are as many as permits.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::{Kind, QueryError};
use crate::limits;

type Job = Box<dyn FnOnce() + Send>;

/// The pool. Dropping the last sender ends the threads.
pub struct Pool {
    permits: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    jobs: SyncSender<Job>,
    size: usize,
}

impl Pool {
    pub fn start(size: usize) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (jobs, received) = sync_channel::<Job>(size);
        let received = Arc::new(Mutex::new(received));
        let threads = (0..size)
            .map(|number| {
                let received = Arc::clone(&received);
                std::thread::Builder::new()
                    .name(format!("engine-query-{number}"))
                    .spawn(move || work(&received))
            })
            .collect::<Result<_, _>>()?;
        let permits = Arc::new(Semaphore::new(size));
        let waiting = Arc::new(Semaphore::new(limits::WAITING_REQUESTS_MAX));
        Ok((Self { permits, waiting, jobs, size }, threads))
    }

    pub async fn admit(&self) -> Result<Permit, QueryError> {
        let granted = |permit| Permit { permit, jobs: self.jobs.clone() };
        let busy = |how: String| {
            let message = format!("All {} connections of the engine are busy, {how}; try again", self.size);
            QueryError::new(Kind::TOO_MANY_SIMULTANEOUS_QUERIES, message)
        };
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(granted(permit));
        }
        let queued = format!("and {} requests are waiting", limits::WAITING_REQUESTS_MAX);
        let _place = self.waiting.try_acquire().map_err(|_| busy(queued))?;
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(limits::ADMISSION_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(granted(permit)),
            _ => Err(busy(format!("none was free within {} s", limits::ADMISSION_WAIT.as_secs()))),
        }
    }
}

/// The right to use one thread once.
pub struct Permit {
    permit: OwnedSemaphorePermit,
    jobs: SyncSender<Job>,
}

impl Permit {
    /// Runs `job` on a thread of the pool; the permit returns when it ends.
    pub fn run(self, job: impl FnOnce() + Send + 'static) -> Result<(), QueryError> {
        let permit = self.permit;
        let job: Job = Box::new(move || {
            job();
            drop(permit);
        });
        // Never full: jobs in the channel hold permits, and there are as many places as permits.
        let ended = |_| QueryError::new(Kind::UNKNOWN_EXCEPTION, "the engine's threads have ended");
        self.jobs.try_send(job).map_err(ended)
    }
}

fn work(received: &Mutex<Receiver<Job>>) {
    loop {
        let job = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic in one request must not take a thread from all others; its client sees the connection cut.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("a request panicked");
        }
    }
}
