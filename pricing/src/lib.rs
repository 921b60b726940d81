//! The price book and the exact cost of a call. Pure: no I/O, no clock, no async, no randomness.
//!
//! Finance closes a month on these numbers, so three things hold here. A cost is exact integer arithmetic, rounded
//! once per line. A price nobody stated is *unpriced with a reason*, never 0. And what is charged is what the book
//! says: a price list is data under `prices/`, no price and no model name lives in code.
//!
//! # A failed call
//!
//! A request that the provider answered with an HTTP error and without usage costs a true zero,
//! [`NotBilled`](ledgerline_proto::NotBilled), where the price file says `http_errors_are_free: true`: such requests never reach the
//! bill, and counting them as unpriced would bury the calls whose cost is really unknown. A stream that broke after it
//! began is another matter: the provider bills what it made, we do not know how much, so it is `usage_missing`.

#![deny(clippy::float_arithmetic, clippy::as_conversions)]

mod book;
mod cost;
mod exact;
mod file;
mod lookup;
mod model;
mod names;
mod version;

pub use book::PriceBook;
pub use model::PriceBookProblem;
pub use version::PriceVersion;
