//! The YAML form of a price file, read into the book's types. Pure. docs/prices.md is its manual.
//!
//! Read by hand rather than derived: people from finance edit these files, and a derive stops at the first mistake
//! and knows neither model nor path. Here every mistake of every file is reported in one go. It must never accept a
//! price without quotes, because YAML would have made a float of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_proto::{Condition, Unit};
use yaml_serde::Value;

use crate::clause::{Effect, Times};
use crate::exact::Exact;
use crate::model::{
    Booked, Currency, Discount, Layer, PriceBookProblem, Provider, ReadAt, Settings, Standard,
};
use crate::names::{Pattern, Within};

mod clause;
mod fields;
mod line;
mod model;
mod price;

use clause::{condition_keys, conditions, multiplier_clauses};
use fields::{Fields, File, Node};
use price::{moment, multiplier, number, unit};

const KEYS: &str = "provider tenant source read_on currency rates hosts inherits names_within aliases \
    deployments standard same_as billed_as failed_requests booked when models discounts";

/// Reads files of one standing, and asks `check` of each provider once it is read.
pub(crate) fn parse(
    files: &[(&str, &str)],
    check: impl Fn(&Provider) -> Vec<(String, String)>,
) -> Result<Layer, Vec<PriceBookProblem>> {
    let mut problems = Vec::new();
    let mut layer = Layer::new();
    for &(name, text) in files {
        let file = File { name, problems: RefCell::default() };
        let parsed = yaml_serde::from_str::<Value>(text);
        let value = parsed.as_ref().unwrap_or(&Value::Null);
        let root = Node { file: &file, model: None, path: String::new(), value };
        match &parsed {
            Ok(_) => read(&root, &mut layer, &check),
            Err(error) => root.note(format!("{NOT_YAML}: {error}")),
        }
        let placed = |problem| PriceBookProblem { line: line_of(text, &problem), ..problem };
        problems.extend(file.problems.take().into_iter().map(placed));
    }
    if problems.is_empty() { Ok(layer) } else { Err(problems) }
}

/// The text of the error says the line.
const NOT_YAML: &str = "is not YAML";

fn line_of(text: &str, problem: &PriceBookProblem) -> Option<usize> {
    if problem.message.starts_with(NOT_YAML) {
        return None;
    }
    let field = if problem.field == fields::WHOLE { "" } else { &problem.field };
    let path = match &problem.model {
        Some(model) if field.is_empty() => format!("models.{model}"),
        Some(model) => format!("models.{model}.{field}"),
        None => field.to_owned(),
    };
    line::of(text, &path)
}

fn read(root: &Node<'_>, layer: &mut Layer, check: &impl Fn(&Provider) -> Vec<(String, String)>) {
    let Some(fields) = root.fields(KEYS) else { return };
    let read = ReadAt {
        source: fields.required("source").and_then(Node::text).map(str::to_owned),
        read_on: fields.required("read_on").and_then(moment).map(|day| day.text),
    };
    let tenant = fields.get("tenant").and_then(Node::text).map(str::to_owned);
    let of_a_tenant = tenant.is_some();
    let scope = layer.entry(tenant).or_default();
    let discounts = fields.list("discounts");
    scope.discounts.extend(discounts.iter().filter_map(|node| discount(node, of_a_tenant)));
    if fields.get("provider").is_none() && fields.get("models").is_none() && !discounts.is_empty() {
        return;
    }
    let Some(provider) = provider(root, &fields, read) else { return };
    if root.file.problems.borrow().is_empty() {
        for (model, message) in check(&provider) {
            root.of_model(&model).at("when").note(message);
        }
    }
    if scope.providers.contains_key(&provider.name) {
        let message = format!("`{}` has a file already; keep one file per provider", provider.name);
        root.at("provider").note(message);
    }
    scope.providers.insert(provider.name.clone(), provider);
}

