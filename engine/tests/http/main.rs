//! The engine, as a process, seen by clients that nobody here wrote and by one that knows what to look for.
//!
//! Each test starts an engine of its own on a free port and a temporary directory. The library is found as the binary finds it;
//! run `engine/fetch.sh` once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking; the harness is a test too"
)]

mod access;
mod clients;
mod compression;
mod documented;
mod errors;
mod fetch;
mod harness;
mod inserts;
mod queries;
mod recovery;
mod sessions;
