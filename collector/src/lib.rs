//! Placeholder.
pub mod alerting;
