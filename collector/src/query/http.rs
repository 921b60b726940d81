//! The Prometheus HTTP API, as Grafana, promtool and vmalert call it. Every read takes GET and POST and merges the parameters of URL
//! and form. Errors carry Prometheus's shapes and status codes, because Grafana reads the body of 400, 422 and 503 only.

mod json;
mod params;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use ledgerline_process::clock::Clock;
use ledgerline_promql::source::{Scope, SeriesFilter, SourceError};
use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{QueryError, QueryParams};
use ledgerline_store::catalog::METRICS;
use serde::Serialize;
use serde_json::json;

use crate::access::Principal;
use crate::budget::catalog::GAUGES;
use crate::limits::TIMEOUT_MS_DEFAULT;
use crate::prometheus::{ApiError, Params, Success};

use super::error::RunError;
use super::querier::Querier;
use json::Metric;
pub(crate) use json::respond;
use params::{parse_duration, parse_time};

/// The Prometheus version whose API this is; clients choose features by it. No `features` key follows it: that key would make Grafana
/// take us for a Mimir with a writable ruler.
const API_VERSION: &str = "2.50.1";

/// What the API needs.
#[derive(Clone)]
pub struct ApiState {
    /// Runs the queries.
    pub querier: Arc<Querier>,
    /// The time of a query that names none.
    pub clock: Arc<dyn Clock>,
}

/// The routes below `/prometheus`. Whoever checked the credential has put a [`Principal`] into each request's extensions; a
/// request without one is refused.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query_exemplars", get(query_exemplars).post(query_exemplars))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/metadata", get(metadata).post(metadata))
        .route("/api/v1/status/buildinfo", get(build_info).post(build_info))
        .route("/api/v1/label/{name}/values", get(label_values).post(label_values))
        .with_state(state)
}

/// A request with its parameters read.
struct Call {
    params: Params,
    scope: Scope,
    now_ms: i64,
}

impl FromRequest<ApiState> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let Some(Principal { tenant }) = request.extensions().get::<Principal>().cloned() else {
            // It came past the check of credentials, which is a defect of ours: nobody's data is shown.
            let message = "nobody has said who asks".to_owned();
            return Err(ApiError { status: StatusCode::UNAUTHORIZED, kind: "unauthorized", message });
        };
        let params = Params::from_request(request, state).await?;
        // How long the client waits, at most our own bound.
        let asked = params.parsed("timeout", "duration", parse_duration)?;
        let asked = asked.and_then(|asked| u64::try_from(asked).ok()).filter(|asked| *asked > 0);
        let timeout = Duration::from_millis(asked.unwrap_or(u64::MAX).min(TIMEOUT_MS_DEFAULT));
        let now_ms = i64::try_from(state.clock.now_unix_ns() / 1_000_000).unwrap_or(i64::MAX);
        Ok(Self { params, scope: state.querier.scope(tenant, timeout), now_ms })
    }
}

impl Call {
    fn query(&self) -> Result<&str, ApiError> {
        let query = self.params.first("query");
        if query.trim().is_empty() {
            let wrong = "unknown position: parse error: no expression found in input";
            return Err(ApiError::parameter("query", wrong));
        }
        Ok(query)
    }

    /// The most elements the client wants; none or 0 means all.
    fn limit(&self) -> Result<usize, ApiError> {
        let limit = self.params.parsed("limit", "whole number", |text| text.parse().ok())?;
        Ok(limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX))
    }

    /// What `match[]`, `start` and `end` select.
    async fn filter(&self, state: &ApiState) -> Result<SeriesFilter, ApiError> {
        let time = |name| self.params.parsed(name, "timestamp", parse_time);
        let (start_ms, end_ms) = (time("start")?, time("end")?);
        if let (Some(start), Some(end)) = (start_ms, end_ms)
            && end < start
        {
            return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
        }
        let selectors = self.params.all("match[]").map(str::to_owned).collect();
        let any_of = state.querier.selectors(&self.scope, selectors).await.map_err(|error| match error {
            RunError::Query(QueryError::Parse(ParseError::Syntax(error))) => {
                ApiError::parameter("match[]", &error.to_string())
            }
            other => other.into(),
        })?;
        Ok(SeriesFilter { any_of, start_ms, end_ms })
    }

    /// Waits for an answer of the source no longer than the request allows.
    async fn bounded<T>(&self, answer: impl Future<Output = Result<T, SourceError>>) -> Result<T, ApiError> {
        match tokio::time::timeout(self.scope.timeout, answer).await {
            Ok(answer) => Ok(answer.map_err(RunError::from)?),
            Err(_) => Err(RunError::from(SourceError::TimedOut).into()),
        }
    }

    /// The response that lists these, cut to the `limit` parameter, which it says.
    fn list<T: Serialize>(&self, mut list: Vec<T>) -> Result<Response, ApiError> {
        let mut warnings = Vec::new();
        let limit = self.limit()?;
        if list.len() > limit {
            list.truncate(limit);
            warnings.push("results truncated due to limit".to_owned());
        }
        respond(&Success { warnings, ..Success::new(list) }, &self.scope.memory)
    }
}

