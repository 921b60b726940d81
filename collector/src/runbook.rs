//! The runbook: a page for each alert of the packs in `alerts/`, which the build has put into the binary, so that the link of an alert
//! opens without another server. They hold no data.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../docs/runbook"]
struct Pages;

/// The address of an alert's page below that of the API port, if it has one.
pub fn path(alert: &str) -> Option<String> {
    Pages::get(&format!("{alert}.md")).map(|_| format!("/runbook/{alert}"))
}

/// `GET /runbook/<alert>`, the page as it was written.
pub fn router() -> Router {
    Router::new().route("/runbook/{alert}", get(page))
}

async fn page(Path(alert): Path<String>) -> Response {
    let Some(file) = Pages::get(&format!("{alert}.md")) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, file.data.into_owned()).into_response()
}
