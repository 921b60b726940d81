//! The collector against programs that nobody here wrote. One binary, so that the crate links once; a module for each
//! program. A program that is missing fails its tests with the way to install it: a skipped test proves nothing.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes the functions that tests share for production code"
)]

#[path = "integration/alertmanager.rs"]
mod alertmanager;
#[path = "integration/promtool.rs"]
mod promtool;
#[path = "integration/receivers.rs"]
mod receivers;
#[path = "integration/world.rs"]
mod world;
