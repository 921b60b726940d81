//! Answers Prometheus queries: the language (`promql`, pure), what it reads from (`source`, `catalog`, `sql`), how one query runs
//! (`querier`) and the HTTP API that Grafana and promtool speak (`http`). Knows nothing of ClickHouse beyond the text of a
//! statement; never writes.

pub mod catalog;
pub mod http;
pub mod limits;
pub mod memory;
pub mod promql;
pub mod querier;
pub mod source;
pub mod sql;
