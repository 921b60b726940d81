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
use proptest::prelude::*;

use super::points::picos;
use super::statement::{Selection, statement};
use super::tiers::{Stretch, Tier, moved, stretches, tiers, up};
use super::*;
use crate::catalog::{Ledger, Measure, Rows, Time};
use crate::migrate::{MIGRATIONS, statements};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const QUARTER: i64 = 15 * MINUTE;

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
    text_at(edges, NOW_MS)
}

fn text_at(edges: Edges, now_ms: i64) -> String {
    let scope = scope();
    let team = Matcher::new(&Budget::default(), "team", MatchKind::Regex, "a|b").unwrap();
    let selection = Selection {
        scope: &scope,
        edges,
        alive_from_ms: edges.window_ms.is_none().then_some(edges.first_ms - DAY),
        now_ms,
        columns: &["team"],
        matchers: &[("team", &team)],
        ledger: Ledger::Spend,
        rows: Rows::Priced,
        measures: &[Measure::Cost],
    };
    statement(&selection).unwrap().select.text
}

fn tables(edges: Edges) -> Vec<&'static str> {
    let text = text(edges);
    let sums = text.split("'last|").next().unwrap();
    let named = |tier: &Tier| sums.contains(&format!("FROM spend_{}\n", tier.name));
    Tier::ALL.into_iter().filter(named).map(|tier| tier.name).collect()
}

#[test]
fn the_coarsest_table_that_is_exact_is_read() {
    let range = |first_ms, step_ms, window| Edges { first_ms, step_ms, count: 10, window_ms: Some(window) };
    let once = |first_ms, window_ms| Edges { first_ms, step_ms: 0, count: 1, window_ms };
    assert_eq!(tables(range(10 * DAY, DAY, DAY)), ["day"]);
    assert_eq!(tables(range(10 * DAY, HOUR, DAY)), ["quarter"]);
    assert_eq!(tables(range(10 * DAY, HOUR, 90 * MINUTE)), ["quarter"]);
    assert_eq!(tables(range(10 * DAY, HOUR, 50 * MINUTE)), ["quarter", "minute"]);
    assert_eq!(tables(range(10 * DAY, MINUTE, HOUR)), ["minute"]);
    assert_eq!(tables(range(10 * DAY, 15_000, MINUTE)), ["record"]);
    assert_eq!(tables(range(10 * DAY + 1, MINUTE, MINUTE)), ["minute", "record"]);
    assert_eq!(tables(once(40 * DAY, Some(30 * DAY))), ["day"]);
    assert_eq!(tables(once(40 * DAY + 1, Some(30 * DAY))), ["day", "quarter", "minute", "record"]);
    assert_eq!(tables(once(40 * DAY + MINUTE, Some(5 * MINUTE))), ["minute"]);
    // An instant selector reads all of history, from its beginning.
    assert_eq!(tables(once(40 * DAY + 1, None)), ["day", "quarter", "minute", "record"]);
    assert_eq!(tables(once(40 * DAY, None)), ["day"]);
}

/// Days that begin at another hour than those of UTC: only the hours in between are read of the quarters.
#[test]
fn of_a_day_that_is_cut_a_part_is_read() {
    let days = |first_ms| text(Edges { first_ms, step_ms: DAY, count: 5, window_ms: Some(DAY) });
    let hours = |first_ms| {
        let text = days(first_ms);
        text.split_once("toHour(bucket) BETWEEN ").map(|(_, rest)| rest.lines().next().unwrap().to_owned())
    };
    assert_eq!(hours(10 * DAY), None);
    assert_eq!(hours(10 * DAY + 23 * HOUR).unwrap(), "23 AND 23", "Berlin");
    assert_eq!(hours(10 * DAY + 18 * HOUR + 30 * MINUTE).unwrap(), "18 AND 23", "Kolkata");
    assert_eq!(hours(10 * DAY + 5 * HOUR).unwrap(), "0 AND 4", "New York");
    assert_eq!(hours(10 * DAY + 12 * HOUR + QUARTER).unwrap(), "12 AND 23");
    // An edge at 00:15 moves the first quarter of its hour.
    assert_eq!(hours(10 * DAY + QUARTER).unwrap(), "0 AND 0");
}

