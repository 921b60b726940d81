//! Which spans of a request are counted, and what that changes for earlier ones: [`super::sightings`] with requests under way.
//!
//! A request is decided before it is stored, and the decision holds what it rests on. It is settled when the spans are stored and
//! its corrections booked. Where that is not known, because the store was away, the decision waits for the sender's repeat, which
//! has the same name and gets the same verdicts; if none comes the store is asked. A request that needs what another one holds waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foldhash::HashSet;
use ledgerline_process::locked;
use ledgerline_proto::{SpanId, TraceId, UsageSource};
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::corrections::Reason;
use ledgerline_store::ledger::{Action, Change, StoredSight};
use ledgerline_store::limits::SIGHTS_PER_READ_MAX;
use ledgerline_store::spans::{Role, SpanRow};
use ledgerline_store::writer::{Transport, WriteError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use super::sightings::{
    Bounds, CallSight, Change as Sign, Correction, Decision, Observer, ResponseId, Restore, Sight, Sightings,
    UsageRank, Verdict,
};
use crate::limits;

/// The sights of the last hours, shared by all requests.
pub(crate) struct Booking {
    state: Mutex<State>,
    /// A decision was settled.
    settled: Notify,
}

struct State {
    sightings: Sightings,
    /// Decisions of requests of which it is not known whether they are stored, by the request's name.
    doubtful: HashMap<u128, Doubt>,
    /// Requests of an earlier process that are stored, at least in part.
    inherited: HashSet<u128>,
}

struct Doubt {
    tenant: Arc<str>,
    /// Of the request, in the order of the verdicts.
    spans: Vec<SpanKey>,
    decision: Decision,
    since: Instant,
}

/// A request's verdicts, until it is settled. Dropped it is in doubt.
pub(crate) struct Pending {
    booking: Arc<Booking>,
    batch: u128,
    tenant: Arc<str>,
    spans: Vec<SpanKey>,
    /// `None` once settled.
    decision: Option<Decision>,
    /// What is to be booked when the request is stored.
    pub changes: Vec<Change>,
}

/// What became of the spans of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Sent before, and not stored again.
    pub again: usize,
}

/// What names a span of a tenant.
type SpanKey = (TraceId, SpanId);

const BOUNDS: Bounds = Bounds { bytes: limits::SIGHTINGS_BYTES_MAX, window: limits::SIGHTINGS_WINDOW };

impl Booking {
    /// Knows no span yet. The seed is secret.
    pub fn new(seed: u64) -> Arc<Self> {
        Self::over(Sightings::new(BOUNDS, seed), HashSet::default())
    }

    fn over(sightings: Sightings, inherited: HashSet<u128>) -> Arc<Self> {
        let state = Mutex::new(State { sightings, doubtful: HashMap::new(), inherited });
        Arc::new(Self { state, settled: Notify::new() })
    }

    /// Knows the spans of the window that are in the store, and books what an end of the process left open.
    pub async fn restore(store: &Store, seed: u64, now_unix_ns: u64) -> Result<Arc<Self>, StoreError> {
        let mut restore = Restore::new(BOUNDS, seed);
        let now_s = now_unix_ns / 1_000_000_000;
        let since_s = now_s.saturating_sub(limits::SIGHTINGS_WINDOW.as_secs());
        let (mut spans, mut inherited) = (0, HashSet::default());
        let mut read = |stored: Vec<StoredSight>| {
            for stored in stored {
                spans += 1;
                inherited.insert(stored.batch_id);
                restore.row(&stored.tenant, &sight_of_stored(&stored), stored.arrived_unix_ns, stored.booked);
            }
        };
        // Mostly they fit into one response, which is quick; else into one for each stretch of time.
        let all = store.sights(whole(now_s), since_s).await?;
        if u64::try_from(all.len()).is_ok_and(|read| read < SIGHTS_PER_READ_MAX) {
            read(all);
        } else {
            drop(all);
            for slice in slices(now_s) {
                read(store.sights(slice, since_s).await?);
            }
        }
        let (sightings, missing) = restore.finish(now_unix_ns);
        let corrections = missing.len();
        let mut by_tenant: HashMap<Arc<str>, Vec<Change>> = HashMap::new();
        for missing in missing {
            by_tenant.entry(missing.tenant).or_default().push(change(&missing.correction));
        }
        for (tenant, changes) in by_tenant {
            // Named after the moment: a second restart finds nothing to do if this one was booked.
            store.change(u128::from(now_unix_ns), &tenant, &changes).await?;
        }
        tracing::info!(spans, corrections, "the spans of the last hours are known again");
        Ok(Self::over(sightings, inherited))
    }

