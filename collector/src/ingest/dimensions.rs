//! Caps how many values a dimension of a tenant has.
//!
//! Dimensions are columns of every rollup and labels of every metric, and senders fill most of them as they like: a request id
//! for a feature, and after 60,000 calls no label list and no selector answers. So a value beyond the cap is counted as
//! `other`. The call keeps its own value as an attribute, and is priced by its own provider and model.
//!
//! Values are never forgotten while the collector runs; after a restart those of the last 90 days are read from the store.
//! Several collectors on one store count apart, so together they may pass up to that many caps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proto::Bill;
use ledgerline_proto::dimension::Dimension;
use ledgerline_store::spans::{OTHER, OWN_VALUE, SpanRow};
use xxhash_rust::xxh3::xxh3_64;

/// The dimensions that senders fill; the others are words of ours.
pub const CAPPED: [Dimension; 7] = [
    Dimension::Service,
    Dimension::Environment,
    Dimension::Team,
    Dimension::Feature,
    Dimension::Provider,
    Dimension::Model,
    Dimension::ErrorType,
];

/// How many calls had a value beyond the cap, by dimension in the order of [`CAPPED`].
pub type Overflows = [u64; CAPPED.len()];

/// Hashes and not texts: 16 bytes a value whatever its length. Two of 10,000 are the same with a chance of 3e-12.
type Values = [foldhash::HashSet<u64>; CAPPED.len()];

/// The caps, and the values below them.
#[derive(Debug)]
pub struct DimensionCaps {
    values_max: usize,
    tenants: Mutex<HashMap<Arc<str>, Values>>,
}

impl DimensionCaps {
    /// So many values of each dimension and tenant.
    pub fn new(values_max: usize) -> Self {
        Self { values_max, tenants: Mutex::default() }
    }

    /// Remembers values that are in the store, by their XXH3.
    pub fn seed(&self, tenant: &Arc<str>, values: &[(Dimension, u64)]) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(Arc::clone(tenant)).or_default();
        for (dimension, hash) in values {
            let index = CAPPED.iter().position(|capped| capped == dimension);
            if let Some(index) = index.filter(|index| known[*index].len() < self.values_max) {
                known[index].insert(*hash);
            }
        }
    }

    /// Replaces what is beyond a cap in the calls among these rows of one tenant.
    pub fn apply(&self, tenant: &Arc<str>, rows: &mut [SpanRow]) -> Overflows {
        let mut overflows = Overflows::default();
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.entry(Arc::clone(tenant)).or_default();
        // Wrappers and plain spans are in no rollup.
        for row in rows.iter_mut().filter(|row| row.record.call.operation.is_call()) {
            for (index, dimension) in CAPPED.into_iter().enumerate() {
                let fits = |value: &str| {
                    let (hash, hashes) = (xxh3_64(value.as_bytes()), &mut known[index]);
                    value.is_empty()
                        || hashes.contains(&hash)
                        || hashes.len() < self.values_max && hashes.insert(hash)
                };
                if let Some(own) = replaced(row, dimension, fits) {
                    row.record.attributes.push((format!("{OWN_VALUE}{}", dimension.name()), own));
                    overflows[index] += 1;
                }
            }
        }
        overflows
    }
}

/// Counts a row as [`OTHER`] in that dimension if its value does not fit; the value.
fn replaced(row: &mut SpanRow, dimension: Dimension, mut fits: impl FnMut(&str) -> bool) -> Option<String> {
    let call = &mut row.record.call;
    let value = match dimension {
        Dimension::Service => &mut call.identity.service,
        Dimension::Environment => &mut call.identity.environment,
        Dimension::Team => &mut call.identity.team,
        Dimension::Feature => &mut call.identity.feature,
        Dimension::Provider => &mut call.provider,
        Dimension::Model => return replaced_models(&mut row.bill, fits),
        Dimension::ErrorType => call.error_type.as_mut()?,
        Dimension::Operation | Dimension::Status => return None,
    };
    (!fits(value)).then(|| std::mem::replace(value, OTHER.to_owned()))
}

