//! `GET /api/v1/status`: how the collector, its store and its senders are, for the console and for people.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::get;
use axum::{Json, Router};
use ledgerline_process::Clock;
use ledgerline_process::admin::Readiness;
use ledgerline_promql::source::Tenant;
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::quarantine;
use ledgerline_store::status::{EngineStatus, Quarantined, Sender, TableStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Principal;
use crate::alerting::ReceiverBody;
use crate::calls::time;
use crate::metrics::Metrics;

/// What the API needs.
#[derive(Clone)]
pub struct StatusState {
    /// What is stored.
    pub store: Store,
    /// Whether it can do its work.
    pub readiness: Readiness,
    /// What it has counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When it started, nanoseconds since the epoch.
    pub started_unix_ns: u64,
    /// Who hears of alerts.
    pub receivers: Arc<[ReceiverBody]>,
}

/// The route, behind a layer that puts a [`Principal`] into every request.
pub fn router(state: StatusState) -> Router {
    Router::new().route("/api/v1/status", get(get_status)).with_state(state)
}

/// How the collector is, its store and its senders
///
/// What the store does not answer is left out, and `problems` say why.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    responses(
        (status = 200, body = StatusBody),
        (status = 401, description = "Send one of the collector's tokens"),
    )
)]
pub async fn get_status(
    State(state): State<StatusState>,
    Extension(Principal { tenant: Tenant(tenant) }): Extension<Principal>,
) -> Json<StatusBody> {
    let StatusState { store, readiness, metrics, clock, started_unix_ns, receivers } = state;
    let (engine, tables, senders, quarantined) = tokio::join!(
        store.engine_status(),
        store.table_status(),
        store.senders(&tenant),
        store.quarantined(&tenant)
    );
    let mut problems: Vec<String> = readiness().err().into_iter().collect();
    let is_ready = problems.is_empty();
    let names = receivers.iter().map(|receiver| &receiver.name);
    let failing = names.filter(|name| metrics.delivery_failing.of([(*name).clone()]).get() != 0);
    problems.extend(failing.map(|name| {
        format!(
            "the receiver {name} does not take alerts, which are sent again; the collector's log says why"
        )
    }));
    let engine = known(engine, &mut problems).flatten();
    let tables = known(tables, &mut problems).unwrap_or_default();
    let senders = known(senders, &mut problems).unwrap_or_default();
    let quarantined = known(quarantined, &mut problems).unwrap_or_default();
    problems.dedup();
    Json(StatusBody {
        version: env!("CARGO_PKG_VERSION"),
        now: time(clock.now_unix_ns() / 1_000),
        started: time(started_unix_ns / 1_000),
        account: AccountedBody::of(&metrics),
        engine: engine.map(EngineBody::of),
        tables: tables.into_iter().map(StoredTableBody::of).collect(),
        senders: senders.into_iter().map(SenderBody::of).collect(),
        quarantined: quarantined.into_iter().map(QuarantinedBody::of).collect(),
        receivers: receivers.to_vec(),
        is_ready,
        problems,
    })
}

fn known<T>(answer: Result<T, StoreError>, problems: &mut Vec<String>) -> Option<T> {
    answer.map_err(|error| problems.push(error.to_string())).ok()
}

/// How everything is. Times are ISO 8601 in UTC.
#[derive(Serialize, ToSchema)]
pub struct StatusBody {
    version: &'static str,
    now: String,
    started: String,
    account: AccountedBody,
    engine: Option<EngineBody>,
    tables: Vec<StoredTableBody>,
    /// Who has sent calls in the last 24 hours, the latest first.
    senders: Vec<SenderBody>,
    /// What was refused in the last seven days.
    quarantined: Vec<QuarantinedBody>,
    /// Who hears of alerts.
    receivers: Vec<ReceiverBody>,
    /// Whether the collector can store spans and answer queries.
    is_ready: bool,
    /// What is in the way; nothing: all is well.
    problems: Vec<String>,
}

/// The spans since the start: received = stored + quarantined + unacknowledged + waiting.
#[derive(Serialize, ToSchema)]
struct AccountedBody {
    received: u64,
    stored: u64,
    quarantined: u64,
    /// Refused for now; their senders repeat them, and they are received again.
    unacknowledged: u64,
    waiting: i64,
}

impl AccountedBody {
    fn of(metrics: &Metrics) -> Self {
        // First what spans come to and then what they come from, so that none is missing from the sum.
        let waiting = metrics.waiting.get();
        let quarantined = quarantine::Reason::ALL.map(|reason| metrics.quarantined.of([reason.name()]).get());
        Self {
            waiting,
            quarantined: quarantined.iter().sum(),
            stored: metrics.stored.get(),
            unacknowledged: metrics.unacknowledged.get(),
            received: metrics.received.get(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct EngineBody {
    /// ClickHouse's.
    version: String,
    uptime_seconds: u64,
    free_bytes: u64,
    total_bytes: u64,
    /// What the last week's spans and minutes took a day; nothing: there is no whole day yet.
    bytes_per_day: Option<u64>,
}

impl EngineBody {
    fn of(status: EngineStatus) -> Self {
        let EngineStatus { version, uptime_seconds, free_bytes, total_bytes, bytes_per_day } = status;
        Self { version, uptime_seconds, free_bytes, total_bytes, bytes_per_day }
    }
}

#[derive(Serialize, ToSchema)]
struct StoredTableBody {
    name: String,
    rows: u64,
    bytes: u64,
    /// The oldest day, month or year of it.
    oldest: String,
}

impl StoredTableBody {
    fn of(status: TableStatus) -> Self {
        let TableStatus { name, rows, bytes, oldest } = status;
        Self { name, rows, bytes, oldest }
    }
}

#[derive(Serialize, ToSchema)]
struct SenderBody {
    /// ledgerline-agent, or the instrumentation of an application.
    observer: String,
    /// Its version, as the latest call has it; empty where it is not sent.
    version: String,
    service: String,
    environment: String,
    calls: u64,
    last: String,
}

impl SenderBody {
    fn of(sender: Sender) -> Self {
        let Sender { observer, version, service, environment, calls, last_us } = sender;
        Self { observer, version, service, environment, calls, last: time(last_us) }
    }
}

#[derive(Serialize, ToSchema)]
struct QuarantinedBody {
    reason: String,
    spans: u64,
    last: String,
    /// What was wrong with the last one.
    detail: String,
}

impl QuarantinedBody {
    fn of(quarantined: Quarantined) -> Self {
        let Quarantined { reason, spans, last_us, detail } = quarantined;
        Self { reason, spans, last: time(last_us), detail }
    }
}
