//! Prices by unit, the time they hold, numbers and moments. Pure. It must never accept a price without quotes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledgerline_proto::Unit;
use yaml_serde::Value;

use crate::exact::Exact;
use crate::price::{Moment, Part, Price, Prices, Validity};

use super::fields::{Fields, Node};

/// The keys under which prices stand, each for so many of a unit.
pub(super) const PRICE_KEYS: &str = "per_million per_thousand each per_second per_minute per_hour";
/// The word for "has no price".
const NONE: &str = "none";

/// How many of a unit a price under this key is for; `None` where the key does not fit the unit.
fn per(key: &str, unit: Unit) -> Option<u64> {
    let name = unit.name();
    let second = if name.ends_with("_ms") { Some(1_000) } else { name.ends_with("_second").then_some(1) };
    match key {
        "per_million" => Some(1_000_000),
        "per_thousand" => Some(1_000),
        "each" => Some(1),
        "per_second" => second,
        "per_minute" => second.map(|second| second * 60),
        _ => second.map(|second| second * 3_600),
    }
}

/// All prices of a price or a clause; `None` where there is no key of them.
pub(super) fn prices(fields: &Fields<'_>) -> Option<Prices> {
    let mut found = false;
    let mut prices = Prices::new();
    for key in PRICE_KEYS.split(' ') {
        if let Some(node) = fields.get(key) {
            found = true;
            if fields.entries(key).is_empty() {
                node.note("names no price");
            }
        }
        for (name, node) in fields.entries(key) {
            let Some(unit) = unit(&node, name) else { continue };
            let Some(per) = per(key, unit) else {
                node.note(format!("`{name}` is no unit of time; price it per_million, per_thousand or each"));
                continue;
            };
            let price = if node.value.as_str() == Some(NONE) {
                Some(None)
            } else {
                parts(&node).map(|parts| Some(Price { per, parts }))
            };
            let Some(price) = price else { continue };
            if prices.insert(unit, price).is_some() {
                node.note(format!("`{name}` has a price already under another key"));
            }
        }
    }
    found.then_some(prices)
}

fn parts(node: &Node<'_>) -> Option<Vec<Part>> {
    if !matches!(node.value, Value::Sequence(_)) {
        return Some(vec![Part { up_to: u64::MAX, price: number(node)? }]);
    }
    let items = node.items();
    let mut parts = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let fields = item.fields("up_to price")?;
        let last = place + 1 == items.len();
        let up_to = match (fields.get("up_to"), last) {
            (None, true) => Some(u64::MAX),
            (Some(node), false) => node.whole(),
            _ => item.refuse("each part but the last, and only those, says what it goes up_to"),
        };
        parts.push(Part { up_to: up_to?, price: number(fields.required("price")?)? });
    }
    if parts.is_empty() || !parts.is_sorted_by(|one, next| one.up_to < next.up_to) {
        return node.refuse("must be a list of parts, each going up_to more than the one before");
    }
    Some(parts)
}

pub(super) fn unit(node: &Node<'_>, name: &str) -> Option<Unit> {
    let known = || Unit::ALL.map(Unit::name).join(", ");
    let message = || format!("`{name}` is no unit; one of {}", known());
    Unit::from_name(name).or_else(|| node.refuse(message()))
}

/// Whole numbers by unit.
pub(super) fn quantities(fields: &Fields<'_>, key: &str) -> BTreeMap<Unit, u64> {
    let entries = fields.entries(key).into_iter();
    let entry = |(name, node): (&str, Node<'_>)| {
        let positive = node.whole()?;
        let quantity = (positive > 0).then_some(positive).or_else(|| node.refuse("must be above 0"));
        Some((unit(&node, name)?, quantity?))
    };
    entries.filter_map(entry).collect()
}

/// A price, a rate or a percentage.
pub(super) fn number(node: &Node<'_>) -> Option<Exact> {
    let text = node.text()?;
    Exact::from_decimal(text).map_err(|wrong| node.note(format!("`{text}` {wrong}"))).ok()
}

/// A factor: at most 12 digits behind the point, so that a chain of them stays exact, and below a million.
pub(super) fn multiplier(node: &Node<'_>) -> Option<Exact> {
    let text = node.text()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let exact = Exact::from_decimal(text).ok().filter(|_| whole.len() <= 6 && fraction.len() <= 12);
    let message = || {
        format!("`{text}` is no multiplier; write for example 0.5 or 1.1, at most 12 digits behind the point")
    };
    exact.or_else(|| node.refuse(message()))
}

pub(super) fn validity(fields: &Fields<'_>) -> Validity {
    let valid =
        Validity { from: fields.get("from").and_then(moment), until: fields.get("until").and_then(moment) };
    if valid.end_ns() <= valid.start_ns() {
        fields.of.at("until").note("is not after from; it is the first moment without the price");
    }
    valid
}

/// A day or a moment of UTC.
pub(super) fn moment(node: &Node<'_>) -> Option<Moment> {
    let text = node.text()?;
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let day = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let moment = || text.parse::<Timestamp>().ok().filter(|_| text.ends_with('Z'));
    let instant = day.or_else(moment);
    let nanos = instant.and_then(|instant| u64::try_from(instant.as_nanosecond()).ok());
    let message = || {
        format!("`{text}` is no time since 1970; write for example 2026-11-24 or 2026-11-24T16:30:00Z (UTC)")
    };
    nanos.map(|unix_ns| Moment { unix_ns, text: text.to_owned() }).or_else(|| node.refuse(message()))
}
