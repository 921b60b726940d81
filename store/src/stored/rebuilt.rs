//! A call from the cells of its row, and what is booked of it from them and its corrections. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{
    Bill, BillGap, Billing, Call, Condition, Conditions, Cost, EndOfStream, Identity, Line, LinePrice,
    Operation, PicoUsd, Quantities, Run, SpanId, TraceId, Unit, UnpricedReason, Usage, UsageSource,
};

use super::{Booked, CorrectionCells, Face, SpanCells, StoredCall, StoredCalls};
use crate::corrections::{CorrectionRow, Reason, Sign};
use crate::spans::{OTHER, OWN_VALUE};
use crate::usage_object::UsageObject;

type Key = (u64, TraceId, SpanId);

fn key(end_us: u64, trace_id: &str, span_id: &str) -> Option<Key> {
    Some((end_us, TraceId::from_hex(trace_id)?, SpanId::from_hex(span_id)?))
}

pub(super) fn read(tenant: &Arc<str>, spans: Vec<SpanCells>, corrections: &[CorrectionCells]) -> StoredCalls {
    let mut books: HashMap<Key, Vec<(i8, Option<CorrectionRow>)>> = HashMap::new();
    let mut add = |cells: (u64, &str, &str), sign: i8, face: &Face| {
        let Some(key) = key(cells.0, cells.1, cells.2) else { return };
        books.entry(key).or_default().push((sign, correction(tenant, key, face)));
    };
    for SpanCells { end_us, trace_id, span_id, is_call, face, .. } in &spans {
        if *is_call == 1 {
            add((*end_us, trace_id, span_id), 1, face);
        }
    }
    // In the order in which they were booked.
    for CorrectionCells { end_us, trace_id, span_id, sign, face } in corrections {
        add((*end_us, trace_id, span_id), *sign, face);
    }
    let mut found = StoredCalls::default();
    let mut seen = HashMap::new();
    for cells in spans {
        let Some(key) = key(cells.end_us, &cells.trace_id, &cells.span_id) else { continue };
        // Rows that will be one when they are merged; what is booked of them is told once.
        if seen.insert(key, ()).is_some() {
            continue;
        }
        let entries = books.remove(&key).unwrap_or_default();
        let booked = booked(entries);
        match booked.and_then(|booked| stored(key, cells, booked)) {
            Some(call) => found.calls.push(call),
            None => found.unreadable += 1,
        }
    }
    found
}

/// What is left of what was booked and taken back. `None`: part of it cannot be read.
fn booked(entries: Vec<(i8, Option<CorrectionRow>)>) -> Option<Booked> {
    let mut sums: Vec<(i64, CorrectionRow)> = Vec::with_capacity(1);
    for (sign, row) in entries {
        let row = row?;
        match sums.iter_mut().find(|(_, known)| is_same(known, &row)) {
            Some((sum, known)) => {
                *sum += i64::from(sign);
                // The price version of the latest booking, and not of what took an earlier one back.
                if sign > 0 {
                    known.price_version = row.price_version;
                }
            }
            None => sums.push((i64::from(sign), row)),
        }
    }
    sums.retain(|(sum, _)| *sum != 0);
    Some(match (sums.len(), sums.pop()) {
        (0, _) => Booked::Never,
        (1, Some((1, row))) => Booked::Once(Box::new(row)),
        _ => Booked::Otherwise,
    })
}

/// Whether one takes the other back: everything that a rollup is made of.
fn is_same(one: &CorrectionRow, other: &CorrectionRow) -> bool {
    one.dimensions == other.dimensions
        && one.bill == other.bill
        && one.usage_source == other.usage_source
        && one.unpriced_reason == other.unpriced_reason
        && (one.duration_us, one.ttft_us) == (other.duration_us, other.ttft_us)
}