/// What is read of each stretch: its ends in minutes, of how many microseconds its edges are multiples, and its tables.
fn read(first_ms: i64, window_ms: i64, now_ms: i64) -> Vec<(i64, i64, i64, Vec<&'static str>)> {
    let edges = Edges { first_ms, step_ms: 0, count: 1, window_ms: Some(window_ms) };
    let minutes = |us: i64| us / (MINUTE * 1000);
    let tables = |tiers: Vec<Tier>| tiers.iter().map(|tier| tier.name).collect();
    let found = stretches(edges, now_ms * 1000, &Tier::ALL, i64::MAX).into_iter();
    found
        .map(|of| (minutes(of.low_us.unwrap()), minutes(of.high_us), of.grain_us, tables(of.tiers)))
        .collect()
}

/// At noon of day 1000 minutes reach back to day 966 (35 days, from the next midnight), the record to 911.
#[test]
fn each_end_is_read_from_what_is_left_there() {
    let now_ms = 1000 * DAY + 12 * HOUR;
    let (day, quarter, minute, record) = ("day", "quarter", "minute", "record");
    let at = |day: i64, hour: i64| (day * 24 + hour) * 60;
    // The last 30 days, ending now to the minute: only the ends need anything finer than days.
    let month = read(now_ms + MINUTE, 30 * DAY, now_ms);
    assert_eq!(month, [(at(970, 12) + 1, at(1000, 12) + 1, 1, vec![day, quarter, minute])]);
    // The last year to the second: it begins at 12:00:01 of day 635, which moves to 12:15; whole days between, and its end is exact.
    let year = read(now_ms + 1000, 365 * DAY, now_ms);
    assert_eq!(year, [(at(635, 12) + 15, at(1000, 12), 1, vec![day, quarter, minute, record])]);
    // From 12:00:01 of a day of which the record is left, but no minutes: it needs other tables at its start than at its end.
    let wanted = [
        (at(950, 12), at(966, 0), 1, vec![day, quarter, record]),
        (at(966, 0), at(1000, 12), 1, vec![day, quarter, minute, record]),
    ];
    assert_eq!(read(now_ms + 1000, 50 * DAY, now_ms), wanted);
    // The same from 12:15 needs no record there, and is whole.
    let whole = read(now_ms + QUARTER + 1000, 50 * DAY + 1000, now_ms);
    assert_eq!(whole, [(at(950, 12) + 15, at(1000, 12) + 15, 1, vec![day, quarter, minute, record])]);
    // An hour of last year that ends at 00:30 is exact; of five minutes both ends are at 00:30.
    let hours = read(700 * DAY + 30 * MINUTE, HOUR, now_ms);
    assert_eq!(hours, [(at(699, 23) + 30, at(700, 0) + 30, QUARTER * 1000, vec![quarter])]);
    assert_eq!(read(700 * DAY + 30 * MINUTE, 5 * MINUTE, now_ms), []);
}

#[test]
fn who_asks_is_told_when_times_were_moved() {
    let now_us = (1000 * DAY + 12 * HOUR) * 1000;
    let once = |first_ms, window_ms| Edges { first_ms, step_ms: 0, count: 1, window_ms: Some(window_ms) };
    let told = |edges| moved(edges, now_us, &Tier::ALL);
    assert_eq!(told(once(1000 * DAY + 1, 30 * DAY)), None);
    assert_eq!(
        told(once(1000 * DAY + 1, 365 * DAY + 1)),
        None,
        "both ends are exact: a whole quarter, and now"
    );
    let quarter = told(once(1000 * DAY + 1, 365 * DAY)).unwrap();
    assert!(quarter.contains("365 days back") && quarter.contains("each 15 minutes (UTC)"), "{quarter}");
    let of_corrections = moved(once(1000 * DAY + 1, 365 * DAY), now_us, tiers(Ledger::Corrections));
    assert_eq!(of_corrections, None, "each of them is kept");
    // Steps of a day at 00:31, of which the first are too old.
    let steps = Edges { first_ms: 900 * DAY + 31 * MINUTE, step_ms: DAY, count: 100, window_ms: Some(DAY) };
    assert!(told(steps).is_some());
    assert_eq!(told(Edges { first_ms: 913 * DAY + 31 * MINUTE, count: 80, ..steps }), None);
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
        alive_from_ms: Some(9 * DAY),
        now_ms: NOW_MS,
        columns: &["team", "unpriced_reason"],
        matchers: &[("team", &team), ("model", &model)],
        ledger: Ledger::Calls,
        rows: Rows::Unpriced,
        measures: &[Measure::Calls, Measure::Bucket(Time::Duration, 2), Measure::Bucket(Time::Duration, 17)],
    };
    let statement = statement(&selection).unwrap().select;
    let expected = "SELECT team, unpriced_reason, arrayStringConcat(groupArray(point), ' ') AS points
