//! Which spans of a request are counted, and what that changes for earlier ones: [`super::sightings`] with requests under way.
//!
//! A request is decided before it is stored, and the decision holds what it rests on. It is settled when the spans are stored and
//! its corrections booked. Where that is not known, because the store was away, the decision waits for the sender's repeat, which
//! has the same name and gets the same verdicts; if none comes the store is asked. A request that needs what another one holds waits.
//! All wait, after a start, until the spans of the last hours are read.

mod pending;
mod recovery;
mod sights;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use foldhash::HashSet;
use ledgerline_process::locked;
use ledgerline_proto::{SpanId, TraceId};
use ledgerline_store::ledger::Change;
use ledgerline_store::spans::{Role, SpanRow};
use ledgerline_store::writer::{Transport, WriteError};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use super::sightings::{Bounds, Decision, Forgotten, Sight, Sightings, Verdict};
use crate::limits;
pub(crate) use pending::Pending;
use sights::{change, sight};

/// The sights of the last hours, shared by all requests.
pub(crate) struct Booking {
    state: Mutex<State>,
    /// A decision was settled, or the spans of the last hours became known.
    settled: Notify,
    seed: u64,
}

struct State {
    /// Whether the spans of the last hours are. Until then nothing is decided: what was counted before would be counted again.
    is_known: bool,
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
    /// Decides when [`Booking::recover`] has read what is stored. The seed is secret.
    pub fn new(seed: u64) -> Arc<Self> {
        let sightings = Sightings::new(BOUNDS, seed);
        let (doubtful, inherited) = (HashMap::new(), HashSet::default());
        let state = Mutex::new(State { is_known: false, sightings, doubtful, inherited });
        Arc::new(Self { state, settled: Notify::new(), seed })
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
            return Ok((Pending::of_nothing(self, batch), Outcome::default()));
        };
        let sights: Vec<Sight> = rows.iter().map(sight).collect();
        let patience = deadline.min(Instant::now() + limits::RECOVERY_WAIT);
        let (spans, decision) = loop {
            // Before the look, so that no settling is missed between the two.
            let settled = self.settled.notified();
            if let Some(decided) = self.try_decide(batch, &tenant, &sights, now_unix_ns) {
                break decided;
            }
            self.resolve(transport).await;
            let wait = deadline.min(Instant::now() + limits::CONFLICT_LOOK_INTERVAL);
            if timeout_at(wait, settled).await.is_err() {
                match Instant::now() {
                    now if now >= patience && !self.is_known() => return Err(Refusal::Recovering),
                    now if now >= deadline => return Err(Refusal::Deadline),
                    _ => {}
                }
            }
        };
        // A repeat may lack spans that have become too old, so verdicts are found by their spans.
        let verdicts: HashMap<SpanKey, Verdict> = first_of_each(&spans, &decision.verdicts);
        let pending = Pending::of(self, batch, Arc::clone(&tenant), spans, decision);
        let stored = self.stored_roles(batch, &tenant, rows, transport).await?;
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
        if !state.is_known {
            return None;
        }
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

    /// Decides at once: there is no store to read.
    #[cfg(test)]
    pub fn without_a_store(seed: u64) -> Arc<Self> {
        let booking = Self::new(seed);
        locked(&booking.state).is_known = true;
        booking
    }

    /// Whether the spans of the last hours are known, and requests are decided.
    pub fn is_known(&self) -> bool {
        locked(&self.state).is_known
    }

    /// What was forgotten before the end of the window.
    pub fn forgotten(&self) -> Forgotten {
        locked(&self.state).sightings.forgotten()
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
