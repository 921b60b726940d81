//! Scenario: the same calls, asked for while they are fresh, after a hundred days and after two years.
//! Guarantees: nothing is refused for its age; windows side by side hold each call once; ends that were moved are where the answer says
//! that they are.

use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::clock::ManualClock;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{MemoryPool, QueryParams, QueryValue};
use ledgerline_store::Store;
use ledgerline_store::sql::SqlSource;

const DAY_MS: i64 = 86_400_000;
/// 2026-11-20 13:37:42.123 UTC: on no boundary of anything.
const END_MS: i64 = 1_795_181_862_123;
const CALLS: i64 = 2000;

/// A call each 17 minutes, 23 seconds and 456789 microseconds, back from the end.
fn ends_us() -> impl Iterator<Item = i64> {
    (0..CALLS).map(|at| END_MS * 1000 - at * 1_043_456_789)
}

/// Every seventh call is taken back.
fn is_taken_back(at: usize) -> bool {
    at.is_multiple_of(7)
}

/// Every third call takes two seconds, the others half a second.
fn is_slow(at: usize) -> bool {
    at.is_multiple_of(3)
}

async fn load(storage: &Store) {
    let row = |at: usize, end: i64, flag: &str| {
        let end = format!("{}.{:06}", end / 1_000_000, end % 1_000_000);
        format!("acme\t{end}\t{at:016}\t{flag}\t{}\n", if is_slow(at) { 2_000_000 } else { 500_000 })
    };
    let spans: String = ends_us().enumerate().map(|(at, end)| row(at, end, "1")).collect();
    let taken_back = ends_us().enumerate().filter(|(at, _)| is_taken_back(*at));
    let corrections: String = taken_back.map(|(at, end)| row(at, end, "-1")).collect();
    for (table, flag, rows) in [("spans", "is_call", spans), ("corrections", "sign", corrections)] {
        let columns = format!("tenant, end_time, trace_id, {flag}, duration_us");
        engine::ask(storage, &format!("INSERT INTO {table} ({columns}) FORMAT TabSeparated\n{rows}")).await;
    }
}

/// What a metric says of a call.
type Value = fn(usize) -> i64;

const METRICS: [(&str, Value); 3] = [
    ("llm_calls_total", |at| i64::from(!is_taken_back(at))),
    ("llm_call_duration_seconds_bucket{le=\"0.64\"}", |at| i64::from(!is_taken_back(at) && !is_slow(at))),
    ("llm_corrections_total", |at| -i64::from(is_taken_back(at))),
];

/// The sum of all values of a query in whole calls, and what it was told beside.
async fn total(querier: &Querier, query: &str, params: QueryParams) -> (i64, Vec<String>) {
    let scope = querier.scope(Tenant("acme".into()), Duration::from_secs(30));
    let result = querier.run(&scope, query, params).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    let infos = result.infos.clone();
    let points: Vec<f64> = match result.value {
        QueryValue::Vector(samples) => samples.iter().map(|sample| sample.point.value.to_f64()).collect(),
        QueryValue::Matrix(rows) => rows
            .iter()
            .flat_map(|row| row.points().map(|point| point.value.to_f64()).collect::<Vec<_>>())
            .collect(),
        other => panic!("{other:?}"),
    };
    #[allow(clippy::cast_possible_truncation, reason = "a few thousand calls")]
    (points.iter().sum::<f64>() as i64, infos)
}

/// The interval to whose end times were moved, in microseconds, as the answer says it.
fn told(infos: &[String]) -> i64 {
    let [info] = infos else {
        assert!(infos.is_empty(), "{infos:?}");
        return 1;
    };
    let interval = info.split("sums over each ").nth(1).unwrap().split(" (UTC)").next().unwrap();
    match interval {
        "day" => DAY_MS * 1000,
        "hour" => 3_600_000_000,
        "15 minutes" => 900_000_000,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_age_is_answered_and_windows_still_tile() {
    let storage = engine::storage("ages").await;
    load(&storage).await;
    for age_days in [0, 60, 100, 730] {
        let now_ms = END_MS + 1000 + age_days * DAY_MS;
        let clock = Arc::new(ManualClock::at(u64::try_from(now_ms).unwrap() * 1_000_000));
        let source = Arc::new(SqlSource::new(storage.clone(), clock));
        let querier = Querier::new(source, MemoryPool::new(MEMORY_BYTES_DEFAULT), Metrics::default());
        // 13 days; twice an hour that is half an hour off, as in India; and five minutes off everything.
        for (window, step_ms, count) in [("13d", 1, 1), ("1h", 3_600_000, 312), ("5m", 300_000, 3744)] {
            for end_ms in
                [END_MS, END_MS - END_MS % DAY_MS - 30 * 60_000, END_MS - END_MS % 3_600_000 + 1_500_000]
            {
                let context = format!("{window} windows until {end_ms}, {age_days} days old");
                let start_ms = end_ms - (count - 1) * step_ms;
                let params = QueryParams::Range { start_ms, end_ms, step_ms };
                for (metric, value) in METRICS {
                    let query = format!("sum(increase({metric}[{window}]))");
                    let (got, infos) = total(&querier, &query, params).await;
                    let grain = told(&infos);
                    // Corrections are kept as they are.
                    let moves = age_days >= 100 && metric != "llm_corrections_total";
                    assert_eq!(grain > 1, moves && infos.len() == 1, "{metric}, {context}: {infos:?}");
                    let up = |ms: i64| -(-ms * 1000).div_euclid(grain) * grain;
                    let (low, high) = (up(end_ms - 13 * DAY_MS), up(end_ms));
                    let inside = ends_us().enumerate().filter(|(_, end)| *end > low && *end <= high);
                    let wanted: i64 = inside.map(|(at, _)| value(at)).sum();
                    assert_eq!(got, wanted, "{metric}, {context}: {infos:?}");
                    assert!(got.abs() > 100, "{metric}, {context}");
                }
            }
        }
        // The year before last, by `offset`.
        let params = QueryParams::Instant { time_ms: END_MS + 365 * DAY_MS };
        let (got, _) = total(&querier, "sum(increase(llm_calls_total[40d] offset 365d))", params).await;
        let taken_back = ends_us().enumerate().filter(|(at, _)| is_taken_back(*at)).count();
        assert_eq!(got, CALLS - i64::try_from(taken_back).unwrap(), "{age_days} days old");
    }
}
