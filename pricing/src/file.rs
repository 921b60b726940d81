//! The YAML form of a price file, read into the book's types. Pure.
//!
//! Read by hand rather than derived: people from finance edit these files, and a derive stops at the first mistake
//! and knows neither model nor path. Here every mistake of every file is reported in one go. It must never accept a
//! number without quotes, because YAML would have made a float of it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledgerline_proto::{NanoUsd, TokenClass};
use yaml_serde::Value;

use crate::exact::Exact;
use crate::model::{
    Layer, Model, Period, PriceBookProblem, Provider, Rates, Settings, Step, StepPrice, Table, Threshold,
    Tier, TierPrice,
};
use crate::names::fine_tuned_key;

mod fields;

use fields::{Fields, Reader};

/// Stands for the date of a snapshot in a `match` name.
const DATE_MARK: &str = "-{date}";

pub(crate) fn parse(files: &[(&str, &str)]) -> Result<Layer, Vec<PriceBookProblem>> {
    let mut problems = Vec::new();
    let mut layer = Layer::new();
    for &(file, text) in files {
        let mut reader = Reader::new(file, &mut problems);
        match yaml_serde::from_str::<Value>(text) {
            Err(error) => reader.problem("", format!("is not YAML: {error}")),
            Ok(value) => {
                let Some(provider) = provider(&mut reader, &value) else { continue };
                if layer.contains_key(&provider.name) {
                    let message =
                        format!("`{}` has a file already; keep one file per provider", provider.name);
                    reader.problem("provider", message);
                }
                layer.insert(provider.name.clone(), provider);
            }
        }
    }
    if problems.is_empty() { Ok(layer) } else { Err(problems) }
}

fn provider(reader: &mut Reader<'_>, value: &Value) -> Option<Provider> {
    let keys = [
        "provider",
        "source",
        "read_on",
        "strip_prefixes",
        "http_errors_are_free",
        "service_tier_aliases",
        "class_defaults",
        "models",
    ];
    let fields = reader.mapping(value, "", &keys)?;
    let name = reader.required(&fields, "provider").and_then(|value| reader.text(value, "provider"));
    reader.required(&fields, "source").and_then(|value| reader.text(value, "source"));
    let read_on = reader.required(&fields, "read_on").and_then(|value| date(reader, value, "read_on"));
    let settings = settings(reader, &fields);
    let mut models = Vec::new();
    for (path, value) in reader.list(&fields, "models") {
        models.extend(model(reader, value, &path));
        reader.leave_model();
    }
    models.sort_by(|left, right| left.name.cmp(&right.name));
    let (by_exact_name, by_dated_name) = index(reader, &models);
    let (read_on, _) = read_on?;
    Some(Provider { name: name?.to_owned(), read_on, settings, models, by_exact_name, by_dated_name })
}

