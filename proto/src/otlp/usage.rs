//! Token counts as attributes.
//!
//! OpenTelemetry's counts are inclusive: input holds the cached tokens, output the reasoning. Ours are disjoint and
//! travel beside them, so that a span of our agent is read back exactly. From other senders the classes are computed,
//! with one check that decides money: cached tokens cannot exceed an input that includes them. Where they do, the
//! sender counts exclusively (Bedrock instrumentations and OpenLIT do) and nothing is subtracted.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::value::{Attributes, integer, key_value, text};
use crate::attribute;
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

pub(super) fn read(attributes: Attributes<'_>) -> Option<Usage> {
    match attributes.text(&[attribute::USAGE_SOURCE]) {
        Some(MISSING) => None,
        Some(name) => match UsageSource::from_name(name) {
            Some(source) => Some(Usage { tokens: read_classes(attributes), source }),
            None => read_inclusive(attributes),
        },
        None => read_inclusive(attributes),
    }
}

fn read_classes(attributes: Attributes<'_>) -> TokenCounts {
    let mut tokens = TokenCounts::default();
    for class in TokenClass::ALL {
        let name = format!("{}{class}", attribute::USAGE_CLASS_PREFIX);
        tokens.set(class, attributes.count(&[&name]).unwrap_or(0));
    }
    tokens
}

/// `whole - parts`, or `whole` untouched when the parts do not fit into it: then the sender counts exclusively.
fn without(whole: u64, parts: &[u64]) -> u64 {
    let parts = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
    whole.checked_sub(parts).unwrap_or(whole)
}

fn read_inclusive(attributes: Attributes<'_>) -> Option<Usage> {
    let input = attributes.count(&attribute::INPUT_TOKENS);
    let output = attributes.count(&attribute::OUTPUT_TOKENS);
    if input.is_none() && output.is_none() {
        return None;
    }
    let part = |names: &[&str]| attributes.count(names).unwrap_or(0);
    let cache_read = part(&attribute::CACHE_READ_TOKENS);
    let cache_write = part(&attribute::CACHE_WRITE_TOKENS);
    let audio_in = part(&[attribute::AUDIO_INPUT_TOKENS]);
    let image_in = part(&[attribute::IMAGE_INPUT_TOKENS]);
    let reasoning = part(&attribute::REASONING_TOKENS);
    let audio_out = part(&[attribute::AUDIO_OUTPUT_TOKENS]);
    let image_out = part(&[attribute::IMAGE_OUTPUT_TOKENS]);
    let tokens = TokenCounts::from_pairs(&[
        (
            TokenClass::InputUncached,
            without(input.unwrap_or(0), &[cache_read, cache_write, audio_in, image_in]),
        ),
        (TokenClass::CacheRead, cache_read),
        (TokenClass::CacheWrite5m, cache_write),
        (TokenClass::InputAudio, audio_in),
        (TokenClass::InputImage, image_in),
        (TokenClass::OutputText, without(output.unwrap_or(0), &[reasoning, audio_out, image_out])),
        (TokenClass::OutputReasoning, reasoning),
        (TokenClass::OutputAudio, audio_out),
        (TokenClass::OutputImage, image_out),
    ]);
    Some(Usage { tokens, source: UsageSource::Provider })
}
