//! Answers Prometheus queries: the language (`promql`, pure), what it reads from (`source`, `catalog`, `sql`) and the HTTP API that
//! Grafana and promtool speak (`http`). Knows nothing of ClickHouse beyond the text of a statement; never writes.

pub mod limits;
pub mod promql;
