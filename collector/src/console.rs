//! The console's files, which the build has put into the binary. They hold no data: what a page shows it asks of the API.

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

/// Empty where the console was not built.
#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

/// Nothing inline, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Ledgerline</title>\
    <h1>The console is not in this binary</h1>\
    <p>It was built without Node. <code>make console</code> builds the pages, and the next <code>cargo build</code> puts them in.</p><p>What it would show is below <code>/api/v1</code> and <code>/prometheus</code>.</p></html>\n";

/// The pages. Every view has a path of its own, and all are one page.
pub fn router() -> Router {
    let pages = ["/", "/calls", "/calls/{trace}/{span}", "/gaps", "/alerts", "/status"];
    let router = pages.into_iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    router
        // Where Prometheus shows an expression, and where its users look for it.
        .route("/prometheus/graph", get(|| async { Redirect::temporary("../alerts") }))
        .route("/favicon.svg", get(|| async { file("favicon.svg", "no-cache") }))
        .route("/assets/{*path}", get(asset))
}

async fn page() -> Response {
    if Files::get("index.html").is_none() {
        return (protected(), Html(NOT_BUILT)).into_response();
    }
    file("index.html", "no-cache")
}

/// Their names say what is in them.
async fn asset(Path(path): Path<String>) -> Response {
    file(&format!("assets/{path}"), "public, max-age=31536000, immutable")
}

fn file(name: &str, cache: &'static str) -> Response {
    let Some(file) = Files::get(name) else { return StatusCode::NOT_FOUND.into_response() };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)];
    (protected(), headers, file.data.into_owned()).into_response()
}

const fn protected() -> [(HeaderName, &'static str); 3] {
    [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")]
}
