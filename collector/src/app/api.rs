//! The API port: health and metrics for everybody who can reach it, the Prometheus API for a principal.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use ledgerline_process::Clock;

use crate::access::{Access, authenticate};
use crate::alerting::{self, RulesView};
use crate::query::http::{self, ApiState};
use crate::query::querier::Querier;

/// Everything Prometheus's API answers, below `/prometheus`. The credential decides whose data, rules and alerts are read, as it
/// decides whose spans are stored.
pub fn prometheus(
    querier: Arc<Querier>,
    rules: RulesView,
    clock: Arc<dyn Clock>,
    access: Arc<Access>,
) -> Router {
    let routes = http::router(ApiState { querier, clock }).merge(alerting::api::router(rules));
    Router::new().nest("/prometheus", routes).layer(from_fn_with_state(access, authenticate))
}
