//! What was spent by whom in a stretch of a calendar: for the HTTP API, the console and the export alike.
//!
//! Nothing is added up here that PromQL would not add up: every sum is an `increase` that the querier computes, and a total is the sum of
//! the rows above it.

pub mod csv;
pub mod http;
pub mod period;
pub mod spend;