fn correction(tenant: &Arc<str>, (end_us, trace_id, span_id): Key, face: &Face) -> Option<CorrectionRow> {
    let Face(dimensions, .., source, cost, unpriced_reason, price_version, duration_us, ttft_us) = face;
    let cost = match cost {
        Some(amount) => Cost::Known(amount.parse().ok()?),
        // Which one, the text says.
        None => Cost::Unpriced(UnpricedReason::UsageMissing),
    };
    let model = dimensions[Dimension::Model as usize].as_str().into();
    Some(CorrectionRow {
        tenant: Arc::clone(tenant),
        end_unix_ns: end_us.checked_mul(1_000)?,
        trace_id,
        span_id,
        sign: Sign::Books,
        reason: Reason::Reprice,
        dimensions: dimensions.clone(),
        bill: Bill { model, lines: lines(face)?, rounded: 0, cost },
        usage_source: usage_source(source)?,
        unpriced_reason: Cow::Owned(unpriced_reason.clone()),
        price_version: price_version.as_str().into(),
        duration_us: *duration_us,
        ttft_us: *ttft_us,
        batch_id: 0,
        booked_at_ms: 0,
    })
}

fn lines(Face(_, models, units, quantities, rules, amounts, ..): &Face) -> Option<Vec<Line>> {
    let line = |place: usize| {
        let price = match amounts.get(place)? {
            Some(amount) => {
                Some(LinePrice { amount: amount.parse().ok()?, rule: rules.get(place)?.as_str().into() })
            }
            None => None,
        };
        Some(Line {
            model: models.get(place)?.as_str().into(),
            unit: Unit::from_name(units.get(place)?)?,
            quantity: u64::try_from(*quantities.get(place)?).ok()?,
            price,
        })
    };
    (0..models.len()).map(line).collect()
}

/// `None`: a word that is not known here.
fn usage_source(word: &str) -> Option<Option<UsageSource>> {
    match word {
        ledgerline_proto::usage::MISSING => Some(None),
        word => UsageSource::from_name(word).map(Some),
    }
}

fn stored((end_us, trace_id, span_id): Key, mut cells: SpanCells, booked: Booked) -> Option<StoredCall> {
    let lines = lines(&cells.face)?;
    let Face(dimensions, .., source, _, unpriced_reason, _, _, ttft_us) = cells.face;
    let mut own_value =
        |dimension: Dimension| cells.own_values.remove(&format!("{OWN_VALUE}{}", dimension.name()));
    let model = dimensions[Dimension::Model as usize].as_str();
    let usage = match usage_source(&source)? {
        Some(source) => Some(usage(&lines, model, source)?),
        None => None,
    };
    let is_model_capped = own_value(Dimension::Model).is_some();
    let mut dimension =
        |dimension: Dimension| own_value(dimension).unwrap_or_else(|| dimensions[dimension as usize].clone());
    let error_type = dimension(Dimension::ErrorType);
    let is_error = dimensions[Dimension::Status as usize] == "error";
    let condition = |(name, word)| Some((Condition::from_name(name)?, word));
    let conditions = cells.conditions.iter().map(|(name, word)| condition((name.as_str(), word.as_str())));
    let conditions = Conditions::from_pairs(conditions.collect::<Option<Vec<_>>>()?);
    let call = Call {
        trace_id,
        span_id,
        parent_span_id: None,
        start_unix_ns: cells.start_us.checked_mul(1_000)?,
        end_unix_ns: end_us.checked_mul(1_000)?,
        time_to_first_token_ns: ttft_us.and_then(|us| us.checked_mul(1_000)),
        operation: Operation::from_name(&dimensions[Dimension::Operation as usize]),
        provider: dimension(Dimension::Provider),
        request_model: cells.request_model,
        response_model: cells.response_model,
        response_id: cells.response_id,
        stream: cells.stream == 1,
        finish_reasons: cells.finish_reasons,
        end: EndOfStream::from_name(&cells.end_of_stream)?,
        error_type: is_error.then_some(error_type),
        http_status: cells.http_status,
        usage,
        usage_object: UsageObject { template: cells.usage_template, counts: cells.usage_counts }.join(),
        billing: Billing {
            conditions,
            gap: gap(&unpriced_reason),
            reported_cost: cells.reported_cost.map(|usd| usd.parse::<PicoUsd>()).transpose().ok()?,
        },
        identity: Identity::default(),
        unread: None,
    };
    Some(StoredCall { call, booked, uncounted: cells.uncounted, is_model_capped })
}

