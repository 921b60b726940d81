//! The parser and its checks, from outside: errors in Prometheus's words, texts that must
//! end within bounds, and Debian's promtool as the judge.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says what broke where it broke"
)]

mod bombs;
mod errors;
#[path = "../../src/syntax/tests/generator.rs"]
mod generator;
mod promtool;

use ledgerline_promql::syntax::{ValueType, signatures};