FROM (
SELECT team, unpriced_reason, intDiv({ends:Int64} + intDiv(toInt64(toUnixTimestamp(bucket)) * 1000000 + 1 - {ends:Int64} + {step:Int64} - 1, {step:Int64}) * {step:Int64}, 1000) AS edge, concat(toString(edge), '|', toString(sum(calls)), '|', toString(sum(duration_count)), '|', toString(sumMap(duration_buckets))) AS point
FROM calls_quarter
WHERE tenant = {tenant:String}
  AND bucket >= toDateTime({from_0:Int64}, 'UTC')
  AND bucket <= toDateTime({to_0:Int64}, 'UTC')
  AND unpriced_reason != ''
  AND match(team, {m0:String})
  AND model != {m1:String}
GROUP BY team, unpriced_reason, edge
HAVING count() > 0
LIMIT 2000001
UNION ALL
SELECT team, unpriced_reason, intDiv(least(intDiv(max(toInt64(toUnixTimestamp(bucket)) * 1000000 + 900000000) + 900000000 - 1, 900000000) * 900000000, {before:Int64}), 1000) AS edge, concat('last|', toString(edge)) AS point
FROM calls_quarter
WHERE tenant = {tenant:String}
  AND bucket >= toDateTime({from_1:Int64}, 'UTC')
  AND bucket <= toDateTime({to_1:Int64}, 'UTC')
  AND unpriced_reason != ''
  AND match(team, {m0:String})
  AND model != {m1:String}
GROUP BY team, unpriced_reason
HAVING count() > 0
LIMIT 2000001
)
GROUP BY team, unpriced_reason
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
        ("from_0", integer((10 * DAY - HOUR) / 1000)),
        ("to_0", integer((10 * DAY + 2 * HOUR - QUARTER) / 1000)),
        ("before", integer((10 * DAY - HOUR) * 1000)),
        // From a day before the first time to the beginning of its window, at which the last quarter ends.
        ("from_1", integer(9 * DAY / 1000)),
        ("to_1", integer((10 * DAY - HOUR - QUARTER) / 1000)),
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
    let (a, b) = (format!("{edge}|0.000000000001 {edge}|1.1"), format!("last|{edge}"));
    let (value, seen) =
        answer("sum by (team) (increase(llm_cost_usd_total{model=\"m\"}[30d]))", &[&["ads", &a], &["", &b]]);
    let ads = ("{team=\"ads\"}".to_owned(), Number::Exact(1_100_000_000_001));
    assert_eq!(vector(value.unwrap()), [("{}".to_owned(), Number::whole(0)), ads], "one is quiet");
    assert_eq!(seen.len(), 1);
    assert!(seen[0].text.starts_with("SELECT team, arrayStringConcat"), "{}", seen[0].text);
    assert!(seen[0].text.contains("\nFROM spend_day\n"), "{}", seen[0].text);
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

/// Grafana writes it for a variable that is at "All", on labels that the metric has and on others.
#[test]
fn a_matcher_that_accepts_everything_costs_the_store_nothing() {
    let (_, seen) = answer("sum(increase(llm_cost_usd_total{team=~\".*\",reason=~\".*\"}[1d]))", &[]);
    assert!(!seen[0].text.contains("match(") && !seen[0].text.contains("team"), "{}", seen[0].text);
}

