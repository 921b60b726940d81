//! The collector against programs that nobody here wrote. One binary, so that the crate links once; a module for each
//! program. A program that is missing fails its tests with the way to install it: a skipped test proves nothing.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes the functions that tests share for production code"
)]

#[path = "integration/ages.rs"]
mod ages;
#[path = "integration/alertmanager.rs"]
mod alertmanager;
#[path = "integration/budgets.rs"]
mod budgets;
#[path = "integration/calls.rs"]
mod calls;
#[path = "../../store/tests/integration/engine.rs"]
mod engine;
#[path = "integration/explain.rs"]
mod explain;
#[path = "integration/finance.rs"]
mod finance;
#[path = "integration/ingest.rs"]
mod ingest;
#[path = "integration/interleavings.rs"]
mod interleavings;
#[path = "integration/memory_source.rs"]
mod memory_source;
#[path = "integration/pack.rs"]
mod pack;
#[path = "integration/prices.rs"]
mod prices;
#[path = "integration/privacy.rs"]
mod privacy;
#[path = "integration/promtool.rs"]
mod promtool;
#[path = "integration/promtool_query.rs"]
mod promtool_query;
#[path = "integration/pushdown.rs"]
mod pushdown;
#[path = "integration/receivers.rs"]
mod receivers;
#[path = "integration/recorded.rs"]
mod recorded;
#[path = "integration/reprice.rs"]
mod reprice;
#[path = "integration/sights.rs"]
mod sights;
#[path = "../../store/tests/integration/spans.rs"]
mod spans;
#[path = "integration/world.rs"]
mod world;
