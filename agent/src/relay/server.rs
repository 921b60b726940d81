//! The server side of the relay: what a client's connection may carry, and how a request on it is handed on and answered.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use ledgerline_process::serve::{ConnectionCounters, IdleSlot, Options, Server, Stream};
use ledgerline_process::tls::ServerTls;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Relay;
use super::client::{Client, ClientGone};
use crate::limits::{
    HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_HEADER_LIST_BYTES_MAX,
    HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX,
};

impl Relay {
    /// Serves until `shutdown`, then ends in order. Returns when no call runs any more.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<ServerTls>,
        connections_max: usize,
        drain_timeout: Duration,
        shutdown: CancellationToken,
    ) {
        let options = Options {
            http: http(tls.is_none()),
            tls,
            connections_max,
            first_head_timeout: HEAD_TIMEOUT,
            drain_timeout,
            cut: self.tap.killed().clone(),
            counters: ConnectionCounters {
                open: self.metrics.connections.clone(),
                accept_errors: self.metrics.accept_errors.clone(),
                evicted: self.metrics.connections_evicted.clone(),
                ..ConnectionCounters::default()
            },
        };
        let drains = self.drains.clone();
        let open = move |stream: Stream, slot: Arc<IdleSlot>| {
            let (client, io) = Client::new(stream, slot, self.metrics.clone());
            let relay = self.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let relay = relay.clone();
                let exchange = client.begin(request.version());
                async move {
                    let mut response = relay.handle(request, &exchange).await?;
                    exchange.begin_response(response.status());
                    response.body_mut().exchange = Some(exchange);
                    Ok::<_, ClientGone>(response)
                }
            });
            (io, service)
        };
        Server::new(open, options).run(listener, shutdown).await;
        drains.close();
        drains.wait().await;
    }
}

/// On plain connections we see ourselves when a client is gone (`relay/client.rs`), and better than the library.
fn http(is_plain: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .half_close(is_plain)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        // The provider's `Date` passes; where there is none, none is added.
        .auto_date_header(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HTTP2_HEADER_LIST_BYTES_MAX);
    builder
}
