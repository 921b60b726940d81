//! The bound on how many statements run at once.
//!
//! libchdb blocks, so it never runs on the runtime's own threads but on those for blocking work. A request first gets a permit,
//! waiting at most `ADMISSION_WAIT` behind at most `WAITING_REQUESTS_MAX` others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::errors::{Kind, QueryError};
use crate::limits;

pub struct Pool {
    permits: Arc<Semaphore>,
    waiting: Semaphore,
    size: usize,
}

impl Pool {
    pub fn new(size: usize) -> Self {
        let (permits, waiting) = (Semaphore::new(size), Semaphore::new(limits::WAITING_REQUESTS_MAX));
        Self { permits: Arc::new(permits), waiting, size }
    }

    /// A place for one statement until the permit is dropped.
    pub async fn admit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let busy = |how: String| {
            let message = format!("All {} connections of the engine are busy, {how}; try again", self.size);
            QueryError::new(Kind::TOO_MANY_SIMULTANEOUS_QUERIES, message)
        };
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let queued = format!("and {} requests are waiting", limits::WAITING_REQUESTS_MAX);
        let _place = self.waiting.try_acquire().map_err(|_| busy(queued))?;
        match timeout(limits::ADMISSION_WAIT, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy(format!("none was free within {} s", limits::ADMISSION_WAIT.as_secs()))),
        }
    }
}
