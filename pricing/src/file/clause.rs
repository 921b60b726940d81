//! Clauses of `when`: their conditions and their effect. Pure.

use std::collections::BTreeMap;

use ledgerline_proto::Condition;

use crate::clause::{Clause, Effect, Threshold, Times, WEEKDAYS, Window};
use crate::exact::Exact;

use super::fields::{Fields, Node};
use super::price::{PRICE_KEYS, multiplier, prices, validity};

/// The keys of a clause beside the conditions that are words.
const CONDITION_KEYS: &str = "prompt_above prompt_from month_above month_from time weekdays from until";
const MULTIPLIER_KEYS: &str = "all tokens input output fees";

/// The clauses of a price.
pub(super) fn clauses(fields: &Fields<'_>) -> Vec<Clause> {
    fields.list("when").iter().filter_map(|node| clause(node, PRICE_KEYS)).collect()
}

/// The clauses for all models of a provider: multipliers only.
pub(super) fn multiplier_clauses(fields: &Fields<'_>) -> Vec<Clause> {
    fields.list("when").iter().filter_map(|node| clause(node, "")).collect()
}

fn clause(node: &Node<'_>, price_keys: &str) -> Option<Clause> {
    let words = Condition::ALL.map(Condition::name).join(" ");
    let known = format!("{words} {CONDITION_KEYS} {MULTIPLIER_KEYS} {price_keys}");
    let fields = node.fields(known.trim_end())?;
    let prices = if price_keys.is_empty() { None } else { prices(&fields) };
    let effect = match (prices, times(&fields)?) {
        (Some(prices), None) => Some(Effect::Prices(prices)),
        (None, Some(times)) => Some(Effect::Times(times)),
        (None, None) => {
            node.refuse("has no effect; give it prices, or multipliers, for instance tokens: \"0.5\"")
        }
        (Some(_), Some(_)) => {
            node.refuse("has both prices and multipliers; write two clauses, or the prices multiplied")
        }
    };
    let clause = conditions(&fields, effect?);
    if !clause.has_condition() {
        node.note("has no condition; put what always holds under the price itself");
    }
    Some(clause)
}

/// The conditions of a clause or of a discount.
pub(super) fn conditions(fields: &Fields<'_>, effect: Effect) -> Clause {
    let mut words = BTreeMap::new();
    for condition in Condition::ALL {
        let Some(node) = fields.get(condition.name()) else { continue };
        let mut named: Vec<String> = node.texts().into_iter().map(str::to_owned).collect();
        named.sort_unstable();
        named.dedup();
        words.insert(condition, named);
    }
    Clause {
        words,
        prompt: threshold(fields, "prompt_above", "prompt_from"),
        month: threshold(fields, "month_above", "month_from"),
        window: fields.get("time").and_then(window),
        weekdays: fields.get("weekdays").and_then(weekdays),
        valid: validity(fields),
        effect,
    }
}

/// The keys of the conditions, for a discount.
pub(super) fn condition_keys() -> String {
    format!("{} {CONDITION_KEYS}", Condition::ALL.map(Condition::name).join(" "))
}

fn threshold(fields: &Fields<'_>, above: &str, from: &str) -> Option<Threshold> {
    let whole = |key| fields.get(key).and_then(Node::whole);
    match (whole(above), whole(from)) {
        (Some(above), None) => {
            Some(Threshold { first: above.saturating_add(1), name: format!("above_{above}") })
        }
        (None, Some(from)) => Some(Threshold { first: from, name: format!("from_{from}") }),
        (None, None) => None,
        (Some(_), Some(_)) => fields
            .of
            .at(above)
            .refuse(format!("needs either {above} (more than) or {from} (that many and more)")),
    }
}

fn window(node: &Node<'_>) -> Option<Window> {
    let text = node.text()?;
    let minute = |clock: &str| {
        let (hour, minute) = clock.split_once(':').filter(|(hour, minute)| hour.len() + minute.len() == 4)?;
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (hour <= 24 && minute < 60 && hour * 60 + minute <= 24 * 60)
            .then_some((hour * 60 + minute) % (24 * 60))
    };
    let window = text.split_once('-').and_then(|(start, end)| {
        let (start, end) = (minute(start)?, minute(end)?);
        (start != end).then_some(Window { start, end })
    });
    window.or_else(|| {
        node.refuse(format!("`{text}` is no window of the day; write for example \"16:30-00:30\" (UTC)"))
    })
}

/// A bit for each day, Monday the lowest.
fn weekdays(node: &Node<'_>) -> Option<u8> {
    let mut days = 0;
    for name in node.texts() {
        match WEEKDAYS.iter().position(|known| *known == name) {
            Some(place) => days |= 1 << place,
            None => node.note(format!("`{name}` is no weekday; one of {}", WEEKDAYS.join(", "))),
        }
    }
    (days != 0).then_some(days)
}

/// `None` after a problem; `Some(None)` where there are none.
fn times(fields: &Fields<'_>) -> Option<Option<Times>> {
    let mut times = Times::default();
    for key in MULTIPLIER_KEYS.split(' ') {
        let Some(node) = fields.get(key) else { continue };
        let by: Exact = multiplier(node)?;
        let sides: &mut [&mut Option<Exact>] = match key {
            "all" => &mut [&mut times.input, &mut times.output, &mut times.fees],
            "tokens" => &mut [&mut times.input, &mut times.output],
            "input" => &mut [&mut times.input],
            "output" => &mut [&mut times.output],
            _ => &mut [&mut times.fees],
        };
        for side in sides {
            if side.replace(by).is_some() {
                return node.refuse("multiplies what another multiplier of this clause does already");
            }
        }
    }
    Some((times != Times::default()).then_some(times))
}
