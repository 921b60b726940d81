//! The collector: takes LLM spans in, prices them, keeps the record in ClickHouse, answers Grafana, raises alerts.
//!
//! [`app`] puts the parts together, [`command`] has what else the binary does. Dependencies point down: `app` -> {`ingest`, `budget` -> {`finance` -> `query`, `alerting`}} -> `ledgerline_store` -> `ledgerline_proto`;
//! only the store speaks ClickHouse.

pub mod access;
pub mod alerting;
mod api;
pub mod app;
pub mod budget;
pub mod calls;
pub mod command;
pub mod config;
mod console;
pub mod finance;
pub mod ingest;
pub mod limits;
pub mod metrics;
mod prometheus;
pub mod query;
mod runbook;
mod seen;
pub mod selector;
mod status;
