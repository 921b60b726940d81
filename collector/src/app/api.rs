//! The API port: health and metrics for everybody who can reach it, the Prometheus API for a tenant.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use ledgerline_process::Clock;
use ledgerline_promql::source::Tenant;

use crate::alerting::{self, Reader, RulesView};
use crate::ingest::auth::Authentication;
use crate::query::http::{self, ApiState};
use crate::query::querier::Querier;

/// Everything Prometheus's API answers, below `/prometheus`.
pub fn prometheus(
    querier: Arc<Querier>,
    rules: RulesView,
    clock: Arc<dyn Clock>,
    tenant: Arc<str>,
    authentication: Authentication,
) -> Router {
    let queries = http::router(ApiState { querier, clock, default_tenant: Tenant(tenant) });
    let routes = queries.merge(alerting::api::router(rules));
    Router::new()
        .nest("/prometheus", routes)
        .layer(from_fn_with_state(Arc::new(authentication), authenticate))
}

/// The credential decides whose data, rules and alerts are read, as it decides whose spans are stored.
async fn authenticate(
    State(authentication): State<Arc<Authentication>>,
    mut request: Request,
    next: Next,
) -> Response {
    match authentication.tenant(request.headers()) {
        Ok(tenant) => {
            request.extensions_mut().insert(Reader { tenant: Arc::clone(&tenant) });
            request.extensions_mut().insert(Tenant(tenant));
            next.run(request).await
        }
        Err(refusal) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{refusal}\n"))
                .into_response()
        }
    }
}
