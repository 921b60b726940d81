//! Token counts as attributes.
//!
//! OpenTelemetry's counts are inclusive: input holds the cached tokens, output the reasoning. Ours are disjoint and
//! travel beside them, so that a span of our agent is read back exactly. From other senders the classes are computed.
//! Some of them count exclusively, which decides money: those we know by their scope's name are read so. Of the rest,
//! cached tokens that exceed the input show one that we do not know, and nothing is subtracted.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::value::{Attributes, integer, key_value, text};
use crate::attribute;
use crate::call::Operation;
use crate::usage::{Direction, TokenClass, TokenCounts, Usage, UsageSource};

/// The wire name of an absent [`Usage`].
const MISSING: &str = "missing";

pub(super) fn write(usage: Option<&Usage>, list: &mut Vec<KeyValue>) {
    let Some(Usage { tokens, source }) = usage else {
        list.push(key_value(attribute::USAGE_SOURCE, text(MISSING)));
        return;
    };
    list.push(key_value(attribute::USAGE_SOURCE, text(source.name())));
    list.push(key_value(attribute::INPUT_TOKENS[0], integer(tokens.total(Direction::Input))));
    list.push(key_value(attribute::OUTPUT_TOKENS[0], integer(tokens.total(Direction::Output))));
    for (name, count) in [
        (attribute::CACHE_READ_TOKENS[0], tokens.get(TokenClass::CacheRead)),
        (attribute::CACHE_WRITE_TOKENS[0], tokens.cache_write()),
        (attribute::CACHE_WRITE_TOKENS[1], tokens.cache_write()),
        (attribute::REASONING_TOKENS[0], tokens.get(TokenClass::OutputReasoning)),
    ] {
        if count > 0 {
            list.push(key_value(name, integer(count)));
        }
    }
    for (class, count) in tokens.nonzero() {
        list.push(key_value(&format!("{}{class}", attribute::USAGE_CLASS_PREFIX), integer(count)));
    }
}

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
        Some(source) => Some(Usage { tokens: read_classes(attributes), source }),
        None if source == Some(MISSING) => None,
        None => read_foreign(attributes, sender),
    }
}

fn read_classes(attributes: Attributes<'_>) -> TokenCounts {
    let mut tokens = TokenCounts::default();
    // One pass over the attributes, and not one for each class.
    for attribute in attributes.0 {
        let class = attribute.key.strip_prefix(attribute::USAGE_CLASS_PREFIX);
        if let Some(class) = class.and_then(TokenClass::from_name) {
            tokens.set(class, attributes.count(&[&attribute.key]).unwrap_or(0));
        }
    }
    tokens
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
    let tokens = TokenCounts::from_pairs(&[
        (TokenClass::InputUncached, uncached - audio_in - image_in),
        (TokenClass::CacheRead, cache_read),
        (TokenClass::CacheWrite5m, cache_write),
        (TokenClass::InputAudio, audio_in),
        (TokenClass::InputImage, image_in),
        (TokenClass::OutputText, spoken - audio_out - image_out),
        (TokenClass::OutputReasoning, reasoning),
        (TokenClass::OutputAudio, audio_out),
        (TokenClass::OutputImage, image_out),
    ]);
    Some(Usage { tokens, source: UsageSource::Provider })
}
