//! Any OTLP span as a record: a call where it is one, a plain span otherwise.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

use super::allow_list::{AllowList, DroppedNames, Verdict};
use super::usage;
use super::value::{AttributeLimits, Attributes, display};
use crate::attribute;
use crate::call::{BillGap, Billing, Call, EndOfStream, Identity, Operation};
use crate::condition::{Condition, Conditions};
use crate::id::{SpanId, TraceId};
use crate::money::PicoUsd;

/// A span as it is stored: the facts we have names for, and the rest as text.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// The facts. [`Operation::NotGenAi`] marks a span that is not about a model.
    pub call: Call,
    /// From start to end; `None` when the sender's times are not those of a finished span.
    pub duration_ns: Option<u64>,
    /// Who saw it: the name of its instrumentation scope, [`SCOPE_NAME`](super::SCOPE_NAME) for our agents. Empty when not sent.
    pub observer: String,
    /// What the span is, in few words; see ARCHITECTURE.md on what is kept of a sender's texts.
    pub name: String,
    /// Attributes without a column of their own that the allow-list keeps, in the sender's order.
    pub attributes: Vec<(String, String)>,
    /// How many of the sender's attributes are kept nowhere.
    pub attributes_dropped: u32,
}

/// Why a span cannot be kept. It is rejected and counted; the rest of its request is not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum SpanError {
    #[error("trace id is not 16 bytes with one of them set")]
    TraceId,
    #[error("span id is not 8 bytes with one of them set")]
    SpanId,
}

/// Facts of the resource a span belongs to, read once per resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Without a person.
    identity: Identity,
    /// Those that the user named.
    attributes: Vec<(String, String)>,
}

/// What is kept of attributes: the list, the bounds, and where the rest is counted.
#[derive(Debug)]
pub struct Keep<'a> {
    /// The names.
    pub allowed: &'a AllowList,
    /// The bounds.
    pub limits: AttributeLimits,
    /// The names that were not.
    pub dropped: &'a mut DroppedNames,
}

impl Resource {
    /// Reads the attributes of an OTLP resource. What the user named of them is kept on each of its spans.
    pub fn read(attributes: &[KeyValue], keep: &mut Keep<'_>) -> Self {
        let mut named = Vec::new();
        for KeyValue { key, value, .. } in attributes {
            match (keep.allowed.verdict(key), value.as_ref().and_then(|value| value.value.as_ref())) {
                (Verdict::Named, Some(value)) if named.len() < keep.limits.count => {
                    named.extend(display(value, keep.limits).map(|text| (key.clone(), text)));
                }
                (Verdict::Dropped, _) => keep.dropped.count(key),
                _ => {}
            }
        }
        let mut identity = identity(&Identity::default(), Attributes(attributes));
        (identity.user, identity.session) = Default::default();
        Self { identity, attributes: named }
    }
}

/// Reads one span of that resource. The name of its instrumentation scope (empty when not sent) tells how the sender
/// counts.
pub fn read_span(
    resource: &Resource,
    scope_name: &str,
    span: &Span,
    keep: &mut Keep<'_>,
) -> Result<SpanRecord, SpanError> {
    let trace_id = TraceId::from_slice(&span.trace_id).ok_or(SpanError::TraceId)?;
    let span_id = SpanId::from_slice(&span.span_id).ok_or(SpanError::SpanId)?;
    let attributes = Attributes(&span.attributes);
    let owned = |names: &[&str]| attributes.text(names).unwrap_or_default().to_owned();
    let error_type = error_type(attributes, span);
    let operation = operation(attributes);
    let provider = attribute::provider_name(attributes.text(&attribute::PROVIDER).unwrap_or_default());
    let sender = usage::Sender { scope_name, provider, operation: &operation };
    let usage = usage::read(attributes, sender);
    let call = Call {
        trace_id,
        span_id,
        parent_span_id: SpanId::from_slice(&span.parent_span_id),
        start_unix_ns: span.start_time_unix_nano,
        end_unix_ns: span.end_time_unix_nano,
        time_to_first_token_ns: attributes.seconds_as_ns(attribute::TIME_TO_FIRST_CHUNK),
        operation,
        provider: provider.to_owned(),
        request_model: owned(&[attribute::REQUEST_MODEL]),
        response_model: owned(&[attribute::RESPONSE_MODEL]),
        response_id: owned(&[attribute::RESPONSE_ID]),
        stream: attributes.boolean(attribute::REQUEST_STREAM).unwrap_or(false),
        finish_reasons: finish_reasons(attributes),
        end: end_of_stream(attributes, error_type.as_deref()),
        error_type,
        http_status: attributes
            .count(&[attribute::HTTP_STATUS])
            .and_then(|status| u16::try_from(status).ok()),
        usage,
        usage_object: owned(&[attribute::USAGE_OBJECT]),
        billing: billing(attributes),
        identity: identity(&resource.identity, attributes),
        unread: None,
    };
    let name = name_of(&call.operation, target(attributes), &span.name);
    let (mut attributes, attributes_dropped) = rest(&span.attributes, keep);
    for (name, value) in &resource.attributes {
        if !attributes.iter().any(|(known, _)| known == name) {
            attributes.push((name.clone(), value.clone()));
        }
    }
    let is_timed = call.start_unix_ns != 0 && call.end_unix_ns != 0;
    let duration_ns = is_timed.then(|| call.end_unix_ns.checked_sub(call.start_unix_ns)).flatten();
    let observer = scope_name.to_owned();
    Ok(SpanRecord { call, duration_ns, observer, name, attributes, attributes_dropped })
}

