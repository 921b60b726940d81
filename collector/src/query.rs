//! Answers Prometheus queries: how one query of the language (`ledgerline_promql`) runs (`querier`) and ends (`error`) and the HTTP API that Grafana and promtool speak (`http`). What is read is behind a `SeriesSource`,
//! `ledgerline_store::sql`; never writes.

pub mod error;
pub mod http;
#[cfg(test)]
#[path = "../tests/integration/memory_source.rs"]
pub(crate) mod memory_source;
pub mod querier;
