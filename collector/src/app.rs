//! Puts the collector together: store, ingest, ports.
//!
//! [`App::build`] starts the engine where one is embedded, waits for the store, migrates it and binds the ports; [`App::run`]
//! serves until it is told to stop, finishes the inserts under way, and stops the engine last. Readiness means that the store
//! answers and its tables and views are whole. A part that is added (queries, alerting) is built from [`Store`] in `build` and joined in `run`.

mod api;
mod rule_query;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use axum::Router;
use ledgerline_process::admin::{self, Readiness};
use ledgerline_process::host::HostGuard;
use ledgerline_process::serve::{ListenError, Options, serve};
use ledgerline_process::tls::{ServerTls, TlsError};
use ledgerline_process::{Clock, descriptors};
use ledgerline_promql::MemoryPool;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Principal};
use crate::alerting::Alerting;
use crate::config::{Listen, Settings, StoragePlace, StorageSettings};
use crate::ingest::config::IngestSettings;
use crate::ingest::dimensions::{CAPPED, DimensionCaps};
use crate::ingest::{self, Ingest, grpc, http};
use crate::limits;
use crate::metrics::Metrics;
use crate::query::querier::Querier;
use ledgerline_store::client::Target;
use ledgerline_store::engine::{Engine, EngineError};
use ledgerline_store::sql::SqlSource;
use ledgerline_store::writer::Writer;
use ledgerline_store::{OpenError, Store};
use rule_query::RuleQuery;

/// How often the tables and views are looked at. Slow: only people take them away, and each look is a statement.
const TABLES_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// What the world gives the collector; tests give it something else.
#[derive(Clone)]
pub struct Parts {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// Why the collector does not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The embedded engine does not run.
    #[error("the embedded engine does not run")]
    Engine(#[from] EngineError),
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] OpenError),
    /// A port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system does not let a socket be used.
    #[error("cannot use a socket")]
    Socket(#[from] std::io::Error),
    /// The certificates of the ports, or those that receivers are trusted by, cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Where the collector listens. A port 0 of the configuration is the port it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub http: SocketAddr,
    /// Health, metrics and queries.
    pub api: SocketAddr,
}

/// A collector that is ready to serve. Its ports are bound, so nobody is refused between `build` and `run`.
pub struct App {
    engine: Option<Engine>,
    storage: Store,
    ingest: Arc<Ingest>,
    alerting: Alerting,
    api: Router,
    ports: Ports,
    origins: Vec<HeaderValue>,
}

impl App {
    /// Starts everything the ports need, then binds them.
    ///
    /// # Errors
    /// See [`BuildError`]. An engine that was started is stopped again.
    pub async fn build(settings: Settings, parts: Parts) -> Result<Self, BuildError> {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let restarts = metrics.store.engine_restarts.clone();
        let (engine, target) = start_engine(settings.storage.clone(), restarts).await?;
        match Self::build_on(settings, parts, target, registry, metrics).await {
            Ok(app) => Ok(Self { engine, ..app }),
            Err(error) => {
                if let Some(engine) = engine {
                    engine.stop().await;
                }
                Err(error)
            }
        }
    }

    async fn build_on(
        settings: Settings,
        parts: Parts,
        target: Target,
        registry: Registry,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        let Settings {
            listen,
            access,
            owner,
            ingest: ingest_settings,
            storage: _,
            prices,
            query,
            alerting,
            log: _,
            telemetry: _,
        } = settings;
        let access = Arc::new(access);
        let storage = Store::open(target).await?;
        let writer = Writer::new(storage.clone(), metrics.store.clone());
        let source = SqlSource::new(storage.clone(), Arc::clone(&parts.clock));
        let memory = MemoryPool::new(query.memory_bytes_max);
        let querier = Querier::with_memory(Arc::new(source), memory).counted(metrics.query.clone());
        let querier = Arc::new(querier);
        let ports = Ports::bind(&listen, &ingest_settings, &metrics)?;
        let alerting_metrics = metrics.alerting.clone();
        let clock = Arc::clone(&parts.clock);
        let dimensions = dimension_caps(ingest_settings.dimension_values_max, &access, &storage).await;
        let ingest = Ingest::new(ingest::Parts {
            writer,
            prices,
            access: Arc::clone(&access),
            allowed: ingest_settings.allowed,
            dimensions,
            clock,
            metrics,
        });
        let rules = RuleQuery::new(Arc::clone(&querier), owner.clone(), alerting.query_timeout);
        let alerting =
            Alerting::new(alerting, owner, Arc::new(rules), Arc::clone(&parts.clock), alerting_metrics)?;
        let prometheus = api::prometheus(querier, alerting.view(), parts.clock, access);
        let api = admin::router(readiness(&storage), Arc::new(registry)).merge(prometheus);
        Ok(Self { engine: None, storage, ingest, alerting, api, ports, origins: ingest_settings.origins })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        let Ports { grpc, http, api, .. } = &self.ports;
        Addresses { grpc: grpc.address, http: http.address, api: api.address }
    }

