//! The YAML form of a price file, read into the book's types. Pure.
//!
//! Read by hand rather than derived: people from finance edit these files, and a derive stops at the first mistake
//! and knows neither model nor path. Here every mistake of every file is reported in one go. It must never accept a
//! number without quotes, because YAML would have made a float of it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledgerline_proto::{PicoUsd, Unit};
use yaml_serde::Value;

use crate::exact::Exact;
use crate::model::{
    Layer, Model, Period, PriceBookProblem, Provider, Rates, Settings, Step, StepPrice, Table, Tier,
    TierPrice,
};
use crate::names::fine_tuned_key;

mod fields;

use fields::{Fields, File, Node};

/// Stands for the date of a snapshot in a `match` name.
const DATE_MARK: &str = "-{date}";

pub(crate) fn parse(files: &[(&str, &str)]) -> Result<Layer, Vec<PriceBookProblem>> {
    let mut problems = Vec::new();
    let mut layer = Layer::new();
    for &(name, text) in files {
        let file = File { name, problems: RefCell::default() };
        let parsed = yaml_serde::from_str::<Value>(text);
        let value = parsed.as_ref().unwrap_or(&Value::Null);
        let root = Node { file: &file, model: None, path: String::new(), value };
        let provider = match &parsed {
            Ok(_) => provider(&root),
            Err(error) => root.refuse(format!("is not YAML: {error}")),
        };
        if let Some(provider) = provider {
            if layer.contains_key(&provider.name) {
                let message = format!("`{}` has a file already; keep one file per provider", provider.name);
                root.at("provider").note(message);
            }
            layer.insert(provider.name.clone(), provider);
        }
        problems.extend(file.problems.take());
    }
    if problems.is_empty() { Ok(layer) } else { Err(problems) }
}

fn provider(root: &Node<'_>) -> Option<Provider> {
    let fields = root.fields(
        "provider source read_on strip_prefixes http_errors_are_free service_tier_aliases class_defaults \
         models",
    )?;
    let name = fields.required("provider").and_then(Node::text);
    fields.required("source").and_then(Node::text);
    fields.required("read_on").and_then(date);
    let settings = settings(&fields);
    let mut models: Vec<Model> = fields.list("models").iter().filter_map(model).collect();
    models.sort_by(|left, right| left.name.cmp(&right.name));
    let (by_exact_name, by_dated_name) = index(root, &models);
    Some(Provider { name: name?.to_owned(), settings, models, by_exact_name, by_dated_name })
}

fn settings(fields: &Fields<'_>) -> Settings {
    let mut settings = Settings::default();
    for node in fields.list("strip_prefixes") {
        match node.text() {
            Some("") => node.note("is empty; write a prefix, for instance openai/"),
            prefix => settings.strip_prefixes.extend(prefix.map(str::to_owned)),
        }
    }
    let free = fields.get("http_errors_are_free");
    settings.http_errors_are_free =
        free.and_then(|node| node.value.as_bool().or_else(|| node.refuse("must be true or false")));
    for (alias, node) in fields.entries("service_tier_aliases") {
        settings.service_tier_aliases.extend(node.text().map(|tier| (alias.to_owned(), tier.to_owned())));
    }
    for (name, node) in fields.entries("class_defaults") {
        let class = class(&node, name);
        let Some(entry) = node.fields("billed_as multiplier") else { continue };
        let billed_as = entry.required("billed_as").and_then(|node| self::class(node, node.text()?));
        let multiplier = entry.get("multiplier").map_or(Some(Exact::ONE), multiplier);
        if let (Some(class), Some(billed_as), Some(multiplier)) = (class, billed_as, multiplier) {
            settings.class_defaults.insert(class, (billed_as, multiplier));
        }
    }
    settings
}

