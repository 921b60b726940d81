//! One listening port: accepts connections, speaks TLS and HTTP on them, and ends in order.
//!
//! Not `axum::serve`: it bounds neither connections nor the time that a stranger may take to send a request. Here a
//! connection has a deadline from accept to the end of its first request head, whatever it speaks, TLS handshake
//! included; and when all places are taken, one on which no request runs makes room (`serve/idle.rs`). So whoever only
//! connects, or sends half a hello, can neither fill a port nor keep it full.
//!
//! The end: connections in the kernel's queue, or that have not spoken yet, get a moment to do so. Then idle ones are closed
//! and running requests may finish, for as long as `drain_timeout` says. What still runs then is cut off.

mod idle;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{
    ACCEPT_RETRY, ACCEPT_WARNING_EVERY, EVICTION_GRACE, HEADER_BYTES_MAX, HEADER_READ_WAIT, KEEP_ALIVE,
    LISTEN_BACKLOG, SETTLE_BEFORE_DRAIN, STREAMS_MAX, TCP_KEEPALIVE,
};
use crate::throttle::Throttle;
use crate::tls::ServerTls;
use idle::IdleConnections;
pub use idle::IdleSlot;

/// A port that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} ({key}): another process may have it, or it is not an address of this machine; change {key}"
)]
pub struct ListenError {
    /// Of the configuration.
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Opens a listening socket for the address under this configuration key. Needs no runtime.
pub fn listen(key: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let open = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| ListenError { key, address, source })
}

/// How a port is served.
#[derive(Clone)]
pub struct Options {
    /// HTTP/1.1 and HTTP/2, with their own bounds.
    pub http: auto::Builder<TokioExecutor>,
    /// `None`: plain text.
    pub tls: Option<ServerTls>,
    /// Connections at one time. More wait in the kernel's queue, unless an idle one makes room.
    pub connections_max: usize,
    /// From accept to the end of the first request head. Later heads are the business of `http`.
    pub first_head_timeout: Duration,
    /// How long requests may take to finish once the port is told to stop.
    pub drain_timeout: Duration,
    /// Cancelled when `drain_timeout` has passed, just before what still runs is cut off.
    pub cut: CancellationToken,
    /// What is counted.
    pub counters: ConnectionCounters,
}

impl Options {
    /// For a port whose clients are programs that ask and go: telemetry, queries, health. Plain text.
    pub fn bounded(connections_max: usize, drain_timeout: Duration) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_WAIT);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Self {
            http,
            tls: None,
            connections_max,
            first_head_timeout: HEADER_READ_WAIT,
            drain_timeout,
            cut: CancellationToken::new(),
            counters: ConnectionCounters::default(),
        }
    }
}

/// What a port reads and writes: a connection in plain text or under TLS.
pub type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Serves a router until `shutdown`, then ends in order.
pub async fn serve(listener: TcpListener, router: Router, options: Options, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    Server::new(move |stream, _| (stream, service.clone()), options).run(listener, shutdown).await;
}

/// What is counted of one port.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounters {
    /// Connections now open.
    pub open: Gauge,
    /// Connections that the operating system would not hand over.
    pub accept_errors: Counter,
    /// Connections closed because others needed their place.
    pub evicted: Counter,
    /// Connections closed because their first request did not come: in time, or before others needed their place.
    pub silent_closed: Counter,
}

/// The running server of one port.
pub struct Server<C> {
    open: C,
    options: Options,
    places: Arc<Semaphore>,
    idle: Arc<IdleConnections>,
    accept_warnings: Throttle,
    tracker: TaskTracker,
    /// Close when idle.
    drain: CancellationToken,
}

