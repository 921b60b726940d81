//! Any OTLP span as a record: a call where it is one, a plain span otherwise.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};

use super::usage;
use super::value::{Attributes, display};
use crate::attribute;
use crate::call::{BillGap, Billing, Call, EndOfStream, Identity, Operation};
use crate::id::{SpanId, TraceId};
use crate::money::NanoUsd;

/// A span as it is stored: the facts we have names for, and the rest as text.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// The facts. [`Operation::NotGenAi`] marks a span that is not about a model.
    pub call: Call,
    /// The span's name.
    pub name: String,
    /// Attributes without a field of their own, message content left out, in the sender's order.
    pub attributes: Vec<(String, String)>,
    /// How many content attributes were left out because content capture is off.
    pub content_dropped: u32,
}

/// Why a span cannot be kept. It is rejected and counted; the rest of its request is not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not 16 bytes, or all zero.
    #[error("trace id is not 16 bytes with one of them set")]
    TraceId,
    /// Not 8 bytes, or all zero.
    #[error("span id is not 8 bytes with one of them set")]
    SpanId,
    /// A span must have an end; without one there is no time to bill it at.
    #[error("span has no end time")]
    EndTime,
    /// The end lies before the start.
    #[error("span ends before it starts")]
    NegativeDuration,
}

/// Facts of the resource a span belongs to, read once per resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    service: String,
    environment: String,
    team: String,
    feature: String,
}

impl Resource {
    /// Reads the attributes of an OTLP resource.
    #[must_use]
    pub fn read(attributes: &[KeyValue]) -> Self {
        let attributes = Attributes(attributes);
        let owned = |names: &[&str]| attributes.text(names).unwrap_or_default().to_owned();
        Self {
            service: owned(&[attribute::SERVICE_NAME]),
            environment: owned(&attribute::ENVIRONMENT),
            team: owned(&[attribute::TEAM]),
            feature: owned(&[attribute::FEATURE]),
        }
    }
}

/// Reads one span of that resource. The name of its instrumentation scope (empty when not sent) tells how the sender
/// counts.
///
/// # Errors
/// When its ids or times are not those of a finished span, see [`SpanError`].
pub fn read_span(resource: &Resource, scope_name: &str, span: &Span) -> Result<SpanRecord, SpanError> {
    let trace_id = TraceId::from_slice(&span.trace_id).ok_or(SpanError::TraceId)?;
    let span_id = SpanId::from_slice(&span.span_id).ok_or(SpanError::SpanId)?;
    if span.end_time_unix_nano == 0 {
        return Err(SpanError::EndTime);
    }
    if span.end_time_unix_nano < span.start_time_unix_nano {
        return Err(SpanError::NegativeDuration);
    }
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
        finish_reasons: attributes.texts(attribute::FINISH_REASONS),
        end: end_of_stream(attributes, error_type.as_deref()),
        error_type,
        http_status: attributes
            .count(&[attribute::HTTP_STATUS])
            .and_then(|status| u16::try_from(status).ok()),
        usage,
        billing: billing(attributes),
        identity: identity(resource, attributes),
        unread: None,
    };
    let (attributes, content_dropped) = rest(&span.attributes);
    Ok(SpanRecord { call, name: span.name.clone(), attributes, content_dropped })
}

fn operation(attributes: Attributes<'_>) -> Operation {
    match attributes.text(&[attribute::OPERATION]) {
        Some(name) => Operation::from_name(name),
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
        .map(str::to_owned)
        .or_else(|| failed.then(|| "_OTHER".to_owned()))
}

fn end_of_stream(attributes: Attributes<'_>, error_type: Option<&str>) -> EndOfStream {
    attributes
        .text(&[attribute::END_OF_STREAM])
        .and_then(EndOfStream::from_name)
        .unwrap_or(if error_type.is_some() { EndOfStream::ProviderError } else { EndOfStream::Complete })
}

fn billing(attributes: Attributes<'_>) -> Billing {
    let owned = |names: &[&str]| attributes.text(names).map(str::to_owned);
    Billing {
        service_tier: owned(&attribute::SERVICE_TIER),
        speed: owned(&[attribute::SPEED]),
        inference_geo: owned(&[attribute::INFERENCE_GEO]),
        web_search_requests: attributes.count(&[attribute::WEB_SEARCH_REQUESTS]),
        gap: attributes.text(&[attribute::BILL_GAP]).and_then(BillGap::from_name),
        reported_cost: attribute::REPORTED_COST
            .iter()
            .find_map(|name| reported_cost(attributes.value(name)?)),
    }
}

/// The conventions propose a double. It is rounded here, once, to the nearest nano-dollar, and kept apart from the
/// cost we compute. Our own agent sends a text, which is exact.
fn reported_cost(value: &Value) -> Option<NanoUsd> {
    match value {
        Value::StringValue(text) => text.parse().ok(),
        Value::DoubleValue(usd) if usd.is_finite() => format!("{usd:.9}").parse().ok(),
        Value::IntValue(usd) => usd.to_string().parse().ok(),
        _ => None,
    }
}

fn identity(resource: &Resource, attributes: Attributes<'_>) -> Identity {
    let or = |names: &[&str], fallback: &str| attributes.text(names).unwrap_or(fallback).to_owned();
    Identity {
        service: or(&[attribute::SERVICE_NAME], &resource.service),
        environment: or(&attribute::ENVIRONMENT, &resource.environment),
        team: or(&[attribute::TEAM], &resource.team),
        feature: or(&[attribute::FEATURE], &resource.feature),
        user: or(&attribute::USER, ""),
        session: or(&attribute::SESSION, ""),
    }
}

fn has_a_field(name: &str) -> bool {
    const SINGLE: [&str; 18] = [
        attribute::OPERATION,
        attribute::REQUEST_MODEL,
        attribute::REQUEST_STREAM,
        attribute::RESPONSE_MODEL,
        attribute::RESPONSE_ID,
        attribute::FINISH_REASONS,
        attribute::TIME_TO_FIRST_CHUNK,
        attribute::ERROR_TYPE,
        attribute::HTTP_STATUS,
        attribute::TEAM,
        attribute::FEATURE,
        attribute::END_OF_STREAM,
        attribute::USAGE_SOURCE,
        attribute::SPEED,
        attribute::INFERENCE_GEO,
        attribute::WEB_SEARCH_REQUESTS,
        attribute::BILL_GAP,
        attribute::SERVICE_NAME,
    ];
    let listed = |names: &[&str]| names.contains(&name);
    listed(&SINGLE)
        || listed(&attribute::PROVIDER)
        || listed(&attribute::SERVICE_TIER)
        || listed(&attribute::USER)
        || listed(&attribute::SESSION)
        || name.starts_with(attribute::USAGE_CLASS_PREFIX)
}

/// The attributes that are kept as text. Raw usage of other senders stays among them: should our reading of it be
/// wrong, the evidence is still there.
fn rest(attributes: &[KeyValue]) -> (Vec<(String, String)>, u32) {
    let mut kept = Vec::new();
    let mut content_dropped = 0;
    for attribute in attributes {
        if attribute::is_content(&attribute.key) {
            content_dropped += 1;
        } else if !has_a_field(&attribute.key)
            && let Some(value) = attribute.value.as_ref().and_then(|value| value.value.as_ref())
        {
            kept.push((attribute.key.clone(), display(value)));
        }
    }
    (kept, content_dropped)
}
