//! Pure. Prometheus rule files: reads them unchanged and reports every problem of a file at once.
//!
//! Unknown keys are refused, as Prometheus refuses them. Two things Prometheus accepts are refused on purpose: recording
//! rules (their results would need a history that range selectors and Grafana can read; a gauge that lives in one process's
//! memory is not that, so the message asks to inline the expression), and templates outside of what `template.rs` supports.
//! Both fail here, at load, never while an alert is firing.

mod document;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ledgerline_promql::syntax::{self, ValueType, parse_duration_ms};

use crate::alerting::sample::{METRIC_NAME, is_label_name};
use crate::alerting::template::Template;

use document::{Pairs, RawFile, RawGroup, RawRule};

/// Everything to evaluate, in file and group order.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Group names are unique within a file, not across files.
    pub groups: Vec<Group>,
}

impl RuleSet {
    /// Alerting rules in all groups.
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }
}

/// Rules that are evaluated together, in order, at one time.
#[derive(Clone, Debug)]
pub struct Group {
    /// The file as it was named to the loader.
    pub file: String,
    /// Unique within the file.
    pub name: String,
    /// `None`: the configured default.
    pub interval: Option<Duration>,
    /// How far behind the evaluation time the data is read. `None`: the configured default.
    pub query_offset: Option<Duration>,
    /// Most active alerts of one rule; above it the evaluation fails. `None`: no limit of the group's own.
    pub limit: Option<usize>,
    /// In file order.
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
}

/// One thing to fix in a rule file. Its `Display` is a complete line for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleProblem {
    /// The file as it was named to the loader.
    pub file: String,
    /// Name or position of the group, if the problem lies in one.
    pub group: Option<String>,
    /// Position and name of the rule, if the problem lies in one.
    pub rule: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(group) = &self.group {
            write!(f, "group {group}: ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Says whether the query source can evaluate an expression, and if not, why and what to write instead.
pub type AcceptExpr<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Reads one rule file. `file` is only a name for messages and for the API.
pub fn parse(file: &str, text: &str, accept: AcceptExpr<'_>) -> Result<Vec<Group>, Vec<RuleProblem>> {
    let mut problems = Problems { file, group: None, rule: None, found: Vec::new() };
    let groups = match document::read(text) {
        Ok(raw) => read_file(raw, accept, &mut problems),
        Err(error) => {
            problems.add(format!("not a rule file: {error}"));
            Vec::new()
        }
    };
    if problems.found.is_empty() { Ok(groups) } else { Err(problems.found) }
}

/// Collects problems and knows where the reader stands.
struct Problems<'a> {
    file: &'a str,
    group: Option<String>,
    rule: Option<String>,
    found: Vec<RuleProblem>,
}

impl Problems<'_> {
    fn add(&mut self, message: impl Into<String>) {
        self.found.push(RuleProblem {
            file: self.file.to_owned(),
            group: self.group.clone(),
            rule: self.rule.clone(),
            message: message.into(),
        });
    }

    fn keys(&mut self, unknown: &[String], repeated: &[String], known: &[&str]) {
        for key in unknown {
            self.add(format!("unknown key {key:?}; remove it or use one of: {}", known.join(", ")));
        }
        for key in repeated {
            self.add(format!("key {key:?} stands here twice; keep one"));
        }
    }

    fn duration(&mut self, key: &str, text: Option<&String>) -> Option<Duration> {
        match parse_duration_ms(text?) {
            Ok(ms) => Some(Duration::from_millis(ms.unsigned_abs())),
            Err(reason) => {
                self.add(format!("{key}: {reason}; write for example 5m or 1h30m"));
                None
            }
        }
    }
}

fn read_file(raw: RawFile, accept: AcceptExpr<'_>, problems: &mut Problems<'_>) -> Vec<Group> {
    problems.keys(&raw.unknown, &raw.repeated, RawFile::KEYS);
    let mut names = std::collections::BTreeSet::new();
    let mut groups = Vec::new();
    for (index, raw) in raw.groups.unwrap_or_default().into_iter().enumerate() {
        let name = raw.name.clone().unwrap_or_default();
        problems.group = Some(if name.is_empty() { format!("{}", index + 1) } else { format!("{name:?}") });
        if name.is_empty() {
            problems.add("the group has no name; add name: with a name that is unique in the file");
        } else if !names.insert(name.clone()) {
            problems.add("the file has two groups of this name; rename one");
        }
        groups.push(read_group(name, raw, accept, problems));
        problems.group = None;
    }
    groups
}

