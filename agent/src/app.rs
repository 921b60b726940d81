//! The agent as a value: built from its settings, run until it is to stop.
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
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::export::{Sender, Spool};
pub use crate::limits::RelayLimits;
use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};
use crate::metrics::Metrics;
use crate::observer::{Observer, ObserverParts};
use crate::relay::Relay;
use crate::relay::tap::tap;

/// What a test may want to replace.
pub struct Parts {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Bounds of the relay.
    pub limits: RelayLimits,
}

impl Default for Parts {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), limits: RelayLimits::PRODUCT }
    }
}

/// Why there is no agent; its text is what the user reads.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum AppError {
    #[error(transparent)]
    Listen(#[from] ListenError),
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

/// The agent, ready to run.
pub struct App {
    relay: Arc<Relay>,
    tls: Option<ServerTls>,
    observer: ObserverParts,
    registry: Arc<Registry>,
    relay_listener: std::net::TcpListener,
    admin_listener: std::net::TcpListener,
    admin_hosts: HostGuard,
    addresses: Addresses,
    drain_timeout: Duration,
}

impl App {
    /// Makes everything, and opens the ports last.
    pub fn build(settings: Settings, parts: Parts) -> Result<Self, AppError> {
        let Settings { listen: relay_address, admin_listen, relay, export, .. } = settings;
        let metrics = Arc::new(Metrics::default());
        let registry = Arc::new(metrics.registry());
        let epoch = parts.clock.now_unix_ns();
        let (tap, observations) = tap(parts.limits, parts.clock, metrics.clone());
        let roots = || client_config(relay.roots, None);
        let tls = relay.tls.clone().map_or_else(roots, Ok)?;
        let spool = Arc::new(Spool::new(export.spool_bytes_max, metrics.clone()));
        let flush_timeout = export.flush_timeout;
        let sender = Sender::new(export, &tls, epoch, spool.clone(), metrics.clone())?;
        let connect = (&tls, relay.connect_timeout, parts.limits);
        let forward = Relay::new(settings.upstreams, settings.identity, connect, tap, metrics.clone());
        let server_tls = settings.tls.as_ref().map(ServerTls::load).transpose()?;
        let relay_listener = listen("listen", relay_address)?;
        let admin_listener = listen("admin.listen", admin_listen)?;
        let addresses =
            Addresses { relay: relay_listener.local_addr()?, admin: admin_listener.local_addr()? };
        Ok(Self {
            relay: Arc::new(forward),
            tls: server_tls,
            observer: ObserverParts { observations, spool, sender, flush_timeout, metrics },
            registry,
            relay_listener,
            admin_listener,
            admin_hosts: settings.admin_hosts,
            addresses,
            drain_timeout: relay.drain_timeout,
        })
    }

    /// Where it can be reached.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it counts.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// Forwards on the current runtime and observes on another thread, until `shutdown` and the drain that follows it.
    /// Returns when no call runs any more and the spool is flushed, or its time is over.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), AppError> {
        let relay_listener = tokio::net::TcpListener::from_std(self.relay_listener)?;
        let admin_listener = tokio::net::TcpListener::from_std(self.admin_listener)?;
        let draining = shutdown.clone();
        // Ready means: forwards calls. A dead collector or a full spool is no reason to send calls elsewhere.
        let readiness: admin::Readiness =
            Arc::new(move || if draining.is_cancelled() { Err("shutting down".to_owned()) } else { Ok(()) });
        // It responds to the end of the drain, so that a prober sees "not ready" and not a closed port.
        let stopped = CancellationToken::new();
        let admin = tokio::spawn(serve(
            admin_listener,
            self.admin_hosts.protect(admin::router(readiness, self.registry)),
            Options::bounded(ADMIN_CONNECTIONS_MAX, ADMIN_DRAIN_TIMEOUT),
            stopped.clone(),
        ));
        let observer = Observer::start(self.observer)?;
        let descriptors = descriptors::limit();
        // Each connection of a client costs two: its own, and one to the upstream.
        let connections_max =
            descriptors::connections_max(descriptors, DESCRIPTORS_RESERVED, 2, CONNECTIONS_MAX);
        let Addresses { relay, admin: admin_address } = self.addresses;
        tracing::info!(%relay, admin = %admin_address, connections_max, descriptors, "forwarding calls");
        self.relay.serve(relay_listener, self.tls, connections_max, self.drain_timeout, shutdown).await;
        observer.stop().await;
        stopped.cancel();
        if let Err(error) = admin.await {
            tracing::error!(%error, "the admin port failed");
        }
        tracing::info!("stopped");
        Ok(())
    }
}
