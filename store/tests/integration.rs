//! The store against the real engine. One binary, so that the crate links once and the tests share one engine.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes the functions that tests share for production code"
)]

#[path = "integration/cluster.rs"]
mod cluster;
#[path = "integration/cost.rs"]
mod cost;
#[path = "integration/engine.rs"]
mod engine;
#[path = "integration/ledger.rs"]
mod ledger;
#[path = "integration/spans.rs"]
mod spans;
#[path = "integration/supervisor.rs"]
mod supervisor;
#[path = "integration/tables.rs"]
mod tables;
