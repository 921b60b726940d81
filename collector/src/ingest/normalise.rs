//! Spans as records within our bounds; the rest with the reason.
//!
//! Pure: the time is an argument.
//!
//! A bad clock must not open hundreds of daily partitions, and a long text must not become a dictionary entry. What cannot
//! be kept is never dropped without a trace: it goes to the quarantine, and its sender is told.

mod payload;

use ledgerline_proto::TokenClass;
use ledgerline_proto::otlp::{ExportTraceServiceRequest, Resource, SpanError, SpanRecord, read_span};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::limits;
use ledgerline_store::quarantine::{Reason, clipped};

/// A span that is stored.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its place among the spans of its request.
    pub place: usize,
    /// What is stored of it.
    pub record: SpanRecord,
}

/// A span that goes to the quarantine.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Its place among the spans of its request.
    pub place: usize,
    /// Why, for grouping.
    pub reason: Reason,
    /// Why, for the sender.
    pub detail: String,
    /// The ids as sent, hexadecimal.
    pub trace_id: String,
    /// The ids as sent, hexadecimal.
    pub span_id: String,
    /// The span as JSON without message content.
    pub payload: String,
}

/// The spans of a request, sorted into those that are stored and those that are refused.
#[derive(Debug, Default)]
pub struct Normalised {
    /// Within our bounds, in the request's order.
    pub accepted: Vec<Accepted>,
    /// The rest, in the request's order.
    pub rejected: Vec<Rejected>,
}

/// How many spans a request holds.
#[must_use]
pub fn span_count(request: &ExportTraceServiceRequest) -> usize {
    request
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum()
}

/// Sorts the spans of a request that came in at `now_unix_ns`.
#[must_use]
pub fn normalise(request: &ExportTraceServiceRequest, now_unix_ns: u64) -> Normalised {
    let mut normalised =
        Normalised { accepted: Vec::with_capacity(span_count(request)), rejected: Vec::new() };
    let mut place = 0;
    for spans in &request.resource_spans {
        let attributes = spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let resource = Resource::read(&bounded(attributes));
        for scope in &spans.scope_spans {
            let scope_name = scope.scope.as_ref().map_or("", |scope| &scope.name);
            for span in &scope.spans {
                match record(&resource, scope_name, span, now_unix_ns) {
                    Ok(record) => normalised.accepted.push(Accepted { place, record }),
                    Err((reason, detail)) => normalised.rejected.push(rejected(place, span, reason, detail)),
                }
                place += 1;
            }
        }
    }
    normalised
}

/// The texts of a resource, cut before every one of its spans gets a copy.
fn bounded(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) if attribute.key.len() <= limits::ATTRIBUTE_NAME_BYTES_MAX => {
            let text = text[..text.floor_char_boundary(limits::NAME_BYTES_MAX)].to_owned();
            let value = Some(AnyValue { value: Some(Value::StringValue(text)) });
            Some(KeyValue { key: attribute.key.clone(), value, ..Default::default() })
        }
        _ => None,
    };
    attributes.iter().filter_map(text).collect()
}

fn record(
    resource: &Resource,
    scope_name: &str,
    span: &Span,
    now_unix_ns: u64,
) -> Result<SpanRecord, (Reason, String)> {
    let mut record = read_span(resource, scope_name, span).map_err(|error| {
        let reason = match error {
            SpanError::TraceId | SpanError::SpanId => Reason::Identity,
            SpanError::EndTime | SpanError::NegativeDuration => Reason::Time,
        };
        (reason, error.to_string())
    })?;
    if record.call.start_unix_ns == 0 {
        return Err((Reason::Time, "span has no start time".to_owned()));
    }
    within_time(record.call.end_unix_ns, now_unix_ns)?;
    plausible(&record)?;
    bound(&mut record);
    Ok(record)
}

fn within_time(end: u64, now: u64) -> Result<(), (Reason, String)> {
    let nanoseconds = |bound: std::time::Duration| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    let seconds = |from: u64, to: u64| to.saturating_sub(from) / 1_000_000_000;
    if end < now.saturating_sub(nanoseconds(limits::SPAN_AGE_MAX)) {
        let days = limits::SPAN_AGE_MAX.as_secs() / 86_400;
        let age = seconds(end, now);
        return Err((
            Reason::TooOld,
            format!("span ended {age} s ago, more than the {days} days that are taken"),
        ));
    }
    if end > now.saturating_add(nanoseconds(limits::SPAN_LEAD_MAX)) {
        let lead = seconds(now, end);
        let minutes = limits::SPAN_LEAD_MAX.as_secs() / 60;
        return Err((
            Reason::InTheFuture,
            format!(
                "span ends {lead} s in the future, more than {minutes} minutes: check the sender's clock"
            ),
        ));
    }
    Ok(())
}

fn plausible(record: &SpanRecord) -> Result<(), (Reason, String)> {
    let Some(usage) = record.call.usage else {
        return Ok(());
    };
    for class in TokenClass::ALL {
        let count = usage.tokens.get(class);
        if count > limits::TOKENS_MAX {
            let detail =
                format!("{count} {} tokens in one call: more than {}", class.name(), limits::TOKENS_MAX);
            return Err((Reason::Implausible, detail));
        }
    }
    Ok(())
}

/// Cuts what is too long. Names become dictionary entries and labels, so their bound is tight.
fn bound(record: &mut SpanRecord) {
    let call = &mut record.call;
    for name in [
        &mut record.name,
        &mut call.provider,
        &mut call.request_model,
        &mut call.response_model,
        &mut call.response_id,
        &mut call.identity.service,
        &mut call.identity.environment,
        &mut call.identity.team,
        &mut call.identity.feature,
        &mut call.identity.user,
        &mut call.identity.session,
    ]
    .into_iter()
    .chain(call.error_type.as_mut())
    .chain(call.billing.service_tier.as_mut())
    .chain(call.billing.speed.as_mut())
    .chain(call.billing.inference_geo.as_mut())
    {
        cut(name, limits::NAME_BYTES_MAX);
    }
    if let ledgerline_proto::Operation::Other(name) = &mut call.operation {
        cut(name, limits::NAME_BYTES_MAX);
    }
    call.finish_reasons.truncate(limits::ATTRIBUTES_MAX);
    call.finish_reasons.iter_mut().for_each(|reason| cut(reason, limits::NAME_BYTES_MAX));
    bound_attributes(&mut record.attributes);
}

fn bound_attributes(attributes: &mut Vec<(String, String)>) {
    let before = attributes.len();
    attributes.retain(|(name, _)| name.len() <= limits::ATTRIBUTE_NAME_BYTES_MAX);
    attributes.truncate(limits::ATTRIBUTES_MAX);
    let dropped = before - attributes.len();
    attributes.iter_mut().for_each(|(_, value)| cut(value, limits::ATTRIBUTE_VALUE_BYTES_MAX));
    if dropped > 0 {
        attributes.push((limits::DROPPED_ATTRIBUTES.to_owned(), dropped.to_string()));
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

fn rejected(place: usize, span: &Span, reason: Reason, detail: String) -> Rejected {
    let id = |bytes: &[u8]| -> String { bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect() };
    Rejected {
        place,
        reason,
        detail,
        trace_id: id(&span.trace_id),
        span_id: id(&span.span_id),
        payload: clipped(payload::of(span)),
    }
}

#[cfg(test)]
mod tests;
