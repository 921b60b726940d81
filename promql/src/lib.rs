//! Pure: PromQL from text to answer, with neither a clock, a store nor a runtime.
//!
//! A query runs in two phases so that storage can stay asynchronous and the evaluator need not be: [`plan`] reads the text into
//! our own tree (unsupported constructs are refused here, before anything is fetched) and lists what each selector needs;
//! the caller fetches; [`evaluate`] computes the answer over whole columns (one per series, one cell per step).
//!
//! The promise to finance lives here: values that are exact stay exact. See [`Number`].

mod aggregate;
mod alive;
mod binary;
mod budget;
mod cells;
mod dates;
mod error;
mod eval;
mod format;
mod functions;
mod histogram;
mod labels;
pub mod limits;
mod lower;
mod matcher;
mod notices;
mod number;
mod plan;
mod pool;
mod range;
mod re2;
mod regex;
mod relabel;
mod result;
mod series;
pub mod source;
mod special;
mod statistics;
pub mod syntax;
#[cfg(test)]
mod tests;
mod value;
mod window;

pub use alive::{ALIVE_MS, ALIVE_ROUNDING_MS};
pub use budget::Budget;
pub use error::{ErrorKind, QueryError};
pub use eval::evaluate;
pub use format::{format_float, format_number};
pub use functions::supported_functions;
pub use labels::{Labels, METRIC_NAME};
pub use lower::{parse_selector, plan, plan_within};
pub use matcher::{MatchKind, Matcher};
pub use number::{Number, PICOS};
pub use plan::{Edges, Plan, QueryParams, SelectorRequest};
pub use pool::{Charge, MemoryError, MemoryPool, QueryMemory};
pub use result::{QueryResult, QueryValue, RangeSeries, VectorSample};
pub use series::{Fetched, Increments, Point, STALE_NAN_BITS, Samples, Series};
pub use syntax::Grouping;
