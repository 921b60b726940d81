//! Placeholder.

pub mod alerting;
pub mod query;
