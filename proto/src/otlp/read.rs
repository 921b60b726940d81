//! Any OTLP span as a record: a call where it is one, a plain span otherwise.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

use super::allow_list::{AllowList, DroppedNames, Verdict};
use super::facts::Facts;
use super::foreign::Sender;
use super::kind::Kind;
use super::names::{Count, Form, TICKS_PER_USD, Text};
use super::value::{AttributeLimits, boolean, display, list_of_texts, nanoseconds};
use super::{provider, usage};
use crate::call::{BillGap, Billing, Call, EndOfStream, Identity, Operation};
use crate::id::{SpanId, TraceId};
use crate::money::PicoUsd;

/// The id of an answer that is read from the answer itself; a longer one is none.
const ANSWER_ID_BYTES_MAX: usize = 128;

/// A span as it is stored: the facts we have names for, and the rest as text.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// The facts. [`Operation::NotGenAi`] marks a span that is not about a model.
    pub call: Call,
    /// From start to end; `None` when the sender's times are not those of a finished span.
    pub duration_ns: Option<u64>,
    /// Who saw it: the name of its instrumentation scope, [`SCOPE_NAME`](super::SCOPE_NAME) for our agents. Empty when not sent.
    pub observer: String,
    /// The version of that scope, of our agents theirs. [`read_span`] leaves it empty: it is no fact of the span.
    pub observer_version: String,
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
        let (mut named, mut facts) = (Vec::new(), Facts::default());
        for KeyValue { key, value, .. } in attributes {
            let Some(value) = value.as_ref().and_then(|value| value.value.as_ref()) else { continue };
            let entry = keep.allowed.entry(key);
            if let Some((reading, place)) = entry.reading {
                facts.take(reading, place, value);
            }
            match entry.verdict {
                Verdict::Named if named.len() < keep.limits.count => {
                    named.extend(display(value, keep.limits).map(|text| (key.clone(), text)));
                }
                Verdict::Dropped => keep.dropped.count(key),
                _ => {}
            }
        }
        let mut identity = identity(&Identity::default(), &facts);
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
    let Sorted { mut facts, mut attributes, attributes_dropped } = Sorted::of(&span.attributes, keep);
    let operation = operation(&facts);
    if operation != Operation::NotGenAi {
        facts.read_usage_texts();
    }
    let error_type = error_type(&facts, span);
    let stated = facts.text(Text::Provider).unwrap_or_else(|| provider::of_scope(scope_name));
    let provider = provider::canonical(stated);
    let usage = usage::read(&facts, Sender { scope_name, provider, operation: &operation });
    let (stream, time_to_first_token_ns) = stream(&facts, span.start_time_unix_nano);
    let call = Call {
        trace_id,
        span_id,
        parent_span_id: SpanId::from_slice(&span.parent_span_id),
        start_unix_ns: span.start_time_unix_nano,
        end_unix_ns: span.end_time_unix_nano,
        time_to_first_token_ns,
        provider: provider.to_owned(),
        request_model: request_model(&facts).to_owned(),
        response_model: facts.owned(Text::ResponseModel),
        response_id: response_id(&facts).into_owned(),
        stream,
        finish_reasons: finish_reasons(&facts),
        end: end_of_stream(&facts, error_type.as_deref()),
        error_type,
        http_status: http_status(&facts),
        usage,
        usage_object: facts.owned(Text::UsageObject),
        billing: billing(&facts),
        identity: identity(&resource.identity, &facts),
        unread: None,
        operation,
    };
    let name = name_of(&facts, &call.operation, &span.name);
    for (name, value) in &resource.attributes {
        if !attributes.iter().any(|(known, _)| known == name) {
            attributes.push((name.clone(), value.clone()));
        }
    }
    let is_timed = call.start_unix_ns != 0 && call.end_unix_ns != 0;
    let duration_ns = is_timed.then(|| call.end_unix_ns.checked_sub(call.start_unix_ns)).flatten();
    let (observer, observer_version) = (scope_name.to_owned(), String::new());
    Ok(SpanRecord { call, duration_ns, observer, observer_version, name, attributes, attributes_dropped })
}

/// The id of the provider's answer: as it is stated, or that of the answer itself, which is the object of OpenAI's or Anthropic's API.
fn response_id<'a>(facts: &Facts<'a>) -> Cow<'a, str> {
    if let Some(id) = facts.text(Text::ResponseId) {
        return Cow::Borrowed(id);
    }
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let answer = facts.text(Text::Answer).and_then(|text| serde_json::from_str::<Answer<'_>>(text).ok());
    let id = answer.and_then(|answer| answer.id).unwrap_or_default();
    if id.len() <= ANSWER_ID_BYTES_MAX && id.bytes().all(is_id) { id } else { Cow::Borrowed("") }
}

