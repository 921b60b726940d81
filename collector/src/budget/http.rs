//! `GET /api/v1/budgets`: where the budgets of a tenant stand.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::get;
use ledgerline_promql::source::SourceError;

use super::ledger::Ledger;
use super::status::{BudgetsBody, status};
use crate::access::Principal;
use crate::limits::TIMEOUT_MS_DEFAULT;
use crate::prometheus::ApiError;
use crate::query::error::RunError;
use crate::query::http::respond;
use crate::query::querier::Querier;

/// What the API needs.
#[derive(Clone)]
pub struct BudgetState {
    querier: Arc<Querier>,
    ledger: Ledger,
}

/// The route. Whoever checked the credential has put a [`Principal`] into each request's extensions; without one a request fails.
pub fn router(querier: Arc<Querier>, ledger: Ledger) -> Router {
    Router::new().route("/api/v1/budgets", get(get_budgets)).with_state(BudgetState { querier, ledger })
}

/// Where the budgets stand: spent, forecast, thresholds
///
/// Those of the tenant that the collector's rules are about; another has none.
#[utoipa::path(
    get,
    path = "/api/v1/budgets",
    responses(
        (status = 200, body = BudgetsBody),
        (status = 401, description = "Send one of the collector's tokens"),
        (status = 422, description = "It would be more than one request may read or hold"),
        (status = 503, description = "The store does not answer, or not in time; the same request may succeed later"),
    )
)]
pub async fn get_budgets(
    State(BudgetState { querier, mut ledger }): State<BudgetState>,
    Extension(Principal { tenant }): Extension<Principal>,
) -> Result<Response, ApiError> {
    if tenant != ledger.owner {
        ledger.budgets = Arc::default();
    }
    let scope = querier.scope(tenant, Duration::from_millis(TIMEOUT_MS_DEFAULT));
    let body = match tokio::time::timeout(scope.timeout, status(&ledger, &scope)).await {
        Ok(body) => body.map_err(RunError::from)?,
        Err(_) => return Err(RunError::from(SourceError::TimedOut).into()),
    };
    respond(&body, &scope.memory)
}
