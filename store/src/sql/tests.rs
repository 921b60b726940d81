//! The text of statements, which rows they cover, and how rows become series.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use ledgerline_process::clock::{Clock, ManualClock};
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::{Scope, SeriesFilter, SeriesSource as _, Tenant};
use ledgerline_promql::{
    Budget, Edges, Fetched, MatchKind, Matcher, MemoryError, MemoryPool, Number, QueryParams, QueryValue,
    evaluate, plan,
};
use ledgerline_proto::dimension::Dimension;
use proptest::prelude::*;

use super::source::picos;
use super::statement::{Selection, statement};
use super::*;
use crate::catalog::Measure;
use crate::migrate::{MIGRATIONS, statements};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn scope() -> Scope {
    let memory = MemoryPool::new(MEMORY_BYTES_DEFAULT).share();
    Scope { tenant: Tenant("acme".into()), timeout: Duration::from_secs(30), memory }
}

/// The present of these tests: day 41 of 1970.
const NOW_MS: i64 = 41 * DAY;

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(u64::try_from(NOW_MS).unwrap() * 1_000_000))
}

fn text(edges: Edges) -> String {
    text_at(edges, NOW_MS).unwrap()
}

fn text_at(edges: Edges, now_ms: i64) -> Result<String, SourceError> {
    let scope = scope();
    let team = Matcher::new(&Budget::default(), "team", MatchKind::Regex, "a|b").unwrap();
    let selection = Selection {
        scope: &scope,
        edges,
        now_ms,
        dimensions: &[Dimension::Team],
        matchers: &[(Dimension::Team, &team)],
        measures: &[Measure::Cost],
    };
    statement(&selection).map(|statement| statement.text)
}

fn tables(edges: Edges) -> Vec<&'static str> {
    let text = text(edges);
    let named = |tier: &Tier| text.contains(&format!("FROM {}\n", tier.table));
    Tier::ALL.into_iter().filter(named).map(|tier| tier.table).collect()
}

#[test]
fn the_coarsest_table_that_is_exact_is_read() {
    let range = |first_ms, step_ms, window| Edges { first_ms, step_ms, count: 10, window_ms: Some(window) };
    let once = |first_ms, window_ms| Edges { first_ms, step_ms: 0, count: 1, window_ms };
    assert_eq!(tables(range(10 * DAY, DAY, DAY)), ["calls_day"]);
    assert_eq!(tables(range(10 * DAY, HOUR, DAY)), ["calls_hour"]);
    assert_eq!(tables(range(10 * DAY, HOUR, 90 * MINUTE)), ["calls_hour", "calls_minute"]);
    assert_eq!(tables(range(10 * DAY, MINUTE, HOUR)), ["calls_minute"]);
    assert_eq!(tables(range(10 * DAY, 15_000, MINUTE)), ["spans"]);
    assert_eq!(tables(range(10 * DAY + 1, MINUTE, MINUTE)), ["calls_minute", "spans"]);
    assert_eq!(tables(once(40 * DAY, Some(30 * DAY))), ["calls_day"]);
    assert_eq!(
        tables(once(40 * DAY + 1, Some(30 * DAY))),
        ["calls_day", "calls_hour", "calls_minute", "spans"]
    );
    assert_eq!(tables(once(40 * DAY + MINUTE, Some(5 * MINUTE))), ["calls_minute"]);
    // An instant selector reads all of history, of which only the days are kept for ever.
    assert_eq!(tables(once(40 * DAY + 1, None)), ["calls_day", "calls_hour", "calls_minute", "spans"]);
    assert_eq!(tables(once(40 * DAY, None)), ["calls_day"]);
}