fn operation(attributes: Attributes<'_>) -> Operation {
    match attributes.text(&[attribute::OPERATION]) {
        Some(name) => Operation::from_name(word(name)),
        // Instrumentations older than v1.27 name the system and the model only. They knew chat and nothing else.
        None if attributes.text(&attribute::PROVIDER).is_some()
            && attributes.text(&[attribute::REQUEST_MODEL]).is_some() =>
        {
            Operation::Chat
        }
        None => Operation::NotGenAi,
    }
}

fn error_type(attributes: Attributes<'_>, span: &Span) -> Option<String> {
    let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    attributes
        .text(&[attribute::ERROR_TYPE])
        .map(|class| word(class).to_owned())
        .or_else(|| failed.then(|| OTHER.to_owned()))
}

fn finish_reasons(attributes: Attributes<'_>) -> Vec<String> {
    let mut reasons = attributes.texts(attribute::FINISH_REASONS);
    for reason in reasons.iter_mut().filter(|reason| !is_word(reason)) {
        OTHER.clone_into(reason);
    }
    reasons
}

fn end_of_stream(attributes: Attributes<'_>, error_type: Option<&str>) -> EndOfStream {
    attributes
        .text(&[attribute::END_OF_STREAM])
        .and_then(EndOfStream::from_name)
        .unwrap_or(if error_type.is_some() { EndOfStream::ProviderError } else { EndOfStream::Complete })
}

fn conditions(attributes: Attributes<'_>) -> Conditions {
    let tier = attributes.text(&attribute::OPENAI_SERVICE_TIER);
    let stated = attributes.0.iter().filter_map(|attribute| {
        let name = attribute.key.strip_prefix(attribute::CONDITION_PREFIX)?;
        Some((Condition::from_name(name)?, attributes.text(&[&attribute.key])?))
    });
    Conditions::from_pairs(tier.map(|tier| (Condition::ServiceTier, tier)).into_iter().chain(stated))
}

fn billing(attributes: Attributes<'_>) -> Billing {
    Billing {
        conditions: conditions(attributes),
        gap: attributes.text(&[attribute::BILL_GAP]).and_then(BillGap::from_name),
        reported_cost: attributes.first(&attribute::REPORTED_COST, reported_cost),
    }
}

/// The conventions propose a double. It is rounded here, once, to the nearest pico-dollar, and kept apart from the
/// cost we compute. Our own agent sends a text, which is exact.
fn reported_cost(value: &Value) -> Option<PicoUsd> {
    match value {
        Value::StringValue(text) => text.parse().ok(),
        Value::DoubleValue(usd) if usd.is_finite() => format!("{usd:.12}").parse().ok(),
        Value::IntValue(usd) => usd.to_string().parse().ok(),
        _ => None,
    }
}