fn provider(root: &Node<'_>, fields: &Fields<'_>, read: ReadAt) -> Option<Provider> {
    let name = fields.required("provider").and_then(Node::text);
    let inherits: Vec<String> =
        fields.get("inherits").map(Node::texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let settings_only =
        ["aliases", "booked", "deployments", "failed_requests"].iter().any(|key| fields.get(key).is_some());
    if inherits.is_empty() && !settings_only {
        fields.required("models");
    }
    let models = fields.entries("models").into_iter();
    let models =
        models.filter_map(|(name, node)| Some((name.to_owned(), Arc::new(model::model(name, &node)?))));
    let provider = Provider {
        name: name.unwrap_or_default().to_owned(),
        file: root.file.name.to_owned(),
        read,
        inherits,
        settings: settings(fields),
        currency: currency(fields),
        clauses: multiplier_clauses(fields),
        models: models.collect(),
    };
    model::one_model_for_a_name(root, &provider);
    name.map(|_| provider)
}

fn settings(fields: &Fields<'_>) -> Settings {
    let mut settings = Settings::default();
    for node in fields.list("names_within") {
        let Some(text) = node.text() else { continue };
        match Within::new(text) {
            Some(within) => settings.names_within.push(within),
            None => node.note(format!(
                "`{text}` must hold {{name}} once and something beside it, for instance openai/{{name}}"
            )),
        }
    }
    settings.aliases = texts(fields, "aliases");
    settings.deployments = texts(fields, "deployments");
    settings.hosts =
        fields.get("hosts").map(Node::texts).unwrap_or_default().into_iter().map(str::to_owned).collect();
    settings.failed_requests_free = word(fields, "failed_requests", &[("free", true), ("unknown", false)]);
    settings.booked = word(fields, "booked", &[("ours", Booked::Ours), ("reported", Booked::Reported)]);
    for (name, node) in fields.entries("standard") {
        let Some(condition) = condition(&node, name) else { continue };
        let any = node.value.as_str() == Some("any");
        let words = if any { Vec::new() } else { node.texts().into_iter().map(str::to_owned).collect() };
        settings.standard.insert(condition, Standard { any, words });
    }
    for (name, node) in fields.entries("same_as") {
        let Some(condition) = condition(&node, name) else { continue };
        let words = node.entries().unwrap_or_default().into_iter();
        let words = words.filter_map(|(word, node)| Some((word.to_owned(), node.text()?.to_owned())));
        settings.same_as.insert(condition, words.collect());
    }
    for (name, node) in fields.entries("billed_as") {
        let entry = || -> Option<(Unit, (Unit, Exact))> {
            let of = unit(&node, name)?;
            if !node.value.is_mapping() {
                return Some((of, (unit(&node, node.text()?)?, Exact::ONE)));
            }
            let fields = node.fields("unit times")?;
            let billed_as = fields.required("unit").and_then(|node| unit(node, node.text()?));
            let by = fields.get("times").map_or(Some(Exact::ONE), multiplier);
            Some((of, (billed_as?, by?)))
        };
        settings.billed_as.extend(entry());
    }
    settings
}

fn texts(fields: &Fields<'_>, key: &str) -> BTreeMap<String, String> {
    let entries = fields.entries(key).into_iter();
    entries.filter_map(|(name, node)| Some((name.to_owned(), node.text()?.to_owned()))).collect()
}

fn word<Value: Copy>(fields: &Fields<'_>, key: &str, known: &[(&str, Value)]) -> Option<Value> {
    let node = fields.get(key)?;
    let text = node.text()?;
    let found = known.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
    found.or_else(|| node.refuse(format!("`{text}` is not known here; write {}", names())))
}

fn condition(node: &Node<'_>, name: &str) -> Option<Condition> {
    let known = || Condition::ALL.map(Condition::name).join(", ");
    let message = || format!("`{name}` is no condition; one of {}", known());
    Condition::from_name(name).or_else(|| node.refuse(message()))
}

fn currency(fields: &Fields<'_>) -> Option<Currency> {
    let code = fields.get("currency").and_then(Node::text);
    let mut rates = Vec::new();
    for node in fields.list("rates") {
        let rate = || {
            let fields = node.fields("from usd")?;
            let from = fields.required("from").and_then(moment);
            let usd = fields.required("usd").and_then(number);
            Some((from?, usd.filter(|usd| *usd != Exact::ZERO).or_else(|| node.refuse("is worth nothing"))?))
        };
        rates.extend(rate());
    }
    rates.sort_by_key(|(from, _)| from.unix_ns);
    if !rates.is_sorted_by(|one, next| one.0.unix_ns < next.0.unix_ns) {
        fields.of.at("rates").note("has two rates from one moment");
    }
    match code.filter(|code| *code != "USD") {
        Some(code) if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            fields.of.at("currency").refuse("is no currency; write its three letters, for instance EUR")
        }
        Some(_) if rates.is_empty() => fields.of.at("rates").refuse(
            "are missing; write what one is worth in dollars: [{ from: \"2026-01-01\", usd: \"1.08\" }]",
        ),
        Some(code) => Some(Currency { code: code.to_owned(), rates }),
        None if rates.is_empty() => None,
        None => fields.of.at("rates").refuse("need a currency other than USD"),
    }
}

fn discount(node: &Node<'_>, tenant: bool) -> Option<Discount> {
    let fields = node.fields(&format!("match percent source {}", condition_keys()))?;
    let clause = conditions(&fields, Effect::Times(Times::default()));
    let text = fields.required("match").and_then(Node::text);
    let percent = fields.required("percent").and_then(Node::text);
    let rest = percent.and_then(|text| {
        let rest = Exact::from_decimal(text).ok().and_then(|percent| percent.divided_by(100)?.rest_of_one());
        rest.or_else(|| node.at("percent").refuse(format!("`{text}` is no percentage between 0 and 100")))
    });
    let (provider, model) = text?.split_once('/').or_else(|| {
        node.at("match").refuse("must name a provider and a model, for instance openai/* or openai/gpt-5*")
    })?;
    Some(Discount {
        text: text?.to_owned(),
        tenant,
        provider: Pattern::new(provider),
        model: Pattern::new(model),
        rest: rest?,
        label: format!("-{}%", percent?),
        clause,
    })
}

#[cfg(test)]
mod tests;
