//! Pure: the memory that queries share. One pool holds what all queries of a process may use together, each query has a bounded
//! share of it, and whatever is alive holds a [`Charge`] that gives its bytes back when it is dropped.
//!
//! Bytes are counted before they are allocated. The figures are those of what we allocate ourselves; an allocator's own overhead
//! is not in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::QUERY_SHARES;

/// Why no memory was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// One query wants more than one query may have, whatever the others do.
    #[error(
        "query processing would load too many samples into memory in query execution: the limit is {0} bytes a query; shorten the range, raise the step, add matchers or aggregate by fewer labels"
    )]
    Query(usize),
    /// All queries together have used up what they may have.
    #[error(
        "the memory of all queries together ({0} bytes, query.memory_bytes_max) is in use; ask again when other queries have ended"
    )]
    Process(usize),
}

/// What all queries of a process may use together.
#[derive(Debug)]
pub struct MemoryPool {
    bytes_max: usize,
    used: AtomicUsize,
}

impl MemoryPool {
    /// A pool of that many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0) })
    }

    /// A share for one query: at most a [`QUERY_SHARES`]th of the whole, so that one query cannot starve the rest.
    pub fn share(self: &Arc<Self>) -> Arc<QueryMemory> {
        self.share_of(self.bytes_max / QUERY_SHARES)
    }

    /// A share of that many bytes at most.
    pub fn share_of(self: &Arc<Self>, bytes_max: usize) -> Arc<QueryMemory> {
        Arc::new(QueryMemory { pool: Arc::clone(self), bytes_max, used: AtomicUsize::new(0) })
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One query's share of the pool.
#[derive(Debug)]
pub struct QueryMemory {
    pool: Arc<MemoryPool>,
    bytes_max: usize,
    used: AtomicUsize,
}

impl QueryMemory {
    /// Refuses what this query may not hold, whatever the others do.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), MemoryError> {
        if bytes > self.bytes_max { Err(MemoryError::Query(self.bytes_max)) } else { Ok(()) }
    }

    /// Takes `bytes` until the charge is dropped.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Result<Charge, MemoryError> {
        if !take(&self.used, bytes, self.bytes_max) {
            return Err(MemoryError::Query(self.bytes_max));
        }
        if !take(&self.pool.used, bytes, self.pool.bytes_max) {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(MemoryError::Process(self.pool.bytes_max));
        }
        Ok(Charge { memory: Arc::clone(self), bytes })
    }
}

fn take(used: &AtomicUsize, bytes: usize, limit: usize) -> bool {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(bytes).filter(|total| *total <= limit)
    })
    .is_ok()
}

/// Bytes in use; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    memory: Arc<QueryMemory>,
    bytes: usize,
}

impl Charge {
    /// Takes more, or gives back, until the charge stands at `bytes`.
    pub fn resize(&mut self, bytes: usize) -> Result<(), MemoryError> {
        if let Some(more) = bytes.checked_sub(self.bytes) {
            return self.grow(more);
        }
        self.give_back(self.bytes - bytes);
        self.bytes = bytes;
        Ok(())
    }

    /// Takes `more` bytes.
    pub fn grow(&mut self, more: usize) -> Result<(), MemoryError> {
        // Its bytes are ours now.
        self.bytes += std::mem::take(&mut self.memory.charge(more)?.bytes);
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.memory.used.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.pool.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}
