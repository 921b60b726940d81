//! Puts the collector together: store, ingest, ports.
//!
//! [`App::build`] starts the engine where one is embedded, waits for the store, migrates it and binds the ports; [`App::run`]
//! serves until it is told to stop, finishes the inserts under way, and stops the engine last. Readiness means that the store
//! answers and its tables and views are whole. A part that is added (queries, alerting) is built from [`Store`] in `build` and joined in `run`.

mod rule_query;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use axum::Router;
use axum::middleware::from_fn_with_state;
use ledgerline_process::admin::{self, Readiness};
use ledgerline_process::host::HostGuard;
use ledgerline_process::serve::{ListenError, Options, listen, serve};
use ledgerline_process::tls::{ServerTls, TlsError};
use ledgerline_process::{Clock, descriptors};
use ledgerline_promql::MemoryPool;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::access::{Access, Principal, authenticate};
use crate::alerting::{self, Alerting, Receiver, RulesView};
use crate::budget::crossings::Crossings;
use crate::budget::ledger::Ledger;
use crate::budget::{self, source};
use crate::calls::http::CallsState;
use crate::config::{Listen, Settings, Storage};
use crate::finance;
use crate::ingest::booking::Booking;
use crate::ingest::config::IngestSettings;
use crate::ingest::dimensions::{CAPPED, DimensionCaps};
use crate::ingest::{self, Ingest, grpc, http};
use crate::limits;
use crate::metrics::Metrics;
use crate::query::{self, querier::Querier};
use crate::seen::{self, SeenState};
use crate::status::{self, StatusState};
use crate::{api, calls, console, runbook};
use ledgerline_store::client::{StoreError, Target};
use ledgerline_store::engine::{Engine, EngineError};
use ledgerline_store::sql::SqlSource;
use ledgerline_store::writer::Writer;
use ledgerline_store::{OpenError, Store};
use rule_query::RuleQuery;