#[test]
fn token_classes_and_bounds_are_series_and_durations_are_seconds() {
    let edge = (40 * DAY).to_string();
    let row = |class: &str, quantity: u32| {
        let mut row = ["s", "", "", "", "", "", "", "ok", "", class, "provider"].map(str::to_owned).to_vec();
        row.push(format!("{edge}|{quantity}"));
        row
    };
    let rows = [row("cache_read", 7), row("output_text", 9)];
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let (value, seen) =
        answer("increase(llm_tokens_total{token_class=~\"output_text|cache_read\"}[1d])", &rows);
    let labels = |class: &str| {
        format!("{{service=\"s\", status=\"ok\", token_class=\"{class}\", usage_source=\"provider\"}}")
    };
    let wanted = [(labels("cache_read"), Number::whole(7)), (labels("output_text"), Number::whole(9))];
    assert_eq!(vector(value.unwrap()), wanted);
    assert!(seen[0].text.contains("AND unit IN ('input_uncached', "), "{}", seen[0].text);
    assert!(seen[0].text.contains("AND match(unit, {m0:String})"), "{}", seen[0].text);
    let (value, _) =
        answer("sum(increase(llm_call_duration_seconds_sum[1d]))", &[&[&format!("{edge}|1500001")]]);
    assert_eq!(vector(value.unwrap()), [("{}".to_owned(), Number::Exact(1_500_001_000_000))]);
    let query = "sum by (le) (increase(llm_call_duration_seconds_bucket{le=~\"0.02|.Inf\"}[1d]))";
    let (value, seen) = answer(query, &[&[&format!("{edge}|5|{{-3:1,8:2,9:1,200:1}}")]]);
    let le = |bound: &str| format!("{{le=\"{bound}\"}}");
    assert_eq!(vector(value.unwrap()), [(le("+Inf"), Number::whole(5)), (le("0.02"), Number::whole(3))]);
    assert_eq!(seen[0].text.matches("sumMap").count(), 1, "what no matcher wants is not added up");
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
    let (_, seen) = answer("increase(llm_calls_total{le=\"0.02\"}[1d])", &[]);
    assert_eq!(seen.len(), 0, "only buckets have a bound");
}