impl<C, Io, S, B> Server<C>
where
    C: Fn(Stream, Arc<IdleSlot>) -> (Io, S) + Send + Sync + 'static,
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A server that asks `open` for what answers on a new connection, and for what stands between it and the socket. Once a
    /// request came, a connection keeps its place until it ends, or until [`IdleSlot::leave`] says that the request is over.
    pub fn new(open: C, options: Options) -> Self {
        Self {
            open,
            places: Arc::new(Semaphore::new(options.connections_max)),
            options,
            idle: Arc::default(),
            accept_warnings: Throttle::new(ACCEPT_WARNING_EVERY),
            tracker: TaskTracker::new(),
            drain: CancellationToken::new(),
        }
    }

    /// Serves until `shutdown`, then ends in order; returns when no request runs any more.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let server = Arc::new(self);
        let mut waiting = None;
        tokio::select! {
            () = server.accept(&listener, &mut waiting) => {}
            () = shutdown.cancelled() => {}
        }
        // Elapsing is the purpose: whoever is in the kernel's queue is still let in.
        let settling = server.accept(&listener, &mut waiting);
        let _elapsed = tokio::time::timeout(SETTLE_BEFORE_DRAIN, settling).await;
        drop((listener, waiting));
        server.tracker.close();
        server.drain.cancel();
        if tokio::time::timeout(server.options.drain_timeout, server.tracker.wait()).await.is_err() {
            let connections = server.tracker.len();
            tracing::warn!(connections, "the drain timeout passed; cutting off what still runs");
            server.options.cut.cancel();
            server.tracker.wait().await;
        }
    }

    /// Never returns. Cancel-safe: a connection that waits for its place stays in `waiting`.
    async fn accept(self: &Arc<Self>, listener: &TcpListener, waiting: &mut Option<TcpStream>) {
        loop {
            if waiting.is_none() {
                match listener.accept().await {
                    Ok((stream, _)) => *waiting = Some(stream),
                    Err(error) => self.cannot_accept(&error).await,
                }
            }
            if waiting.is_some() {
                let Some(place) = self.place().await else { return };
                if let Some(stream) = waiting.take() {
                    self.spawn(stream, place);
                }
            }
        }
    }

    async fn cannot_accept(&self, error: &io::Error) {
        self.options.counters.accept_errors.inc();
        // Reset in the queue: one client's business. The rest is ours, mostly a want of descriptors.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        if self.accept_warnings.passes() {
            tracing::warn!(%error, "cannot accept connections; trying again, and reporting it at most once a minute");
        }
        // Whether one makes room or not, the next attempt comes soon.
        let _evicted = self.evict();
        tokio::time::sleep(ACCEPT_RETRY).await;
    }

    /// Lets an idle connection make room, or says when one is due.
    fn evict(&self) -> Result<(), Option<Instant>> {
        self.idle.evict(Instant::now())?;
        self.options.counters.evicted.inc();
        Ok(())
    }

    /// A place for one more connection, at the cost of an idle one if need be.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            let next = match self.evict() {
                // A request may come on it in this very moment.
                Ok(()) => Some(Instant::now() + EVICTION_GRACE),
                Err(due) => due,
            };
            tokio::select! {
                // Fails only when the semaphore is closed, and nobody closes it.
                place = Arc::clone(&self.places).acquire_owned() => return place.ok(),
                () = self.idle.grew.notified(), if next.is_none() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, place: OwnedSemaphorePermit) {
        let (server, slot) = (Arc::clone(self), self.idle.slot());
        self.tracker.spawn(async move {
            let Options { counters, first_head_timeout, cut, .. } = &server.options;
            let _open = GaugeGuard::new(&counters.open);
            let _place = place;
            tokio::select! {
                // A request that has come counts, even if its deadline passes in the same moment.
                biased;
                () = server.converse(stream, &slot) => {}
                () = slot.given_up(*first_head_timeout, &server.drain) => {
                    counters.silent_closed.inc();
                    tracing::debug!("a connection was closed: no request came on it");
                }
                () = cut.cancelled() => {}
            }
        });
    }

    async fn converse(&self, stream: TcpStream, slot: &Arc<IdleSlot>) {
        prepare_socket(&stream);
        let stream = match &self.options.tls {
            None => Either::Left(stream),
            Some(tls) => match tls.accept(stream).await {
                Some(stream) => Either::Right(stream),
                None => return,
            },
        };
        let (io, service) = (self.open)(stream, Arc::clone(slot));
        let entered = Arc::clone(slot);
        let service = service_fn(move |request| {
            entered.enter();
            service.call(request)
        });
        let connection = self.options.http.serve_connection(TokioIo::new(io), service);
        tokio::pin!(connection);
        let told_to_end = async {
            tokio::select! {
                () = self.drain.cancelled() => {}
                () = slot.makes_room() => {}
            }
        };
        let ended = tokio::select! {
            // What has come is read before it is said that nothing came.
            biased;
            ended = connection.as_mut() => ended,
            () = told_to_end => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = slot.stays_idle() => return,
                }
            }
        };
        // Clients that go away and malformed requests end here; both are the client's business.
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Counts one running request or connection while it lives, also when its task panics.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    /// One more, until it is dropped.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Sets what every accepted connection has: no delay, and keep-alive that finds peers which vanished.
fn prepare_socket(stream: &TcpStream) {
    // Both only make things better; a socket that refuses them still works.
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    if let Err(error) =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive))
    {
        tracing::debug!(%error, "a socket option was refused");
    }
}

#[cfg(test)]
mod tests;
