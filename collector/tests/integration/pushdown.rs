//! Scenario: random spans in a real store, random queries at random times.
//! Guarantees: what the store adds up (any mixture of rollups and spans) equals what the evaluator computes from the raw spans, to the
//! pico-dollar; both equal the sum the store gives by plain SQL.

use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use crate::memory_source::MemorySource;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::clock::ManualClock;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::{SeriesFilter, SeriesSource, Tenant};
use ledgerline_promql::{
    Labels, MemoryPool, Number, QueryParams, QueryResult, QueryValue, Samples, Series, VectorSample,
};
use ledgerline_store::Store;
use ledgerline_store::sql::SqlSource;

const TEAMS: [&str; 4] = ["search", "ads", "", "a'b\\c\td"];
const RARE: &str = "rare";
const SPANS: usize = 3000;
const QUERIES: usize = 100;
/// 2026-11-24 13:37:42.123456 UTC: on no boundary of anything.
const NOW_US: i64 = 1_795_527_462_123_456;
/// One, of anything, in pico units.
const UNIT: i128 = 1_000_000_000_000;
const SEED: u64 = 0x1ed9_e21e;

/// Parameters of type String are read like a cell of TabSeparated.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

/// A small generator of random numbers; the seed is in every message.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 11).unwrap() % below
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.next(list.len())]
    }
}

struct Span {
    end_us: i64,
    team: &'static str,
    model: &'static str,
    failed: bool,
    call: bool,
    cost_picos: Option<i128>,
    output: u64,
    duration_us: u64,
    first_token_us: Option<u64>,
}

fn spans(random: &mut Random) -> Vec<Span> {
    let models = ["gpt-5", "claude-4.5", "m1"];
    (0..SPANS)
        .map(|_| {
            let scale = random.pick(&[60_000_000_usize, 3_600_000_000, 86_400_000_000, 2_000_000_000_000]);
            let mut end_us = NOW_US - i64::try_from(random.next(scale)).unwrap();
            // Some spans end exactly where buckets do.
            let round = random.pick(&[1, 1, 1_000, 60_000_000, 3_600_000_000, 86_400_000_000]);
            end_us -= end_us % round;
            let stream = random.next(3) == 0;
            Span {
                end_us,
                // Some label sets have a call a week, so that they come and go.
                team: if random.next(100) == 0 { RARE } else { random.pick(&TEAMS) },
                model: random.pick(&models),
                failed: random.next(5) == 0,
                call: random.next(10) > 0,
                cost_picos: (random.next(6) > 0)
                    .then(|| 1000 * i128::try_from(random.next(2_000_000_000)).unwrap()),
                output: u64::try_from(random.next(3) * random.next(5000)).unwrap(),
                duration_us: u64::try_from(random.next(9_000_000)).unwrap(),
                first_token_us: stream.then(|| u64::try_from(random.next(900_000)).unwrap()),
            }
        })
        .collect()
}

async fn load(storage: &Store, spans: &[Span]) {
    let rows: Vec<String> = spans
        .iter()
        .enumerate()
        .map(|(at, span)| {
            let cost = span.cost_picos.map_or("\\N".to_owned(), |n| format!("{}.{:012}", n / UNIT, n % UNIT));
            let first = span.first_token_us.map_or("\\N".to_owned(), |us| us.to_string());
            let status = if span.failed { "error" } else { "ok" };
            let end = format!("{}.{:06}", span.end_us / 1_000_000, span.end_us % 1_000_000);
            [
                "acme",
                &end,
                &end,
                &format!("{at:016}"),
                &u8::from(span.call).to_string(),
                &escaped(span.team),
                span.model,
                status,
                &cost,
                &span.output.to_string(),
                &span.duration_us.to_string(),
                &first,
            ]
            .join("\t")
        })
        .collect();
    let columns = "tenant, start_time, end_time, trace_id, is_call, team, model, status, cost, tokens_output_text, duration_us, ttft_us";
    for block in rows.chunks(500) {
        engine::ask(
            storage,
            &format!("INSERT INTO spans ({columns}) FORMAT TabSeparated\n{}\n", block.join("\n")),
        )
        .await;
    }
}

