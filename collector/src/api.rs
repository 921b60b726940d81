//! Our own HTTP API below `/api/v1`, and its description, which is made from the code that answers.

use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use crate::{budget, calls, finance, seen, status};

/// What the API is (OpenAPI 3.1).
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ledgerline",
        description = "What every LLM call cost, how it went and whether it was any good. Amounts are texts of US dollars with all twelve \
                       decimals: no number of JSON keeps them. The tenant is that of the token. Prometheus's API is below /prometheus."
    ),
    paths(
        finance::http::get_spend,
        budget::http::get_budgets,
        calls::http::get_calls,
        calls::http::get_call,
        seen::get_seen,
        status::get_status
    )
)]
struct Description;

/// `GET /api/v1/openapi.json`: the same for everyone.
pub fn router() -> Router {
    Router::new().route("/api/v1/openapi.json", get(|| async { Json(Description::openapi()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The console's client is made from it.
    #[test]
    fn the_committed_description_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/console/openapi.json");
        let description = Description::openapi().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("LEDGERLINE_UPDATE").is_some() {
            std::fs::write(path, &description).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == description, "run the test with LEDGERLINE_UPDATE=1 and commit openapi.json");
    }
}
