//! A call of the record: what is booked of it, how that came about, and what today's book makes of it where that is something else.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use ledgerline_pricing::{Explanation, PriceBook};
use ledgerline_process::config;
use ledgerline_proto::{Bill, Cost, SpanId, TraceId};
use ledgerline_store::corrections::CorrectionRow;
use ledgerline_store::spans::unpriced_reason;
use ledgerline_store::stored::StoredCall;
use ledgerline_store::stored::trace::{Correction, Trace};
use serde_json::{Value, json};

use super::super::{Asked, PricesError, pretty, table::aligned};
use super::{json_of, text_of};
use crate::command::reprice::verdict::{self, Verdict};
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

/// A call with everything that is said of it.
struct Told<'a> {
    tenant: &'a str,
    stored: &'a StoredCall,
    verdict: Verdict,
    today: Explanation,
    /// What the present book computes, where somebody states another number.
    computed: Option<Cost>,
    corrections: Vec<&'a Correction>,
}

fn told<'a>(traces: &'a [Trace], address: &Address, asked: &Asked, prices: &PriceBook) -> Vec<Told<'a>> {
    let version = Arc::from(prices.version().to_string());
    let mut told = Vec::new();
    for Trace { tenant, calls, corrections } in traces {
        if asked.tenant.as_ref().is_some_and(|wanted| **wanted != **tenant) {
            continue;
        }
        let prices = prices.for_tenant(tenant);
        for stored in &calls.calls {
            let span_id = stored.call.span_id;
            if address.span_id.is_some_and(|wanted| wanted != span_id) {
                continue;
            }
            let mut call = stored.call.clone();
            verdict::see_anew(&mut call);
            told.push(Told {
                tenant,
                stored,
                verdict: verdict::of(stored.clone(), &prices, &version),
                today: prices.explain(&call),
                computed: call.billing.reported_cost.map(|_| prices.computed(&call)),
                corrections: corrections.iter().filter(|correction| correction.is_of(span_id)).collect(),
            });
        }
    }
    told
}

impl Told<'_> {
    fn text(&self) -> String {
        let call = &self.stored.call;
        let mut text = format!(
            "call {}/{} of tenant {}, ended {}\n",
            call.trace_id,
            call.span_id,
            self.tenant,
            self.ended()
        );
        let names = [("asked for", &call.request_model), ("answered by", &call.response_model)];
        let names = names.iter().filter(|(_, name)| !name.is_empty());
        text.extend(names.map(|(what, name)| format!("{what} {name}\n")));
        let arithmetic = match &self.verdict {
            Verdict::Same(booked) => self.arithmetic_of(booked),
            Verdict::Changed { new, .. } => self.arithmetic_of(new),
            Verdict::NotBooked | Verdict::Unclear => {
                text_of(&call.provider, &self.today, &unpriced_reason(self.today.bill.cost))
            }
        };
        text.push_str(&match &self.verdict {
            Verdict::Same(booked) => format!("booked with price book {}:\n{arithmetic}", booked.price_version),
            Verdict::Changed { booked, why, .. } => format!(
                "booked with price book {}:\n{}with the present book it would be ({}), and `reprice` books that:\n{arithmetic}",
                booked.price_version,
                text_of(&call.provider, &without_arithmetic(booked), &booked.unpriced_reason),
                why.name()
            ),
            Verdict::NotBooked => {
                format!("not booked ({}); alone it would be:\n{arithmetic}", self.why_not())
            }
            Verdict::Unclear => {
                format!("not booked once and whole, which no command mends; the present book says:\n{arithmetic}")
            }
        });
        if let (Some(reported), Some(computed)) = (call.billing.reported_cost, self.computed) {
            let computed = match computed.amount() {
                Some(amount) => format!("the price book computes {amount} USD"),
                None => format!("the price book knows no price: {}", unpriced_reason(computed)),
            };
            text.push_str(&format!("reported with the call: {reported} USD; {computed}\n"));
        }
        let rows: Vec<[String; 5]> = self.corrections.iter().map(|correction| row(correction)).collect();
        if !rows.is_empty() {
            text.push_str(&format!("corrections:\n{}", aligned(&rows)));
        }
        text
    }

    /// A booking with its own rules and names of models, and the arithmetic of the present book, which comes to the same.
    fn arithmetic_of(&self, booking: &CorrectionRow) -> String {
        let facts = |bill: &Bill| -> Vec<_> {
            bill.lines
                .iter()
                .map(|line| (line.unit, line.quantity, line.price.as_ref().map(|price| price.amount)))
                .collect()
        };
        let is_alike = facts(&booking.bill) == facts(&self.today.bill);
        let lines = if is_alike { self.today.lines.clone() } else { Vec::new() };
        let explanation = Explanation { bill: booking.bill.clone(), lines };
        text_of(&self.stored.call.provider, &explanation, &booking.unpriced_reason)
    }

    fn json(&self) -> Value {
        let call = &self.stored.call;
        let booked = match &self.verdict {
            Verdict::Same(booked) | Verdict::Changed { booked, .. } => Some(booked),
            Verdict::NotBooked | Verdict::Unclear => None,
        };
        let correction = |correction: &&Correction| {
            json!({
                "booked_at": correction.booked_at,
                "sign": correction.sign,
                "reason": correction.reason,
                "cost_usd": correction.cost,
                "unpriced": (!correction.unpriced_reason.is_empty()).then_some(&correction.unpriced_reason),
                "price_version": correction.price_version,
            })
        };
        json!({
            "tenant": self.tenant,
            "trace_id": call.trace_id.to_string(),
            "span_id": call.span_id.to_string(),
            "ended": self.ended(),
            "provider": call.provider,
            "request_model": call.request_model,
            "response_model": call.response_model,
            "booked": booked.map(|booked| json_of(&without_arithmetic(booked), &booked.unpriced_reason)),
            "price_version": booked.map(|booked| &*booked.price_version),
            "state": match self.verdict {
                Verdict::Same(_) => "same",
                Verdict::Changed { .. } => "changed",
                Verdict::NotBooked => "not_booked",
                Verdict::Unclear => "unclear",
            },
            "not_booked": matches!(self.verdict, Verdict::NotBooked).then(|| self.why_not()),
            "present_book": json_of(&self.today, &unpriced_reason(self.today.bill.cost)),
            "reported_cost_usd": call.billing.reported_cost.map(|usd| usd.to_string()),
            "computed_cost_usd": self.computed.and_then(Cost::amount).map(|usd| usd.to_string()),
            "corrections": self.corrections.iter().map(correction).collect::<Vec<_>>(),
        })
    }

    fn ended(&self) -> String {
        let ended = Timestamp::from_nanosecond(i128::from(self.stored.call.end_unix_ns));
        ended.map_or_else(|_| "after the year 9999".to_owned(), |ended| ended.to_string())
    }

    /// Of what came uncounted its own word, of what was taken back the correction's.
    fn why_not(&self) -> &str {
        let corrected = self.corrections.last().map_or("", |correction| &correction.reason);
        if self.stored.uncounted.is_empty() { corrected } else { &self.stored.uncounted }
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
