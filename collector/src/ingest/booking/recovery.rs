//! After a start: the spans of the last hours are read from the store, and what an end of the process left unbooked is booked.
//!
//! Both are repeated for as long as they take. A collector that started without would bill each call again that is seen again, and
//! nobody could tell; one that waits refuses what comes with a code that senders repeat, and is not ready.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use foldhash::HashSet;
use ledgerline_process::backoff::Backoff;
use ledgerline_process::{Clock, locked};
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::ledger::{Among, Change};
use ledgerline_store::limits::SIGHTS_PER_READ_MAX;
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_128;

use super::super::sightings::{Missing, Restore, Sightings};
use super::sights::{change, sight_of_stored};
use super::{BOUNDS, Booking};
use crate::limits;
use crate::metrics::Metrics;

/// What was read.
struct Known {
    sightings: Sightings,
    inherited: HashSet<u128>,
    missing: Vec<Missing>,
}

impl Booking {
    /// Learns what is stored of the window, and books what an end of the process left open. Requests are decided when it returns.
    pub async fn recover(&self, store: &Store, clock: &dyn Clock, metrics: &Metrics) {
        let mut pauses = Backoff::new(limits::RECOVERY_PAUSE_MIN, limits::RECOVERY_PAUSE_MAX);
        let mut failed = async |error: StoreError| {
            metrics.sights_read_failures.inc();
            tracing::warn!(%error, "the spans of the last hours cannot be read; until they are, spans are refused and senders repeat them");
            sleep(pauses.pause()).await;
        };
        let known = loop {
            match self.read(store, clock.now_unix_ns()).await {
                Ok(known) => break known,
                Err(error) => failed(error).await,
            }
        };
        let corrections = known.missing.len() as u64;
        // Not read again in between: what an attempt has booked in part would look booked.
        for (tenant, (batch, changes)) in named(known.missing) {
            while let Err(error) = store.change(batch, &tenant, &changes).await {
                failed(error).await;
            }
        }
        metrics.corrections.inc_by(corrections);
        {
            let mut state = locked(&self.state);
            state.sightings = known.sightings;
            state.inherited = known.inherited;
            state.is_known = true;
        }
        self.settled.notify_waiters();
        metrics.sights_known.set(1);
        tracing::info!(corrections, "the spans of the last hours are known");
    }

    /// From the latest on, until the memory for it is full: then no more spans that are no calls, and a little later none.
    async fn read(&self, store: &Store, now_unix_ns: u64) -> Result<Known, StoreError> {
        store.complete_changes().await?;
        let mut restore = Restore::new(BOUNDS, self.seed);
        let mut inherited = HashSet::default();
        let now_s = now_unix_ns / 1_000_000_000;
        let since_s = now_s.saturating_sub(limits::SIGHTINGS_WINDOW.as_secs());
        let begin = whole(now_s).0;
        let (mut among, mut unread) = (Among::AllSpans, (begin, begin));
        let mut stretches = vec![whole(now_s)];
        while let Some((from, until)) = stretches.pop() {
            if among == Among::AllSpans && restore.bytes() > BOUNDS.bytes {
                (among, unread.1) = (Among::Calls, until);
            }
            if restore.bytes() > BOUNDS.bytes / 4 * 5 {
                unread.0 = until;
                break;
            }
            match store.sights((from, until), since_s, among).await {
                Ok(stored) if (stored.len() as u64) < SIGHTS_PER_READ_MAX || until - from <= 1 => {
                    for row in &stored {
                        inherited.insert(row.batch_id);
                        let booked = (row.booked, row.corrections);
                        restore.row(&row.tenant, &sight_of_stored(row), row.arrived_unix_ns, booked);
                    }
                }
                // Mostly they fit into one response, which is quick; else into one for each stretch of time, halved as often as it takes.
                Ok(_) | Err(StoreError::TooLarge(_)) if until - from > 1 => {
                    if (from, until) == whole(now_s) {
                        stretches.extend(slices(now_s));
                    } else {
                        let middle = from + (until - from) / 2;
                        stretches.extend([(from, middle), (middle, until)]);
                    }
                }
                Ok(_) | Err(StoreError::TooLarge(_)) => {
                    let (calls, spans) = store.count_sights((from, until), since_s).await?;
                    restore.unread(calls, spans);
                }
                Err(error) => return Err(error),
            }
        }
        if among == Among::Calls {
            let (calls, _) = store.count_sights((begin, unread.0), since_s).await?;
            let (_, spans) = store.count_sights((begin, unread.1), since_s).await?;
            restore.unread(calls, spans);
        }
        let (sightings, missing) = restore.finish(now_unix_ns);
        Ok(Known { sightings, inherited, missing })
    }
}

/// By tenant, with a name that is made of what is missing: who finds the same missing, because another's booking of it is still under
/// way, books it under the same name.
fn named(mut missing: Vec<Missing>) -> BTreeMap<Arc<str>, (u128, Vec<Change>)> {
    missing.sort();
    let mut by_tenant: BTreeMap<Arc<str>, (String, Vec<Change>)> = BTreeMap::new();
    for Missing { tenant, correction, corrections } in missing {
        let (text, changes) = by_tenant.entry(tenant).or_default();
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{correction:?} {corrections};");
        changes.push(change(&correction));
    }
    let name = |tenant: &str, text: &str| xxh3_128(format!("recovery {tenant} {text}").as_bytes());
    by_tenant
        .into_iter()
        .map(|(tenant, (text, changes))| (Arc::clone(&tenant), (name(&tenant, &text), changes)))
        .collect()
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
