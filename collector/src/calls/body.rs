//! Calls as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{Cost, Quantities, Side, Usage, usage};
use ledgerline_store::stored::page::{Cursor, Listed};
use ledgerline_store::stored::{Booked, StoredCall};
use serde::Serialize;
use utoipa::ToSchema;

use super::account::AccountBody;
use super::bill::not_billed;

/// A page of calls, the newest first.
#[derive(Serialize, ToSchema)]
pub struct CallsBody {
    /// Those that ended up to then, ISO 8601 in UTC.
    pub through: String,
    pub calls: Vec<SpanBody>,
    /// Asks for the next page, as `after`; nothing: there is none.
    pub next: Option<String>,
}

/// One call with all that is known of it.
#[derive(Serialize, ToSchema)]
pub struct CallBody {
    pub call: SpanBody,
    pub account: AccountBody,
    pub facts: FactsBody,
    /// The spans of its trace by when they began, itself among them.
    pub trace: Vec<SpanBody>,
    /// The sum of what is booked of the trace's calls.
    pub trace_cost_usd: String,
    /// Calls of the trace that are in no sum because nobody knows what they cost.
    pub trace_unpriced: usize,
    /// The trace has more spans than are shown.
    pub is_trace_cut: bool,
}

/// A span: a call, what stands above calls, or something else of a trace.
#[derive(Serialize, ToSchema)]
pub struct SpanBody {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    name: String,
    /// The instrumentation that saw it.
    observer: String,
    /// ISO 8601 in UTC, as all times.
    started: String,
    ended: String,
    /// Dimensions that have a value.
    labels: BTreeMap<&'static str, String>,
    user: String,
    session: String,
    /// once: its cost is in the sums; never: it is not, because another span tells of the call, it stands above one, or it is none; unclear:
    /// several times, or not whole; unreadable: stored in words that this version does not know
    booked: &'static str,
    /// repeat, wrapper or not_a_call: why nothing was booked when it came.
    uncounted: Option<String>,
    /// What is booked by now, corrections included.
    cost_usd: Option<String>,
    /// Why nobody knows what it costs.
    unpriced: Option<String>,
    /// Why the provider bills nothing.
    not_billed: Option<&'static str>,
    /// Who counted: provider, drained, counted, sender, estimated, or missing.
    usage_source: Option<&'static str>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    duration_us: Option<u64>,
    first_token_us: Option<u64>,
    is_stream: bool,
    /// complete, provider_error, client_gone or relay_killed
    end: Option<&'static str>,
    http_status: Option<u16>,
    request_model: String,
    response_model: String,
}

/// What else was kept of a call.
#[derive(Serialize, ToSchema)]
pub struct FactsBody {
    response_id: String,
    finish_reasons: Vec<String>,
    /// What decides the price beside the model: service_tier, speed, region.
    conditions: BTreeMap<&'static str, String>,
    /// What was used, by unit, before corrections.
    units: BTreeMap<&'static str, u64>,
    /// The provider's usage object as it was sent.
    usage_object: String,
    /// Attributes without a place of their own, as the allow-list keeps them.
    attributes: BTreeMap<String, String>,
}