#[test]
fn what_has_expired_is_passed_over_or_refused_and_never_missed() {
    let once = Edges { first_ms: 500 * DAY, step_ms: 0, count: 1, window_ms: Some(60 * DAY) };
    let minutes = Edges { first_ms: 500 * DAY + MINUTE, ..once };
    let hours = Edges { first_ms: 500 * DAY + HOUR, ..once };
    let uses =
        |edges, now_ms, table: &str| text_at(edges, now_ms).unwrap().contains(&format!("FROM {table}\n"));
    let now_ms = 501 * DAY;
    assert!(!uses(minutes, now_ms, "calls_minute"), "minutes of 61 days ago are gone");
    assert!(uses(minutes, now_ms, "spans"), "spans of 61 days ago are not");
    assert!(uses(hours, now_ms, "calls_hour") && !uses(hours, now_ms, "spans"));
    let later = 600 * DAY;
    assert!(matches!(text_at(minutes, later), Err(SourceError::NotKept { days: 159, .. })));
    assert!(uses(hours, later, "calls_hour"));
    assert!(matches!(text_at(hours, 1000 * DAY), Err(SourceError::NotKept { .. })));
    assert!(uses(once, 10_000 * DAY, "calls_day"));
}

#[test]
fn a_statement_reads_as_designed() {
    let edges = Edges { first_ms: 10 * DAY, step_ms: HOUR, count: 3, window_ms: Some(HOUR) };
    let scope = scope();
    let team = Matcher::new(&Budget::default(), "team", MatchKind::Regex, "a'; DROP TABLE spans --").unwrap();
    let model = Matcher::new(&Budget::default(), "model", MatchKind::NotEqual, "x").unwrap();
    let selection = Selection {
        scope: &scope,
        edges,
        now_ms: NOW_MS,
        dimensions: &[Dimension::Team],
        matchers: &[(Dimension::Team, &team), (Dimension::Model, &model)],
        measures: &[Measure::Cost, Measure::Calls],
    };
    let statement = statement(&selection).unwrap();
    let expected = "SELECT team, arrayStringConcat(groupArray(point), ',') AS points
FROM (
SELECT team, intDiv({ends:Int64} + intDiv(toInt64(toUnixTimestamp(bucket)) * 1000000 + 3600000000 - {ends:Int64} + {step:Int64} - 1, {step:Int64}) * {step:Int64}, 1000) AS edge, concat(toString(edge), ':', if(sum(calls) - sum(unpriced_calls) = 0, '', toString(sum(cost))), ':', toString(sum(calls))) AS point
FROM calls_hour
WHERE tenant = {tenant:String}
  AND bucket >= toDateTime({from_calls_hour:Int64}, 'UTC')
  AND bucket <= toDateTime({to_calls_hour:Int64}, 'UTC')
  AND match(team, {m0:String})
  AND model != {m1:String}
GROUP BY team, edge
LIMIT 2000001
)
GROUP BY team
LIMIT 50001";
    assert_eq!(statement.text, expected);
    let integer = |value: i64| value.to_string();
    let words = str::to_owned;
    let parameters: Vec<(&str, String)> = vec![
        ("tenant", words("acme")),
        ("step", integer(HOUR * 1000)),
        ("ends", integer(0)),
        ("m0", words("^(?s:a'; DROP TABLE spans --)$")),
        ("m1", words("x")),
        ("from_calls_hour", integer((10 * DAY - HOUR) / 1000)),
        ("to_calls_hour", integer((10 * DAY + HOUR) / 1000)),
    ];
    let got: Vec<(&str, String)> =
        statement.parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(got, parameters);
    for (name, _) in &parameters {
        assert!(statement.text.contains(&format!("{{{name}:")), "{name} is bound and not used");
    }
}

#[test]
fn decimals_become_picos_exactly_or_not_at_all() {
    let unit = 1_000_000_000_000;
    let check =
        |text: &str, scale: i128, wanted: Option<i128>| assert_eq!(picos(text, scale), wanted, "{text}");
    check("0", unit, Some(0));
    check("12.345678901234", unit, Some(12_345_678_901_234));
    check("-0.000000000001", unit, Some(-1));
    check("1.5", unit, Some(1_500_000_000_000));
    check("99999999999999999999.999999999999", unit, Some(99_999_999_999_999_999_999_999_999_999_999));
    check("1500000", 1_000_000, Some(1_500_000_000_000));
    check("1.0000000000000", unit, Some(1_000_000_000_000));
    check("1.0000000000001", unit, None);
    check("1e3", unit, None);
    check("", unit, None);
    check(".5", unit, None);
    check("1.5x", unit, None);
}

