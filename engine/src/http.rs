//! ClickHouse's HTTP interface over hyper: route, hand over to a thread, answer. Nothing here blocks or knows libchdb.

pub mod body;
pub mod credentials;
pub mod multipart;
pub mod request;
pub mod response;

use std::convert::Infallible;
use std::io::BufRead;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use ledgerline_process::serve;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Passwords, User};
use crate::cancel::Running;
use crate::errors::{Kind, QueryError};
use crate::execute::{self, Shared};
use crate::limits;
use crate::pool::Pool;
use credentials::Credentials;
use request::{Request, ResponseOptions};
use response::{Body, Responder, streamed, whole};

/// What requests need.
pub struct Server {
    pub shared: Arc<Shared>,
    /// What every statement waits for.
    pub pool: Pool,
    /// Checked before anything of a request is read but its head.
    pub passwords: Passwords,
    /// Every statement that runs, and every body that is thrown away.
    pub tasks: TaskTracker,
}

/// Answers until `shutdown`; requests that run then have until the grace and the time to cancel are over.
pub async fn serve(server: Arc<Server>, listener: TcpListener, shutdown: CancellationToken) {
    let drain_timeout = limits::SHUTDOWN_GRACE + limits::SHUTDOWN_CANCEL_WAIT;
    let mut options = serve::Options::bounded(limits::SOCKETS_MAX, drain_timeout);
    options.http = options.http.http1_only();
    options.http.http1().header_read_timeout(limits::HEADER_READ_WAIT);
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, request).await) }
    });
    serve::Server::new(move |stream, _| (stream, service.clone()), options).run(listener, shutdown).await;
}

async fn answer(server: &Server, request: http::Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let queries = request.uri().query().is_some_and(|query| !query.is_empty());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let admitted = access::check_origin(request.uri(), request.headers()).and_then(|()| {
        // The one thing that anybody may know.
        if reads && path == "/ping" {
            return Ok(None);
        }
        let given = Credentials::of(request.headers(), request.uri())?;
        server.passwords.authenticate(&given).map(Some)
    });
    match (admitted, request.method(), path) {
        (Err(error), ..) => refused(server, ResponseOptions::default(), &error),
        (Ok(None), ..) => plain(StatusCode::OK, "Ok.\n"),
        (_, _, "/replicas_status") if reads => plain(StatusCode::OK, "Ok.\n"),
        (_, _, "/") if reads && !queries => plain(StatusCode::OK, "Ok.\n"),
        (Ok(Some(user)), method, "/") if reads || method == Method::POST => {
            query(server, user, request).await
        }
        (_, method, path) => plain(
            StatusCode::NOT_FOUND,
            format!(
                "There is no handle {method} {path}\n\nSend queries to / with GET or POST; /ping tells health.\n"
            ),
        ),
    }
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    response
}

async fn query(server: &Server, user: User, http_request: http::Request<Incoming>) -> Response<Body> {
    let (parts, body) = http_request.into_parts();
    let request = match Request::parse(&parts.method, &parts.uri, &parts.headers) {
        Ok(request) if user == User::Reader => request.for_reader(),
        Ok(request) => request,
        Err(error) => return refused(server, ResponseOptions::default(), &error),
    };
    let options = request.response.clone();
    match admit(server, &parts, body, request).await {
        Ok(response) => response,
        Err(error) => refused(server, options, &error),
    }
}

async fn admit(
    server: &Server,
    parts: &http::request::Parts,
    body: Incoming,
    request: Request,
) -> Result<Response<Body>, QueryError> {
    check_body(parts)?;
    let permit = server.pool.admit().await?;
    let shared = Arc::clone(&server.shared);
    let cancelled = shared.stopping.child_token();
    // If the client leaves, hyper drops this future or the body of the answer, which ends the statement.
    let cancel = cancelled.clone().drop_guard();
    let query_id = &request.response.query_id;
    let running = Running::start(query_id, cancelled, shared.connector.clone(), &server.tasks);
    let (responder, head, pieces) =
        Responder::new(Arc::clone(&shared.info), Handle::current(), request.response.clone());
    let reader: Box<dyn BufRead + Send> = if request.read_only {
        Box::new(std::io::empty())
    } else {
        body::reader(body, Handle::current(), server.tasks.clone())
    };
    server.tasks.spawn_blocking(move || {
        let _permit = permit;
        execute::serve(&shared, request, reader, responder, running);
    });
    let head = head.await.map_err(|_| {
        QueryError::new(Kind::UNKNOWN_EXCEPTION, "The request's thread ended without an answer")
    })?;
    Ok(head.map(|body| match body {
        Some(bytes) => whole(bytes),
        None => streamed(pieces, cancel),
    }))
}

fn check_body(parts: &http::request::Parts) -> Result<(), QueryError> {
    let has = |name| parts.headers.contains_key(name);
    if parts.method == Method::POST && !has(header::CONTENT_LENGTH) && !has(header::TRANSFER_ENCODING) {
        let message =
            "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request";
        return Err(QueryError::new(Kind::HTTP_LENGTH_REQUIRED, message));
    }
    Ok(())
}

/// An error before a thread was found.
fn refused(server: &Server, options: ResponseOptions, error: &QueryError) -> Response<Body> {
    let info = Arc::clone(&server.shared.info);
    let (responder, mut head, _pieces) = Responder::new(info, Handle::current(), options);
    responder.fail(error);
    match head.try_recv() {
        Ok(head) => head.map(|body| whole(body.unwrap_or_default())),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
