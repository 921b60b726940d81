//! The test harness: everything an end-to-end test stands on. It exists so that a test reads as a fact about the
//! product and not as plumbing. It must never be linked into a shipped binary, and it must never share parsing or
//! accounting code with the product: an oracle that uses the code under test proves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness that cannot go on must stop the test loudly, at the line where it happened"
)]

pub mod alertmanager;
pub mod apart;
pub mod clients;
pub mod conformance;
pub mod http;
pub mod load;
pub mod network;
pub mod service;
pub mod stack;
pub mod traffic;