    /// The store, for tests that look into it.
    #[must_use]
    pub const fn storage(&self) -> &Store {
        &self.storage
    }

    /// Serves until the token is cancelled; returns when everything under way is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let Addresses { grpc, http, api } = self.addresses();
        let Self { engine, storage, ingest, alerting, api: routes, ports, origins } = self;
        tracing::info!(%grpc, %http, %api, "the collector is up");
        let mut tasks = JoinSet::new();
        let http_routes = ports.http_guard.protect(http::router(Arc::clone(&ingest), &origins));
        let api_routes = ports.api_guard.protect(routes);
        tasks.spawn(ports.grpc.serve(grpc::router(Arc::clone(&ingest)), &shutdown));
        tasks.spawn(ports.http.serve(http_routes, &shutdown));
        tasks.spawn(ports.api.serve(api_routes, &shutdown));
        tasks.spawn(alerting.run(shutdown.clone()));
        tasks.spawn(watch_store(storage, shutdown));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the collector failed");
            }
        }
        if tokio::time::timeout(limits::SHUTDOWN_WAIT, ingest.finish()).await.is_err() {
            tracing::warn!(
                "inserts were cut off: the store did not take them in time; their senders repeat them"
            );
        }
        if let Some(engine) = engine {
            engine.stop().await;
        }
        tracing::info!("the collector has stopped");
    }
}

/// The bound ports.
struct Ports {
    grpc: Port,
    http: Port,
    api: Port,
    http_guard: HostGuard,
    /// No page but our own may read; and no browser speaks gRPC.
    api_guard: HostGuard,
}

impl Ports {
    fn bind(listen: &Listen, ingest: &IngestSettings, metrics: &Metrics) -> Result<Self, BuildError> {
        let connections_max = descriptors::connections_max(
            descriptors::limit(),
            limits::DESCRIPTORS_RESERVED,
            limits::PORTS,
            limits::CONNECTIONS_MAX,
        );
        let tls = listen.tls.as_ref().map(ServerTls::load).transpose()?;
        let options = |port| Options {
            tls: tls.clone(),
            counters: metrics.connections(port),
            ..Options::bounded(connections_max, limits::SHUTDOWN_WAIT)
        };
        Ok(Self {
            grpc: Port::bind("listen.grpc", listen.grpc, options("grpc"))?,
            http: Port::bind("listen.http", listen.http, options("http"))?,
            api: Port::bind("listen.api", listen.api, options("api"))?,
            http_guard: HostGuard::new("listen.hosts", &listen.hosts, &ingest.origins),
            api_guard: HostGuard::new("listen.hosts", &listen.hosts, &[]),
        })
    }
}

/// The caps, with the values that are in the store. Without them a restart would admit as many new ones.
async fn dimension_caps(values_max: usize, access: &Access, store: &Store) -> DimensionCaps {
    let caps = DimensionCaps::new(values_max);
    for Principal { tenant } in access.principals() {
        match store.dimension_values(&tenant.0, &CAPPED, values_max).await {
            Ok(values) => caps.seed(&tenant.0, &values),
            Err(error) => tracing::warn!(%error, "the values of dimensions in the store count from zero"),
        }
    }
    caps
}

/// A bound port.
struct Port {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
}

impl Port {
    fn bind(key: &'static str, address: SocketAddr, options: Options) -> Result<Self, BuildError> {
        let listener = TcpListener::from_std(ledgerline_process::serve::listen(key, address)?)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, options })
    }

    fn serve(self, router: Router, shutdown: &CancellationToken) -> impl Future<Output = ()> + use<> {
        serve(self.listener, router, self.options, shutdown.clone())
    }
}

/// The engine, where one is embedded, and where the store is.
async fn start_engine(
    storage: StorageSettings,
    restarts: Counter,
) -> Result<(Option<Engine>, Target), EngineError> {
    let StorageSettings { place, database, user, password } = storage;
    match place {
        StoragePlace::Server(url) => Ok((None, Target { url, database, user, password })),
        StoragePlace::Embedded(config) => {
            // Not the collector's own token: the engine must outlive the inserts under way, and is stopped last.
            let engine = Engine::start(config, restarts, CancellationToken::new()).await?;
            let target = engine.target(&database);
            Ok((Some(engine), target))
        }
    }
}

fn readiness(storage: &Store) -> Readiness {
    let storage = storage.clone();
    Arc::new(move || storage.ready())
}

async fn watch_store(storage: Store, shutdown: CancellationToken) {
    let mut answers = interval(limits::STORE_CHECK_INTERVAL);
    let mut tables = interval(TABLES_CHECK_INTERVAL);
    answers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tables.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A check that is cut off changed nothing, so a stop waits for none.
        let check = async {
            tokio::select! {
                _ = answers.tick() => drop(storage.check().await),
                _ = tables.tick() => storage.check_tables().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = check => {}
        }
    }
}