/// The same spans as series of increments, one point each, at the first millisecond at or after their end.
fn memory(spans: &[Span]) -> MemorySource {
    let mut source = MemorySource::default();
    let tenant = Tenant("acme".into());
    for team in TEAMS.into_iter().chain([RARE]) {
        for model in ["gpt-5", "claude-4.5", "m1"] {
            for failed in [false, true] {
                let of: Vec<&Span> = spans
                    .iter()
                    .filter(|s| s.call && s.team == team && s.model == model && s.failed == failed)
                    .collect();
                let mut add = |name: &str, class: &str, value: &dyn Fn(&Span) -> Option<i128>| {
                    let mut points = std::collections::BTreeMap::new();
                    for (span, picos) in of.iter().filter_map(|span| Some((span, value(span)?))) {
                        *points.entry((span.end_us + 999).div_euclid(1000)).or_insert(0) += picos;
                    }
                    let status = if failed { "error" } else { "ok" };
                    let labels = Labels::from_pairs([
                        ("__name__", name),
                        ("team", team),
                        ("model", model),
                        ("status", status),
                        ("token_class", class),
                    ]);
                    if !points.is_empty() {
                        let samples = Samples::Delta(points.into_iter().collect());
                        source.push(tenant.clone(), Series { labels, samples });
                    }
                };
                add("llm_calls_total", "", &|_| Some(UNIT));
                add("llm_errors_total", "", &|s| Some(if s.failed { UNIT } else { 0 }));
                add("llm_cost_usd_total", "", &|s| s.cost_picos);
                add("llm_unpriced_calls_total", "", &|s| Some(if s.cost_picos.is_none() { UNIT } else { 0 }));
                add("llm_tokens_total", "output_text", &|s| {
                    (s.output > 0).then(|| i128::from(s.output) * UNIT)
                });
                add("llm_call_duration_seconds_sum", "", &|s| Some(i128::from(s.duration_us) * 1_000_000));
                add("llm_call_duration_seconds_count", "", &|_| Some(UNIT));
                add("llm_time_to_first_token_seconds_sum", "", &|s| {
                    s.first_token_us.map(|us| i128::from(us) * 1_000_000)
                });
                add("llm_time_to_first_token_seconds_count", "", &|s| s.first_token_us.map(|_| UNIT));
            }
        }
    }
    source
}

fn random_query(random: &mut Random) -> (String, QueryParams) {
    let metric = random.pick(&[
        "llm_calls_total",
        "llm_errors_total",
        "llm_cost_usd_total",
        "llm_cost_usd_total",
        "llm_unpriced_calls_total",
        "llm_tokens_total",
        "llm_call_duration_seconds_sum",
        "llm_time_to_first_token_seconds_sum",
        "llm_time_to_first_token_seconds_count",
    ]);
    let matchers = random.pick(&[
        "",
        "{team=\"ads\"}",
        "{team!=\"ads\"}",
        "{team=\"rare\"}",
        "{team=~\"rare|none\",model=\"m1\"}",
        "{team=\"\"}",
        "{team=~\"a.*\"}",
        "{model!~\"gpt-\\\\d\"}",
        "{team=\"a'b\\\\c\\td\"}",
        "{status=\"error\",model=~\"m1|claude.*\"}",
        "{nothing=\"\"}",
        "{tenant=\"acme\"}",
    ]);
    let window = random.pick(&["1s", "90s", "5m", "17m", "1h", "90m", "6h", "1d", "25h", "7d", "30d"]);
    let offset = random.pick(&["", "", " offset 7m", " offset 1d", " offset 333ms"]);
    let by = random.pick(&["", " by (team)", " by (team, model)", " without (model)"]);
    let selector = format!("{metric}{matchers}");
    let expression = match random.next(6) {
        0 => format!("increase({selector}[{window}]{offset})"),
        1 => format!("sum{by}({selector}{offset})"),
        2 => format!("max{by}(increase({selector}[{window}]{offset}))"),
        3 => format!("sum{by}(rate({selector}[{window}]{offset}))"),
        _ => format!("sum{by}(increase({selector}[{window}]{offset}))"),
    };
    let now_ms = NOW_US / 1000;
    let back = i64::try_from(random.next(3 * 86_400_000)).unwrap();
    let align = random.pick(&[1, 1000, 60_000, 3_600_000, 86_400_000]);
    let end_ms = (now_ms - back).div_euclid(align) * align;
    if random.next(2) == 0 {
        return (expression, QueryParams::Instant { time_ms: end_ms });
    }
    let step_ms = random.pick(&[15_000, 60_000, 61_000, 300_000, 3_600_000, 5_400_000, 86_400_000]);
    let steps = i64::try_from(random.next(30)).unwrap();
    (expression, QueryParams::Range { start_ms: end_ms - steps * step_ms, end_ms, step_ms })
}

