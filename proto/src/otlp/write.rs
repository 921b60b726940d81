//! Calls as an OTLP export request.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode,
};

use super::usage;
use super::value::{integer, key_value, text, texts};
use crate::attribute;
use crate::call::{BillGap, Call, Unread};
use crate::condition::Condition;

/// The instrumentation scope of spans made by our agent. A reader knows by it that the token classes are exact.
pub const SCOPE_NAME: &str = "ledgerline-agent";

/// One request that holds these calls, grouped by service and environment, in the given order within a group.
pub fn export_request(calls: &[Call]) -> ExportTraceServiceRequest {
    let mut groups: Vec<((&str, &str), Vec<Span>)> = Vec::new();
    for call in calls {
        let key = (call.identity.service.as_str(), call.identity.environment.as_str());
        let span = span(call);
        match groups.iter_mut().find(|(group, _)| *group == key) {
            Some((_, spans)) => spans.push(span),
            None => groups.push((key, vec![span])),
        }
    }
    let resource_spans = groups
        .into_iter()
        .map(|((service, environment), spans)| {
            let mut attributes = Vec::new();
            push_text(&mut attributes, attribute::SERVICE_NAME, service);
            push_text(&mut attributes, attribute::ENVIRONMENT, environment);
            let (name, version) = (SCOPE_NAME.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            let scope = Some(InstrumentationScope { name, version, ..Default::default() });
            let resource = Some(Resource { attributes, ..Default::default() });
            let scope_spans = vec![ScopeSpans { scope, spans, ..Default::default() }];
            ResourceSpans { resource, scope_spans, ..Default::default() }
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

fn span(call: &Call) -> Span {
    let model = call.request_model.as_str();
    let status = if call.error_type.is_some() { StatusCode::Error } else { StatusCode::Unset };
    Span {
        trace_id: call.trace_id.bytes().to_vec(),
        span_id: call.span_id.bytes().to_vec(),
        parent_span_id: call.parent_span_id.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        name: format!("{} {model}", call.operation.name()).trim_end().to_owned(),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: call.start_unix_ns,
        end_time_unix_nano: call.end_unix_ns,
        attributes: attributes(call),
        status: Some(Status { code: status.into(), ..Default::default() }),
        ..Default::default()
    }
}

fn push_text(attributes: &mut Vec<KeyValue>, name: &str, value: &str) {
    if !value.is_empty() {
        attributes.push(key_value(name, text(value)));
    }
}

fn attributes(call: &Call) -> Vec<KeyValue> {
    let mut list = Vec::with_capacity(32);
    push_text(&mut list, attribute::OPERATION, call.operation.name());
    push_text(&mut list, attribute::PROVIDER, &call.provider);
    push_text(&mut list, attribute::REQUEST_MODEL, &call.request_model);
    push_text(&mut list, attribute::RESPONSE_MODEL, &call.response_model);
    push_text(&mut list, attribute::RESPONSE_ID, &call.response_id);
    if call.stream {
        list.push(key_value(attribute::REQUEST_STREAM, Value::BoolValue(true)));
    }
    if !call.finish_reasons.is_empty() {
        list.push(key_value(attribute::FINISH_REASONS, texts(&call.finish_reasons)));
    }
    if let Some(nanoseconds) = call.time_to_first_token_ns {
        let seconds = std::time::Duration::from_nanos(nanoseconds).as_secs_f64();
        list.push(key_value(attribute::TIME_TO_FIRST_CHUNK, Value::DoubleValue(seconds)));
    }
    push_text(&mut list, attribute::ERROR_TYPE, call.error_type.as_deref().unwrap_or_default());
    if let Some(status) = call.http_status {
        list.push(key_value(attribute::HTTP_STATUS, integer(status.into())));
    }
    push_text(&mut list, attribute::END_OF_STREAM, call.end.name());
    if let Some(Unread { upstream, path }) = &call.unread {
        push_text(&mut list, attribute::UPSTREAM, upstream);
        push_text(&mut list, attribute::PATH_TEMPLATE, path);
    }
    push_text(&mut list, attribute::TEAM, &call.identity.team);
    push_text(&mut list, attribute::FEATURE, &call.identity.feature);
    push_text(&mut list, attribute::USER, &call.identity.user);
    push_text(&mut list, attribute::SESSION, &call.identity.session);
    push_billing(&mut list, call);
    usage::write(call.usage.as_ref(), &mut list);
    push_text(&mut list, attribute::USAGE_OBJECT, &call.usage_object);
    list
}

fn push_billing(list: &mut Vec<KeyValue>, call: &Call) {
    let billing = &call.billing;
    for (condition, word) in billing.conditions.iter() {
        push_text(list, &format!("{}{condition}", attribute::CONDITION_PREFIX), word);
        if condition == Condition::ServiceTier && call.provider == "openai" {
            push_text(list, attribute::OPENAI_SERVICE_TIER, word);
        }
    }
    push_text(list, attribute::BILL_GAP, billing.gap.map_or("", BillGap::name));
    if let Some(cost) = billing.reported_cost {
        list.push(key_value(attribute::REPORTED_COST, text(&cost.to_string())));
    }
}