    /// The verdicts for these rows, which get their roles; those that were sent before are taken out. Waits for requests that hold a
    /// sight of the same call, until the deadline.
    pub async fn decide<T: Transport>(
        self: &Arc<Self>,
        batch: u128,
        rows: &mut Vec<SpanRow>,
        now_unix_ns: u64,
        deadline: Instant,
        transport: &T,
    ) -> Result<(Pending, Outcome), Refusal> {
        let Some(tenant) = rows.first().map(|row| Arc::clone(&row.tenant)) else {
            let pending = Pending {
                booking: Arc::clone(self),
                batch,
                tenant: Arc::from(""),
                spans: Vec::new(),
                decision: None,
                changes: Vec::new(),
            };
            return Ok((pending, Outcome::default()));
        };
        let sights: Vec<Sight> = rows.iter().map(sight).collect();
        let (spans, decision) = loop {
            // Before the look, so that no settling is missed between the two.
            let settled = self.settled.notified();
            if let Some(decided) = self.try_decide(batch, &tenant, &sights, now_unix_ns) {
                break decided;
            }
            self.resolve(transport).await;
            let wait = deadline.min(Instant::now() + limits::CONFLICT_LOOK_INTERVAL);
            if timeout_at(wait, settled).await.is_err() && Instant::now() >= deadline {
                return Err(Refusal::Deadline);
            }
        };
        let changes = decision.corrections.iter().map(change).collect();
        // A repeat may lack spans that have become too old, so verdicts are found by their spans.
        let verdicts: HashMap<SpanKey, Verdict> = first_of_each(&spans, &decision.verdicts);
        let pending =
            Pending { booking: Arc::clone(self), batch, tenant, spans, decision: Some(decision), changes };
        let stored = self.stored_roles(batch, &pending.tenant, rows, transport).await?;
        let outcome = apply(&verdicts, rows, &stored);
        Ok((pending, outcome))
    }

    /// What the rows are in the table that an earlier process stored of this request. The request goes to the store again as it is
    /// there, because that process may have ended between the tables of one insert; the token sorts out what is missing.
    async fn stored_roles<T: Transport>(
        &self,
        batch: u128,
        tenant: &str,
        rows: &[SpanRow],
        transport: &T,
    ) -> Result<HashMap<SpanKey, Role>, Refusal> {
        if !locked(&self.state).inherited.contains(&batch) {
            return Ok(HashMap::new());
        }
        let ends = || rows.iter().map(|row| row.record.call.end_unix_ns);
        let ended = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
        let roles = transport.roles(batch, tenant, ended).await.map_err(WriteError::Unavailable)?;
        Ok(roles.into_iter().map(|(trace, span, role)| ((trace, span), role)).collect())
    }

    fn try_decide(
        &self,
        batch: u128,
        tenant: &str,
        sights: &[Sight],
        now_unix_ns: u64,
    ) -> Option<(Vec<SpanKey>, Decision)> {
        let mut state = locked(&self.state);
        if let Some(doubt) = state.doubtful.remove(&batch) {
            return Some((doubt.spans, doubt.decision));
        }
        let decision = state.sightings.decide(tenant, sights, now_unix_ns).ok()?;
        Some((sights.iter().map(|sight| (sight.trace_id, sight.span_id)).collect(), decision))
    }

    /// Asks the store about requests that have been in doubt for long: nobody has repeated them.
    async fn resolve<T: Transport>(&self, transport: &T) {
        let old: Vec<u128> = {
            let state = locked(&self.state);
            let is_old = |doubt: &Doubt| doubt.since.elapsed() >= limits::DOUBT_WAIT;
            state.doubtful.iter().filter(|(_, doubt)| is_old(doubt)).map(|(batch, _)| *batch).collect()
        };
        for batch in old {
            let Ok(is_stored) = transport.is_stored(batch).await else { return };
            let Some(doubt) = locked(&self.state).doubtful.remove(&batch) else { continue };
            let changes: Vec<Change> = doubt.decision.corrections.iter().map(change).collect();
            if is_stored && transport.change(batch, &doubt.tenant, &changes).await.is_err() {
                locked(&self.state).doubtful.insert(batch, doubt);
                return;
            }
            self.settle(doubt.decision, is_stored);
        }
    }

    fn settle(&self, decision: Decision, is_stored: bool) {
        let sightings = &mut locked(&self.state).sightings;
        if is_stored {
            sightings.commit(decision);
        } else {
            sightings.abandon(decision);
        }
        self.settled.notify_waiters();
    }

    /// Spans that were forgotten before the end of the window, and sights that are not compared.
    pub fn forgotten(&self) -> u64 {
        let forgotten = locked(&self.state).sightings.forgotten();
        forgotten.spans + forgotten.unmatched
    }
}