/// Answers every statement with the same rows and keeps the statements.
#[derive(Default)]
struct Canned {
    rows: Vec<Row>,
    seen: Mutex<Vec<Select>>,
}

impl SqlRunner for Arc<Canned> {
    async fn rows(&self, statement: &Select, _: &mut Charge) -> Result<Vec<Row>, SourceError> {
        self.seen.lock().unwrap().push(statement.clone());
        Ok(self.rows.clone())
    }
}

fn answer(query: &str, rows: &[&[&str]]) -> (Result<QueryValue, SourceError>, Vec<Select>) {
    let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
    let runner = Arc::new(Canned { rows, seen: Mutex::default() });
    let source = SqlSource::new(Arc::clone(&runner), clock());
    let budget = Budget::default();
    let plan = plan(query, QueryParams::Instant { time_ms: 40 * DAY }).unwrap();
    let mut fetched = Fetched::default();
    for request in &plan.requests {
        match source.select(&scope(), request).now_or_never().unwrap() {
            Ok(series) => fetched.insert(budget.memory(), request.selector, series).unwrap(),
            Err(error) => return (Err(error), Vec::new()),
        }
    }
    let result = evaluate(&plan, &fetched, &budget).unwrap();
    (Ok(result.value), runner.seen.lock().unwrap().clone())
}

fn vector(value: QueryValue) -> Vec<(String, Number)> {
    let QueryValue::Vector(samples) = value else { panic!("{value:?}") };
    samples.iter().map(|sample| (sample.labels.to_string(), sample.point.value)).collect()
}

#[test]
fn a_sum_is_grouped_in_the_store_and_comes_back_exact() {
    let edge = (40 * DAY).to_string();
    let (a, b) = (format!("{edge}:0.000000000001,{edge}:1.1"), format!("{edge}:"));
    let (value, seen) =
        answer("sum by (team) (increase(llm_cost_usd_total{model=\"m\"}[30d]))", &[&["ads", &a], &["", &b]]);
    assert_eq!(vector(value.unwrap()), [("{team=\"ads\"}".to_owned(), Number::Exact(1_100_000_000_001))]);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].text.starts_with("SELECT team, arrayStringConcat"), "{}", seen[0].text);
    assert!(seen[0].text.contains("\nFROM calls_day\n"), "{}", seen[0].text);
}

#[test]
fn only_linear_sums_are_grouped_in_the_store() {
    for query in [
        "max by (team) (increase(llm_cost_usd_total[1d]))",
        "sum by (team) (abs(increase(llm_cost_usd_total[1d])))",
    ] {
        let (_, seen) = answer(query, &[]);
        assert!(seen[0].text.starts_with("SELECT service, environment, team, feature,"), "{query}");
    }
    let (_, seen) = answer("sum without (team) (rate(llm_cost_usd_total[1d]))", &[]);
    assert!(seen[0].text.starts_with("SELECT service, environment, feature,"), "{}", seen[0].text);
}

#[test]
fn token_classes_are_series_and_durations_are_seconds() {
    let edge = (40 * DAY).to_string();
    let (value, _) = answer(
        "increase(llm_tokens_total{token_class=~\"output_text|cache_read\"}[1d])",
        &[&["s", "", "", "", "", "", "", "ok", "", &format!("{edge}:7:9")]],
    );
    let labels = |class: &str| format!("{{service=\"s\", status=\"ok\", token_class=\"{class}\"}}");
    assert_eq!(
        vector(value.unwrap()),
        [(labels("cache_read"), Number::whole(7)), (labels("output_text"), Number::whole(9)),]
    );
    let (value, _) =
        answer("sum(increase(llm_call_duration_seconds_sum[1d]))", &[&[&format!("{edge}:1500001")]]);
    assert_eq!(vector(value.unwrap()), [("{}".to_owned(), Number::Exact(1_500_001_000_000))]);
}

