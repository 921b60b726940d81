//! The stored calls of one trace, whoever owns it, with everything that was booked of them later.

use std::sync::Arc;

use ledgerline_proto::{SpanId, TraceId};
use serde::Deserialize;

use super::{Selection, StoredCalls};
use crate::Store;
use crate::client::{StoreError, at_most};
use crate::limits;
use crate::rows::{Select, select};

/// What one tenant has of a trace.
#[derive(Debug)]
pub struct Trace {
    /// Whose.
    pub tenant: Arc<str>,
    /// Its calls, counted or not.
    pub calls: StoredCalls,
    /// The corrections of them, as they were booked.
    pub corrections: Vec<Correction>,
}

/// A correction as a person reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct Correction {
    span_id: String,
    /// When it was booked, ISO 8601 in UTC.
    pub booked_at: String,
    /// -1: it takes the call back; 1: it books it.
    pub sign: i8,
    /// The word of [`crate::corrections::Reason`].
    pub reason: String,
    /// USD without the sign; `None`: unpriced.
    pub cost: Option<String>,
    /// Why it is unpriced; empty where it is not.
    pub unpriced_reason: String,
    /// The price book that gave the bill.
    pub price_version: String,
}

impl Correction {
    /// Whether it is of that span.
    pub fn is_of(&self, span_id: SpanId) -> bool {
        SpanId::from_hex(&self.span_id) == Some(span_id)
    }
}

#[derive(Deserialize)]
struct Place {
    tenant: String,
    from_us: i64,
    until_us: i64,
    arrived_before_ms: i64,
    hash: u32,
}

/// Bytes that end in zero are taken for shorter ones without it.
pub(super) const OF_TRACE: &str = "trace_id = toFixedString(unhex({trace:String}), 16)";

impl Store {
    /// What is stored of that trace, by owner.
    pub async fn trace(&self, trace_id: TraceId) -> Result<Vec<Trace>, StoreError> {
        let places = statement(
            format!(
                "SELECT tenant, toUnixTimestamp64Micro(min(end_time)) - 1, toUnixTimestamp64Micro(max(end_time)), \
                 toUnixTimestamp64Milli(max(ingested_at)) + 1, any(xxHash32(trace_id)) \
                 FROM spans WHERE {OF_TRACE} GROUP BY tenant ORDER BY tenant"
            ),
            trace_id,
        );
        let places: Vec<Place> = select(self.client(), &places, at_most(limits::STATEMENT_BYTES_MAX)).await?;
        let mut found = Vec::with_capacity(places.len());
        for Place { tenant, from_us, until_us, arrived_before_ms, hash } in places {
            let tenant: Arc<str> = tenant.into();
            let selection = Selection {
                tenant: Arc::clone(&tenant),
                from_us,
                until_us,
                arrived_before_ms,
                matchers: Vec::new(),
                hashes: (hash, hash),
            };
            let mut calls = self.calls(&selection).await?;
            calls.calls.retain(|stored| stored.call.trace_id == trace_id);
            found.push(Trace { corrections: self.corrections_of(&tenant, trace_id).await?, tenant, calls });
        }
        Ok(found)
    }

    /// The corrections of a trace of that tenant, as they were booked.
    pub async fn corrections_of(
        &self,
        tenant: &str,
        trace_id: TraceId,
    ) -> Result<Vec<Correction>, StoreError> {
        let mut booked = statement(
            format!(
                "SELECT hex(span_id), formatDateTime(booked_at, '%FT%TZ'), sign, reason, toString(cost), unpriced_reason, \
                 price_version FROM corrections WHERE tenant = {{tenant:String}} AND {OF_TRACE} ORDER BY booked_at, sign"
            ),
            trace_id,
        );
        booked.parameters.push(("tenant".to_owned(), tenant.to_owned()));
        select(self.client(), &booked, at_most(limits::STATEMENT_BYTES_MAX)).await
    }
}

fn statement(text: String, trace_id: TraceId) -> Select {
    Select {
        text,
        parameters: vec![("trace".to_owned(), trace_id.to_string())],
        settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
        timeout: limits::CALLS_WAIT,
    }
}