impl SpanBody {
    /// Of a stored span.
    pub fn of(listed: &Listed) -> Self {
        let Listed { at, dimensions, uncounted, seen, stored } = listed;
        let labels = Dimension::ALL.iter().map(|dimension| dimension.name()).zip(dimensions.iter().cloned());
        let call = stored.as_ref().map(|stored| &stored.call);
        let usage = call.and_then(|call| call.usage.as_ref());
        let tokens = |side| usage.map(|usage| parts(usage).map(|part| part.total(side)).sum());
        let cost = stored.as_ref().and_then(cost);
        let micros = |ns: u64| ns / 1_000;
        Self {
            trace_id: at.trace_id.to_string(),
            span_id: at.span_id.to_string(),
            parent_span_id: seen.parent_span_id().map(|id| id.to_string()),
            name: seen.name.clone(),
            observer: seen.observer.clone(),
            started: time(seen.start_us),
            ended: time(at.end_us),
            labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
            user: seen.user_id.clone(),
            session: seen.session_id.clone(),
            booked: match stored.as_ref().map(|stored| &stored.booked) {
                Some(Booked::Once(_)) => "once",
                Some(Booked::Never) => "never",
                Some(Booked::Otherwise) => "unclear",
                None => "unreadable",
            },
            uncounted: (!uncounted.is_empty()).then(|| uncounted.clone()),
            cost_usd: cost.as_ref().and_then(|(cost, _)| cost.amount()).map(|amount| amount.to_string()),
            unpriced: cost.as_ref().map(|(_, why)| *why).filter(|why| !why.is_empty()).map(str::to_owned),
            not_billed: cost.and_then(|(cost, _)| not_billed(cost)),
            usage_source: call.map(|_| usage.map_or(usage::MISSING, |usage| usage.source.name())),
            input_tokens: tokens(Side::Input),
            output_tokens: tokens(Side::Output),
            duration_us: call.and_then(|call| call.end_unix_ns.checked_sub(call.start_unix_ns)).map(micros),
            first_token_us: call.and_then(|call| call.time_to_first_token_ns).map(micros),
            is_stream: call.is_some_and(|call| call.stream),
            end: call.map(|call| call.end.name()),
            http_status: call.and_then(|call| call.http_status),
            request_model: call.map(|call| call.request_model.clone()).unwrap_or_default(),
            response_model: call.map(|call| call.response_model.clone()).unwrap_or_default(),
        }
    }
}

impl FactsBody {
    /// Of a stored call.
    pub fn of(listed: &Listed, stored: &StoredCall) -> Self {
        let call = &stored.call;
        let mut units = BTreeMap::new();
        for (unit, quantity) in call.usage.iter().flat_map(parts).flat_map(Quantities::nonzero) {
            *units.entry(unit.name()).or_default() += quantity;
        }
        Self {
            response_id: call.response_id.clone(),
            finish_reasons: call.finish_reasons.clone(),
            conditions: call
                .billing
                .conditions
                .iter()
                .map(|(name, word)| (name.name(), word.to_owned()))
                .collect(),
            units,
            usage_object: call.usage_object.clone(),
            attributes: listed.seen.attributes.clone(),
        }
    }
}

/// The call's own, and that of each run within it.
fn parts(usage: &Usage) -> impl Iterator<Item = &Quantities> {
    std::iter::once(&usage.own).chain(usage.runs.iter().map(|run| &run.quantities))
}

/// What is booked, and why it is unpriced, where it is.
fn cost(stored: &StoredCall) -> Option<(Cost, &str)> {
    match &stored.booked {
        Booked::Once(booked) => Some((booked.bill.cost, &booked.unpriced_reason)),
        Booked::Never | Booked::Otherwise => None,
    }
}

/// The sum of what is booked of these, and how many are in none.
pub fn sum(listed: &[Listed]) -> (i128, usize) {
    let costs = listed.iter().filter_map(|one| cost(one.stored.as_ref()?));
    costs.fold((0, 0), |(sum, unpriced), (cost, _)| match cost.amount() {
        Some(amount) => (sum + i128::from(amount.picos()), unpriced),
        None => (sum, unpriced + 1),
    })
}

/// ISO 8601 in UTC, to the microsecond.
pub fn time(us: u64) -> String {
    let at = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    at.map_or_else(|| "after the year 9999".to_owned(), |at| format!("{at:.6}"))
}

/// A place in the order of pages as a text: `1795842367000000-4bf9...-00f0...`.
pub fn cursor_text(at: Cursor) -> String {
    format!("{}-{}-{}", at.end_us, at.trace_id, at.span_id)
}
