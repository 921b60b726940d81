//! Token counts as attributes.
//!
//! OpenTelemetry's counts are inclusive: input holds the cached tokens, output the reasoning. Ours are disjoint and
//! travel beside them, so that a span of our agent is read back exactly. From other senders the classes are computed,
//! see `foreign.rs`.
//!
//! **Whose word it is.** Only our agent sees the provider's bytes, so only its spans, known by their scope's name, can say
//! that the provider counted. Of any other sender nobody can tell whether it copied or guessed: its source is *sender*, also
//! where it claims ours, and *estimated* where it says so itself. The scope's name is a word of the sender like all else in a
//! request: who wants to pass for the agent can. What that is good for is bounded by the tenant, which comes from the
//! token, and a tenant that lies deceives itself.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde_json::{Map, Value, json};

use super::SCOPE_NAME;
use super::facts::Facts;
use super::foreign::{self, Sender};
use super::names::Text;
use super::value::{integer, key_value, text};
use crate::attribute;
use crate::unit::{Quantities, Side, Unit};
use crate::usage::{MISSING, Run, Usage, UsageSource};

pub(super) fn write(usage: Option<&Usage>, list: &mut Vec<KeyValue>) {
    let Some(Usage { own, runs, source }) = usage else {
        list.push(key_value(attribute::USAGE_SOURCE, text(MISSING)));
        return;
    };
    list.push(key_value(attribute::USAGE_SOURCE, text(source.name())));
    list.push(key_value(attribute::INPUT_TOKENS, integer(own.total(Side::Input))));
    list.push(key_value(attribute::OUTPUT_TOKENS, integer(own.total(Side::Output))));
    for (name, count) in [
        (attribute::CACHE_READ_TOKENS, own.cache_read()),
        (attribute::CACHE_WRITE_TOKENS[0], own.cache_write()),
        (attribute::CACHE_WRITE_TOKENS[1], own.cache_write()),
        (attribute::REASONING_TOKENS, own.get(Unit::OutputReasoning)),
    ] {
        if count > 0 {
            list.push(key_value(name, integer(count)));
        }
    }
    for (unit, quantity) in own.nonzero() {
        list.push(key_value(&format!("{}{unit}", attribute::USAGE_UNIT_PREFIX), integer(quantity)));
    }
    if !runs.is_empty() {
        list.push(key_value(attribute::USAGE_RUNS, text(&write_runs(runs))));
    }
}

fn write_runs(runs: &[Run]) -> String {
    let run = |Run { model, quantities }: &Run| {
        let units = quantities.nonzero().map(|(unit, quantity)| (unit.name().to_owned(), quantity.into()));
        json!({"model": model, "units": units.collect::<Map<_, _>>()})
    };
    Value::Array(runs.iter().map(run).collect()).to_string()
}

/// As [`write_runs`] wrote them; a list that is not of that form is nobody's.
fn read_runs(text: &str) -> Vec<Run> {
    let run = |value: &Value| {
        let units = value.get("units")?.as_object()?;
        let pair = |(name, quantity): (&String, &Value)| Some((Unit::from_name(name)?, quantity.as_u64()?));
        let pairs: Vec<_> = units.iter().filter_map(pair).collect();
        Some(Run {
            model: value.get("model")?.as_str()?.to_owned(),
            quantities: Quantities::from_pairs(&pairs),
        })
    };
    let list = serde_json::from_str::<Vec<Value>>(text).unwrap_or_default();
    list.iter().take(RUNS_MAX).filter_map(run).collect()
}

/// Models that ran within one call; more of them is no call.
const RUNS_MAX: usize = 64;

/// Reads what a span used. `facts` are those of its attributes.
pub(super) fn read(facts: &Facts<'_>, sender: Sender<'_>) -> Option<Usage> {
    let stated = facts.text(Text::UsageSource);
    if stated == Some(MISSING) {
        return None;
    }
    let stated = stated.and_then(UsageSource::from_name);
    let source = match stated {
        Some(source) if sender.scope_name == SCOPE_NAME => source,
        Some(UsageSource::Estimated) => UsageSource::Estimated,
        _ => UsageSource::Sender,
    };
    let own = match (facts.units(), stated) {
        (Some(units), _) => units.clone(),
        // A call that used nothing.
        (None, Some(_)) if sender.scope_name == SCOPE_NAME => Quantities::default(),
        (None, _) => foreign::quantities(facts, sender)?,
    };
    let runs = facts.text(Text::UsageRuns).map(read_runs).unwrap_or_default();
    Some(Usage { own, runs, source })
}