/// What is read of an answer; the rest is skipped.
#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// What a span is about: what its sender's kinds say where they say that it is no call, or embeddings, else the operation
/// that it states.
fn operation(facts: &Facts<'_>) -> Operation {
    let stated = facts.text(Text::Operation).map(|name| stated_operation(word(name)));
    match (facts.kind(), stated) {
        // The finer name of what is no call either way.
        (Some(_), Some(operation)) if !operation.is_call() => operation,
        (Some(kind @ (Kind::NoCall(_) | Kind::Embeddings)), _) => kind.operation(),
        (_, Some(operation)) => operation,
        (Some(kind), None) => kind.operation(),
        // OpenTelemetry's instrumentations before v1.27 name the system and the model only. They knew chat and nothing else.
        (None, None)
            if facts.text_by_first_names(Text::Provider, 2).is_some()
                && facts.text_by_first_names(Text::RequestModel, 1).is_some() =>
        {
            Operation::Chat
        }
        (None, None) => Operation::NotGenAi,
    }
}

/// The operation of that name, and of words that mean a call and are none of the conventions.
fn stated_operation(name: &str) -> Operation {
    match (Operation::from_name(name), Kind::from_word(name)) {
        (Operation::Other(_), Some(kind)) if !matches!(kind, Kind::NoCall(_)) => kind.operation(),
        (operation, _) => operation,
    }
}

fn request_model<'a>(facts: &Facts<'a>) -> &'a str {
    let of_claude_code = || facts.kind().and_then(|_| facts.text(Text::ClaudeCodeModel));
    facts.text(Text::RequestModel).or_else(of_claude_code).unwrap_or_default()
}

/// Whether the answer was streamed, and the time to its first token. Only streams have that; some senders state it of all.
fn stream(facts: &Facts<'_>, start_unix_ns: u64) -> (bool, Option<u64>) {
    let time = |form, per_second| facts.form(form).and_then(|value| nanoseconds(value, per_second));
    let since_start = || {
        let first: jiff::Timestamp = facts.text(Text::FirstTokenAt)?.parse().ok()?;
        u64::try_from(first.as_nanosecond()).ok()?.checked_sub(start_unix_ns)
    };
    let first =
        time(Form::FirstTokenSeconds, 1).or_else(|| time(Form::FirstTokenMs, 1000)).or_else(since_start);
    let stated = facts.form(Form::Stream).and_then(boolean);
    let is_stream = stated.unwrap_or(first.is_some() || facts.kind() == Some(Kind::ChatStream));
    (is_stream, first.filter(|_| is_stream))
}

fn error_type(facts: &Facts<'_>, span: &Span) -> Option<String> {
    let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    let stated = facts.text(Text::ErrorType).map(|class| word(class).to_owned());
    stated.or_else(|| failed.then(|| OTHER.to_owned()))
}

fn http_status(facts: &Facts<'_>) -> Option<u16> {
    let status = u16::try_from(facts.count(Count::HttpStatus)?).ok()?;
    (100..600).contains(&status).then_some(status)
}

fn finish_reasons(facts: &Facts<'_>) -> Vec<String> {
    let mut reasons = facts.form(Form::FinishReasons).map(list_of_texts).unwrap_or_default();
    for reason in reasons.iter_mut().filter(|reason| !is_word(reason)) {
        OTHER.clone_into(reason);
    }
    reasons
}

fn end_of_stream(facts: &Facts<'_>, error_type: Option<&str>) -> EndOfStream {
    let stated = facts.text(Text::EndOfStream).and_then(EndOfStream::from_name);
    stated.unwrap_or(if error_type.is_some() { EndOfStream::ProviderError } else { EndOfStream::Complete })
}

fn billing(facts: &Facts<'_>) -> Billing {
    Billing {
        conditions: facts.conditions(),
        gap: facts.text(Text::BillGap).and_then(BillGap::from_name),
        reported_cost: reported_cost(facts),
    }
}

fn reported_cost(facts: &Facts<'_>) -> Option<PicoUsd> {
    if facts.text(Text::CostCurrency).is_some_and(|currency| !currency.eq_ignore_ascii_case("USD")) {
        return None;
    }
    let of_ticks = || {
        let picos = facts.count(Count::CostTicks)?.checked_mul(PICOS_PER_USD / TICKS_PER_USD)?;
        PicoUsd::from_picos(i64::try_from(picos).ok()?)
    };
    let of_details = || {
        let Value::StringValue(text) = facts.form(Form::CostDetails)? else { return None };
        let object: serde_json::Value = serde_json::from_str(text).ok()?;
        let sum = ["total", "total_cost"].iter().find_map(|name| object.get(name));
        rounded_usd(sum?.as_f64()?)
    };
    facts.form(Form::Cost).and_then(usd).or_else(of_ticks).or_else(of_details)
}

