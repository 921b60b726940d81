//! The whole product, with the real processes, the real client libraries and the real tools around it.
//!
//! Each module asks one question; each test carries its scenario and what it guarantees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what broke where it broke"
)]

mod alerts;
mod bills;
mod configuration;
mod console;
mod containers;
mod cost_bugs;
mod delivery;
mod docs;
mod finance;
mod hostile;
mod machines;
mod prometheus;
mod provider;
mod record;
mod reprice;
mod responses;
mod secrecy;
mod strangers;
mod telemetry;
mod transparency;
mod views;
mod years;