#[test]
fn a_label_that_does_not_exist_is_empty() {
    let (_, seen) = answer("increase(llm_calls_total{nothing=\"\"}[1d])", &[]);
    assert_eq!(seen.len(), 1, "an empty value matches");
    let (value, seen) = answer("increase(llm_calls_total{tenant=\"acme\"}[1d])", &[]);
    assert_eq!((vector(value.unwrap()), seen.len()), (Vec::new(), 0), "the tenant is no label");
    let (_, seen) = answer("increase(other_metric_total[1d])", &[]);
    assert_eq!(seen.len(), 0);
    let (_, seen) = answer("increase(llm_calls_total{token_class=\"output_text\"}[1d])", &[]);
    assert_eq!(seen.len(), 0, "only tokens have a class");
}

#[test]
fn an_unreadable_answer_is_a_defect_and_not_a_number() {
    let edge = (40 * DAY).to_string();
    for cell in [format!("{edge}:x"), edge.clone(), format!("{edge}:1:2"), "soon:1".to_owned()] {
        let (value, _) = answer("sum(increase(llm_calls_total[1d]))", &[&[&cell]]);
        assert!(matches!(value, Err(SourceError::Malformed(_))), "{cell}: {value:?}");
    }
    let (value, _) = answer("sum(increase(llm_calls_total[1d]))", &[&["a", "b"]]);
    assert!(matches!(value, Err(SourceError::Malformed(_))));
}

/// Answers everything with a response of 40 MiB.
struct Large;

impl SqlRunner for Large {
    async fn rows(&self, _: &Select, held: &mut Charge) -> Result<Vec<Row>, SourceError> {
        held.grow(40 << 20)?;
        tokio::task::yield_now().await;
        Ok(vec![vec!["1:1".to_owned()]])
    }
}

/// Guarantees: a response is part of its query's memory until it has become series; what does not fit ends the query.
#[tokio::test]
async fn responses_are_charged_to_the_query_that_reads() {
    let source = SqlSource::new(Large, clock());
    let plan =
        plan("sum(increase(llm_calls_total[1d]))", QueryParams::Instant { time_ms: 40 * DAY }).unwrap();
    let pool = MemoryPool::new(MEMORY_BYTES_DEFAULT);
    let scope = Scope { memory: pool.share(), ..scope() };
    let select = || source.select(&scope, &plan.requests[0]);
    for _ in 0..3 {
        assert_eq!(select().await.unwrap().len(), 1, "one after the other");
    }
    let error = futures_util::future::try_join(select(), select()).await.unwrap_err();
    assert!(matches!(error, SourceError::Memory(MemoryError::Query(_))), "{error}");
    assert_eq!(pool.used(), 0);
}

#[test]
fn metadata_reads_days_when_nothing_bounds_it() {
    let runner =
        Arc::new(Canned { rows: vec![vec!["gpt".to_owned(), "1:1".to_owned()]], seen: Mutex::default() });
    let source = SqlSource::new(Arc::clone(&runner), clock());
    let filter = SeriesFilter {
        any_of: vec![vec![
            Matcher::new(&Budget::default(), "__name__", MatchKind::Equal, "llm_calls_total").unwrap(),
        ]],
        ..SeriesFilter::default()
    };
    let values = source.label_values(&scope(), "model", &filter).now_or_never().unwrap().unwrap();
    assert_eq!(values, ["gpt"]);
    let seen = runner.seen.lock().unwrap();
    assert!(seen[0].text.starts_with("SELECT model, arrayStringConcat"), "{}", seen[0].text);
    assert!(
        seen[0].text.contains("\nFROM calls_day\n") && !seen[0].text.contains("UNION"),
        "{}",
        seen[0].text
    );
}

