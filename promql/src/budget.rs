//! Pure: what a query may use while it runs. Memory is counted in cells that are given back when an intermediate result is dropped;
//! time is a question put to the caller, because this code has no clock.

use std::cell::Cell;
use std::rc::Rc;

use super::error::QueryError;
use super::limits::{SAMPLES_MAX, SERIES_MAX};

/// The bounds of one evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Series per vector.
    pub series_max: usize,
    /// Cells alive at once.
    pub samples_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series_max: SERIES_MAX, samples_max: SAMPLES_MAX }
    }
}

/// Counts what is alive and asks whether to go on.
pub struct Budget<'a> {
    limits: Limits,
    used: Rc<Cell<usize>>,
    expired: &'a dyn Fn() -> bool,
}

impl<'a> Budget<'a> {
    /// A fresh budget; `expired` says whether the deadline has passed.
    pub fn new(limits: Limits, expired: &'a dyn Fn() -> bool) -> Self {
        Self { limits, used: Rc::default(), expired }
    }

    /// Takes `cells` until the returned charge is dropped.
    pub fn charge(&self, cells: usize) -> Result<Charge, QueryError> {
        self.check_deadline()?;
        let total = self.used.get().saturating_add(cells);
        if total > self.limits.samples_max {
            return Err(QueryError::TooManySamples { limit: self.limits.samples_max });
        }
        self.used.set(total);
        Ok(Charge { used: Rc::clone(&self.used), cells })
    }

    /// Refuses a vector of more series than allowed.
    pub fn check_series(&self, count: usize) -> Result<(), QueryError> {
        if count > self.limits.series_max {
            return Err(QueryError::TooManySeries { limit: self.limits.series_max });
        }
        Ok(())
    }

    /// Fails once the deadline has passed. Called at least once per few thousand cells.
    pub fn check_deadline(&self) -> Result<(), QueryError> {
        if (self.expired)() { Err(QueryError::Deadline) } else { Ok(()) }
    }
}

/// Cells in use; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    used: Rc<Cell<usize>>,
    cells: usize,
}

impl Charge {
    /// Joins another charge to this one.
    pub fn join(&mut self, mut other: Self) {
        self.cells += std::mem::take(&mut other.cells);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.set(self.used.get().saturating_sub(self.cells));
    }
}