/// Slow: only people take tables and views away, and each look is a statement.
const TABLES_CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Why the collector does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum BuildError {
    #[error("the embedded engine does not run")]
    Engine(#[from] EngineError),
    #[error("the store cannot be used")]
    Store(#[from] OpenError),
    #[error("the thresholds of budgets that were reached cannot be read")]
    Crossings(#[from] StoreError),
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    /// Also for tests that look into it.
    pub storage: Store,
    ingest: Arc<Ingest>,
    recovery: Recovery,
    alerting: Alerting,
    api: Router,
    ports: [Port; 3],
    origins: Vec<HeaderValue>,
}

impl App {
    /// Starts everything the ports need, then binds them. If it fails, an engine that was started is stopped again.
    pub async fn build(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (engine, target) = match settings.storage.clone() {
            Storage::Server(target) => (None, target),
            Storage::Embedded(config, database) => {
                // Not the collector's own token: the engine must outlive the inserts under way, and is stopped last.
                let restarts = metrics.store.engine_restarts.clone();
                let engine = Engine::start(config, restarts, CancellationToken::new()).await?;
                let target = engine.target(&database);
                (Some(engine), target)
            }
        };
        match Self::build_on(settings, clock, target, registry, metrics).await {
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
        clock: Arc<dyn Clock>,
        target: Target,
        registry: Registry,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        for warning in settings.prices.warnings() {
            tracing::warn!(warning, "the price overrides say something that is probably not meant");
        }
        let access = Arc::new(settings.access);
        let IngestSettings { allowed, dimension_values_max, origins } = settings.ingest;
        let storage = Store::open(target).await?;
        let (owner, alerting, budgets) = (settings.owner, settings.alerting, settings.budgets);
        let crossings = Crossings::of(storage.clone(), owner.tenant.clone(), Arc::clone(&budgets)).await?;
        let crossings = Arc::new(crossings);
        let ledger = Ledger {
            source: Arc::new(SqlSource::new(storage.clone(), Arc::clone(&clock))),
            budgets,
            owner: owner.tenant.clone(),
            crossings: Arc::clone(&crossings),
            clock: Arc::clone(&clock),
        };
        let memory = MemoryPool::new(settings.query_memory_bytes);
        let querier = Arc::new(Querier::new(source::over(ledger.clone()), memory, metrics.clone()));
        let ports = bind(&settings.listen, &origins, &metrics)?;
        let receivers = alerting.receivers.iter().map(Receiver::body).collect();
        let (tenant, timeout) = (owner.tenant.clone(), alerting.query_timeout);
        let rules = RuleQuery { querier: Arc::clone(&querier), tenant, timeout };
        let (rules, now) = (Arc::new(rules), Arc::clone(&clock));
        let alerting = Alerting::new(alerting, owner, rules, crossings, now, metrics.clone())?;
        let booking = Booking::new(RandomState::new().hash_one(clock.now_unix_ns()));
        let prices = settings.prices.clone();
        let calls = CallsState {
            store: storage.clone(),
            querier: Arc::clone(&querier),
            prices,
            clock: Arc::clone(&clock),
        };
        let ingest = Ingest::new(ingest::Parts {
            writer: Writer::new(storage.clone(), metrics.store.clone()),
            prices: settings.prices,
            dimensions: dimension_caps(dimension_values_max, &access, &storage).await,
            booking: Arc::clone(&booking),
            access: Arc::clone(&access),
            allowed,
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
        });
        let (store, known) = (storage.clone(), Arc::clone(&booking));
        let readiness: Readiness = Arc::new(move || {
            store.ready()?;
            if known.is_known() {
                Ok(())
            } else {
                Err("the spans of the last hours are not read yet".to_owned())
            }
        });
        let status = StatusState {
            store: storage.clone(),
            readiness: Arc::clone(&readiness),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            started_unix_ns: clock.now_unix_ns(),
            receivers,
        };
        let of_store = calls::http::router(calls).merge(status::router(status));
        let answers = answers(querier, ledger, alerting.view.clone(), access, of_store);
        let api = admin::router(readiness, Arc::new(registry)).merge(answers);
        let recovery = Recovery { booking, clock, metrics };
        Ok(Self { engine: None, storage, ingest, recovery, alerting, api, ports, origins })
    }

    /// Where it listens.
    pub const fn addresses(&self) -> Addresses {
        let [grpc, http, api] = &self.ports;
        Addresses { grpc: grpc.address, http: http.address, api: api.address }
    }

    /// Serves until the token is cancelled; returns when everything under way is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let Addresses { grpc, http, api } = self.addresses();
        let Self { engine, storage, ingest, recovery, alerting, api: routes, ports, origins } = self;
        tracing::info!(%grpc, %http, %api, "the collector is up");
        let mut tasks = JoinSet::new();
        let routers =
            [grpc::router(Arc::clone(&ingest)), http::router(Arc::clone(&ingest), &origins), routes];
        for (port, router) in ports.into_iter().zip(routers) {
            tasks.spawn(port.serve(router, &shutdown));
        }
        tasks.spawn(alerting.run(shutdown.clone()));
        tasks.spawn(recovery.run(storage.clone(), shutdown.clone()));
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

/// Prometheus's API, below `/prometheus`, and our own. The credential decides whose data, rules and alerts are read, as it decides
/// whose spans are stored. `of_store` reads single rows.
fn answers(
    querier: Arc<Querier>,
    ledger: Ledger,
    rules: RulesView,
    access: Arc<Access>,
    of_store: Router,
) -> Router {
    let clock = Arc::clone(&ledger.clock);
    let budgets = budget::http::router(Arc::clone(&querier), ledger);
    let finance = finance::http::FinanceState { querier: Arc::clone(&querier), clock: Arc::clone(&clock) };
    let state = SeenState { querier: Arc::clone(&querier), rules: rules.clone(), clock: Arc::clone(&clock) };
    let prometheus = query::http::router(query::http::ApiState { querier, clock });
    let ours = finance::http::router(finance).merge(of_store).merge(seen::router(state));
    Router::new()
        .merge(ours.merge(budgets).layer(CompressionLayer::new()))
        .nest("/prometheus", prometheus.merge(alerting::api::router(rules)))
        .layer(from_fn_with_state(access, authenticate))
        // Without data, for everyone.
        .merge(api::router().merge(console::router()).merge(runbook::router()).layer(CompressionLayer::new()))
}

struct Port {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
    guard: Option<HostGuard>,
}

impl Port {
    fn serve(self, router: Router, shutdown: &CancellationToken) -> impl Future<Output = ()> + use<> {
        let router = match self.guard {
            Some(guard) => guard.protect(router),
            None => router,
        };
        serve(self.listener, router, self.options, shutdown.clone())
    }
}

/// gRPC, HTTP and API.
fn bind(to: &Listen, origins: &[HeaderValue], metrics: &Metrics) -> Result<[Port; 3], BuildError> {
    let connections_max = descriptors::connections_max(
        descriptors::limit(),
        limits::DESCRIPTORS_RESERVED,
        limits::PORTS,
        limits::CONNECTIONS_MAX,
    );
    let tls = to.tls.as_ref().map(ServerTls::load).transpose()?;
    let bind = |name, key, address, guard| -> Result<Port, BuildError> {
        let options = Options {
            tls: tls.clone(),
            counters: metrics.connections(name),
            ..Options::bounded(connections_max, limits::SHUTDOWN_WAIT)
        };
        let listener = TcpListener::from_std(listen(key, address)?)?;
        Ok(Port { address: listener.local_addr()?, listener, options, guard })
    };
    let guard = |origins| Some(HostGuard::new("listen.hosts", &to.hosts, origins));
    Ok([
        // No browser speaks gRPC.
        bind("grpc", "listen.grpc", to.grpc, None)?,
        bind("http", "listen.http", to.http, guard(origins))?,
        // No page but our own may read.
        bind("api", "listen.api", to.api, guard(&[]))?,
    ])
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

/// What is to be learned of the spans of the last hours.
struct Recovery {
    booking: Arc<Booking>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Recovery {
    async fn run(self, storage: Store, shutdown: CancellationToken) {
        let Self { booking, clock, metrics } = self;
        // One that is cut off is done again by the next start.
        shutdown.run_until_cancelled(booking.recover(&storage, clock.as_ref(), &metrics)).await;
    }
}

async fn watch_store(storage: Store, shutdown: CancellationToken) {
    let mut answers = interval(limits::STORE_CHECK_INTERVAL);
    let mut tables = interval(TABLES_CHECK_INTERVAL);
    answers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tables.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A check that is cut off changed nothing, so a stop waits for none.
    let checking = async {
        loop {
            tokio::select! {
                _ = answers.tick() => drop(storage.check().await),
                _ = tables.tick() => storage.check_tables().await,
            }
        }
    };
    shutdown.run_until_cancelled(checking).await;
}