/// What the statement's conditions mean, computed here: which tier supplies a span that ended at `time_us`.
fn supplier(edges: Edges, time_us: i64) -> Vec<(&'static str, i64)> {
    let all: Vec<i64> = {
        let ends = (0..edges.count).map(|at| (edges.first_ms + at * edges.step_ms) * 1000);
        match edges.window_ms {
            None => ends.collect(),
            Some(window) => ends.flat_map(|end| [end - window * 1000, end]).collect(),
        }
    };
    let next = |time: i64| all.iter().copied().filter(|edge| *edge >= time).min();
    let parts: Vec<Tier> = Tier::ALL.into_iter().filter(|tier| tables(edges).contains(&tier.table)).collect();
    let mut suppliers = Vec::new();
    for (at, tier) in parts.iter().enumerate() {
        let bucket = tier.bucket_us;
        let start = (time_us - 1).div_euclid(bucket) * bucket;
        let whole = next(start + 1).is_none_or(|edge| edge >= start + bucket);
        let coarser_cut = at == 0 || {
            let parent = parts[at - 1].bucket_us;
            let start = (time_us - 1).div_euclid(parent) * parent;
            next(start + 1).is_some_and(|edge| edge < start + parent)
        };
        if (whole || at + 1 == parts.len()) && coarser_cut {
            suppliers.extend(next(start + bucket).map(|edge| (tier.table, edge)));
        }
    }
    suppliers
}

proptest! {
    /// Every span inside the range is supplied by exactly one tier, at the first edge at or after its own end: so no window's
    /// sum can gain or lose a span, whatever its edges.
    #[test]
    fn each_span_is_counted_once_at_its_edge(
        first_s in 40 * 86_400_i64..41 * 86_400,
        step_s in prop::sample::select(vec![0_i64, 15, 60, 300, 3_600, 5_400, 86_400]),
        window_s in prop::sample::select(vec![1_i64, 60, 90, 3_600, 7_200, 86_400, 10 * 86_400]),
        align in prop::sample::select(vec![1_i64, 60, 3_600, 86_400]),
        place in 0.0..1.0_f64,
    ) {
        let count = if step_s == 0 { 1 } else { 5 };
        let first_ms = first_s.div_euclid(align) * align * 1000;
        let edges = Edges { first_ms, step_ms: step_s * 1000, count, window_ms: Some(window_s * 1000) };
        let (low, high) = ((first_ms - window_s * 1000) * 1000, edges.until_ms() * 1000);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a random place in the range")]
        let time_us = low + 1 + ((high - low - 1) as f64 * place) as i64;
        let suppliers = supplier(edges, time_us);
        prop_assert_eq!(suppliers.len(), 1, "{:?} at {}", suppliers, time_us);
        let mut all: Vec<i64> = (0..count)
            .flat_map(|at| [first_ms + at * edges.step_ms, first_ms + at * edges.step_ms - window_s * 1000])
            .map(|ms| ms * 1000)
            .filter(|edge| *edge >= time_us)
            .collect();
        all.sort_unstable();
        prop_assert_eq!(suppliers[0].1, all[0]);
    }
}

/// The TTL of a table is in its migration, and what the planner believes of it in [`Tier`]: they must be one.
#[test]
fn a_tier_is_kept_as_long_as_its_migration_says() {
    for tier in Tier::ALL {
        let head = format!("CREATE TABLE IF NOT EXISTS {}\n", tier.table);
        let mut made = MIGRATIONS.iter().flat_map(|migration| statements(migration.sql));
        let statement = made.find(|statement| statement.starts_with(&head)).unwrap();
        let ttl = statement.lines().find_map(|line| line.strip_prefix("TTL "));
        let days = ttl.map(|ttl| ttl.split("INTERVAL ").nth(1).unwrap().strip_suffix(" DAY").unwrap());
        assert_eq!(days.map(|days| days.parse().unwrap()), tier.kept_days, "{tier:?}");
    }
}
