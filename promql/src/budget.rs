//! Pure: what a query may use while it is planned and evaluated: memory, series, and work. Whether to go on is a question put to the
//! caller, because this code has no clock; it is asked once per few thousand cells, so that a query whose client has gone, or whose
//! deadline has passed, ends within microseconds.

use std::cell::Cell;
use std::sync::Arc;

use super::error::{QueryError, Result};
use super::limits::{
    CELLS_PER_CHECK, QUERY_MEMORY_BYTES_MAX, REGEXES_COMPILED_BYTES_MAX, SERIES_MAX, WORK_CELLS_MAX,
};
use super::pool::{Charge, MemoryPool, QueryMemory};
use super::syntax::ParseError;

/// Counts what one query uses and asks whether to go on.
pub struct Budget<'a> {
    memory: Arc<QueryMemory>,
    stopped: &'a dyn Fn() -> bool,
    work: Cell<u64>,
    programs: Cell<usize>,
    unasked: Cell<usize>,
}

impl<'a> Budget<'a> {
    /// A budget over a query's memory; `stopped` says whether nobody waits for the answer any more.
    pub fn new(memory: Arc<QueryMemory>, stopped: &'a dyn Fn() -> bool) -> Self {
        Self { memory, stopped, work: Cell::new(0), programs: Cell::new(0), unasked: Cell::new(0) }
    }

    /// The memory that is charged.
    pub fn memory(&self) -> &Arc<QueryMemory> {
        &self.memory
    }

    pub(crate) fn charge(&self, bytes: usize) -> Result<Charge> {
        Ok(self.memory.charge(bytes)?)
    }

    pub(crate) fn check_series(&self, count: usize) -> Result<()> {
        if count > SERIES_MAX { Err(QueryError::TooManySeries(SERIES_MAX)) } else { Ok(()) }
    }

    pub(crate) fn add_program(&self, bytes: usize) -> Result<()> {
        let total = self.programs.get().saturating_add(bytes);
        self.programs.set(total);
        if total > REGEXES_COMPILED_BYTES_MAX {
            let what = "the compiled size of its regular expressions in bytes";
            return Err(ParseError::TooLarge { what, found: total, limit: REGEXES_COMPILED_BYTES_MAX }.into());
        }
        Ok(())
    }

    /// Counts cells about to be read or written. Announced before a loop begins, a sum that is out of bounds is refused at once;
    /// announced in portions of some thousands, the loop ends soon after the query is stopped.
    pub(crate) fn work(&self, cells: usize) -> Result<()> {
        let total = self.work.get().saturating_add(u64::try_from(cells).unwrap_or(u64::MAX));
        self.work.set(total);
        if total > WORK_CELLS_MAX {
            return Err(QueryError::TooMuchWork(WORK_CELLS_MAX));
        }
        self.pause(cells)
    }

    /// Asks whether to go on if some thousand cells were read or written since it last was asked; these are `cells` more.
    pub(crate) fn pause(&self, cells: usize) -> Result<()> {
        let unasked = self.unasked.get().saturating_add(cells);
        let due = unasked >= CELLS_PER_CHECK;
        self.unasked.set(if due { 0 } else { unasked });
        if due { self.check_stopped() } else { Ok(()) }
    }

    pub(crate) fn check_stopped(&self) -> Result<()> {
        if (self.stopped)() { Err(QueryError::Deadline) } else { Ok(()) }
    }
}

impl Default for Budget<'static> {
    /// The default bounds over memory of its own, never stopped: for a check of a text, and for tests.
    fn default() -> Self {
        let memory = MemoryPool::new(QUERY_MEMORY_BYTES_MAX).share_of(QUERY_MEMORY_BYTES_MAX);
        Self::new(memory, &|| false)
    }
}
