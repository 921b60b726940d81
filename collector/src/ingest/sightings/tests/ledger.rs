//! What a caller does with the verdicts: it stores rows and books corrections. Its sums are what is tested.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_proto::id::{SpanId, TraceId};

use super::super::*;

pub const NOW_NS: u64 = 1_760_000_000_000_000_000;
pub const SEED: u64 = 7;

#[derive(Clone)]
pub struct Row {
    pub tenant: Arc<str>,
    pub sight: Sight,
    pub arrived_ns: u64,
    pub counted: bool,
}

pub struct Ledger {
    pub tenant: Arc<str>,
    pub now_ns: u64,
    bounds: Bounds,
    state: Option<Sightings>,
    pub rows: Vec<Row>,
    pub corrections: Vec<(Arc<str>, Correction)>,
}

impl Ledger {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            tenant: "acme".into(),
            now_ns: NOW_NS,
            bounds,
            state: Some(Sightings::new(bounds, SEED)),
            rows: Vec::new(),
            corrections: Vec::new(),
        }
    }

    pub fn sightings(&mut self) -> &mut Sightings {
        self.state.as_mut().unwrap()
    }

    pub fn decide(&mut self, sights: &[Sight]) -> Result<Decision, Conflict> {
        let (tenant, now_ns) = (Arc::clone(&self.tenant), self.now_ns);
        self.sightings().decide(&tenant, sights, now_ns)
    }

    /// A request that is stored, and its corrections booked.
    pub fn send(&mut self, sights: &[Sight]) -> Vec<Verdict> {
        let decision = self.decide(sights).unwrap();
        let verdicts = decision.verdicts.clone();
        self.store(sights, &decision);
        self.book(&decision);
        self.sightings().commit(decision);
        verdicts
    }

    pub fn store(&mut self, sights: &[Sight], decision: &Decision) {
        assert_eq!(sights.len(), decision.verdicts.len());
        for (sight, verdict) in sights.iter().zip(&decision.verdicts) {
            let (tenant, arrived_ns) = (Arc::clone(&self.tenant), self.now_ns);
            self.rows.push(Row { tenant, sight: *sight, arrived_ns, counted: *verdict == Verdict::Counts });
        }
    }

    pub fn book(&mut self, decision: &Decision) {
        let tenant = &self.tenant;
        self.corrections
            .extend(decision.corrections.iter().map(|correction| (Arc::clone(tenant), *correction)));
    }

    /// The state is lost and made again from the rows of the window, the latest first. What is missing is booked.
    pub fn restart(&mut self) {
        let mut restore = Restore::new(self.bounds, SEED);
        let mut signs: BTreeMap<(Arc<str>, TraceId, SpanId), i32> = BTreeMap::new();
        for (tenant, correction) in &self.corrections {
            let key = (Arc::clone(tenant), correction.trace_id, correction.span_id);
            *signs.entry(key).or_default() += correction.change.sign();
        }
        let since = self.now_ns.saturating_sub(self.bounds.window.as_nanos() as u64);
        for row in self.rows.iter().rev().filter(|row| row.arrived_ns >= since) {
            let key = (Arc::clone(&row.tenant), row.sight.trace_id, row.sight.span_id);
            let corrected = signs.remove(&key).unwrap_or_default();
            restore.row(&row.tenant, &row.sight, row.arrived_ns, (i32::from(row.counted) + corrected, 0));
        }
        let (sightings, missing) = restore.finish(self.now_ns);
        self.state = Some(sightings);
        self.corrections.extend(missing.into_iter().map(|missing| (missing.tenant, missing.correction)));
    }

    /// How often each span is on the books.
    pub fn books(&self) -> BTreeMap<(Arc<str>, TraceId, SpanId), i32> {
        let mut books = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.counted) {
            *books.entry((Arc::clone(&row.tenant), row.sight.trace_id, row.sight.span_id)).or_default() += 1;
        }
        for (tenant, correction) in &self.corrections {
            let key = (Arc::clone(tenant), correction.trace_id, correction.span_id);
            *books.entry(key).or_default() += correction.change.sign();
        }
        books.retain(|_, times| *times != 0);
        books
    }

    /// The spans that count, net of corrections; each once.
    pub fn counting(&self) -> Vec<(TraceId, SpanId)> {
        let books = self.books();
        assert!(books.values().all(|times| *times == 1), "{books:?}");
        books.into_keys().map(|(_, trace, span)| (trace, span)).collect()
    }
}