/// The model of the call, and those of its lines, which spend is grouped by. Each is asked for once.
fn replaced_models(bill: &mut Bill, mut fits: impl FnMut(&str) -> bool) -> Option<String> {
    let own = Arc::clone(&bill.model);
    let is_own_beyond = !fits(&own);
    for line in &mut bill.lines {
        let is_beyond = if line.model == own { is_own_beyond } else { !fits(&line.model) };
        if is_beyond {
            line.model = OTHER.into();
        }
    }
    is_own_beyond.then(|| {
        bill.model = OTHER.into();
        own.as_ref().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use ledgerline_pricing::PriceBook;
    use ledgerline_proto::Call;
    use ledgerline_proto::otlp::{AllowList, export_request};

    use super::*;
    use crate::ingest::normalise::normalise;
    use crate::ingest::rows::batch;
    use crate::ingest::testing::{call, context};

    fn rows(calls: &[Call]) -> Vec<SpanRow> {
        let normalised = normalise(&export_request(calls), &context(), &AllowList::new(&[]));
        batch(&PriceBook::embedded(), &context(), normalised.accepted, normalised.rejected).spans
    }

    fn of_team(team: &str) -> Call {
        let mut call = call("gpt-4.1");
        call.identity.team = team.to_owned();
        call
    }

    fn teams(caps: &DimensionCaps, tenant: &str, teams: &[&str]) -> Vec<String> {
        let mut rows = rows(&teams.iter().map(|team| of_team(team)).collect::<Vec<_>>());
        caps.apply(&tenant.into(), &mut rows);
        rows.into_iter().map(|row| row.record.call.identity.team).collect()
    }

    #[test]
    fn values_beyond_the_cap_are_other_for_their_tenant_alone() {
        let caps = DimensionCaps::new(2);
        assert_eq!(teams(&caps, "t", &["a", "b", "c", "a", "", "d"]), ["a", "b", "other", "a", "", "other"]);
        assert_eq!(teams(&caps, "t", &["c", "b"]), ["other", "b"]);
        assert_eq!(teams(&caps, "u", &["c", "d", "e"]), ["c", "d", "other"]);
    }

    #[test]
    fn a_call_keeps_its_own_value_and_its_price() {
        let caps = DimensionCaps::new(0);
        let mut call = call("gpt-4.1");
        call.error_type = Some("rate_limit".into());
        let mut rows = rows(&[call]);
        let price = rows[0].bill.cost.amount();
        let overflows = caps.apply(&"t".into(), &mut rows);
        let record = &rows[0].record;
        // No environment and no feature are stated.
        assert_eq!(overflows, [1, 0, 1, 0, 1, 1, 1]);
        assert_eq!((record.call.provider.as_str(), &*rows[0].bill.model), ("other", "other"));
        assert!(rows[0].bill.lines.iter().all(|line| &*line.model == "other"));
        for (name, own) in
            [("service", "checkout"), ("team", "team-0"), ("provider", "openai"), ("model", "gpt-4.1")]
        {
            let name = format!("ledgerline.other.{name}");
            assert!(record.attributes.contains(&(name.clone(), own.to_owned())), "{name}");
        }
        assert_eq!((rows[0].bill.cost.amount(), price.is_some()), (price, true));
    }

    #[test]
    fn what_the_store_knows_is_below_the_cap_after_a_restart() {
        let caps = DimensionCaps::new(2);
        caps.seed(&"t".into(), &["a", "b", "c"].map(|team| (Dimension::Team, xxh3_64(team.as_bytes()))));
        assert_eq!(teams(&caps, "t", &["z", "b", "a"]), ["other", "b", "a"]);
    }

    #[test]
    fn wrappers_have_no_part_in_the_caps() {
        let caps = DimensionCaps::new(1);
        let mut agent = of_team("wrapper");
        agent.operation = ledgerline_proto::Operation::Other("invoke_agent".into());
        let mut rows = rows(&[agent, of_team("a")]);
        assert_eq!(caps.apply(&"t".into(), &mut rows), Overflows::default());
    }
}