fn model(node: &Node<'_>) -> Option<Model> {
    let name = node.value.get("model").and_then(Value::as_str);
    let node = node.of_model(name.unwrap_or(&node.path));
    let fields = node.fields("model match source prices")?;
    fields.required("model").and_then(Node::text);
    let (mut exact_names, mut dated_names) = (Vec::new(), Vec::new());
    fields.required("match");
    for node in fields.list("match") {
        let Some(name) = node.text() else { continue };
        match name.strip_suffix(DATE_MARK) {
            Some(base) if is_plain(base) => dated_names.push(base.to_owned()),
            None if is_plain(name) => exact_names.push(name.to_owned()),
            _ => node.note(format!("`{name}` is neither a plain name nor one ending in {DATE_MARK}")),
        }
    }
    fields.get("source").and_then(Node::text);
    fields.required("prices");
    let mut periods: Vec<Period> = fields.list("prices").iter().filter_map(period).collect();
    order(&node, &mut periods);
    Some(Model { name: name?.to_owned(), exact_names, dated_names, periods })
}

/// No pattern but the date mark, and a fine-tuned name only as the key it is looked up by.
fn is_plain(name: &str) -> bool {
    let pattern = name.contains(|letter: char| letter.is_whitespace() || "*?{}[]()|^$\\".contains(letter));
    !name.is_empty() && !pattern && fine_tuned_key(name).is_none_or(|key| key == name)
}

/// Sorts by time, ends each open period where the next begins, and refuses two prices for one moment.
fn order(model: &Node<'_>, periods: &mut [Period]) {
    periods.sort_by_key(|period| period.from_unix_ns);
    let starts: Vec<u64> = periods.iter().skip(1).map(|period| period.from_unix_ns).collect();
    for (period, next) in periods.iter_mut().zip(starts) {
        let overlaps = period.until_unix_ns != u64::MAX && period.until_unix_ns > next;
        if overlaps || period.from_unix_ns == next {
            let message =
                "two prices hold at once; give each a valid_from, and end one where the next begins";
            model.at("prices").note(message);
        }
        period.until_unix_ns = period.until_unix_ns.min(next);
    }
}

fn period(node: &Node<'_>) -> Option<Period> {
    let fields = node.fields(
        "valid_from valid_until usd_per_million_tokens usd_per_thousand_web_searches long_context \
         service_tiers speeds inference_geo",
    )?;
    let day = |key| fields.get(key).and_then(date);
    let (from, until) = (day("valid_from"), day("valid_until"));
    let from_unix_ns = from.map_or(0, |(_, nanos)| nanos);
    let until_unix_ns = until.map_or(u64::MAX, |(_, nanos)| nanos);
    if until_unix_ns <= from_unix_ns {
        node.at("valid_until").note("is not after valid_from; it is the first day without the price");
    }
    let rates = rates(&fields);
    let web_searches = fields.get("usd_per_thousand_web_searches").and_then(amount);
    let geo = fields.entries("inference_geo").into_iter();
    let geo = geo.filter_map(|(region, node)| Some((region.to_owned(), multiplier(&node)?)));
    let mut inference_geo: Vec<(String, Exact)> = geo.collect();
    inference_geo.sort_by(|left, right| left.0.cmp(&right.0));
    let (service_tiers, speeds) = (tiers(&fields, "service_tiers"), tiers(&fields, "speeds"));
    Some(Period {
        from: from.map(|(date, _)| date),
        from_unix_ns,
        until_unix_ns,
        rates: rates?,
        web_searches,
        inference_geo,
        standard: Tier { price: TierPrice::Multiplier(Exact::ONE), rules: Vec::new() },
        service_tiers,
        speeds,
    })
}

fn tiers(fields: &Fields<'_>, key: &str) -> Vec<(String, Tier)> {
    let tier = |(name, node): (&str, Node<'_>)| {
        if matches!(name, "default" | "standard") {
            node.note("is the standard price itself; put it under usd_per_million_tokens of the price");
        }
        let price = if node.value.is_mapping() {
            let fields = node.fields("usd_per_million_tokens long_context")?;
            TierPrice::Table(rates(&fields)?)
        } else {
            TierPrice::Multiplier(multiplier(&node)?)
        };
        Some((name.to_owned(), Tier { price, rules: Vec::new() }))
    };
    fields.entries(key).into_iter().filter_map(tier).collect()
}

fn rates(fields: &Fields<'_>) -> Option<Rates> {
    let table = fields.required("usd_per_million_tokens").and_then(table);
    let mut steps: Vec<Step> = fields.list("long_context").iter().filter_map(step).collect();
    steps.sort_by_key(|step| step.first_token);
    if !steps.is_sorted_by(|one, next| one.first_token < next.first_token) {
        fields.of.at("long_context").note("has two steps that begin at one prompt length");
    }
    Some(Rates { table: table?, steps })
}