fn read_group(name: String, raw: RawGroup, accept: AcceptExpr<'_>, problems: &mut Problems<'_>) -> Group {
    problems.keys(&raw.unknown, &raw.repeated, RawGroup::KEYS);
    let interval =
        problems.duration("interval", raw.interval.as_ref()).filter(|interval| !interval.is_zero());
    let query_offset = problems.duration("query_offset", raw.query_offset.as_ref());
    let limit = raw.limit.as_ref().and_then(|text| match text.parse::<i64>() {
        Ok(limit) => usize::try_from(limit).ok().filter(|limit| *limit > 0),
        Err(_) => {
            problems.add(format!("limit: {text:?} is not a whole number; 0 means no limit"));
            None
        }
    });
    let group_labels = read_templates("group label", raw.labels, problems);
    let mut rules = Vec::new();
    for (index, raw) in raw.rules.unwrap_or_default().into_iter().enumerate() {
        let label = raw.alert.as_deref().or(raw.record.as_deref()).unwrap_or_default();
        let position = index + 1;
        problems.rule =
            Some(if label.is_empty() { position.to_string() } else { format!("{position} {label:?}") });
        if let Some(mut rule) = read_rule(raw, accept, problems) {
            for (name, template) in &group_labels {
                rule.labels.entry(name.clone()).or_insert_with(|| template.clone());
            }
            rules.push(rule);
        }
        problems.rule = None;
    }
    Group { file: problems.file.to_owned(), name, interval, query_offset, limit, rules }
}

fn read_rule(raw: RawRule, accept: AcceptExpr<'_>, problems: &mut Problems<'_>) -> Option<AlertRule> {
    problems.keys(&raw.unknown, &raw.repeated, RawRule::KEYS);
    let alert = raw.alert.unwrap_or_default();
    let record = raw.record.unwrap_or_default();
    match (alert.is_empty(), record.is_empty()) {
        (true, true) => problems.add("the rule has neither alert: nor record:; name the alert"),
        (false, false) => problems.add("the rule has both alert: and record:; keep alert:"),
        (true, false) => problems.add(
            "recording rules are not supported; remove the rule and write its expression into the alerts that use it, \
             or keep it in a Prometheus that reads from this collector",
        ),
        (false, true) => {}
    }
    let expr = raw.expr.unwrap_or_default().trim().to_owned();
    check_expr(&expr, accept, problems);
    let hold = problems.duration("for", raw.hold.as_ref());
    let keep_firing_for = problems.duration("keep_firing_for", raw.keep_firing_for.as_ref());
    let labels = read_templates("label", raw.labels, problems);
    let annotations = read_templates("annotation", raw.annotations, problems);
    (!alert.is_empty()).then(|| AlertRule {
        name: alert,
        expr,
        hold: hold.unwrap_or_default(),
        keep_firing_for: keep_firing_for.unwrap_or_default(),
        labels,
        annotations,
    })
}

fn check_expr(expr: &str, accept: AcceptExpr<'_>, problems: &mut Problems<'_>) {
    if expr.is_empty() {
        problems.add("the rule has no expr:; write the PromQL expression that must hold");
        return;
    }
    let parsed = match syntax::parse(expr) {
        Ok(parsed) => parsed,
        Err(error) => return problems.add(format!("expr is not valid PromQL: {error}")),
    };
    match parsed.value_type() {
        ValueType::Vector | ValueType::Scalar => {}
        other => {
            return problems.add(format!(
                "expr gives a {}; an alert needs a vector or a scalar, for example rate(...) or a comparison",
                other.name()
            ));
        }
    }
    if let Err(reason) = accept(expr) {
        problems.add(format!("expr cannot be evaluated here: {reason}"));
    }
}

fn read_templates(
    kind: &str,
    pairs: Option<Pairs>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, Template> {
    let mut templates = BTreeMap::new();
    for (name, text) in pairs.unwrap_or_default().0 {
        if !is_label_name(&name) || (kind != "annotation" && name == METRIC_NAME) {
            problems.add(format!(
                "{kind} {name:?}: not a usable name; use letters, digits and underscores, not a digit first, and not {METRIC_NAME}"
            ));
        }
        match Template::parse(&text) {
            Ok(template) => {
                if templates.insert(name.clone(), template).is_some() {
                    problems.add(format!("{kind} {name:?} stands here twice; keep one"));
                }
            }
            Err(error) => problems.add(format!("{kind} {name:?}: {error}")),
        }
    }
    templates
}
