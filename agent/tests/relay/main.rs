//! The relay from outside: what a client and an upstream see, and what the collector gets.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod clients;
mod connections;
mod failures;
mod headers;
mod heads;
mod log;
mod observation;
mod process;
mod protocols;
mod support;
mod usage;
