//! Answers Prometheus queries: what the language (`ledgerline_promql`) reads from (`catalog`, `sql`), how one query runs
//! (`querier`) and the HTTP API that Grafana and promtool speak (`http`). Knows nothing of ClickHouse beyond the text of a
//! statement; never writes.

pub mod catalog;
pub mod http;
pub mod limits;
pub mod querier;
pub mod sql;