/// Who these attributes name, and `resource` where they do not.
fn identity(resource: &Identity, attributes: Attributes<'_>) -> Identity {
    let or = |names: &[&str], fallback: &str| attributes.text(names).unwrap_or(fallback).to_owned();
    Identity {
        service: or(&[attribute::SERVICE_NAME], &resource.service),
        environment: or(&attribute::ENVIRONMENT, &resource.environment),
        team: or(&[attribute::TEAM], &resource.team),
        feature: or(&[attribute::FEATURE], &resource.feature),
        user: or(&attribute::USER, &resource.user),
        session: or(&attribute::SESSION, &resource.session),
    }
}

/// A class in place of what is no word.
const OTHER: &str = "_OTHER";

/// Whether a text can be a class, an operation or a reason: these are words of some vocabulary, and senders that put messages
/// into them put prompts and keys there, too.
fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/+-*<>$#".contains(&byte);
    (1..=WORD_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_part)
}

const WORD_BYTES_MAX: usize = 128;

fn word(text: &str) -> &str {
    if is_word(text) { text } else { OTHER }
}

/// The name a span is stored under. That of a GenAI span is what the conventions make of its facts: the sender's own may be
/// anything. Others name their code; a URL's query and what reads like a sentence is none.
fn name_of(operation: &Operation, target: &str, name: &str) -> String {
    if *operation != Operation::NotGenAi {
        return format!("{} {target}", operation.name()).trim_end().to_owned();
    }
    let name = name.split(|part: char| part == '?' || part.is_control()).next().unwrap_or_default();
    let is_name = name.len() <= WORD_BYTES_MAX && name.split_whitespace().count() <= NAME_WORDS_MAX;
    if is_name { name.to_owned() } else { OTHER.to_owned() }
}

const NAME_WORDS_MAX: usize = 6;

/// What a GenAI span is about, for its name.
fn target(attributes: Attributes<'_>) -> &str {
    const TARGETS: [&str; 5] = [
        attribute::REQUEST_MODEL,
        "gen_ai.agent.name",
        "gen_ai.tool.name",
        "gen_ai.workflow.name",
        "gen_ai.data_source.id",
    ];
    attributes.text(&TARGETS).unwrap_or_default()
}

/// The name under which a span would be stored, for one that cannot be.
pub fn stored_name(span: &Span) -> String {
    let attributes = Attributes(&span.attributes);
    name_of(&operation(attributes), target(attributes), &span.name)
}

/// What is kept of these attributes beside the columns, each as text, and how many are not. Raw usage of other senders
/// stays among them: should our reading of it be wrong, the evidence is still there.
fn rest(attributes: &[KeyValue], keep: &mut Keep<'_>) -> (Vec<(String, String)>, u32) {
    let mut kept = Vec::new();
    let mut left_out = 0;
    for KeyValue { key, value, .. } in attributes {
        match keep.allowed.verdict(key) {
            Verdict::Column | Verdict::WordColumn => continue,
            Verdict::Attribute | Verdict::Named
                if kept.len() < keep.limits.count && key.len() <= keep.limits.name_bytes =>
            {
                let Some(value) = value.as_ref().and_then(|value| value.value.as_ref()) else { continue };
                if let Some(text) = display(value, keep.limits) {
                    kept.push((key.clone(), text));
                    continue;
                }
            }
            Verdict::Attribute | Verdict::Named | Verdict::Dropped => {}
        }
        keep.dropped.count(key);
        left_out += 1;
    }
    (kept, left_out)
}

/// Everything of a span that may be stored of its attributes, as text: for a span that cannot be a record.
pub fn allowed_attributes(
    span: &Span,
    allowed: &AllowList,
    limits: AttributeLimits,
) -> Vec<(String, String)> {
    let keep = |KeyValue { key, value, .. }: &KeyValue| {
        let value = value.as_ref()?.value.as_ref()?;
        let text = match allowed.verdict(key) {
            Verdict::Dropped => return None,
            Verdict::WordColumn => match value {
                Value::StringValue(text) => word(text).to_owned(),
                _ => return None,
            },
            Verdict::Column | Verdict::Attribute | Verdict::Named => display(value, limits)?,
        };
        (key.len() <= limits.name_bytes).then(|| (key.clone(), text))
    };
    span.attributes.iter().filter_map(keep).take(limits.count).collect()
}
