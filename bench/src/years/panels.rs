//! How long each panel of a dashboard takes: its own queries, expanded as Grafana expands them, over its relative ranges.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Method;
use ledgerline_testkit::http::{get, percent_encoded, send};
use serde_json::Value;
use tokio::time::Instant;

use super::now_us;
use super::store::Opened;

/// Grafana's name of a range, and its length in seconds.
pub const RANGES: [(&str, i64); 6] = [
    ("1 hour", 3_600),
    ("24 hours", 86_400),
    ("7 days", 604_800),
    ("30 days", 2_592_000),
    ("1 year", 31_536_000),
    ("2 years", 63_072_000),
];

/// Points across half of a wide screen.
const POINTS: i64 = 900;
/// The data source's scrape interval, in seconds: Grafana's default.
const SCRAPE_S: i64 = 15;

/// Grafana's `roundInterval`: up to so many seconds a step is rounded to that.
const STEPS: [(i64, i64); 20] = [
    (15, 10),
    (18, 15),
    (25, 20),
    (45, 30),
    (90, 60),
    (210, 120),
    (450, 300),
    (750, 600),
    (1_050, 900),
    (1_500, 1_200),
    (2_700, 1_800),
    (5_400, 3_600),
    (9_000, 7_200),
    (16_200, 10_800),
    (32_400, 21_600),
    (86_400, 43_200),
    (604_800, 86_400),
    (1_814_400, 604_800),
    (3_628_800, 2_592_000),
    (i64::MAX, 31_536_000),
];

/// What is asked, and how long each of the answers took.
#[derive(Debug)]
pub struct Measured {
    /// The panel's title, or the variable's name.
    pub title: String,
    /// The name of the range.
    pub range: &'static str,
    /// From the shortest.
    pub took: Vec<Duration>,
    /// Bytes of an answer.
    pub bytes: usize,
}

impl Measured {
    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.took.get(self.took.len() / 2).copied().unwrap_or_default()
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.took.last().copied().unwrap_or_default()
    }
}

/// A question of the dashboard.
struct Question {
    title: String,
    kind: Kind,
    /// How many points are wanted at most, and at least so many seconds between two.
    points: i64,
    least_s: i64,
}

enum Kind {
    Instant(String),
    Range(String),
    /// The values of a label of the series that a selector picks.
    Values(String, String),
}

/// `$__interval` of a range.
fn interval_s(question: &Question, range_s: i64) -> i64 {
    let wanted = range_s / question.points;
    if wanted <= question.least_s {
        return question.least_s;
    }
    STEPS.iter().find(|(below, _)| wanted < *below).map_or(wanted, |(_, step)| *step)
}

fn questions(dashboard: &Value) -> anyhow::Result<Vec<Question>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut all = Vec::new();
    for variable in dashboard["templating"]["list"].as_array().context("no variables")? {
        let Some(query) = text(&variable["query"]["query"]) else { continue };
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) =
            inside.and_then(|inside| inside.rsplit_once(", ")).context("no label_values")?;
        let title = format!("(variable {label})");
        let kind = Kind::Values(selector.to_owned(), label.to_owned());
        all.push(Question { title, kind, points: POINTS, least_s: SCRAPE_S });
    }
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let title = text(&panel["title"]).context("no title")?;
        let points = panel["maxDataPoints"].as_i64().unwrap_or(POINTS);
        let minutes =
            panel["interval"].as_str().and_then(|interval| interval.strip_suffix('m')?.parse::<i64>().ok());
        let least_s = minutes.map_or(SCRAPE_S, |minutes| minutes * 60);
        for target in panel["targets"].as_array().context("no targets")? {
            // Each variable is at its default, All, whose value the dashboard gives.
            let query = text(&target["expr"]).context("no expression")?;
            let query = ["environment", "team", "model"]
                .iter()
                .fold(query, |query, name| query.replace(&format!("${name}"), ".*"));
            let kind = if target["instant"] == true { Kind::Instant(query) } else { Kind::Range(query) };
            all.push(Question { title: title.clone(), kind, points, least_s });
        }
    }
    Ok(all)
}

/// `offset_s` is how far the user's clock is ahead of UTC.
async fn ask(
    store: &Opened,
    question: &Question,
    range_s: i64,
    (end_s, offset_s): (i64, i64),
) -> anyhow::Result<usize> {
    let step_s = interval_s(question, range_s);
    let expanded = |query: &str| {
        let rate_s = (step_s + SCRAPE_S).max(4 * SCRAPE_S);
        query
            .replace("$__rate_interval", &format!("{rate_s}s"))
            .replace("$__range", &format!("{range_s}s"))
            .replace("$__interval", &format!("{step_s}s"))
    };
    let (path, form) = match &question.kind {
        Kind::Instant(query) => {
            ("query", format!("query={}&time={end_s}", percent_encoded(&expanded(query))))
        }
        Kind::Range(query) => {
            // Both ends are aligned to the step, by the user's clock.
            let aligned = |time: i64| (time + offset_s) / step_s * step_s - offset_s;
            let (start_s, end_s) = (aligned(end_s - range_s), aligned(end_s));
            let query = percent_encoded(&expanded(query));
            ("query_range", format!("query={query}&start={start_s}&end={end_s}&step={step_s}"))
        }
        Kind::Values(selector, label) => {
            let selector = percent_encoded(selector);
            let path =
                format!("label/{label}/values?match[]={selector}&start={}&end={end_s}", end_s - range_s);
            let answer = get(&format!("{}/{path}", store.prometheus())).await?;
            ensure!(answer.status.is_success(), "{path}: {}", answer.text());
            return Ok(answer.body.len());
        }
    };
    let url = format!("{}/{path}", store.prometheus());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = send(Method::POST, &url, &headers, form.clone()).await?;
    ensure!(answer.status.is_success(), "{path} {form}: {}", answer.text());
    Ok(answer.body.len())
}

/// Asks every question of a dashboard over every range, that often, for a user whose clock is ahead of UTC.
///
/// # Errors
/// When the dashboard cannot be read, or a question is refused.
pub async fn measure(
    store: &Opened,
    dashboard: &Path,
    runs: i64,
    offset_s: i64,
) -> anyhow::Result<Vec<Measured>> {
    let dashboard: Value = serde_json::from_slice(&fs::read(dashboard)?)?;
    let mut all = Vec::new();
    for (range, range_s) in RANGES {
        for question in questions(&dashboard)? {
            let mut measured = Measured { title: question.title.clone(), range, took: Vec::new(), bytes: 0 };
            for _ in 0..runs {
                let begun = Instant::now();
                measured.bytes = ask(store, &question, range_s, (now_us() / 1_000_000, offset_s)).await?;
                measured.took.push(begun.elapsed());
            }
            measured.took.sort_unstable();
            all.push(measured);
        }
    }
    Ok(all)
}
