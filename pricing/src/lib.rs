//! The price book and the exact cost of a call. Pure: no I/O, no clock, no async, no randomness.
//!
//! Finance closes a month on these numbers, so three things hold here. A cost is exact integer arithmetic, rounded at most
//! once per line. A price nobody stated is *unpriced with a reason*, never 0. And what is charged is what the book
//! says: a price list is data under `prices/`, no price and no model name lives in code. docs/prices.md is the manual.
//!
//! From file to bill: [`file`] reads, [`resolve`] says how the clauses of a price compose, [`table`] works that out for every
//! setting at load, [`layers`] stacks files for everyone and for each tenant, [`lookup`] finds the model of a call, [`place`] its
//! setting, [`bill`] writes the lines.

#![deny(clippy::float_arithmetic, clippy::as_conversions)]

mod bill;
mod book;
mod clause;
mod entries;
mod exact;
mod explain;
mod failed;
mod file;
mod layers;
mod lookup;
mod model;
mod names;
mod place;
mod price;
mod resolve;
mod table;
mod version;
mod warnings;
mod words;

pub use book::PriceBook;
pub use entries::{Entry, EntryPrice};
pub use explain::{Explained, Explanation};
pub use model::PriceBookProblem;
pub use version::PriceVersion;