fn settings(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Settings {
    let mut settings = Settings::default();
    for (path, value) in reader.list(fields, "strip_prefixes") {
        match reader.text(value, &path) {
            Some("") => reader.problem(&path, "is empty; write a prefix, for instance openai/"),
            prefix => settings.strip_prefixes.extend(prefix.map(str::to_owned)),
        }
    }
    settings.http_errors_are_free = match fields.get("http_errors_are_free") {
        None => None,
        Some(Value::Bool(free)) => Some(*free),
        Some(_) => {
            reader.problem("http_errors_are_free", "must be true or false");
            None
        }
    };
    for (path, alias, value) in reader.entries(fields, "service_tier_aliases") {
        let tier = reader.text(value, &path).map(str::to_owned);
        settings.service_tier_aliases.extend(tier.map(|tier| (alias.to_owned(), tier)));
    }
    for (path, name, value) in reader.entries(fields, "class_defaults") {
        let class = class(reader, name, &path);
        let Some(entry) = reader.mapping(value, &path, &["billed_as", "multiplier"]) else { continue };
        let as_path = format!("{path}.billed_as");
        let billed_as = reader
            .required(&entry, "billed_as")
            .and_then(|value| reader.text(value, &as_path))
            .and_then(|name| self::class(reader, name, &as_path));
        let by_path = format!("{path}.multiplier");
        let multiplier = match entry.get("multiplier") {
            None => Some(Exact::ONE),
            Some(value) => multiplier(reader, value, &by_path),
        };
        if let (Some(class), Some(billed_as), Some(multiplier)) = (class, billed_as, multiplier) {
            settings.class_defaults.insert(class, (billed_as, multiplier));
        }
    }
    settings
}

fn model(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Model> {
    let name = value.get("model").and_then(Value::as_str);
    reader.enter_model(name.unwrap_or(path));
    let fields = reader.mapping(value, "", &["model", "match", "source", "prices"])?;
    reader.required(&fields, "model").and_then(|value| reader.text(value, "model"));
    let (mut exact_names, mut dated_names) = (Vec::new(), Vec::new());
    reader.required(&fields, "match");
    for (path, value) in reader.list(&fields, "match") {
        let Some(name) = reader.text(value, &path) else { continue };
        match name.strip_suffix(DATE_MARK) {
            Some(base) if is_plain(base) => dated_names.push(base.to_owned()),
            None if is_plain(name) => exact_names.push(name.to_owned()),
            _ => {
                let message = format!("`{name}` is neither a plain name nor one ending in {DATE_MARK}");
                reader.problem(&path, message);
            }
        }
    }
    if let Some(source) = fields.get("source") {
        reader.text(source, "source");
    }
    reader.required(&fields, "prices");
    let mut periods = Vec::new();
    for (path, value) in reader.list(&fields, "prices") {
        periods.extend(period(reader, value, &path));
    }
    order(reader, &mut periods);
    Some(Model { name: name?.to_owned(), exact_names, dated_names, periods })
}

/// No pattern but the date mark, and a fine-tuned name only as the key it is looked up by.
fn is_plain(name: &str) -> bool {
    let pattern = name.contains(|letter: char| letter.is_whitespace() || "*?{}[]()|^$\\".contains(letter));
    !name.is_empty() && !pattern && fine_tuned_key(name).is_none_or(|key| key == name)
}

/// Sorts by time, ends each open period where the next begins, and refuses two prices for one moment.
fn order(reader: &mut Reader<'_>, periods: &mut [Period]) {
    periods.sort_by_key(|period| period.from_unix_ns);
    let starts: Vec<u64> = periods.iter().skip(1).map(|period| period.from_unix_ns).collect();
    for (period, next) in periods.iter_mut().zip(starts) {
        let overlaps = period.until_unix_ns != u64::MAX && period.until_unix_ns > next;
        if overlaps || period.from_unix_ns == next {
            let message =
                "two prices hold at once; give each a valid_from, and end one where the next begins";
            reader.problem("prices", message);
        }
        period.until_unix_ns = period.until_unix_ns.min(next);
    }
}

fn period(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Period> {
    let keys = [
        "valid_from",
        "valid_until",
        "usd_per_million_tokens",
        "usd_per_thousand_web_searches",
        "long_context",
        "service_tiers",
        "speeds",
        "inference_geo",
    ];
    let fields = reader.mapping(value, path, &keys)?;
    let mut day = |key: &str| fields.get(key).map(|value| date(reader, value, &format!("{path}.{key}")));
    let (from, until) = (day("valid_from").flatten(), day("valid_until").flatten());
    let from_unix_ns = from.map_or(0, |(_, nanos)| nanos);
    let until_unix_ns = until.map_or(u64::MAX, |(_, nanos)| nanos);
    if until_unix_ns <= from_unix_ns {
        reader.problem(
            &format!("{path}.valid_until"),
            "is not after valid_from; it is the first day without the price",
        );
    }
    let rates = rates(reader, &fields, path);
    let web_path = format!("{path}.usd_per_thousand_web_searches");
    let web_searches =
        fields.get("usd_per_thousand_web_searches").and_then(|value| amount(reader, value, &web_path));
    let mut inference_geo = Vec::new();
    for (path, region, value) in reader.entries(&fields, "inference_geo") {
        inference_geo.extend(multiplier(reader, value, &path).map(|by| (region.to_owned(), by)));
    }
    inference_geo.sort_by(|left, right| left.0.cmp(&right.0));
    let service_tiers = tiers(reader, &fields, "service_tiers");
    let speeds = tiers(reader, &fields, "speeds");
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

fn tiers(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<(String, Tier)> {
    let mut tiers = Vec::new();
    for (path, name, value) in reader.entries(fields, key) {
        if matches!(name, "default" | "standard") {
            reader.problem(
                &path,
                "is the standard price itself; put it under usd_per_million_tokens of the price",
            );
        }
        let price = if value.is_mapping() {
            reader
                .mapping(value, &path, &["usd_per_million_tokens", "long_context"])
                .and_then(|fields| rates(reader, &fields, &path))
                .map(TierPrice::Table)
        } else {
            multiplier(reader, value, &path).map(TierPrice::Multiplier)
        };
        tiers.extend(price.map(|price| (name.to_owned(), Tier { price, rules: Vec::new() })));
    }
    tiers
}

fn rates(reader: &mut Reader<'_>, fields: &Fields<'_>, path: &str) -> Option<Rates> {
    let table_path = format!("{path}.usd_per_million_tokens");
    let table =
        reader.required(fields, "usd_per_million_tokens").and_then(|value| table(reader, value, &table_path));
    let mut steps = Vec::new();
    for (path, value) in reader.list(fields, "long_context") {
        steps.extend(step(reader, value, &path));
    }
    steps.sort_by_key(|step: &Step| step.threshold.first_token());
    let twice = |pair: &[Step]| pair.iter().map(|step| step.threshold.first_token()).min();
    if steps.windows(2).any(|pair| twice(pair) == pair.last().map(|step| step.threshold.first_token())) {
        reader.problem(&format!("{path}.long_context"), "has two steps that begin at one prompt length");
    }
    Some(Rates { table: table?, steps })
}

fn step(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Step> {
    let keys = [
        "above_prompt_tokens",
        "from_prompt_tokens",
        "usd_per_million_tokens",
        "input_multiplier",
        "output_multiplier",
    ];
    let fields = reader.mapping(value, path, &keys)?;
    let mut tokens = |key: &str| {
        let value = fields.get(key)?;
        let tokens = value.as_u64();
        if tokens.is_none() {
            reader.problem(&format!("{path}.{key}"), "must be a whole number of tokens, for instance 200000");
        }
        tokens
    };
    let threshold = match (tokens("above_prompt_tokens"), tokens("from_prompt_tokens")) {
        (Some(above), None) => Some(Threshold::Above(above)),
        (None, Some(from)) => Some(Threshold::From(from)),
        _ => {
            reader.problem(
                path,
                "needs either above_prompt_tokens (more than) or from_prompt_tokens (that many and more)",
            );
            None
        }
    };
    let table_path = format!("{path}.usd_per_million_tokens");
    let own_table = fields.get("usd_per_million_tokens");
    let mut factor = |key: &str| multiplier(reader, fields.get(key)?, &format!("{path}.{key}"));
    let price = match (own_table, factor("input_multiplier"), factor("output_multiplier")) {
        (Some(value), None, None) => table(reader, value, &table_path).map(StepPrice::Table),
        (None, Some(input), Some(output)) => Some(StepPrice::Multipliers { input, output }),
        _ => {
            reader.problem(
                path,
                "needs either usd_per_million_tokens or both input_multiplier and output_multiplier",
            );
            None
        }
    };
    Some(Step { threshold: threshold?, price: price? })
}

fn table(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Table> {
    let names = TokenClass::ALL.map(TokenClass::name);
    let fields = reader.mapping(value, path, &names)?;
    let prices = names.map(|name| {
        let value = fields.get(name)?;
        amount(reader, value, &format!("{path}.{name}"))
    });
    if prices.iter().all(Option::is_none) {
        reader.problem(path, "names no price");
    }
    Some(prices)
}

/// Every name of a file answers for one model only.
fn index(reader: &mut Reader<'_>, models: &[Model]) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let (mut exact, mut dated) = (BTreeMap::new(), BTreeMap::new());
    let mut earlier = None;
    for (place, model) in models.iter().enumerate() {
        reader.enter_model(&model.name);
        if earlier.replace(&model.name) == Some(&model.name) {
            reader.problem("model", "is listed twice; put all its prices under one entry");
        }
        model.exact_names.iter().for_each(|name| claim(reader, &mut exact, name, place));
        model.dated_names.iter().for_each(|name| claim(reader, &mut dated, name, place));
    }
    reader.leave_model();
    (exact, dated)
}

fn claim(reader: &mut Reader<'_>, index: &mut BTreeMap<String, usize>, name: &str, place: usize) {
    if index.insert(name.to_owned(), place).is_some() {
        reader.problem("match", format!("`{name}` is listed twice; a name belongs to one model"));
    }
}

fn class(reader: &mut Reader<'_>, name: &str, path: &str) -> Option<TokenClass> {
    let class = TokenClass::from_name(name);
    if class.is_none() {
        reader.problem(
            path,
            format!(
                "`{name}` is no token class; one of {}",
                TokenClass::ALL.map(TokenClass::name).join(", ")
            ),
        );
    }
    class
}

fn amount(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<i64> {
    let text = reader.text(value, path)?;
    match text.parse::<NanoUsd>() {
        Ok(amount) if amount >= NanoUsd::ZERO => Some(amount.nanos()),
        Ok(_) => {
            reader.problem(path, format!("`{text}` is negative; a price is 0 or more"));
            None
        }
        Err(error) => {
            reader.problem(path, error.to_string());
            None
        }
    }
}

fn multiplier(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<Exact> {
    let text = reader.text(value, path)?;
    let multiplier = Exact::from_decimal(text);
    if multiplier.is_none() {
        reader.problem(
            path,
            format!(
                "`{text}` is no multiplier; write for example 0.5 or 1.1, at most 6 digits behind the point"
            ),
        );
    }
    multiplier
}

/// The day and its first nanosecond in UTC.
fn date(reader: &mut Reader<'_>, value: &Value, path: &str) -> Option<(Date, u64)> {
    let text = reader.text(value, path)?;
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let instant = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let nanos = instant.and_then(|instant| u64::try_from(instant.as_nanosecond()).ok());
    if nanos.is_none() {
        reader.problem(path, format!("`{text}` is no day since 1970; write for example 2026-11-24"));
    }
    date.zip(nanos)
}

#[cfg(test)]
mod tests;