impl Pending {
    /// The spans are stored, and the changes booked.
    pub fn commit(mut self) {
        if let Some(decision) = self.decision.take() {
            self.booking.settle(decision, true);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(decision) = self.decision.take() else { return };
        let spans = std::mem::take(&mut self.spans);
        let doubt = Doubt { tenant: Arc::clone(&self.tenant), spans, decision, since: Instant::now() };
        locked(&self.booking.state).doubtful.insert(self.batch, doubt);
        self.booking.settled.notify_waiters();
    }
}

/// Of a span that is in a request twice the first verdict holds.
fn first_of_each(spans: &[SpanKey], verdicts: &[Verdict]) -> HashMap<SpanKey, Verdict> {
    let mut first = HashMap::with_capacity(spans.len());
    for (span, verdict) in spans.iter().zip(verdicts) {
        first.entry(*span).or_insert(*verdict);
    }
    first
}

/// Gives each row its role, and takes out what is in the table already, unless this request brought it there.
fn apply(
    verdicts: &HashMap<SpanKey, Verdict>,
    rows: &mut Vec<SpanRow>,
    stored: &HashMap<SpanKey, Role>,
) -> Outcome {
    let before = rows.len();
    let mut seen = HashSet::default();
    rows.retain_mut(|row| {
        let span = (row.record.call.trace_id, row.record.call.span_id);
        if !seen.insert(span) {
            return false;
        }
        row.role = match verdicts.get(&span) {
            Some(Verdict::Counts) => Role::Counts,
            Some(Verdict::Wrapper) => Role::Wrapper,
            Some(Verdict::Repeat) => Role::Repeat,
            Some(Verdict::Plain) | None => Role::Plain,
            Some(Verdict::Again) => match stored.get(&span) {
                Some(role) => *role,
                None => return false,
            },
        };
        true
    });
    Outcome { again: before - rows.len() }
}

fn sight(row: &SpanRow) -> Sight {
    let call = &row.record.call;
    let usage = call.usage.as_ref().map(|usage| usage.source);
    let facts = || CallSight {
        observer: Observer::of_scope(&row.record.observer),
        response: ResponseId::of(&call.response_id),
        usage: rank(usage),
        start_unix_ns: call.start_unix_ns,
        // As it is stored, so that it is the same after a restart.
        end_unix_ns: call.end_unix_ns / 1_000 * 1_000,
    };
    Sight {
        trace_id: call.trace_id,
        span_id: call.span_id,
        parent_span_id: call.parent_span_id,
        call: call.operation.is_call().then(facts),
    }
}

fn sight_of_stored(stored: &StoredSight) -> Sight {
    let facts = || CallSight {
        observer: Observer::of_scope(&stored.observer),
        response: ResponseId::of(&stored.response_id),
        usage: rank(UsageSource::from_name(&stored.usage_source)),
        start_unix_ns: stored.start_unix_ns,
        end_unix_ns: stored.end_unix_ns,
    };
    Sight {
        trace_id: stored.trace_id,
        span_id: stored.span_id,
        parent_span_id: stored.parent_span_id,
        call: stored.is_call.then(facts),
    }
}

const fn rank(source: Option<UsageSource>) -> UsageRank {
    match source {
        None => UsageRank::Missing,
        Some(UsageSource::Estimated) => UsageRank::Estimated,
        Some(UsageSource::Sender) => UsageRank::Sender,
        Some(UsageSource::Counted) => UsageRank::Counted,
        Some(UsageSource::Drained) => UsageRank::Drained,
        Some(UsageSource::Provider) => UsageRank::Provider,
    }
}

fn change(correction: &Correction) -> Change {
    Change {
        trace_id: correction.trace_id,
        span_id: correction.span_id,
        end_unix_ns: correction.end_unix_ns,
        action: match correction.change {
            Sign::TakeBack => Action::TakeBack(Reason::Repeat),
            Sign::Count => Action::Book,
        },
    }
}

/// When spans of the window may have ended, in seconds.
fn whole(now_s: u64) -> (u64, u64) {
    (now_s.saturating_sub(limits::SIGHTINGS_WINDOW.as_secs() + 24 * 3_600), now_s + 120)
}

/// The same in parts: each minute of it, and before that, where few are, each ten minutes of a day.
fn slices(now_s: u64) -> impl Iterator<Item = (u64, u64)> {
    let recent_s = now_s.saturating_sub(limits::SIGHTINGS_WINDOW.as_secs());
    let day_s = recent_s.saturating_sub(24 * 3_600);
    let minutes = (recent_s..now_s + 120).step_by(60).map(|from| (from, from + 60));
    let earlier = (day_s..recent_s).step_by(600).map(move |from| (from, (from + 600).min(recent_s)));
    earlier.chain(minutes)
}
