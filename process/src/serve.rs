//! One listening port: accepts connections, speaks TLS and HTTP on them, and ends in order.
//!
//! Not `axum::serve`: it bounds neither connections nor the time that a stranger may take to send a request. Here a
//! connection has a deadline from accept to the end of its first request head, whatever it speaks, TLS handshake
//! included; and when all places are taken, the connection that has waited longest without sending a head makes room.
//! So whoever only connects, or sends half a hello, can neither fill a port nor keep it full.
//!
//! The end: connections in the kernel's queue, or that have not spoken yet, get a moment to do so. Then idle ones are closed
//! and running requests may finish, for as long as `drain_timeout` says. What still runs then is cut off.

mod silent;

use std::convert::Infallible;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{
    ACCEPT_RETRY, ACCEPT_WARNING_EVERY, HEADER_BYTES_MAX, HEADER_READ_WAIT, KEEP_ALIVE, LISTEN_BACKLOG,
    SETTLE_BEFORE_DRAIN, STREAMS_MAX, TCP_KEEPALIVE,
};
use crate::throttle::Throttle;
use crate::tls::ServerTls;
use silent::{Eviction, Silent, Slot};

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
    /// Connections at one time. More wait in the kernel's queue, unless one that has not sent a request makes room.
    pub connections_max: usize,
    /// From accept to the end of the first request head. Later heads are the business of `http`.
    pub first_head_timeout: Duration,
    /// How long requests may take to finish once the port is told to stop.
    pub drain_timeout: Duration,
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
            counters: ConnectionCounters::default(),
        }
    }
}

/// Serves a router until `shutdown`, then ends in order.
pub async fn serve(listener: TcpListener, router: Router, options: Options, shutdown: CancellationToken) {
    Server::new(TowerToHyperService::new(router), options).run(listener, shutdown).await;
}

/// What is counted of one port.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounters {
    /// Connections now open.
    pub open: Gauge,
    /// Connections that the operating system would not hand over.
    pub accept_errors: Counter,
    /// Connections closed because their first request did not come: in time, or before others needed their place.
    pub silent_closed: Counter,
}

/// The running server of one port.
pub struct Server<S> {
    service: S,
    options: Options,
    places: Arc<Semaphore>,
    silent: Arc<Silent>,
    accept_warnings: Throttle,
    tracker: TaskTracker,
    /// Close when idle.
    drain: CancellationToken,
    /// Close now.
    cut: CancellationToken,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A server that answers with this service.
    pub fn new(service: S, options: Options) -> Self {
        Self {
            service,
            places: Arc::new(Semaphore::new(options.connections_max)),
            options,
            silent: Arc::default(),
            accept_warnings: Throttle::new(ACCEPT_WARNING_EVERY),
            tracker: TaskTracker::new(),
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Serves until `shutdown`, then ends in order; returns when no request runs any more.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let mut waiting = None;
        tokio::select! {
            () = self.accept(&listener, &mut waiting) => {}
            () = shutdown.cancelled() => {}
        }
        // Elapsing is the purpose: whoever is in the kernel's queue is still let in.
        let settling = self.accept(&listener, &mut waiting);
        let _elapsed = tokio::time::timeout(SETTLE_BEFORE_DRAIN, settling).await;
        drop((listener, waiting));
        self.tracker.close();
        self.drain.cancel();
        if tokio::time::timeout(self.options.drain_timeout, self.tracker.wait()).await.is_err() {
            let connections = self.tracker.len();
            tracing::warn!(connections, "the drain timeout passed; cutting off what still runs");
            self.cut.cancel();
            self.tracker.wait().await;
        }
    }

    /// Never returns. Cancel-safe: a connection that waits for its place stays in `waiting`.
    async fn accept(&self, listener: &TcpListener, waiting: &mut Option<TcpStream>) {
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
        let _eviction = self.silent.evict_longest();
        tokio::time::sleep(ACCEPT_RETRY).await;
    }

    /// A place for one more connection, at the cost of one that has not sent a request if need be.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            let eviction = self.silent.evict_longest();
            // Fails only when the semaphore is closed, and nobody closes it.
            let free = Arc::clone(&self.places).acquire_owned();
            match eviction {
                Eviction::Done | Eviction::Nobody => return free.await.ok(),
                Eviction::NotBefore(at) => {
                    if let Ok(place) = tokio::time::timeout_at(at, free).await {
                        return place.ok();
                    }
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let (service, options) = (self.service.clone(), self.options.clone());
        let (drain, cut) = (self.drain.clone(), self.cut.clone());
        let slot = self.silent.enter();
        self.tracker.spawn(async move {
            let _open = Open::new(&options.counters.open);
            let _place = place;
            tokio::select! {
                // A request that has come counts, even if its deadline passes in the same moment.
                biased;
                () = Self::converse(stream, service, &options, &slot, &drain) => {}
                () = slot.given_up(options.first_head_timeout, &drain) => {
                    options.counters.silent_closed.inc();
                    tracing::debug!("a connection was closed: no request came on it");
                }
                () = cut.cancelled() => {}
            }
        });
    }

    async fn converse(
        stream: TcpStream,
        service: S,
        options: &Options,
        slot: &Arc<Slot>,
        drain: &CancellationToken,
    ) {
        prepare_socket(&stream);
        let stream = match &options.tls {
            None => Either::Left(stream),
            Some(tls) => match tls.accept(stream).await {
                Some(stream) => Either::Right(stream),
                None => return,
            },
        };
        let slot = Arc::clone(slot);
        let service = service_fn(move |request| {
            if slot.head_came() {
                return Either::Left(service.call(request));
            }
            // A connection that was given up in this very moment is closed without having begun the request.
            Either::Right(std::future::pending())
        });
        let connection = options.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // Clients that go away and malformed requests end here; both are the client's business.
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Counts one connection while it lives, also when its task panics.
struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Sets what every accepted connection has: no delay, and keep-alive that finds peers which vanished.
pub fn prepare_socket(stream: &TcpStream) {
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