async fn query(State(state): State<ApiState>, call: Call) -> Result<Response, ApiError> {
    let time_ms = call.params.parsed("time", "timestamp", parse_time)?.unwrap_or(call.now_ms);
    let params = QueryParams::Instant { time_ms };
    let result = state.querier.run(&call.scope, call.query()?, params).await?;
    json::query_result(&result, &call.scope.memory)
}

async fn query_range(State(state): State<ApiState>, call: Call) -> Result<Response, ApiError> {
    let time = |name| call.params.required(name, "timestamp", parse_time);
    let (start_ms, end_ms) = (time("start")?, time("end")?);
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = call.params.required("step", "duration", parse_duration)?;
    if step_ms <= 0 {
        let wrong = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", wrong));
    }
    let params = QueryParams::Range { start_ms, end_ms, step_ms };
    let result = state.querier.run(&call.scope, call.query()?, params).await?;
    json::query_result(&result, &call.scope.memory)
}

/// None are kept yet. Grafana asks once per datasource, with times in milliseconds, and gives up on exemplars on any error.
async fn query_exemplars(call: Call) -> Result<Response, ApiError> {
    call.list(Vec::<()>::new())
}

async fn labels(State(state): State<ApiState>, call: Call) -> Result<Response, ApiError> {
    let filter = call.filter(&state).await?;
    call.list(call.bounded(state.querier.source.label_names(&call.scope, &filter)).await?)
}

async fn label_values(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let invalid = || ApiError::bad_data(format!("invalid label name: {name:?}"));
    let label = params::label_name(&name).ok_or_else(invalid)?;
    let filter = call.filter(&state).await?;
    call.list(call.bounded(state.querier.source.label_values(&call.scope, &label, &filter)).await?)
}

async fn series(State(state): State<ApiState>, call: Call) -> Result<Response, ApiError> {
    let filter = call.filter(&state).await?;
    if filter.any_of.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let series = call.bounded(state.querier.source.labels(&call.scope, &filter, None)).await?;
    call.list(series.iter().map(Metric).collect())
}

/// The catalogue; `metric` picks one.
async fn metadata(call: Call) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Entry {
        #[serde(rename = "type")]
        kind: &'static str,
        help: &'static str,
        unit: &'static str,
    }
    let wanted = call.params.first("metric");
    let families = METRICS.iter().map(|metric| {
        let (name, kind) = metric.family();
        (name, [Entry { kind, help: metric.help, unit: metric.unit }])
    });
    let of_budgets =
        GAUGES.iter().map(|gauge| (gauge.name, [Entry { kind: "gauge", help: gauge.help, unit: "usd" }]));
    let families: BTreeMap<&str, [Entry; 1]> =
        families.chain(of_budgets).filter(|(name, _)| wanted.is_empty() || wanted == *name).collect();
    let entries: BTreeMap<_, _> = families.into_iter().take(call.limit()?).collect();
    respond(&Success::new(entries), &call.scope.memory)
}

async fn build_info(call: Call) -> Result<Response, ApiError> {
    let fields = json!({
        "version": API_VERSION,
        "revision": env!("CARGO_PKG_VERSION"),
        "branch": "ledgerline",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    });
    respond(&Success::new(fields), &call.scope.memory)
}
