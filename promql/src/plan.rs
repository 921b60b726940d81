//! Pure: our own tree of a query, and what each selector in it needs from a source.
//!
//! The parser's tree is not evaluated directly: names are resolved to table entries, times to milliseconds and selectors to numbers
//! once, in `lower.rs`, so that evaluation cannot meet anything unsupported.

use super::error::{QueryError, Result};
use super::labels::METRIC_NAME;
use super::matcher::{MatchKind, Matcher};
use super::syntax::{Aggregation, Grouping, Operation};

/// When a query is evaluated: at `start`, `start + step`, ... up to `end`, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryParams {
    /// At one time.
    Instant {
        /// The time.
        time_ms: i64,
    },
    /// At evenly spaced times.
    Range {
        /// First time.
        start_ms: i64,
        /// Last time at most.
        end_ms: i64,
        /// Distance, positive.
        step_ms: i64,
    },
}

/// A query ready to be fetched for and evaluated.
#[derive(Debug)]
pub struct Plan {
    /// What to fetch, one entry per selector; the place in the list is the selector's number.
    pub requests: Vec<SelectorRequest>,
    pub(super) root: Node,
    pub(super) params: QueryParams,
}

impl Plan {
    /// Refuses a plan that reads single samples of what `are_increments` says is stored as increments, of which only sums over
    /// windows are known. The text alone decides: whether a query is right must not depend on whether there is data yet.
    pub fn check_increments(&self, are_increments: &dyn Fn(&SelectorRequest) -> bool) -> Result<()> {
        let refused = self.requests.iter().find_map(|request| {
            let function = request.samples_for.filter(|_| are_increments(request))?.to_owned();
            let metric = request.metric().unwrap_or("this selector").to_owned();
            Some(QueryError::DeltaCounter(function, metric))
        });
        refused.map_or(Ok(()), Err)
    }
}

/// What one selector needs.
#[derive(Debug, Clone)]
pub struct SelectorRequest {
    /// The selector's number, under which the answer is filed in `Fetched`.
    pub selector: usize,
    /// All matchers, the one on `__name__` among them.
    pub matchers: Vec<Matcher>,
    /// When the selector is read.
    pub edges: Edges,
    /// Asks a source of increments for the last one of each series that is after this time and not after the first edge: as one more
    /// increment, of zero, at its time rounded up to a multiple of [`ALIVE_ROUNDING_MS`](super::ALIVE_ROUNDING_MS), but not beyond that
    /// edge. This is such a multiple; what an instant selector adds up from before its first time is not put after it.
    pub alive_from_ms: Option<i64>,
    /// Set when the query sums the series by these labels and nothing else: a source of increments may add them up first. A source of
    /// anything else must ignore it.
    pub grouping: Option<Grouping>,
    /// Who reads its single samples: a function, or the query itself.
    pub samples_for: Option<&'static str>,
}

impl SelectorRequest {
    /// The metric's name when the selector fixes it.
    pub fn metric(&self) -> Option<&str> {
        let mut names = self.matchers.iter().filter(|matcher| matcher.name == METRIC_NAME);
        names.find(|matcher| matcher.kind == MatchKind::Equal).map(|matcher| matcher.value.as_str())
    }
}

/// The times at which a selector is read. A source may merge samples as long as no edge falls inside a merged interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// The first time of evaluation, offset applied.
    pub first_ms: i64,
    /// Distance between evaluations; 0 when there is one only.
    pub step_ms: i64,
    /// Number of evaluations.
    pub count: i64,
    /// Length of the window that ends at each evaluation; `None` for an instant selector, whose value for a counter stored as
    /// increments is the sum of everything up to then.
    pub window_ms: Option<i64>,
}

impl Edges {
    /// The last time of evaluation: nothing later is read.
    pub fn until_ms(&self) -> i64 {
        self.first_ms + self.step_ms * (self.count - 1)
    }

    /// The longest interval on whose multiples (counted from 1970) every edge falls.
    pub fn resolution_ms(&self) -> i64 {
        let step = if self.count > 1 { self.step_ms } else { 0 };
        let all = gcd(gcd(self.first_ms, step), self.window_ms.unwrap_or(0));
        if all == 0 { 1 } else { all }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub start_ms: i64,
    pub step_ms: i64,
    pub count: i64,
}

impl Grid {
    pub fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |at| self.start_ms + at * self.step_ms)
    }

    pub fn time(self, at: usize) -> i64 {
        self.start_ms + self.step_ms * i64::try_from(at).unwrap_or(i64::MAX)
    }

    pub fn len(self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    pub fn end_ms(self) -> i64 {
        self.start_ms + self.step_ms * (self.count - 1)
    }
}

impl From<QueryParams> for Grid {
    fn from(params: QueryParams) -> Self {
        match params {
            QueryParams::Instant { time_ms } => Self { start_ms: time_ms, step_ms: 0, count: 1 },
            QueryParams::Range { start_ms, end_ms, step_ms } => {
                Self { start_ms, step_ms, count: (end_ms - start_ms) / step_ms.max(1) + 1 }
            }
        }
    }
}

/// `offset` and `@` of a selector or subquery.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TimeShift {
    pub offset_ms: i64,
    pub at_ms: Option<i64>,
}

impl TimeShift {
    /// The time actually read for an evaluation at `time_ms`.
    pub fn apply(self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms) - self.offset_ms
    }

    pub fn apply_grid(self, grid: Grid) -> Grid {
        match self.at_ms {
            Some(_) => Grid { start_ms: self.apply(0), step_ms: 0, count: 1 },
            None => Grid { start_ms: self.apply(grid.start_ms), ..grid },
        }
    }
}

#[derive(Debug)]
pub(super) enum Node {
    Number(f64),
    Text(String),
    Selector(Selector),
    Range(Box<RangeNode>),
    Negate(Box<Node>),
    Binary { operation: Operation, left: Box<Node>, right: Box<Node> },
    Aggregate { operation: Aggregation, grouping: Grouping, parameter: Option<Box<Node>>, over: Box<Node> },
    Call(Call),
}

#[derive(Debug)]
pub(super) struct Selector {
    pub id: usize,
    pub shift: TimeShift,
}

/// A range vector: windows over a selector or over another expression.
#[derive(Debug)]
pub(super) struct RangeNode {
    pub window_ms: i64,
    pub shift: TimeShift,
    pub over: RangeOver,
}

#[derive(Debug)]
pub(super) enum RangeOver {
    Selector { id: usize },
    Subquery { node: Node, grid: Grid },
}

/// The grid on which a subquery's inner expression is evaluated: the multiples of its step in `(first - window, last]` of the
/// times that are read.
pub(super) fn inner_grid(outer: Grid, window_ms: i64, step_ms: i64) -> Grid {
    let start_ms = ((outer.start_ms - window_ms).div_euclid(step_ms) + 1) * step_ms;
    let count = if outer.end_ms() < start_ms { 0 } else { (outer.end_ms() - start_ms) / step_ms + 1 };
    Grid { start_ms, step_ms, count }
}

#[derive(Debug)]
pub(super) struct Call {
    pub function: &'static str,
    pub arguments: Vec<Node>,
}