const PICOS_PER_USD: u64 = 1_000_000_000_000;

/// Our own agent sends a text, which is exact.
fn usd(value: &Value) -> Option<PicoUsd> {
    match value {
        Value::StringValue(text) => text.parse().ok().or_else(|| PicoUsd::rounded(text)),
        Value::DoubleValue(usd) => rounded_usd(*usd),
        Value::IntValue(usd) => usd.to_string().parse().ok(),
        _ => None,
    }
}

/// The conventions propose a double. It is rounded here, once, to the nearest pico-dollar, and kept apart from the
/// cost we compute.
fn rounded_usd(usd: f64) -> Option<PicoUsd> {
    if usd.is_finite() { format!("{usd:.12}").parse().ok() } else { None }
}

/// Who these attributes name, and `resource` where they do not.
fn identity(resource: &Identity, facts: &Facts<'_>) -> Identity {
    let or = |fact, fallback: &str| facts.text(fact).unwrap_or(fallback).to_owned();
    Identity {
        service: or(Text::Service, &resource.service),
        environment: or(Text::Environment, &resource.environment),
        team: or(Text::Team, &resource.team),
        feature: or(Text::Feature, &resource.feature),
        user: or(Text::User, &resource.user),
        session: or(Text::Session, &resource.session),
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
fn name_of(facts: &Facts<'_>, operation: &Operation, name: &str) -> String {
    let target = facts.text(Text::Target).filter(|_| !operation.is_call());
    let target = target.unwrap_or_else(|| request_model(facts));
    let has_name_of_facts = facts.text(Text::Operation).is_some() || !target.is_empty();
    if *operation != Operation::NotGenAi && has_name_of_facts {
        return format!("{} {target}", operation.name()).trim_end().to_owned();
    }
    let name = name.split(|part: char| part == '?' || part.is_control()).next().unwrap_or_default();
    let is_name = name.len() <= WORD_BYTES_MAX && name.split_whitespace().count() <= NAME_WORDS_MAX;
    if is_name { name.to_owned() } else { OTHER.to_owned() }
}

const NAME_WORDS_MAX: usize = 6;

/// The name under which a span would be stored, for one that cannot be.
pub fn stored_name(span: &Span, allowed: &AllowList) -> String {
    let mut facts = Facts::default();
    for KeyValue { key, value, .. } in &span.attributes {
        let value = value.as_ref().and_then(|value| value.value.as_ref());
        if let (Some(value), Some((reading, place))) = (value, allowed.entry(key).reading) {
            facts.take(reading, place, value);
        }
    }
    name_of(&facts, &operation(&facts), &span.name)
}

/// The attributes of a span: what they state, and what is kept of them beside the columns, each as text. Raw usage of other
/// senders stays among these: should our reading of it be wrong, the evidence is still there.
struct Sorted<'a> {
    facts: Facts<'a>,
    attributes: Vec<(String, String)>,
    attributes_dropped: u32,
}

impl<'a> Sorted<'a> {
    fn of(attributes: &'a [KeyValue], keep: &mut Keep<'_>) -> Self {
        let (mut facts, mut kept, mut attributes_dropped) = (Facts::default(), Vec::new(), 0);
        for KeyValue { key, value, .. } in attributes {
            let value = value.as_ref().and_then(|value| value.value.as_ref());
            let entry = keep.allowed.entry(key);
            if let (Some(value), Some((reading, place))) = (value, entry.reading) {
                facts.take(reading, place, value);
            }
            match entry.verdict {
                Verdict::Column | Verdict::WordColumn => continue,
                Verdict::Attribute | Verdict::Named
                    if kept.len() < keep.limits.count && key.len() <= keep.limits.name_bytes =>
                {
                    let Some(value) = value else { continue };
                    if let Some(text) = display(value, keep.limits) {
                        kept.push((key.clone(), text));
                        continue;
                    }
                }
                Verdict::Attribute | Verdict::Named | Verdict::Dropped => {}
            }
            keep.dropped.count(key);
            attributes_dropped += 1;
        }
        Self { facts, attributes: kept, attributes_dropped }
    }
}

/// Everything of a span that may be stored of its attributes, as text: for a span that cannot be a record.
pub fn allowed_attributes(
    span: &Span,
    allowed: &AllowList,
    limits: AttributeLimits,
) -> Vec<(String, String)> {
    let keep = |KeyValue { key, value, .. }: &KeyValue| {
        let value = value.as_ref()?.value.as_ref()?;
        let text = match allowed.entry(key).verdict {
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
