//! The server side of the relay: accepts connections, speaks HTTP/1.1 and HTTP/2 on them, and ends in order.
//!
//! At the end, connections in the kernel's queue get a moment to be heard. Then idle ones are closed and running calls may
//! finish, for as long as `drain_timeout` says. What still runs then is broken off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ledgerline_process::limits::{ACCEPT_RETRY, SETTLE_BEFORE_DRAIN};
use ledgerline_process::serve::prepare_socket;
use ledgerline_process::tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Relay;
use super::client::{Client, ClientGone, ClientIo};
use super::idle::{IdleConnections, IdleSlot};
use crate::limits::{
    EVICTION_GRACE, HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, HTTP2_CONNECTION_WINDOW_BYTES,
    HTTP2_HEADER_LIST_BYTES_MAX, HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX,
};
use crate::metrics::GaugeGuard;

pub struct Server {
    relay: Arc<Relay>,
    tls: Option<ServerTls>,
    http: auto::Builder<TokioExecutor>,
    connections: Arc<Semaphore>,
    idle: Arc<IdleConnections>,
    tracker: TaskTracker,
    /// Close when idle.
    drain: CancellationToken,
    /// Close now.
    kill: CancellationToken,
}

impl Server {
    pub fn new(relay: Arc<Relay>, tls: Option<ServerTls>, connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            relay,
            http: http(tls.is_none()),
            tls,
            connections: Arc::new(Semaphore::new(connections_max)),
            idle: Arc::default(),
            tracker: TaskTracker::new(),
            drain: CancellationToken::new(),
            kill: CancellationToken::new(),
        })
    }

    /// Serves until `shutdown`, then ends in order. Returns when no call runs any more.
    pub async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
        drain_timeout: Duration,
    ) {
        tokio::select! {
            () = self.accept(&listener) => {}
            () = shutdown.cancelled() => {}
        }
        // Elapsing is the purpose: whoever is in the kernel's queue is still let in.
        let _elapsed = tokio::time::timeout(SETTLE_BEFORE_DRAIN, self.accept(&listener)).await;
        drop(listener);
        self.tracker.close();
        self.drain.cancel();
        if tokio::time::timeout(drain_timeout, self.tracker.wait()).await.is_err() {
            let connections = self.tracker.len();
            tracing::warn!(connections, "the drain timeout passed; breaking off the calls that still run");
            self.relay.tap.kill();
            self.kill.cancel();
            self.tracker.wait().await;
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let permit = self.permit().await;
                    self.spawn(stream, permit);
                }
                Err(error) => {
                    self.relay.metrics.accept_errors.inc();
                    // A connection that was reset in the queue is one client's business; the rest is ours.
                    if error.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::warn!(%error, "cannot accept connections; trying again");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        }
    }

    /// Room for one connection more. Where there is none, idle ones make it.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.connections.clone().try_acquire_owned() {
                return Some(permit);
            }
            let due = match self.idle.evict(Instant::now()) {
                Ok(()) => {
                    self.relay.metrics.connections_evicted.inc();
                    None
                }
                Err(due) => due,
            };
            tokio::select! {
                // The semaphore is never closed.
                permit = self.connections.clone().acquire_owned() => return permit.ok(),
                () = self.idle.grew.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, permit: Option<OwnedSemaphorePermit>) {
        let (server, slot) = (self.clone(), self.idle.slot());
        self.tracker.spawn(async move {
            let metrics = &server.relay.metrics;
            let _running = GaugeGuard::new(&metrics.connections);
            let _permit = permit;
            prepare_socket(&stream);
            let Some(tls) = &server.tls else {
                let (client, io) = Client::plain(stream, slot.clone(), metrics.clone());
                return server.serve(&slot, client, io).await;
            };
            if let Some(Some(stream)) = slot.close.run_until_cancelled(tls.accept(stream)).await {
                let (client, io) = Client::tls(stream, slot.clone(), metrics.clone());
                server.serve(&slot, client, io).await;
            }
        });
    }

    async fn serve<S>(&self, slot: &IdleSlot, client: Client, io: ClientIo<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let relay = self.relay.clone();
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
        let connection = self.http.serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let mut draining = false;
        // The library's own time-out begins when it knows the version, which a silent client never tells.
        let silence = tokio::time::sleep(HEAD_TIMEOUT);
        tokio::pin!(silence);
        let (mut is_silence_over, mut is_evicted) = (false, false);
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    // Clients that go away and malformed requests end here; both are the client's business.
                    if let Err(error) = result {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = self.drain.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = silence.as_mut(), if !is_silence_over => {
                    is_silence_over = true;
                    if slot.is_silent() || (is_evicted && slot.is_idle()) {
                        return;
                    }
                }
                () = slot.close.cancelled(), if !is_evicted => {
                    if slot.is_silent() {
                        return;
                    }
                    is_evicted = true;
                    connection.as_mut().graceful_shutdown();
                    silence.as_mut().reset(Instant::now() + EVICTION_GRACE);
                    is_silence_over = false;
                }
                () = self.kill.cancelled() => return,
            }
        }
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
