//! ClickHouse's HTTP interface over hyper: accept, route, hand over to a thread, answer.
//!
//! Nothing here blocks and nothing here knows libchdb.

pub mod body;
pub mod credentials;
pub mod multipart;
pub mod request;
pub mod response;
pub mod spill;

use std::convert::Infallible;
use std::io::BufRead;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{self, Passwords, User};
use crate::cancel::CancelOnDrop;
use crate::errors::{Kind, QueryError};
use crate::execute::{self, Shared};
use crate::limits;
use crate::pool::Pool;
use credentials::Credentials;
use request::Request;
use response::{Head, Responder, ResponseBody};

/// The server: what its tasks need.
pub struct Server {
    /// What every request shares.
    pub shared: Arc<Shared>,
    /// Threads that block in libchdb, and the queue before them.
    pub pool: Pool,
    /// Checked before anything of a request is read but its head.
    pub passwords: Passwords,
    /// Every task of every connection.
    pub tasks: TaskTracker,
}

/// Accepts until `shutdown`; connections that run are told to end after their current answer.
pub async fn accept(server: Arc<Server>, listener: TcpListener, shutdown: CancellationToken) {
    let sockets = Arc::new(Semaphore::new(limits::SOCKETS_MAX));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = async {
                let permit = Arc::clone(&sockets).acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(permit), Ok((socket, _))) => {
                let serving = serve_connection(Arc::clone(&server), socket, shutdown.clone());
                server.tasks.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                // Out of file descriptors, most likely: let running requests give some back.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(limits::ABORT_FLUSH_WAIT).await;
            }
            (Err(_), _) => return,
        }
    }
}

async fn serve_connection(server: Arc<Server>, socket: TcpStream, shutdown: CancellationToken) {
    // Without it the last small packet of an answer waits for the client's delayed acknowledgement.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let service = service_fn(|request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits::HEADER_READ_WAIT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended with an error");
    }
}

async fn answer(server: &Server, request: http::Request<Incoming>) -> Response<ResponseBody> {
    let path = request.uri().path();
    let queries = request.uri().query().is_some_and(|query| !query.is_empty());
    if let Err(error) = access::check_origin(request.headers()) {
        return refused(server, &Request::default(), &error);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    // The one thing that anybody may know.
    if reads && path == "/ping" {
        return plain(StatusCode::OK, "Ok.\n");
    }
    let given = Credentials::of(request.headers(), request.uri());
    let user = match given.and_then(|given| server.passwords.authenticate(&given)) {
        Ok(user) => user,
        Err(error) => return refused(server, &Request::default(), &error),
    };
    match (request.method(), path) {
        (&Method::GET | &Method::HEAD, "/replicas_status") => plain(StatusCode::OK, "Ok.\n"),
        (&Method::GET | &Method::HEAD, "/") if !queries => plain(StatusCode::OK, "Ok.\n"),
        (&Method::GET | &Method::HEAD | &Method::POST, "/") => query(server, user, request).await,
        _ => {
            let method = request.method();
            let text = format!(
                "There is no handle {method} {path}\n\nSend queries to / with GET or POST; /ping tells health.\n"
            );
            plain(StatusCode::NOT_FOUND, text)
        }
    }
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    response
}

async fn query(server: &Server, user: User, http_request: http::Request<Incoming>) -> Response<ResponseBody> {
    let (parts, body) = http_request.into_parts();
    let request = match Request::parse(&parts.method, &parts.uri, &parts.headers) {
        Ok(request) if user == User::Reader => request.for_reader(),
        Ok(request) => request,
        Err(error) => return refused(server, &Request::default(), &error),
    };
    match admit(server, &parts, body, &request).await {
        Ok(response) => response,
        Err(error) => refused(server, &request, &error),
    }
}

async fn admit(
    server: &Server,
    parts: &http::request::Parts,
    body: Incoming,
    request: &Request,
) -> Result<Response<ResponseBody>, QueryError> {
    check_body(parts)?;
    let permit = server.pool.admit().await?;
    let shared = Arc::clone(&server.shared);
    let running = shared.canceller.register(&request.query_id);
    let mut cancel = CancelOnDrop::new(shared.canceller.clone(), running.tag());
    let runtime = tokio::runtime::Handle::current();
    let (responder, head, pieces) = Responder::new(Arc::clone(&shared.info), runtime, request);
    let reader: Box<dyn BufRead + Send> = if request.read_only {
        Box::new(std::io::empty())
    } else {
        let (reader, feed) = body::channel(body);
        server.tasks.spawn(feed);
        Box::new(reader)
    };
    let owned = request.clone();
    permit.run(move || execute::serve(&shared, owned, reader, responder, &running))?;
    // If the client leaves while we wait, hyper drops this future, and `cancel` ends the statement.
    let Head { status, headers, body } = head
        .await
        .map_err(|_| QueryError::new(Kind::Internal, "The request's thread ended without an answer"))?;
    let body = match body {
        Some(bytes) => {
            cancel.disarm();
            ResponseBody::whole(bytes)
        }
        None => ResponseBody::streamed(pieces, cancel),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn check_body(parts: &http::request::Parts) -> Result<(), QueryError> {
    let has = |name| parts.headers.contains_key(name);
    if parts.method == Method::POST && !has(header::CONTENT_LENGTH) && !has(header::TRANSFER_ENCODING) {
        let message =
            "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request";
        return Err(QueryError::new(Kind::LengthRequired, message));
    }
    Ok(())
}

/// An error before a thread was found.
fn refused(server: &Server, request: &Request, error: &QueryError) -> Response<ResponseBody> {
    let runtime = tokio::runtime::Handle::current();
    let (responder, mut head, _pieces) = Responder::new(Arc::clone(&server.shared.info), runtime, request);
    responder.fail(error);
    let Ok(Head { status, headers, body: Some(body) }) = head.try_recv() else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    };
    let mut response = Response::new(ResponseBody::whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
