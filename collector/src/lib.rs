//! Placeholder.

pub mod query;
