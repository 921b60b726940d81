//! Spans as records within our bounds; the rest with the reason.
//!
//! Pure: the time is an argument.
//!
//! A bad clock must not open hundreds of daily partitions, and a long text must not become a dictionary entry. What of a
//! sender's attributes is kept is the allow-list's word, for stored and for refused spans alike. A span that cannot
//! be kept is never dropped without a trace: it goes to the quarantine, and its sender is told.

mod time;

use std::sync::Arc;

use ledgerline_proto::Quantities;
use ledgerline_proto::otlp::{
    AllowList, AttributeLimits, DroppedNames, ExportTraceServiceRequest, Keep, Resource, SpanRecord,
    allowed_attributes, read_span, stored_name,
};
use ledgerline_store::quarantine::{QuarantineRow, Reason, clipped};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, json};

pub use time::{TimeCorrection, TimeCorrections};

use crate::limits;

/// What all rows of a request share.
#[derive(Clone, Debug)]
pub struct BatchContext {
    /// Who owns them.
    pub tenant: Arc<str>,
    /// The request's name.
    pub batch_id: u128,
    /// When it came in.
    pub now_unix_ns: u64,
    /// The version of the price book that prices them.
    pub price_version: Arc<str>,
}

impl BatchContext {
    pub(super) fn now_ms(&self) -> i64 {
        i64::try_from(self.now_unix_ns / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// The spans of a request, sorted into those that are stored and those that are refused, each with its place in the request.
#[derive(Default)]
pub struct Normalised {
    /// Within our bounds.
    pub accepted: Vec<(usize, SpanRecord)>,
    /// The rest.
    pub rejected: Vec<QuarantineRow>,
    /// Attributes that are not kept.
    pub dropped: DroppedNames,
    /// Times that could not be kept.
    pub corrections: TimeCorrections,
}

/// Why a span goes to the quarantine, for grouping and for the sender.
type Refused = (Reason, String);

const ATTRIBUTE_LIMITS: AttributeLimits = AttributeLimits {
    count: limits::ATTRIBUTES_MAX,
    name_bytes: limits::ATTRIBUTE_NAME_BYTES_MAX,
    value_bytes: limits::ATTRIBUTE_VALUE_BYTES_MAX,
    depth: limits::ATTRIBUTE_DEPTH_MAX,
};

/// The spans of a request.
pub(super) fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans)
}

/// Sorts the spans of a request, and keeps of their attributes what is allowed.
#[must_use]
pub fn normalise(
    request: &ExportTraceServiceRequest,
    context: &BatchContext,
    allowed: &AllowList,
) -> Normalised {
    let mut accepted = Vec::with_capacity(spans(request).count());
    let (mut rejected, mut dropped) = (Vec::new(), DroppedNames::default());
    let mut corrections = TimeCorrections::default();
    let mut keep = Keep { allowed, limits: ATTRIBUTE_LIMITS, dropped: &mut dropped };
    let mut place = 0;
    for spans in &request.resource_spans {
        let attributes = spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let resource = Resource::read(&bounded(attributes), &mut keep);
        for scope in &spans.scope_spans {
            let (scope_name, version) =
                scope.scope.as_ref().map_or(("", ""), |scope| (&scope.name, &scope.version));
            for span in &scope.spans {
                let record = read_span(&resource, scope_name, span, &mut keep)
                    .map_err(|error| (Reason::Identity, error.to_string()))
                    .and_then(|mut record| {
                        version.clone_into(&mut record.observer_version);
                        plausible(&record)?;
                        bound(&mut record);
                        time::correct(&mut record, context.now_unix_ns, &mut corrections)?;
                        Ok(record)
                    });
                match record {
                    Ok(record) => accepted.push((place, record)),
                    Err(refused) => rejected.push(reject(place, span, refused, context, allowed)),
                }
                place += 1;
            }
        }
    }
    Normalised { accepted, rejected, dropped, corrections }
}

/// The texts of a resource, cut before every one of its spans gets a copy.
fn bounded(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) if attribute.key.len() <= limits::ATTRIBUTE_NAME_BYTES_MAX => {
            let text = cut(text, limits::NAME_BYTES_MAX).to_owned();
            let value = Some(AnyValue { value: Some(Value::StringValue(text)) });
            Some(KeyValue { key: attribute.key.clone(), value, ..Default::default() })
        }
        _ => None,
    };
    attributes.iter().filter_map(text).collect()
}

fn plausible(record: &SpanRecord) -> Result<(), Refused> {
    let Some(usage) = &record.call.usage else { return Ok(()) };
    let quantities = [&usage.own].into_iter().chain(usage.runs.iter().map(|run| &run.quantities));
    let most = quantities.flat_map(Quantities::nonzero).find(|(_, quantity)| *quantity > limits::TOKENS_MAX);
    let Some((unit, count)) = most else { return Ok(()) };
    let (name, limit) = (unit.name(), limits::TOKENS_MAX);
    Err((Reason::Implausible, format!("{count} {name} tokens in one call: more than {limit}")))
}

/// Cuts what is too long. Names become dictionary entries and labels, so their bound is tight.
fn bound(record: &mut SpanRecord) {
    let call = &mut record.call;
    for name in [
        &mut record.observer,
        &mut record.observer_version,
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
    .chain(call.billing.conditions.words_mut())
    {
        name.truncate(name.floor_char_boundary(limits::NAME_BYTES_MAX));
    }
    call.finish_reasons.truncate(limits::ATTRIBUTES_MAX);
    if record.attributes_dropped > 0 {
        let dropped = record.attributes_dropped.to_string();
        record.attributes.push((limits::DROPPED_ATTRIBUTES.to_owned(), dropped));
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn reject(
    place: usize,
    span: &Span,
    (reason, detail): Refused,
    context: &BatchContext,
    allowed: &AllowList,
) -> QuarantineRow {
    let id = |bytes: &[u8]| -> String { bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect() };
    QuarantineRow {
        place,
        tenant: Arc::clone(&context.tenant),
        received_at_ms: context.now_ms(),
        batch_id: context.batch_id,
        reason,
        detail,
        trace_id: id(&span.trace_id),
        span_id: id(&span.span_id),
        payload: clipped(payload(span, allowed)),
    }
}

/// A refused span as JSON, for the person who looks into the quarantine. It holds nothing that a stored span would not; so bounded
/// it is seldom cut, and no span's text is held twice.
fn payload(span: &Span, allowed: &AllowList) -> String {
    let limits = AttributeLimits { count: 64, value_bytes: 512, ..ATTRIBUTE_LIMITS };
    let attributes = allowed_attributes(span, allowed, limits);
    json!({
        "name": cut(&stored_name(span, allowed), limits::NAME_BYTES_MAX),
        "start_unix_ns": span.start_time_unix_nano,
        "end_unix_ns": span.end_time_unix_nano,
        "attributes": attributes.into_iter().map(|(name, text)| (name, text.into())).collect::<Map<_, _>>(),
    })
    .to_string()
}

#[cfg(test)]
mod tests;
