//! A model of a price file: its names and its prices in the order of time. Pure.

use crate::model::{Model, Period, Provider, ReadAt};
use crate::names::{DATE_MARK, Pattern, fine_tuned_key};

use super::clause::clauses;
use super::fields::{Fields, Node};
use super::price::{PRICE_KEYS, moment, prices, quantities, validity};

const PERIOD_KEYS: &str = "minimum rounded_up_to when from until source read_on";

pub(super) fn model(name: &str, node: &Node<'_>) -> Option<Model> {
    let node = node.of_model(name);
    let fields = node.fields(&format!("names retires prices {PRICE_KEYS} {PERIOD_KEYS}"))?;
    let mut model = Model {
        name: name.to_owned(),
        exact_names: vec![name.to_owned()],
        dated_names: Vec::new(),
        patterns: Vec::new(),
        periods: Vec::new(),
        retires: fields.get("retires").and_then(moment),
        read: ReadAt::default(),
    };
    if !is_plain(name) {
        node.note("is no plain name; the key of a model is its canonical name, patterns go under names");
    }
    for node in fields.list("names") {
        names(&node, &mut model);
    }
    model.periods = if fields.get("prices").is_some() {
        for key in format!("{PRICE_KEYS} {PERIOD_KEYS}").split(' ') {
            if let Some(node) = fields.get(key).filter(|_| !matches!(key, "source" | "read_on")) {
                node.note("stands beside prices; put it into the price it belongs to");
            }
        }
        model.read = read_at(&fields);
        let periods = fields.list("prices");
        periods
            .iter()
            .filter_map(|node| period(&node.fields(&format!("{PRICE_KEYS} {PERIOD_KEYS}"))?))
            .collect()
    } else {
        period(&fields).into_iter().collect()
    };
    order(&node, &mut model.periods);
    Some(model)
}

fn names(node: &Node<'_>, model: &mut Model) {
    let Some(name) = node.text() else { return };
    match name.strip_suffix(DATE_MARK) {
        _ if name == model.name => node.note(format!("`{name}` is the model's key and need not be repeated")),
        Some(base) if is_plain(base) => model.dated_names.push(base.to_owned()),
        None if is_plain(name) => model.exact_names.push(name.to_owned()),
        _ => {
            let pattern = Pattern::new(name);
            if is_plain(&name.replace(DATE_MARK, "").replace('*', "")) && pattern.letters() > 0 {
                model.patterns.push(pattern);
            } else {
                node.note(format!("`{name}` is neither a name nor a pattern of letters, {DATE_MARK} and *"));
            }
        }
    }
}

/// No mark of a pattern, and a fine-tuned name only as the key it is looked up by.
fn is_plain(name: &str) -> bool {
    let pattern = name.contains(|letter: char| letter.is_whitespace() || "*?{}[]()|^$\\".contains(letter));
    !name.is_empty() && !pattern && fine_tuned_key(name).is_none_or(|key| key == name)
}

fn period(fields: &Fields<'_>) -> Option<Period> {
    let clauses = clauses(fields);
    let prices = prices(fields);
    if prices.is_none() {
        fields.of.note("has no price; write for example per_million: { input_uncached: \"2.5\" }");
    }
    Some(Period {
        valid: validity(fields),
        prices: prices?,
        minimum: quantities(fields, "minimum"),
        rounded_up_to: quantities(fields, "rounded_up_to"),
        clauses,
        read: read_at(fields),
    })
}

/// Where a model or a price was read, if that is stated for it.
fn read_at(fields: &Fields<'_>) -> ReadAt {
    let text = |key| fields.get(key).and_then(Node::text).map(str::to_owned);
    ReadAt { source: text("source"), read_on: text("read_on") }
}

/// Sorts by time, ends each open period where the next begins, and refuses two prices for one moment.
fn order(model: &Node<'_>, periods: &mut [Period]) {
    periods.sort_by_key(|period| period.valid.start_ns());
    let starts: Vec<_> = periods.iter().skip(1).map(|period| period.valid.from.clone()).collect();
    for (period, next) in periods.iter_mut().zip(starts) {
        let next_ns = next.as_ref().map_or(0, |next| next.unix_ns);
        let overlaps = period.valid.until.as_ref().is_some_and(|until| until.unix_ns > next_ns);
        if overlaps || period.valid.start_ns() == next_ns {
            let message = "two prices hold at once; give each a from, and end one where the next begins";
            model.at("prices").note(message);
        }
        if period.valid.until.is_none() {
            period.valid.until = next;
        }
    }
}

/// Every name of a file answers for one model only, and no name can match two patterns that are asked at once.
pub(super) fn one_model_for_a_name(root: &Node<'_>, provider: &Provider) {
    let mut exact: Vec<(&str, &str)> = Vec::new();
    let mut dated: Vec<(&str, &str)> = Vec::new();
    let mut patterns: Vec<(&Pattern, &str)> = Vec::new();
    for model in provider.models.values() {
        exact.extend(model.exact_names.iter().map(|name| (name.as_str(), model.name.as_str())));
        dated.extend(model.dated_names.iter().map(|name| (name.as_str(), model.name.as_str())));
        patterns.extend(model.patterns.iter().map(|pattern| (pattern, model.name.as_str())));
    }
    for names in [&mut exact, &mut dated] {
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [(name, first), (same, second)] = pair
                && name == same
            {
                let message = format!("`{name}` is a name of `{first}` too; a name belongs to one model");
                root.of_model(second).at("names").note(message);
            }
        }
    }
    patterns.sort_by_key(|(pattern, _)| pattern.letters());
    for (place, (pattern, model)) in patterns.iter().enumerate() {
        let rivals = patterns.iter().skip(place + 1);
        let rivals = rivals.take_while(|(rival, _)| rival.letters() == pattern.letters());
        for (rival, other) in rivals.filter(|(rival, other)| other != model && rival.overlaps(pattern)) {
            let message = format!("{rival} and {pattern} of `{model}` can match one name; make one longer");
            root.of_model(other).at("names").note(message);
        }
    }
}
