//! Pure: reads documents with `kind: budgets`, and says all that is wrong with one at once, with what to do.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;
use ledgerline_process::config::Problems;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::syntax::parse_duration_ms;
use ledgerline_promql::{Matcher, MemoryPool, PICOS, parse_selector};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::calendar::{Calendar, Every};
use super::{Budget, Threshold};
use crate::finance::period::zone;
use crate::limits::{BUDGETS_MAX, NAME_BYTES_MAX, ROLLING_MS};
use crate::selector::Selector;

/// What a budget limits.
const METRIC: &str = "llm_cost_usd_total";

/// Thousandths of a percent in all of a budget.
const WHOLE: i128 = 100_000;

// A document as written: every scalar is its text, `null` is absence, and keys that nobody knows are kept for the report.
type Unknown = BTreeMap<String, IgnoredAny>;

#[derive(Default, serde::Deserialize)]
#[serde(expecting = "a mapping with the keys kind and budgets")]
struct RawFile {
    kind: Option<String>,
    budgets: Option<Vec<RawBudget>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(serde::Deserialize)]
#[serde(expecting = "a budget: a mapping with name, amount and period")]
struct RawBudget {
    name: Option<String>,
    owner: Option<String>,
    r#match: Option<String>,
    amount: Option<String>,
    period: Option<String>,
    rolling: Option<String>,
    zone: Option<String>,
    thresholds: Option<Vec<ShortOrLong>>,
    forecast_alert: Option<bool>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Default, serde::Deserialize)]
struct RawThreshold {
    at: Option<String>,
    severity: Option<String>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// `80%`, or with a severity `{at: 80%, severity: page}`.
struct ShortOrLong(RawThreshold);

impl<'de> Deserialize<'de> for ShortOrLong {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ThresholdVisitor;
        impl ThresholdVisitor {
            fn short<E>(at: &dyn fmt::Display) -> Result<ShortOrLong, E> {
                Ok(ShortOrLong(RawThreshold { at: Some(at.to_string()), ..RawThreshold::default() }))
            }
        }
        impl<'de> Visitor<'de> for ThresholdVisitor {
            type Value = ShortOrLong;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a threshold: 80%, or {at: 80%, severity: page}")
            }
            fn visit_str<E>(self, at: &str) -> Result<ShortOrLong, E> {
                Self::short(&at)
            }
            // Without a percent sign it is a number, and a mistake that is told with the others.
            fn visit_u64<E>(self, at: u64) -> Result<ShortOrLong, E> {
                Self::short(&at)
            }
            fn visit_f64<E>(self, at: f64) -> Result<ShortOrLong, E> {
                Self::short(&at)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ShortOrLong, A::Error> {
                RawThreshold::deserialize(MapAccessDeserializer::new(map)).map(ShortOrLong)
            }
        }
        deserializer.deserialize_any(ThresholdVisitor)
    }
}

const BUDGET_KEYS: &str = "name, owner, match, amount, period, rolling, zone, thresholds, forecast_alert";

/// Adds the budgets of a document to those of others, whose names are taken. `file` is only a name for messages.
pub(crate) fn parse(file: &str, text: &str, budgets: &mut Vec<Budget>, problems: &mut Problems) {
    let raw = yaml_serde::from_str(text).map_err(|error| format!("not a document of budgets: {error}"));
    let Some(raw) = problems.take(file, raw) else { return };
    let raw: RawFile = Option::<RawFile>::unwrap_or_default(raw);
    match raw.kind.as_deref() {
        Some("budgets") => {}
        None => problems.push(file, "it does not say what it is; begin it with kind: budgets"),
        Some(kind) => problems.push(file, format!("kind: {kind:?} is none of ours; write kind: budgets")),
    }
    for key in raw.unknown.keys() {
        problems.push(file, format!("unknown key {key:?}; remove it or use one of: kind, budgets"));
    }
    for (index, raw) in raw.budgets.unwrap_or_default().into_iter().enumerate() {
        let place = match &raw.name {
            Some(name) if !name.is_empty() => format!("{file}: budget {name:?}"),
            _ => format!("{file}: budget {}", index + 1),
        };
        let is_taken = |name: &String| budgets.iter().any(|other| other.name == *name);
        let taken = raw.name.as_ref().is_some_and(is_taken);
        if taken {
            problems.push(&place, "there is another budget of this name; rename one");
        }
        if budgets.len() == BUDGETS_MAX {
            problems.push(&place, format!("there are more than {BUDGETS_MAX} budgets; remove some"));
            return;
        }
        budgets.extend(Reader { place, problems }.budget(raw).filter(|_| !taken));
    }
}