/// Labels and values by time, in one order.
fn flat(result: QueryResult) -> Vec<(Labels, i64, Number)> {
    let mut out: Vec<(Labels, i64, Number)> = match result.value {
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|VectorSample { labels, point }| (labels, point.time_ms, point.value))
            .collect(),
        QueryValue::Matrix(series) => series
            .into_iter()
            .flat_map(|series| {
                let points: Vec<_> = series.points().collect();
                points.into_iter().map(move |point| (series.labels.clone(), point.time_ms, point.value))
            })
            .collect(),
        other => panic!("{other:?}"),
    };
    out.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    out
}

fn same(a: &Number, b: &Number) -> bool {
    match (a, b) {
        (Number::Exact(a), Number::Exact(b)) => a == b,
        (Number::Float(a), Number::Float(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => false,
    }
}

fn querier(source: impl SeriesSource + 'static) -> Querier {
    Querier::new(Arc::new(source), MemoryPool::new(MEMORY_BYTES_DEFAULT), Metrics::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_adds_up_equals_what_the_evaluator_computes() {
    let storage = engine::storage("pushdown").await;
    let mut random = Random(SEED);
    let spans = spans(&mut random);
    load(&storage, &spans).await;
    let clock = Arc::new(ManualClock::at(u64::try_from(NOW_US).unwrap() * 1000));
    let pushed = querier(SqlSource::new(storage.clone(), clock));
    let plain = querier(memory(&spans));
    let scope = || pushed.scope(Tenant("acme".into()), Duration::from_secs(30));
    let mut values = 0;
    for at in 0..QUERIES {
        let (query, params) = random_query(&mut random);
        let context = format!("seed {SEED:#x}, query {at}: {query} {params:?}");
        let got = flat(
            pushed.run(&scope(), &query, params).await.unwrap_or_else(|error| panic!("{context}: {error}")),
        );
        let wanted = flat(plain.run(&scope(), &query, params).await.unwrap());
        let equal = got.len() == wanted.len()
            && got.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && a.1 == b.1 && same(&a.2, &b.2));
        assert!(equal, "{context}\nstore: {got:?}\nevaluator: {wanted:?}");
        values += got.len();
    }
    assert!(values > QUERIES, "only {values} values were compared");
    let total = engine::ask(&storage, "SELECT toString(sum(cost)) FROM spans WHERE is_call = 1").await;
    let params = QueryParams::Instant { time_ms: NOW_US / 1000 + 1 };
    {
        let query = "sum(increase(llm_cost_usd_total[40d]))";
        let got = flat(pushed.run(&scope(), query, params).await.unwrap());
        let wanted: i128 = spans.iter().filter(|span| span.call).filter_map(|span| span.cost_picos).sum();
        assert!(
            matches!(got[0].2, Number::Exact(picos) if picos == wanted),
            "{query}: {got:?}, spans {wanted}"
        );
        let text = ledgerline_promql::format_number(got[0].2);
        assert_eq!(text, total.trim(), "{query}");
    }
    let filter = SeriesFilter::default();
    let scope = scope();
    let (pushed, plain) = (&*pushed.source, &*plain.source);
    assert_eq!(
        pushed.labels(&scope, &filter, None).await.unwrap(),
        plain.labels(&scope, &filter, None).await.unwrap()
    );
    for label in plain.label_names(&scope, &filter).await.unwrap() {
        assert!(pushed.label_names(&scope, &filter).await.unwrap().contains(&label), "{label}");
    }
    for label in ["__name__", "team", "model", "status", "tenant", "nothing"] {
        let got = pushed.label_values(&scope, label, &filter).await.unwrap();
        assert_eq!(got, plain.label_values(&scope, label, &filter).await.unwrap(), "{label}");
    }
}
