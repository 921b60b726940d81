//! Token counts as attributes.
//!
//! OpenTelemetry's counts are inclusive: input holds the cached tokens, output the reasoning. Ours are disjoint and
//! travel beside them, so that a span of our agent is read back exactly. From other senders the classes are computed.
//! Some of them count exclusively, which decides money: those we know by their scope's name are read so. Of the rest,
//! cached tokens that exceed the input show one that we do not know, and nothing is subtracted.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use serde_json::{Map, Value, json};

use super::value::{Attributes, integer, key_value, text};
use crate::attribute;
use crate::call::Operation;
use crate::unit::{Quantities, Side, Unit};
use crate::usage::{MISSING, Run, Usage, UsageSource};

pub(super) fn write(usage: Option<&Usage>, list: &mut Vec<KeyValue>) {
    let Some(Usage { own, runs, source }) = usage else {
        list.push(key_value(attribute::USAGE_SOURCE, text(MISSING)));
        return;
    };
    list.push(key_value(attribute::USAGE_SOURCE, text(source.name())));
    list.push(key_value(attribute::INPUT_TOKENS[0], integer(own.total(Side::Input))));
    list.push(key_value(attribute::OUTPUT_TOKENS[0], integer(own.total(Side::Output))));
    for (name, count) in [
        (attribute::CACHE_READ_TOKENS[0], own.cache_read()),
        (attribute::CACHE_WRITE_TOKENS[0], own.cache_write()),
        (attribute::CACHE_WRITE_TOKENS[1], own.cache_write()),
        (attribute::REASONING_TOKENS[0], own.get(Unit::OutputReasoning)),
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

/// Who states the counts, as far as it decides their meaning.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    /// The instrumentation scope's name; empty when not sent.
    pub scope_name: &'a str,
    /// Under its newest name.
    pub provider: &'a str,
    /// What the span is about.
    pub operation: &'a Operation,
}

pub(super) fn read(attributes: Attributes<'_>, sender: Sender<'_>) -> Option<Usage> {
    let source = attributes.text(&[attribute::USAGE_SOURCE]);
    match source.and_then(UsageSource::from_name) {
        Some(source) => Some(Usage {
            own: read_units(attributes),
            runs: attributes.text(&[attribute::USAGE_RUNS]).map(read_runs).unwrap_or_default(),
            source,
        }),
        None if source == Some(MISSING) => None,
        None => read_foreign(attributes, sender),
    }
}

fn read_units(attributes: Attributes<'_>) -> Quantities {
    let mut own = Quantities::default();
    // One pass over the attributes, and not one for each unit.
    for attribute in attributes.0 {
        let unit = attribute.key.strip_prefix(attribute::USAGE_UNIT_PREFIX);
        if let Some(unit) = unit.and_then(Unit::from_name) {
            own.set(unit, attributes.count(&[&attribute.key]).unwrap_or(0));
        }
    }
    own
}

/// Senders that count exclusively, by the beginning of their scope's name and, where one scope serves many providers,
/// the provider. Found by reading their code in the versions of 2026.
const EXCLUSIVE_SENDERS: [(&str, Option<&str>); 4] = [
    ("opentelemetry.instrumentation.botocore.bedrock", None),
    ("opentelemetry.instrumentation.bedrock", None),
    ("openlit.", Some("anthropic")),
    ("com.anthropic.claude_code", None),
];

fn counts_exclusively(sender: Sender<'_>) -> bool {
    EXCLUSIVE_SENDERS.iter().any(|(scope, only)| {
        sender.scope_name.starts_with(scope) && only.is_none_or(|only| only == sender.provider)
    })
}

/// `whole - part`, or `whole` untouched when the part does not fit into it: then the sender counts exclusively.
fn without(whole: u64, part: u64) -> u64 {
    whole.checked_sub(part).unwrap_or(whole)
}

/// What a foreign sender states. A side that it left out is unknown, not zero, and half a usage would be priced as if
/// it were whole; only embeddings have no output by nature.
fn read_foreign(attributes: Attributes<'_>, sender: Sender<'_>) -> Option<Usage> {
    let input = attributes.count(&attribute::INPUT_TOKENS)?;
    let output = match attributes.count(&attribute::OUTPUT_TOKENS) {
        None if *sender.operation == Operation::Embeddings => 0,
        stated => stated?,
    };
    let part = |names: &[&str]| attributes.count(names).unwrap_or(0);
    let cache_read = part(&attribute::CACHE_READ_TOKENS);
    let cache_write = part(&attribute::CACHE_WRITE_TOKENS);
    let reasoning = part(&attribute::REASONING_TOKENS);
    let cached = if counts_exclusively(sender) { 0 } else { cache_read.saturating_add(cache_write) };
    let uncached = without(input, cached);
    // Cached audio is stated as cached and as audio: it is cheaper as cached, and that is what it was.
    let audio_in = part(&[attribute::AUDIO_INPUT_TOKENS]).min(uncached);
    let image_in = part(&[attribute::IMAGE_INPUT_TOKENS]).min(uncached - audio_in);
    let spoken = without(output, reasoning);
    let audio_out = part(&[attribute::AUDIO_OUTPUT_TOKENS]).min(spoken);
    let image_out = part(&[attribute::IMAGE_OUTPUT_TOKENS]).min(spoken - audio_out);
    let own = Quantities::from_pairs(&[
        (Unit::InputUncached, uncached - audio_in - image_in),
        (Unit::CacheRead, cache_read),
        (Unit::CacheWrite5m, cache_write),
        (Unit::InputAudio, audio_in),
        (Unit::InputImage, image_in),
        (Unit::OutputText, spoken - audio_out - image_out),
        (Unit::OutputReasoning, reasoning),
        (Unit::OutputAudio, audio_out),
        (Unit::OutputImage, image_out),
    ]);
    Some(Usage::of(own, UsageSource::Provider))
}