/// Knows where it stands.
struct Reader<'a> {
    place: String,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn add(&mut self, message: impl Into<String>) {
        self.problems.push(&self.place, message);
    }

    fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        self.problems.take(&self.place, result)
    }

    fn budget(&mut self, raw: RawBudget) -> Option<Budget> {
        for key in raw.unknown.keys() {
            self.add(format!("unknown key {key:?}; remove it or use one of: {BUDGET_KEYS}"));
        }
        let name = self.name(raw.name);
        let owner = raw.owner.unwrap_or_default();
        if owner.len() > NAME_BYTES_MAX {
            self.add(format!("owner: it has more than {NAME_BYTES_MAX} bytes; shorten it"));
        }
        let matched = raw.r#match.unwrap_or_default();
        let matchers = self.take(matchers(&matched).map_err(|wrong| format!("match: {wrong}")));
        let amount = match raw.amount {
            Some(text) => self.take(amount(&text)),
            None => self.take(Err("it has no amount: of US dollars, for example amount: 5000".to_owned())),
        };
        let calendar = self.calendar(raw.period, raw.rolling, raw.zone);
        let thresholds = self.thresholds(raw.thresholds, amount.unwrap_or(PICOS));
        let forecast_alert = raw.forecast_alert.unwrap_or(false);
        if forecast_alert && calendar.as_ref().is_some_and(|calendar| !calendar.has_forecast()) {
            self.add("forecast_alert: only weeks, months, quarters and years have a forecast; remove it");
        }
        Some(Budget {
            name: name?,
            owner,
            matched,
            matchers: matchers?,
            amount: amount?,
            calendar: calendar?,
            thresholds,
            forecast_alert,
        })
    }

    fn name(&mut self, name: Option<String>) -> Option<String> {
        let name = name.unwrap_or_default();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            self.add(format!("it needs a name: of at most {NAME_BYTES_MAX} bytes, unique, on one line"));
            return None;
        }
        Some(name)
    }

    fn calendar(
        &mut self,
        period: Option<String>,
        rolling: Option<String>,
        zone_name: Option<String>,
    ) -> Option<Calendar> {
        let zone = zone_name.map(|name| self.take(zone(&name).map_err(|wrong| format!("zone: {wrong}"))));
        match (period, rolling) {
            (Some(name), None) => {
                let every = Every::NAMES.into_iter().find(|(known, _)| *known == name);
                let wrong = || format!("period: {name:?} is none; write day, week, month, quarter or year");
                let (_, every) = self.take(every.ok_or_else(wrong))?;
                let zone = zone.unwrap_or(Some(TimeZone::UTC))?;
                Some(Calendar { every, name, zone })
            }
            (None, Some(name)) => {
                if zone.is_some() {
                    self.add("zone: a rolling window has no days; remove it");
                }
                let length = parse_duration_ms(&name).ok().filter(|length| ROLLING_MS.contains(length));
                let wrong =
                    || format!("rolling: {name:?} is no length of 1m to 400d; write for example 30d or 12h");
                let every = Every::Rolling(self.take(length.ok_or_else(wrong))?);
                Some(Calendar { every, name, zone: TimeZone::UTC })
            }
            (Some(_), Some(_)) => self.take(Err("it has both a period and rolling; keep one".to_owned())),
            (None, None) => self.take(Err(
                "it has no period; write period: month (or day, week, quarter, year), or rolling: 30d"
                    .to_owned(),
            )),
        }
    }

    fn thresholds(&mut self, raw: Option<Vec<ShortOrLong>>, of: i128) -> Vec<Threshold> {
        let short = |at: &str| RawThreshold { at: Some(at.to_owned()), ..RawThreshold::default() };
        let usual = || ["80%", "100%"].map(|at| ShortOrLong(short(at))).into();
        let mut found: Vec<(i128, Threshold)> = Vec::new();
        for ShortOrLong(RawThreshold { at, severity, unknown }) in raw.unwrap_or_else(usual) {
            let at = at.unwrap_or_default();
            for key in unknown.keys() {
                self.add(format!(
                    "threshold {at:?}: unknown key {key:?}; remove it or use one of: at, severity"
                ));
            }
            let Some(part) = self.take(percent(&at)) else { continue };
            if found.iter().any(|(other, _)| *other == part) {
                self.add(format!("threshold {at:?} stands here twice; keep one"));
                continue;
            }
            let usual = if part < WHOLE { "warning" } else { "page" };
            let severity = severity.unwrap_or_else(|| usual.to_owned());
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
            if severity.is_empty() || !severity.chars().all(is_word) {
                self.add(format!("threshold {at:?}: severity {severity:?} is no word; write page or ticket"));
            }
            let name = format!("{}%", thousandths(part));
            // A part of a pico-dollar is reached with the whole of it.
            let amount = of.saturating_mul(part).saturating_add(WHOLE - 1) / WHOLE;
            found.push((part, Threshold { name, amount, severity }));
        }
        found.sort_by_key(|(part, _)| *part);
        found.into_iter().map(|(_, threshold)| threshold).collect()
    }
}

/// What selects the cost of the calls that are meant.
fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let selector = if text.trim().is_empty() { Selector::default() } else { text.parse::<Selector>()? };
    let memory = ledgerline_promql::Budget::new(MemoryPool::new(MEMORY_BYTES_DEFAULT).share(), &|| false);
    parse_selector(&memory, &format!("{METRIC}{selector}")).map_err(|error| error.to_string())
}

/// Digits with at most so many behind a point, as a whole number of the last of them.
fn decimal(text: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 15 || fraction.len() > digits {
        return None;
    }
    format!("{whole}{fraction:0<digits$}").parse().ok()
}

fn amount(text: &str) -> Result<i128, String> {
    decimal(text, 12).filter(|picos| *picos > 0).ok_or_else(|| {
        format!("amount: {text:?} is no amount of US dollars above 0; write 5000 or 1250.50, without thousands marks")
    })
}

/// Thousandths of a percent.
fn percent(text: &str) -> Result<i128, String> {
    let part = text.strip_suffix('%').and_then(|number| decimal(number, 3));
    part.filter(|part| (1..=100 * WHOLE).contains(part)).ok_or_else(|| {
        format!("threshold {text:?} is no part of a budget; write a percentage of at most 10000%: 80%")
    })
}

fn thousandths(part: i128) -> String {
    let (whole, fraction) = (part / 1000, part % 1000);
    let text = format!("{whole}.{fraction:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
