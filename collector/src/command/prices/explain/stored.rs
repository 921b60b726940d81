//! A call of the record: what is booked of it, how that came about, and what today's book makes of it where that is something else.

use std::path::Path;
use std::str::FromStr;

use ledgerline_pricing::{Explanation, PriceBook};
use ledgerline_process::config;
use ledgerline_proto::{SpanId, TraceId};
use ledgerline_store::corrections::CorrectionRow;
use ledgerline_store::spans::unpriced_reason;
use ledgerline_store::stored::StoredCall;
use ledgerline_store::stored::trace::{Correction, Trace};
use serde_json::{Value, json};

use super::super::{Asked, PricesError, pretty, table::aligned};
use super::text_of;
use crate::calls::account::{Account, AccountBody};
use crate::calls::verdict::Verdict;
use crate::command::store::Attached;
use crate::config::Config;

/// Where a call stands: its trace, and its span where the trace has several.
#[derive(Clone, Debug)]
pub struct Address {
    trace_id: TraceId,
    span_id: Option<SpanId>,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (trace, span) = text.split_once('/').map_or((text, None), |(trace, span)| (trace, Some(span)));
        let trace_id = TraceId::from_hex(trace)
            .ok_or_else(|| format!("`{trace}` is no trace id, which is 32 hexadecimal digits"))?;
        let id = |span| {
            SpanId::from_hex(span)
                .ok_or_else(|| format!("`{span}` is no span id, which is 16 hexadecimal digits"))
        };
        Ok(Self { trace_id, span_id: span.map(id).transpose()? })
    }
}

/// All calls at that address, of every tenant or of the one that is asked for.
pub fn text(path: &Path, address: &Address, asked: &Asked) -> Result<String, PricesError> {
    let settings = config::load::<Config>(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let traces = runtime.map_err(PricesError::Start)?.block_on(async {
        let attached = Attached::to(settings.storage).await?;
        let traces = attached.store.trace(address.trace_id).await;
        attached.close().await;
        Ok::<_, PricesError>(traces?)
    })?;
    let told = told(&traces, address, asked, &settings.prices);
    let unreadable: u64 = traces.iter().map(|trace| trace.calls.unreadable).sum();
    if told.is_empty() {
        return Err(PricesError::UnknownCall {
            trace: address.trace_id.to_string(),
            stored: others(&traces, unreadable),
        });
    }
    if asked.json {
        return Ok(pretty(&told.iter().map(Told::json).collect()));
    }
    let mut texts: Vec<String> = told.iter().map(Told::text).collect();
    if unreadable > 0 {
        texts.push(format!(
            "{unreadable} more of that trace are stored in words that this version does not know\n"
        ));
    }
    Ok(texts.join("\n"))
}

/// What is stored of a trace when nothing was found where it was looked for.
fn others(traces: &[Trace], unreadable: u64) -> String {
    let calls = traces.iter().flat_map(|Trace { tenant, calls, .. }| {
        calls.calls.iter().map(move |stored| format!("span {} of tenant {tenant}", stored.call.span_id))
    });
    let unreadable =
        (unreadable > 0).then(|| format!("{unreadable} in words that this version does not know"));
    let stored: Vec<String> = calls.chain(unreadable).collect();
    if stored.is_empty() {
        return "spans are kept for 90 days, and a trace of which no span is a call has no bill".to_owned();
    }
    format!("stored of that trace are: {}", stored.join(", "))
}

/// A call of one owner, with what is said of its cost.
struct Told<'a> {
    tenant: &'a str,
    account: Account,
}

fn told<'a>(traces: &'a [Trace], address: &Address, asked: &Asked, prices: &PriceBook) -> Vec<Told<'a>> {
    let mut told = Vec::new();
    for Trace { tenant, calls, corrections } in traces {
        if asked.tenant.as_ref().is_some_and(|wanted| **wanted != **tenant) {
            continue;
        }
        let prices = prices.for_tenant(tenant);
        let is_meant =
            |stored: &&StoredCall| address.span_id.is_none_or(|wanted| wanted == stored.call.span_id);
        for stored in calls.calls.iter().filter(is_meant) {
            told.push(Told { tenant, account: Account::of(stored.clone(), corrections, &prices) });
        }
    }
    told
}

impl Told<'_> {
    fn text(&self) -> String {
        let Account { stored, verdict, today, computed, corrections } = &self.account;
        let call = &stored.call;
        let mut text = format!(
            "call {}/{} of tenant {}, ended {}\n",
            call.trace_id,
            call.span_id,
            self.tenant,
            self.account.ended()
        );
        let names = [("asked for", &call.request_model), ("answered by", &call.response_model)];
        let names = names.iter().filter(|(_, name)| !name.is_empty());
        text.extend(names.map(|(what, name)| format!("{what} {name}\n")));
        let of_booking = |booking: &CorrectionRow| {
            text_of(&call.provider, &self.account.explained(booking), &booking.unpriced_reason)
        };
        let arithmetic = match verdict {
            Verdict::Same(booked) => of_booking(booked),
            Verdict::Changed { new, .. } => of_booking(new),
            Verdict::NotBooked | Verdict::Unclear => {
                text_of(&call.provider, today, &unpriced_reason(today.bill.cost))
            }
        };
        text.push_str(&match verdict {
            Verdict::Same(booked) => format!("booked with price book {}:\n{arithmetic}", booked.price_version),
            Verdict::Changed { booked, why, .. } => format!(
                "booked with price book {}:\n{}with the present book it would be ({}), and `reprice` books that:\n{arithmetic}",
                booked.price_version,
                text_of(&call.provider, &without_arithmetic(booked), &booked.unpriced_reason),
                why.name()
            ),
            Verdict::NotBooked => {
                format!("not booked ({}); alone it would be:\n{arithmetic}", self.account.why_not())
            }
            Verdict::Unclear => {
                format!("not booked once and whole, which no command mends; the present book says:\n{arithmetic}")
            }
        });
        if let (Some(reported), Some(computed)) = (call.billing.reported_cost, *computed) {
            let computed = match computed.amount() {
                Some(amount) => format!("the price book computes {amount} USD"),
                None => format!("the price book knows no price: {}", unpriced_reason(computed)),
            };
            text.push_str(&format!("reported with the call: {reported} USD; {computed}\n"));
        }
        let rows: Vec<[String; 5]> = corrections.iter().map(row).collect();
        if !rows.is_empty() {
            text.push_str(&format!("corrections:\n{}", aligned(&rows)));
        }
        text
    }

    fn json(&self) -> Value {
        let call = &self.account.stored.call;
        let mut json = json!(AccountBody::of(&self.account));
        json["tenant"] = self.tenant.into();
        json["trace_id"] = call.trace_id.to_string().into();
        json["span_id"] = call.span_id.to_string().into();
        json["ended"] = self.account.ended().into();
        json["provider"] = call.provider.as_str().into();
        json["request_model"] = call.request_model.as_str().into();
        json["response_model"] = call.response_model.as_str().into();
        json
    }
}

/// Its lines as they stand in the record.
fn without_arithmetic(booked: &CorrectionRow) -> Explanation {
    Explanation { bill: booked.bill.clone(), lines: Vec::new() }
}

fn row(correction: &Correction) -> [String; 5] {
    let cost = match &correction.cost {
        Some(cost) => format!("{cost} USD"),
        None => format!("unpriced: {}", correction.unpriced_reason),
    };
    [
        format!("  {}", correction.booked_at),
        correction.reason.clone(),
        if correction.sign < 0 { "takes back" } else { "books" }.to_owned(),
        cost,
        format!("price book {}", correction.price_version),
    ]
}
