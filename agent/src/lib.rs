//! The sidecar: relays LLM calls byte for byte and reports what they cost.
//!
//! [`relay`] forwards and copies, [`worker`] reads the copies into calls, [`dialect`] knows the providers, [`export`] brings
//! the calls to the collector; [`app`] puts them together. The relay never waits for the others ([`observer`]).

pub mod app;
pub mod config;
pub mod dialect;
mod export;
mod limits;
mod metrics;
mod observation;
mod observer;
mod reachability;
pub mod relay;
pub mod wire;
mod worker;
