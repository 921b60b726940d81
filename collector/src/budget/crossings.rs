//! Which thresholds were reached in which periods, and who was told: kept in the store, so that nobody is told twice after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ledgerline_promql::source::Tenant;
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::crossings::CrossingRow;

use super::Budget;
use crate::alerting::{Labels, OnceLog, UnixMs};

/// A threshold of a budget in a period. With another amount it is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    budget: String,
    period: String,
    threshold: String,
    amount: i128,
}

#[derive(Clone, Debug)]
struct Crossing {
    at_ms: i64,
    told: BTreeSet<String>,
}

/// All that were reached in the last thirteen months.
#[derive(Default)]
pub struct Crossings {
    place: Option<(Store, Tenant)>,
    budgets: Arc<[Budget]>,
    known: RwLock<BTreeMap<Key, Crossing>>,
}

impl Crossings {
    /// Those of a tenant's budgets, as the store has them.
    pub async fn of(store: Store, tenant: Tenant, budgets: Arc<[Budget]>) -> Result<Self, StoreError> {
        let crossings = Self { place: Some((store, tenant)), budgets, known: RwLock::default() };
        if !crossings.budgets.is_empty() {
            crossings.read().await?;
        }
        Ok(crossings)
    }

    /// When that threshold was reached in that period, milliseconds since the epoch.
    pub fn reached(&self, budget: &str, period: &str, threshold: &str, amount: i128) -> Option<i64> {
        let [budget, period, threshold] = [budget, period, threshold].map(str::to_owned);
        self.get(&Key { budget, period, threshold, amount }).map(|crossing| crossing.at_ms)
    }

    fn get(&self, key: &Key) -> Option<Crossing> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn read(&self) -> Result<(), StoreError> {
        let Some((store, tenant)) = &self.place else { return Ok(()) };
        let mut known: BTreeMap<Key, Crossing> = BTreeMap::new();
        // The earliest first: of two collectors that saw it, the first one's word counts.
        for row in store.crossings(&tenant.0).await? {
            let CrossingRow { budget, period, threshold, amount, receiver, at_ms } = row;
            let key = Key { budget, period, threshold, amount };
            let crossing = known.entry(key).or_insert(Crossing { at_ms, told: BTreeSet::new() });
            crossing.told.extend(Some(receiver).filter(|receiver| !receiver.is_empty()));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    async fn note(&self, key: &Key, receiver: &str, at_ms: i64) -> Result<(), StoreError> {
        let Some((store, tenant)) = &self.place else { return Ok(()) };
        let Key { budget, period, threshold, amount } = key.clone();
        let row = CrossingRow { budget, period, threshold, amount, receiver: receiver.to_owned(), at_ms };
        store.note_crossing(&tenant.0, &row).await?;
        self.read().await
    }

    /// The threshold that an alert is about; none of ours has no label.
    fn key(&self, labels: &Labels) -> Option<Key> {
        let [budget, period, threshold] = ["budget", "period", "threshold"].map(|name| labels.get(name));
        let (budget, period, threshold) = (budget?.clone(), period?.clone(), threshold?.clone());
        let of = self.budgets.iter().find(|other| other.name == budget)?;
        let amount = of.thresholds.iter().find(|other| other.name == threshold)?.amount;
        Some(Key { budget, period, threshold, amount })
    }
}

impl OnceLog for Crossings {
    fn began<'a>(&'a self, labels: &'a Labels, at: UnixMs) -> BoxFuture<'a, Result<UnixMs, String>> {
        async move {
            let Some(key) = self.key(labels) else { return Ok(at) };
            if self.get(&key).is_none() {
                self.note(&key, "", at.0).await.map_err(|error| error.to_string())?;
            }
            Ok(self.get(&key).map_or(at, |crossing| UnixMs(crossing.at_ms)))
        }
        .boxed()
    }

    fn is_told(&self, receiver: &str, labels: &Labels) -> bool {
        let crossing = self.key(labels).and_then(|key| self.get(&key));
        crossing.is_some_and(|crossing| crossing.told.contains(receiver))
    }

    fn told<'a>(
        &'a self,
        receiver: &'a str,
        labels: &'a Labels,
        at: UnixMs,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            let Some(key) = self.key(labels) else { return Ok(()) };
            self.note(&key, receiver, at.0).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}
