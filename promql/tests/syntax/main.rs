//! The parser, checks and printer of the language, from outside: errors in Prometheus's words, texts that read back, texts that must
//! end within bounds, and Debian's promtool as the judge.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says what broke where it broke"
)]

mod bombs;
mod errors;
mod generator;
mod printing;
mod promtool;