#[test]
fn an_unreadable_answer_is_a_defect_and_not_a_number() {
    let edge = (40 * DAY).to_string();
    let number = [format!("{edge}|x"), edge.clone(), format!("{edge}|1|2"), "soon|1".to_owned()];
    let buckets = ["{8:x}", "{8}", "8:1", "{8:1"].map(|map| format!("{edge}|{map}"));
    let calls = number.iter().map(|cell| ("sum(increase(llm_calls_total[1d]))", cell));
    let bounds = "sum(increase(llm_call_duration_seconds_bucket{le=\"0.02\"}[1d]))";
    for (query, cell) in calls.chain(buckets.iter().map(|cell| (bounds, cell))) {
        let (value, _) = answer(query, &[&[cell]]);
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
        Ok(vec![vec!["1|1".to_owned()]])
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
        Arc::new(Canned { rows: vec![vec!["gpt".to_owned(), "1|1".to_owned()]], seen: Mutex::default() });
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

#[test]
fn what_is_a_closed_list_is_not_read() {
    let runner = Arc::new(Canned::default());
    let source = SqlSource::new(Arc::clone(&runner), clock());
    let filter = |label: &str, value: &str| {
        let matcher = Matcher::new(&Budget::default(), label, MatchKind::Equal, value).unwrap();
        SeriesFilter { any_of: vec![vec![matcher]], ..SeriesFilter::default() }
    };
    let names = |filter| source.label_names(&scope(), &filter).now_or_never().unwrap().unwrap();
    let values =
        |label, filter| source.label_values(&scope(), label, &filter).now_or_never().unwrap().unwrap();
    let all = [
        "__name__",
        "environment",
        "error_type",
        "feature",
        "model",
        "operation",
        "provider",
        "service",
        "status",
        "team",
    ];
    let with = |more: &[&str]| {
        let mut names = [&all[..], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        names.sort_unstable();
        names
    };
    let of_all = with(&["le", "reason", "token_class", "unit", "usage_source"]);
    let of_tokens = with(&["token_class", "usage_source"]);
    assert_eq!(names(filter("__name__", "llm_calls_total")), all);
    assert_eq!(names(SeriesFilter::default()), of_all);
    assert_eq!(names(filter("token_class", "cache_read")), of_tokens);
    assert_eq!(names(filter("__name__", "nothing")), [""; 0]);
    assert_eq!(names(filter("nothing", "x")), [""; 0]);
    assert_eq!(values("status", SeriesFilter::default()), ["error", "ok"]);
    assert_eq!(values("status", filter("status", "ok")), ["ok"]);
    assert_eq!(values("__name__", filter("token_class", "cache_read")), ["llm_tokens_total"]);
    assert_eq!(values("token_class", filter("__name__", "llm_calls_total")), [""; 0]);
    assert_eq!(values("token_class", filter("token_class", "cache_read")), ["cache_read"]);
    assert_eq!(values("le", SeriesFilter::default()).len(), 18);
    // A class of tokens is a unit of cost, and none of what else bills count.
    let has_tokens = |filter| values("unit", filter).contains(&"cache_read".to_owned());
    assert!(has_tokens(SeriesFilter::default()) && !has_tokens(filter("__name__", "llm_units_total")));
    assert_eq!(runner.seen.lock().unwrap().len(), 0);
    assert_eq!(values("status", filter("team", "ads")), [""; 0]);
    let seen = runner.seen.lock().unwrap();
    let tables: Vec<&str> = seen.iter().map(|seen| seen.text.split("\nFROM ").nth(2).unwrap()).collect();
    let named = |table: &str| tables.iter().filter(|text| text.starts_with(table)).count();
    let counts = [named("calls_day"), named("spend_day"), named("corrections")];
    assert_eq!(counts, [2, 4, 2], "which a team has is read, once for each set of rows and labels");
}

/// All edges in microseconds, ascending.
fn all_edges(edges: Edges) -> Vec<i64> {
    let ends = (0..edges.count).map(|at| (edges.first_ms + at * edges.step_ms) * 1000);
    let mut all: Vec<i64> = match edges.window_ms {
        None => ends.collect(),
        Some(window) => ends.flat_map(|end| [end - window * 1000, end]).collect(),
    };
    all.sort_unstable();
    all
}

/// What the statement's conditions mean, computed here: at which edges a span that ended at `time_us` counts, and how often, with the
/// tables that say so.
fn counted(
    edges: Edges,
    now_ms: i64,
    time_us: i64,
) -> (std::collections::BTreeMap<i64, i64>, Vec<&'static str>) {
    let all = all_edges(edges);
    let (mut at_edges, mut suppliers) = (std::collections::BTreeMap::new(), Vec::new());
    let mut count = |after: i64, by: i64| {
        *at_edges.entry(all.iter().copied().find(|edge| *edge > after).unwrap()).or_insert(0) += by;
    };
    for stretch in stretches(edges, now_ms * 1000, &Tier::ALL, i64::MAX) {
        let Stretch { low_us, high_us, tiers, grain_us } = &stretch;
        let low_us = low_us.unwrap();
        let of = |tier: &Tier| {
            let start = (time_us - 1).div_euclid(tier.bucket_us) * tier.bucket_us;
            (start, start + tier.bucket_us, start >= low_us && start + tier.bucket_us <= *high_us)
        };
        if let Some(cut) = stretch.cut(edges) {
            let ((start, end, is_whole), (part_start, _, is_read)) = (of(&tiers[0]), of(&tiers[1]));
            if is_whole {
                suppliers.push(tiers[0].name);
                count(if cut.is_head { end } else { start }, 1);
            } else if is_read {
                suppliers.push(tiers[1].name);
                count(part_start, 1);
            }
            let is_cut =
                (cut.whole.0..cut.whole.1).contains(&start) && (start - cut.whole.0) % cut.step_us == 0;
            if is_cut && (cut.part.0..cut.part.1).contains(&(part_start - start)) {
                suppliers.push("moved");
                count(part_start, 1);
                count(if cut.is_head { end } else { start }, -1);
            }
            continue;
        }
        // No edge lies inside the interval, once moved.
        let whole = |tier: &Tier| {
            let (start, end, is_read) = of(tier);
            let inside = |edge: &i64| start < *edge && *edge <= end - grain_us;
            (is_read && !all.iter().any(inside)).then_some(start)
        };
        for (at, tier) in tiers.iter().enumerate() {
            let coarser = at.checked_sub(1).and_then(|before| whole(&tiers[before]));
            if let Some(start) = whole(tier).filter(|_| coarser.is_none()) {
                suppliers.push(tier.name);
                count(start, 1);
            }
        }
    }
    at_edges.retain(|_, count| *count != 0);
    (at_edges, suppliers)
}

#[test]
fn a_day_that_an_edge_cuts_is_read_whole_and_its_shorter_part_is_moved() {
    let at = |minutes: i64| Edges {
        first_ms: 10 * DAY + minutes * MINUTE,
        step_ms: DAY,
        count: 5,
        window_ms: Some(DAY),
    };
    let now_ms = 1000 * DAY;
    let supplied = |edges: Edges, day: i64, minutes: i64| {
        let (at_edges, by) = counted(edges, now_ms, (day * DAY + minutes * MINUTE) * 1000);
        (
            at_edges
                .into_iter()
                .map(|(edge, count)| (edge / (MINUTE * 1000) - day * 24 * 60, count))
                .collect::<Vec<_>>(),
            by,
        )
    };
    // India: a day ends at 18:30. What came at 18:30 is of this day, later by a minute of the next.
    let india = at(18 * 60 + 30);
    assert_eq!(supplied(india, 12, 18 * 60 + 30), (vec![(18 * 60 + 30, 1)], vec!["day"]));
    assert_eq!(supplied(india, 12, 18 * 60 + 31), (vec![(42 * 60 + 30, 1)], vec!["day", "moved"]));
    // New York: at 05:00, and the head is the shorter part.
    let new_york = at(5 * 60);
    assert_eq!(supplied(new_york, 12, 5 * 60), (vec![(5 * 60, 1)], vec!["day", "moved"]));
    assert_eq!(supplied(new_york, 12, 5 * 60 + 1), (vec![(29 * 60, 1)], vec!["day"]));
    // The ends of the range cut days, too: of those only what is inside is read.
    assert_eq!(supplied(new_york, 9, 5 * 60 + 1), (vec![(29 * 60, 1)], vec!["quarter"]));
    assert_eq!(supplied(new_york, 14, 5 * 60), (vec![(5 * 60, 1)], vec!["quarter"]));
}

proptest! {
    /// Every span inside the range is supplied by exactly one tier, at the first edge at or after its own end: so no window's
    /// sum can gain or lose a span, whatever its edges. Where the spans have gone, an edge is where it was moved to.
    #[test]
    fn each_span_is_counted_once_at_its_edge(
        first_s in 1040 * 86_400_i64..1041 * 86_400,
        step_s in prop::sample::select(vec![0_i64, 15, 60, 300, 900, 3_600, 5_400, 86_400, 3 * 86_400]),
        window_s in prop::sample::select(vec![1_i64, 60, 90, 3_600, 7_200, 86_400, 10 * 86_400, 60 * 86_400]),
        align in prop::sample::select(vec![1_i64, 60, 900, 3_600, 86_400]),
        age_days in prop::sample::select(vec![0_i64, 1, 34, 60, 89, 120, 399, 500]),
        place in 0.0..1.0_f64,
    ) {
        let count = if step_s == 0 { 1 } else { 5 };
        let first_ms = first_s.div_euclid(align) * align * 1000;
        let now_ms = (1041 + age_days) * DAY;
        let edges = Edges { first_ms, step_ms: step_s * 1000, count, window_ms: Some(window_s * 1000) };
        let kept_from = |days: i64| (now_ms - days * DAY).div_euclid(DAY) * DAY * 1000;
        let moved = |edge: i64| match edge {
            edge if edge > kept_from(90) => edge,
            edge => up(edge, QUARTER * 1000),
        };
        let all = all_edges(edges);
        let (low, high) = (moved(all[0]), moved(*all.last().unwrap()));
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a random place in the range")]
        let time_us = low + 1 + ((high - low - 1).max(0) as f64 * place) as i64;
        let (at_edges, suppliers) = counted(edges, now_ms, time_us);
        if low == high {
            prop_assert!(suppliers.is_empty(), "nothing is between {} and itself", low);
        } else {
            prop_assert!(suppliers.len() == 1 || suppliers[1..] == ["moved"], "{:?} at {}", suppliers, time_us);
            let wanted = all.iter().copied().find(|edge| moved(*edge) >= time_us).unwrap();
            prop_assert_eq!(at_edges, [(wanted, 1)].into(), "{:?} at {}", suppliers, time_us);
        }
    }
}

/// The TTL of a table is in its migration, and what the planner believes of it in [`Tier`]: they must be one.
#[test]
fn a_tier_is_kept_as_long_as_its_migration_says() {
    for tier in Tier::ALL.into_iter().chain([Tier::CORRECTIONS]) {
        let tables = match tier {
            Tier::RECORD => vec!["spans".to_owned()],
            Tier::CORRECTIONS => vec!["corrections".to_owned()],
            _ => vec![format!("calls_{}", tier.name), format!("spend_{}", tier.name)],
        };
        for table in tables {
            let head = format!("CREATE TABLE IF NOT EXISTS {table}\n");
            let mut made = MIGRATIONS.iter().flat_map(|migration| statements(migration.sql));
            let statement = made.find(|statement| statement.starts_with(&head)).unwrap();
            let ttl = statement.lines().find_map(|line| line.strip_prefix("TTL "));
            let days = ttl.map(|ttl| ttl.split("INTERVAL ").nth(1).unwrap().strip_suffix(" DAY").unwrap());
            assert_eq!(days.map(|days| days.parse().unwrap()), tier.kept_days, "{table}");
        }
    }
}
