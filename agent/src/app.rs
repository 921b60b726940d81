//! The agent as a value: built from a configuration, run until it is told to stop.
//!
//! `main` and the tests start the same thing. Ports are opened last, after everything else proved valid.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledgerline_process::host::HostGuard;
use ledgerline_process::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_DRAIN_TIMEOUT};
use ledgerline_process::serve::{ListenError, Options, listen, serve};
use ledgerline_process::tls::{ServerTls, TlsError, client_config};
use ledgerline_process::{Clock, SystemClock, admin, descriptors};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::export::{Sender, SenderError, Spool};
use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};
use crate::metrics::Metrics;
use crate::observer::{Observer, ObserverParts};
use crate::relay::server::Server;
use crate::relay::tap::{Observations, TapLimits, tap};
use crate::relay::upstream::KeepAlive;
use crate::relay::{Relay, RelayError};
use crate::worker::WorkerCounters;

/// What a test may want to replace.
pub struct Parts {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Bounds between relay and worker.
    pub tap_limits: TapLimits,
    /// When a silent upstream connection is asked whether it lives.
    pub keep_alive: KeepAlive,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            tap_limits: TapLimits::default(),
            keep_alive: KeepAlive::default(),
        }
    }
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The relay cannot be made.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The collector's address cannot be used.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// A certificate or certificate authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system gives no thread or socket.
    #[error("cannot start")]
    Start(#[from] io::Error),
}

/// Where the agent can be reached; ports that were configured as 0 are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For services.
    pub relay: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// Everything but the ports.
struct Prepared {
    relay: Arc<Relay>,
    tls: Option<ServerTls>,
    observations: Observations,
    counters: Arc<WorkerCounters>,
    spool: Arc<Spool>,
    sender: Sender,
    metrics: Arc<Metrics>,
}

/// The agent, ready to run.
pub struct App {
    prepared: Prepared,
    relay_listener: std::net::TcpListener,
    admin_listener: std::net::TcpListener,
    admin_guard: HostGuard,
    addresses: Addresses,
    drain_timeout: Duration,
    flush_timeout: Duration,
}

impl Prepared {
    fn new(config: &Config, parts: Parts) -> Result<Self, AppError> {
        let metrics = Arc::new(Metrics::default());
        let epoch = parts.clock.now_unix_ns();
        let (tap, observations) = tap(parts.tap_limits, parts.clock, metrics.clone());
        let tls = client_config(config.relay.roots, config.relay.ca_file.as_deref())?;
        let export_tls = match config.export.ca_file.as_deref() {
            Some(file) => client_config(config.relay.roots, Some(file))?,
            None => tls.clone(),
        };
        let spool = Arc::new(Spool::new(config.export.spool_bytes_max, metrics.clone()));
        let sender = Sender::new(&config.export, export_tls, epoch, spool.clone(), metrics.clone())?;
        Ok(Self {
            relay: Arc::new(Relay::new(config, &tls, tap, parts.keep_alive, metrics.clone())?),
            tls: config.tls.as_ref().map(ServerTls::load).transpose()?,
            observations,
            counters: Arc::new(WorkerCounters::default()),
            spool,
            sender,
            metrics,
        })
    }
}

impl App {
    /// Checks what only shows when things are made: certificates, keys, authorities. Opens no port.
    ///
    /// # Errors
    /// The first thing that cannot be made.
    pub fn check(config: &Config) -> Result<(), AppError> {
        Prepared::new(config, Parts::default()).map(drop)
    }

    /// Makes everything, and opens the ports last.
    ///
    /// # Errors
    /// See [`AppError`]; its text is what the user reads.
    pub fn build(config: &Config, parts: Parts) -> Result<Self, AppError> {
        let prepared = Prepared::new(config, parts)?;
        let relay_listener = listen("listen", config.listen)?;
        let admin_listener = listen("admin.listen", config.admin.listen)?;
        let addresses =
            Addresses { relay: relay_listener.local_addr()?, admin: admin_listener.local_addr()? };
        Ok(Self {
            prepared,
            relay_listener,
            admin_listener,
            admin_guard: HostGuard::new("admin.hosts", &config.admin.hosts, &[]),
            addresses,
            drain_timeout: config.relay.drain_timeout(),
            flush_timeout: Duration::from_secs(config.export.flush_timeout_seconds),
        })
    }

    /// Where it can be reached.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.prepared.metrics.clone()
    }

    /// Forwards on the current runtime and observes on a thread of its own, until `shutdown` and the drain that follows
    /// it. Returns when no call runs any more and the spool is flushed, or its time is over.
    ///
    /// # Errors
    /// When the operating system gives no thread or refuses the sockets.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        let Self { prepared, relay_listener, admin_listener, admin_guard, addresses, .. } = self;
        let relay_listener = tokio::net::TcpListener::from_std(relay_listener)?;
        let admin_listener = tokio::net::TcpListener::from_std(admin_listener)?;
        let registry = Arc::new(prepared.metrics.registry(&prepared.counters));
        let draining = shutdown.clone();
        // Ready means: forwards calls. A dead collector or a full spool is no reason to send calls elsewhere.
        let readiness: admin::Readiness =
            Arc::new(move || if draining.is_cancelled() { Err("shutting down".to_owned()) } else { Ok(()) });
        // It answers to the end of the drain, so that a prober sees "not ready" and not a closed port.
        let stopped = CancellationToken::new();
        let admin = tokio::spawn(serve(
            admin_listener,
            admin_guard.protect(admin::router(readiness, registry)),
            Options::bounded(ADMIN_CONNECTIONS_MAX, ADMIN_DRAIN_TIMEOUT),
            stopped.clone(),
        ));
        let observer = Observer::start(ObserverParts {
            observations: prepared.observations,
            counters: prepared.counters,
            spool: prepared.spool,
            sender: prepared.sender,
            flush_timeout: self.flush_timeout,
            metrics: prepared.metrics,
        })?;
        let descriptors = descriptors::limit();
        // Each connection of a client costs two: its own, and one to the upstream.
        let connections_max =
            descriptors::connections_max(descriptors, DESCRIPTORS_RESERVED, 2, CONNECTIONS_MAX);
        tracing::info!(
            relay = %addresses.relay,
            admin = %addresses.admin,
            connections_max,
            descriptors,
            "forwarding calls"
        );
        Server::new(prepared.relay, prepared.tls, connections_max)
            .run(relay_listener, shutdown, self.drain_timeout)
            .await;
        observer.stop().await;
        stopped.cancel();
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin port failed");
        }
        tracing::info!("stopped");
        Ok(())
    }
}
