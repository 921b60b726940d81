//! Pure. Prometheus rule files: reads them unchanged and reports every problem of a file at once.
//!
//! Unknown keys are refused, as Prometheus refuses them. Two things Prometheus accepts are refused on purpose: recording
//! rules (their results would need a history that range selectors and Grafana can read; a gauge that lives in one process's
//! memory is not that, so the message asks to inline the expression), and templates outside of what `template.rs` supports.
//! Both fail here, at load, never while an alert is firing.

#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ledgerline_process::config::Problems;
use ledgerline_promql::syntax::{self, ValueType, parse_duration_ms};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::alerting::sample::{Labels, METRIC_NAME, is_label_name};
use crate::alerting::template::Template;

/// Rules that are evaluated together, in order, at one time.
#[derive(Clone, Debug)]
pub struct Group {
    /// The file as it was named to the loader.
    pub file: String,
    /// Unique within the file.
    pub name: String,
    /// From one evaluation to the next.
    pub interval: Duration,
    /// How far behind the evaluation time the data is read.
    pub query_offset: Duration,
    /// Most active alerts of one rule; above it the evaluation fails. `None`: no limit of the group's own.
    pub limit: Option<usize>,
    /// In the order of the file.
    pub rules: Vec<AlertRule>,
}

/// One alerting rule, with the labels of its group merged in.
#[derive(Clone, Debug)]
pub struct AlertRule {
    /// Becomes the label `alertname`.
    pub name: String,
    /// PromQL as written, surrounding white space removed.
    pub expr: String,
    /// `for`: how long the expression must hold before the alert fires.
    pub hold: Duration,
    /// How long a firing alert keeps firing after the expression stopped holding.
    pub keep_firing_for: Duration,
    /// Added to the series' labels; part of the alert's identity.
    pub labels: BTreeMap<String, Template>,
    /// For people; not part of the identity.
    pub annotations: BTreeMap<String, Template>,
    /// Whether webhooks hear of each alert once, however often the process starts. Not in files.
    pub is_once: bool,
}

/// Says whether the query source can evaluate an expression, and if not, why and what to write instead.
pub type AcceptExpr<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// What a rule file does not say.
#[derive(Clone, Copy)]
pub struct Defaults<'a> {
    /// Of groups without an `interval`.
    pub interval: Duration,
    /// Of groups without a `query_offset`.
    pub query_offset: Duration,
    /// The query source's word on each expression.
    pub accept: AcceptExpr<'a>,
}

// A rule file as written: every scalar is its text (`severity: 1.0` stays `1.0`, as in Prometheus), `null` is absence, and keys
// that nobody knows are kept for the report.
type Unknown = BTreeMap<String, IgnoredAny>;

#[derive(Default, serde::Deserialize)]
#[serde(expecting = "a mapping with the key groups")]
struct RawFile {
    groups: Option<Vec<RawGroup>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(serde::Deserialize)]
#[serde(expecting = "a group: a mapping with name and rules")]
struct RawGroup {
    name: Option<String>,
    interval: Option<String>,
    query_offset: Option<String>,
    limit: Option<String>,
    labels: Option<Pairs>,
    rules: Option<Vec<RawRule>>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(serde::Deserialize)]
#[serde(expecting = "a rule: a mapping with alert and expr")]
struct RawRule {
    record: Option<String>,
    alert: Option<String>,
    expr: Option<String>,
    r#for: Option<String>,
    keep_firing_for: Option<String>,
    labels: Option<Pairs>,
    annotations: Option<Pairs>,
    #[serde(flatten)]
    unknown: Unknown,
}

const GROUP_KEYS: &str = "name, interval, query_offset, limit, labels, rules";
const RULE_KEYS: &str = "record, alert, expr, for, keep_firing_for, labels, annotations";