/// A gap is the first reason of all but a missing usage, so it stands there.
fn gap(unpriced_reason: &str) -> Option<BillGap> {
    [(UnpricedReason::OtherModel, BillGap::OtherModel), (UnpricedReason::NoPriceForTool, BillGap::Tool)]
        .into_iter()
        .find_map(|(reason, gap)| (reason.name() == unpriced_reason).then_some(gap))
}

/// What was used, from the lines of the bill: the call's own, whose units ascend, then those of each run, likewise. A request that the
/// price counts stands behind the own lines of a priced bill and is none of the usage. `None` if a run's model is not known any more.
fn usage(lines: &[Line], model: &str, source: UsageSource) -> Option<Usage> {
    let mut usage = Usage::of(Quantities::default(), source);
    let mut last: Option<&Line> = None;
    for line in lines {
        let is_counted_by_the_price =
            line.unit == Unit::Request && line.quantity == 1 && line.price.is_some();
        let goes_on = last.is_some_and(|last| last.model == line.model && last.unit < line.unit);
        let is_own = usage.runs.is_empty() && &*line.model == model && (last.is_none() || goes_on);
        if is_counted_by_the_price {
            continue;
        }
        last = Some(line);
        if is_own {
            usage.own.add(line.unit, line.quantity);
            continue;
        }
        if !goes_on || usage.runs.is_empty() {
            if &*line.model == OTHER {
                return None;
            }
            usage.runs.push(Run { model: line.model.as_ref().to_owned(), quantities: Quantities::default() });
        }
        if let Some(run) = usage.runs.last_mut() {
            run.quantities.add(line.unit, line.quantity);
        }
    }
    Some(usage)
}

#[cfg(test)]
mod tests {
    use Unit::{InputUncached, OutputText, Request, WebSearch};

    use super::*;

    fn line(model: &str, unit: Unit, quantity: u64, is_priced: bool) -> Line {
        let price = is_priced.then(|| LinePrice { amount: PicoUsd::ZERO, rule: "r".into() });
        Line { model: model.into(), unit, quantity, price }
    }

    fn check(
        lines: &[(&str, Unit, u64)],
        is_priced: bool,
        own: &[(Unit, u64)],
        runs: &[(&str, &[(Unit, u64)])],
    ) {
        let lines: Vec<Line> =
            lines.iter().map(|(model, unit, quantity)| line(model, *unit, *quantity, is_priced)).collect();
        let expected = Usage {
            own: Quantities::from_pairs(own),
            runs: runs
                .iter()
                .map(|(model, pairs)| Run {
                    model: (*model).to_owned(),
                    quantities: Quantities::from_pairs(pairs),
                })
                .collect(),
            source: UsageSource::Sender,
        };
        assert_eq!(usage(&lines, "big", UsageSource::Sender), Some(expected), "{lines:?}");
    }

    #[test]
    fn lines_are_told_apart_as_they_were_written() {
        check(&[], true, &[], &[]);
        let own =
            [("big", InputUncached, 10), ("big", OutputText, 5), ("big", WebSearch, 2), ("big", Request, 1)];
        let counts = [(InputUncached, 10), (OutputText, 5), (WebSearch, 2)];
        check(&own, true, &counts, &[]);
        // Nobody but the call itself has counted it where nothing is priced, and then it is among the others.
        let stated =
            [("big", InputUncached, 10), ("big", OutputText, 5), ("big", Request, 1), ("big", WebSearch, 2)];
        check(&stated, false, &[&counts[..], &[(Request, 1)]].concat(), &[]);
        // An advisor of the call's own model, then two of another.
        let runs = [
            ("big", InputUncached, 3),
            ("big", OutputText, 4),
            ("small", OutputText, 6),
            ("small", InputUncached, 7),
        ];
        check(
            &[&own[..], &runs[..]].concat(),
            true,
            &counts,
            &[
                ("big", &[(InputUncached, 3), (OutputText, 4)]),
                ("small", &[(OutputText, 6)]),
                ("small", &[(InputUncached, 7)]),
            ],
        );
        // All of it by another model.
        check(&[("small", InputUncached, 1)], true, &[], &[("small", &[(InputUncached, 1)])]);
        let lost = [line("big", InputUncached, 1, true), line(OTHER, InputUncached, 2, true)];
        assert_eq!(usage(&lost, "big", UsageSource::Sender), None);
    }
}