fn step(node: &Node<'_>) -> Option<Step> {
    let fields = node.fields(
        "above_prompt_tokens from_prompt_tokens usd_per_million_tokens input_multiplier output_multiplier",
    )?;
    let tokens = |key| {
        let node = fields.get(key)?;
        let message = "must be a whole number of tokens, for instance 200000";
        node.value.as_u64().or_else(|| node.refuse(message))
    };
    let begin = match (tokens("above_prompt_tokens"), tokens("from_prompt_tokens")) {
        (Some(above), None) => Some((above.saturating_add(1), format!("above_{above}"))),
        (None, Some(from)) => Some((from, format!("from_{from}"))),
        _ => node.refuse(
            "needs either above_prompt_tokens (more than) or from_prompt_tokens (that many and more)",
        ),
    };
    let factor = |key| fields.get(key).and_then(multiplier);
    let own_table = fields.get("usd_per_million_tokens");
    let price = match (own_table, factor("input_multiplier"), factor("output_multiplier")) {
        (Some(own_table), None, None) => table(own_table).map(StepPrice::Table),
        (None, Some(input), Some(output)) => Some(StepPrice::Multipliers { input, output }),
        _ => {
            node.refuse("needs either usd_per_million_tokens or both input_multiplier and output_multiplier")
        }
    };
    let (first_token, name) = begin?;
    Some(Step { first_token, name, price: price? })
}

fn table(node: &Node<'_>) -> Option<Table> {
    let names = Unit::ALL.map(Unit::name);
    let fields = node.fields(&names.join(" "))?;
    let prices = names.map(|name| fields.get(name).and_then(amount));
    if prices.iter().all(Option::is_none) {
        node.note("names no price");
    }
    Some(Box::new(prices))
}

/// Every name of a file answers for one model only.
fn index(root: &Node<'_>, models: &[Model]) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut exact, mut dated) = (BTreeMap::new(), BTreeMap::new());
    let mut earlier = None;
    for (place, model) in models.iter().enumerate() {
        let node = root.of_model(&model.name);
        if earlier.replace(&model.name) == Some(&model.name) {
            node.at("model").note("is listed twice; put all its prices under one entry");
        }
        for (index, names) in [(&mut exact, &model.exact_names), (&mut dated, &model.dated_names)] {
            for name in names {
                if index.insert(name.clone(), place).is_some() {
                    let message = format!("`{name}` is listed twice; a name belongs to one model");
                    node.at("match").note(message);
                }
            }
        }
    }
    (exact, dated)
}

fn class(node: &Node<'_>, name: &str) -> Option<Unit> {
    let known = || Unit::ALL.map(Unit::name).join(", ");
    let message = || format!("`{name}` is no token class; one of {}", known());
    Unit::from_name(name).or_else(|| node.refuse(message()))
}

fn amount(node: &Node<'_>) -> Option<i64> {
    let text = node.text()?;
    match text.parse::<PicoUsd>() {
        Ok(amount) if amount >= PicoUsd::ZERO => Some(amount.picos()),
        Ok(_) => node.refuse(format!("`{text}` is negative; a price is 0 or more")),
        Err(error) => node.refuse(error.to_string()),
    }
}

fn multiplier(node: &Node<'_>) -> Option<Exact> {
    let text = node.text()?;
    let message = || {
        format!("`{text}` is no multiplier; write for example 0.5 or 1.1, at most 6 digits behind the point")
    };
    Exact::from_decimal(text).or_else(|| node.refuse(message()))
}

/// The day and its first nanosecond in UTC.
fn date(node: &Node<'_>) -> Option<(Date, u64)> {
    let text = node.text()?;
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let instant = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let nanos = instant.and_then(|instant| u64::try_from(instant.as_nanosecond()).ok());
    let message = || format!("`{text}` is no day since 1970; write for example 2026-11-24");
    date.zip(nanos).or_else(|| node.refuse(message()))
}

#[cfg(test)]
mod tests;