/// Names and texts in file order, so that a name that stands there twice is seen.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, text)) = map.next_entry::<String, Option<String>>()? {
                    pairs.push((name, text.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Reads one rule file, and says with their places all things that are to be fixed in it. `file` is only a name for messages and
/// for the API.
pub fn parse(file: &str, text: &str, defaults: Defaults<'_>, problems: &mut Problems) -> Vec<Group> {
    let raw = yaml_serde::from_str(text).map_err(|error| format!("not a rule file: {error}"));
    // An empty file is a file without groups, as in Prometheus.
    let raw: RawFile = problems.take(file, raw).flatten().unwrap_or_default();
    Reader { file, place: file.to_owned(), defaults, problems }.groups(raw)
}

/// Knows where it stands.
struct Reader<'a> {
    file: &'a str,
    place: String,
    defaults: Defaults<'a>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn add(&mut self, message: impl Into<String>) {
        self.problems.push(&self.place, message);
    }

    /// Reads a part of the place where it stands.
    fn within<T>(&mut self, part: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let part = format!("{}: {part}", self.place);
        let outer = std::mem::replace(&mut self.place, part);
        let value = read(self);
        self.place = outer;
        value
    }

    fn unknown(&mut self, unknown: &Unknown, known: &str) {
        for key in unknown.keys() {
            self.add(format!("unknown key {key:?}; remove it or use one of: {known}"));
        }
    }

    fn duration(&mut self, key: &str, text: Option<String>) -> Option<Duration> {
        let ms = parse_duration_ms(&text?);
        let ms = ms.map_err(|reason| format!("{key}: {reason}; write for example 5m or 1h30m"));
        self.problems.take(&self.place, ms).map(|ms| Duration::from_millis(ms.unsigned_abs()))
    }

    fn groups(&mut self, raw: RawFile) -> Vec<Group> {
        self.unknown(&raw.unknown, "groups");
        let mut names = BTreeSet::new();
        let mut groups = Vec::new();
        for (index, raw) in raw.groups.unwrap_or_default().into_iter().enumerate() {
            let name = raw.name.clone().unwrap_or_default();
            let part =
                if name.is_empty() { format!("group {}", index + 1) } else { format!("group {name:?}") };
            groups.push(self.within(&part, |reader| {
                if name.is_empty() {
                    reader.add("the group has no name; add name: with a name that is unique in the file");
                } else if !names.insert(name.clone()) {
                    reader.add("the file has two groups of this name; rename one");
                }
                reader.group(name, raw)
            }));
        }
        groups
    }

    fn group(&mut self, name: String, raw: RawGroup) -> Group {
        self.unknown(&raw.unknown, GROUP_KEYS);
        let interval = self.duration("interval", raw.interval).filter(|interval| !interval.is_zero());
        let query_offset = self.duration("query_offset", raw.query_offset);
        let limit = raw.limit.and_then(|text| {
            let wrong = |_| self.add(format!("limit: {text:?} is not a whole number; 0 means no limit"));
            let limit = text.parse::<i64>().map_err(wrong).ok()?;
            usize::try_from(limit).ok().filter(|limit| *limit > 0)
        });
        let group_labels = self.templates("group label", raw.labels);
        let mut group = Group {
            file: self.file.to_owned(),
            name,
            interval: interval.unwrap_or(self.defaults.interval),
            query_offset: query_offset.unwrap_or(self.defaults.query_offset),
            limit,
            rules: Vec::new(),
        };
        for (index, raw) in raw.rules.unwrap_or_default().into_iter().enumerate() {
            let name = raw.alert.as_deref().or(raw.record.as_deref()).unwrap_or_default();
            let position = index + 1;
            let part = if name.is_empty() {
                format!("rule {position}")
            } else {
                format!("rule {position} {name:?}")
            };
            if let Some(mut rule) = self.within(&part, |reader| reader.rule(raw)) {
                for (name, template) in &group_labels {
                    rule.labels.entry(name.clone()).or_insert_with(|| template.clone());
                }
                group.rules.push(rule);
            }
        }
        group
    }

    fn rule(&mut self, raw: RawRule) -> Option<AlertRule> {
        self.unknown(&raw.unknown, RULE_KEYS);
        let name = raw.alert.filter(|alert| !alert.is_empty());
        match (&name, raw.record.is_some_and(|record| !record.is_empty())) {
            (None, false) => self.add("the rule has neither alert: nor record:; name the alert"),
            (Some(_), true) => self.add("the rule has both alert: and record:; keep alert:"),
            (None, true) => self.add(
                "recording rules are not supported; remove the rule and write its expression into the alerts that use it, \
                 or keep it in a Prometheus that reads from this collector",
            ),
            (Some(_), false) => {}
        }
        let expr = raw.expr.unwrap_or_default().trim().to_owned();
        let accepted = self.check_expr(&expr);
        self.problems.take(&self.place, accepted);
        let hold = self.duration("for", raw.r#for).unwrap_or_default();
        let keep_firing_for = self.duration("keep_firing_for", raw.keep_firing_for).unwrap_or_default();
        let labels = self.templates("label", raw.labels);
        let annotations = self.templates("annotation", raw.annotations);
        Some(AlertRule { name: name?, expr, hold, keep_firing_for, labels, annotations, is_once: false })
    }

    fn check_expr(&self, expr: &str) -> Result<(), String> {
        if expr.is_empty() {
            return Err("the rule has no expr:; write the PromQL expression that must hold".to_owned());
        }
        let parsed = syntax::parse(expr).map_err(|error| format!("expr is not valid PromQL: {error}"))?;
        let kind = parsed.value_type();
        if !matches!(kind, ValueType::Vector | ValueType::Scalar) {
            return Err(format!(
                "expr gives a {}; an alert needs a vector or a scalar, for example rate(...) or a comparison",
                kind.name()
            ));
        }
        (self.defaults.accept)(expr).map_err(|reason| format!("expr cannot be evaluated here: {reason}"))
    }

    fn templates(&mut self, kind: &str, pairs: Option<Pairs>) -> BTreeMap<String, Template> {
        let mut templates = BTreeMap::new();
        for (name, text) in pairs.unwrap_or_default().0 {
            if !is_label_name(&name) || (kind != "annotation" && name == METRIC_NAME) {
                self.add(format!(
                    "{kind} {name:?}: not a usable name; use letters, digits and underscores, not a digit first, and not {METRIC_NAME}"
                ));
            }
            let template = Template::parse(&text);
            for query in template.iter().flat_map(|template| template.queries(&Labels::new(), 1.0)) {
                if let Err(reason) = self.check_expr(&query) {
                    self.add(format!("{kind} {name:?}: {query}: {reason}"));
                }
            }
            match template.map(|template| templates.insert(name.clone(), template)) {
                Ok(None) => {}
                Ok(Some(_)) => self.add(format!("{kind} {name:?} stands here twice; keep one")),
                Err(error) => self.add(format!("{kind} {name:?}: {error}")),
            }
        }
        templates
    }
}
