//! Scenario: random spans and corrections in a real store, random queries at random times.
//! Guarantees: what the store adds up (any mixture of rollups, spans and corrections) equals what the evaluator computes from the calls as they are booked, to the
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
const QUERIES: usize = 200;
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

/// A call as it is booked: a span, or a correction with its sign.
#[derive(Clone)]
struct Entry {
    sign: i128,
    end_us: i64,
    team: &'static str,
    model: &'static str,
    failed: bool,
    call: bool,
    lines: Vec<Line>,
    usage_source: &'static str,
    /// Why it is unpriced; empty: it is priced.
    unpriced: &'static str,
    /// Why it was corrected; empty for a span.
    reason: &'static str,
    duration_us: Option<u64>,
    first_token_us: Option<u64>,
}

#[derive(Clone)]
struct Line {
    model: &'static str,
    unit: &'static str,
    quantity: u64,
    picos: i128,
}

const MODELS: [&str; 3] = ["gpt-5", "claude-4.5", "m1"];

fn lines(random: &mut Random, model: &'static str) -> Vec<Line> {
    let mut picos = || 1000 * i128::try_from(random.next(2_000_000_000)).unwrap();
    let mut lines = vec![
        Line { model, unit: "output_text", quantity: 0, picos: picos() },
        // Another model within the call, and a unit that is no token.
        Line { model: "m1", unit: "output_text", quantity: 3, picos: picos() },
        Line { model, unit: "web_search", quantity: 2, picos: picos() },
    ];
    lines[0].quantity = u64::try_from(1 + random.next(5000)).unwrap();
    lines.truncate(random.pick(&[0, 1, 1, 1, 2, 3]));
    lines
}

fn spans(random: &mut Random) -> Vec<Entry> {
    (0..SPANS)
        .map(|_| {
            let scale = random.pick(&[60_000_000_usize, 3_600_000_000, 86_400_000_000, 2_000_000_000_000]);
            let mut end_us = NOW_US - i64::try_from(random.next(scale)).unwrap();
            // Some spans end exactly where buckets do.
            let round = random.pick(&[1, 1, 1_000, 60_000_000, 3_600_000_000, 86_400_000_000]);
            end_us -= end_us % round;
            let model = random.pick(&MODELS);
            Entry {
                sign: 1,
                end_us,
                // Some label sets have a call a week, so that they come and go.
                team: if random.next(100) == 0 { RARE } else { random.pick(&TEAMS) },
                model,
                failed: random.next(5) == 0,
                call: random.next(10) > 0,
                lines: lines(random, model),
                usage_source: random.pick(&["provider", "provider", "estimated"]),
                unpriced: random.pick(&["", "", "", "", "unknown_model", "no_price_for_class(cache_read)"]),
                reason: "",
                duration_us: (random.next(9) > 0).then(|| time(random)),
                first_token_us: (random.next(3) == 0).then(|| time(random)),
            }
        })
        .collect()
}

/// Between nothing and half an hour, of any order of magnitude; some are just where a bucket ends.
fn time(random: &mut Random) -> u64 {
    let below = random.pick(&[5, 9_000, 900_000, 9_000_000, 2_000_000_000]);
    let (any, edge) = (random.next(below), 10_000 << random.next(18));
    u64::try_from(random.pick(&[any, edge, edge + 1])).unwrap()
}

/// Of every eighth call: that it is taken back, and of half of these that it is booked again, otherwise.
fn corrections(random: &mut Random, spans: &[Entry]) -> Vec<Entry> {
    let mut out = Vec::new();
    for span in spans.iter().filter(|span| span.call) {
        match random.next(16) {
            0 => out.push(Entry { sign: -1, reason: "repeat", ..span.clone() }),
            1 => {
                out.push(Entry { sign: -1, reason: "reprice", ..span.clone() });
                let lines = lines(random, span.model);
                out.push(Entry { reason: "reprice", lines, unpriced: "", ..span.clone() });
            }
            _ => {}
        }
    }
    out
}

impl Entry {
    fn is_priced(&self) -> bool {
        self.unpriced.is_empty()
    }

    fn cost(&self) -> i128 {
        self.lines.iter().map(|line| line.picos).sum()
    }
}

fn row(at: usize, entry: &Entry, table: &str) -> String {
    let usd = |picos: i128| format!("{}.{:012}", picos / UNIT, picos % UNIT);
    let number = |number: Option<u64>| number.map_or("\\N".to_owned(), |number| number.to_string());
    let list = |of: &dyn Fn(&Line) -> String| {
        format!("[{}]", entry.lines.iter().map(of).collect::<Vec<_>>().join(","))
    };
    let [flag, last] = match table {
        "spans" => [u8::from(entry.call).to_string(), String::new()],
        _ => [entry.sign.to_string(), entry.reason.to_owned()],
    };
    let end = format!("{}.{:06}", entry.end_us / 1_000_000, entry.end_us % 1_000_000);
    [
        "acme".to_owned(),
        end,
        format!("{at:016}"),
        flag,
        escaped(entry.team),
        entry.model.to_owned(),
        if entry.failed { "error" } else { "ok" }.to_owned(),
        list(&|line| format!("'{}'", line.model)),
        list(&|line| format!("'{}'", line.unit)),
        list(&|line| line.quantity.to_string()),
        list(&|line| if entry.is_priced() { usd(line.picos) } else { "NULL".to_owned() }),
        entry.usage_source.to_owned(),
        entry.unpriced.to_owned(),
        number(entry.duration_us),
        number(entry.first_token_us),
        last,
    ]
    .join("\t")
}

async fn load(storage: &Store, spans: &[Entry], corrections: &[Entry]) {
    for (table, flag, last, entries) in
        [("spans", "is_call", "response_id", spans), ("corrections", "sign", "reason", corrections)]
    {
        let rows: Vec<String> = entries.iter().enumerate().map(|(at, entry)| row(at, entry, table)).collect();
        let columns = format!(
            "tenant, end_time, trace_id, {flag}, team, model, status, bill.model, bill.unit, bill.quantity, bill.amount, \
             usage_source, unpriced_reason, duration_us, ttft_us, {last}"
        );
        for block in rows.chunks(500) {
            let statement =
                format!("INSERT INTO {table} ({columns}) FORMAT TabSeparated\n{}\n", block.join("\n"));
            engine::ask(storage, &statement).await;
        }
    }
}

/// Where buckets end, as this test computes it, without logarithms: microseconds and the label.
fn bounds() -> Vec<(u64, String)> {
    let ends =
        (0..17).map(|at| (10_000 << at, format!("{}.{:02}", (1_u64 << at) / 100, (1_u64 << at) % 100)));
    ends.chain([(u64::MAX, "+Inf".to_owned())]).collect()
}

/// The calls as series of increments, one point each, at the first millisecond at or after their end.
fn memory(entries: &[Entry]) -> MemorySource {
    let mut series = std::collections::BTreeMap::<Labels, std::collections::BTreeMap<i64, i128>>::new();
    for entry in entries.iter().filter(|entry| entry.call) {
        let mut add = |name: &str, model: &str, more: &[(&str, &str)], value: i128| {
            let status = if entry.failed { "error" } else { "ok" };
            let mut labels = Labels::from_pairs([("team", entry.team), ("model", model), ("status", status)]);
            labels.set("__name__", name);
            more.iter().for_each(|(name, value)| labels.set(*name, *value));
            let time_ms = (entry.end_us + 999).div_euclid(1000);
            *series.entry(labels).or_default().entry(time_ms).or_insert(0) += entry.sign * value;
        };
        let mut of_call = |name: &str, more: &[(&str, &str)], value| add(name, entry.model, more, value);
        of_call("llm_calls_total", &[], UNIT);
        of_call("llm_errors_total", &[], if entry.failed { UNIT } else { 0 });
        if !entry.is_priced() {
            of_call("llm_unpriced_calls_total", &[("reason", entry.unpriced)], UNIT);
        }
        if !entry.reason.is_empty() {
            of_call("llm_corrections_total", &[("reason", entry.reason)], UNIT);
        }
        if !entry.reason.is_empty() && entry.is_priced() {
            of_call("llm_corrected_cost_usd_total", &[("reason", entry.reason)], entry.cost());
        }
        for (family, time) in [
            ("llm_call_duration_seconds", entry.duration_us),
            ("llm_time_to_first_token_seconds", entry.first_token_us),
        ] {
            let one = |holds: bool| if holds { UNIT } else { 0 };
            of_call(&format!("{family}_sum"), &[], i128::from(time.unwrap_or(0)) * 1_000_000);
            of_call(&format!("{family}_count"), &[], one(time.is_some()));
            for (end_us, le) in bounds() {
                of_call(
                    &format!("{family}_bucket"),
                    &[("le", &le)],
                    one(time.is_some_and(|us| us <= end_us)),
                );
            }
        }
        for line in &entry.lines {
            let source = ("usage_source", entry.usage_source);
            if entry.is_priced() {
                add("llm_cost_usd_total", line.model, &[source], line.picos);
                add("llm_cost_by_unit_usd_total", line.model, &[source, ("unit", line.unit)], line.picos);
            }
            let (name, label) = match line.unit {
                "web_search" => ("llm_units_total", "unit"),
                _ => ("llm_tokens_total", "token_class"),
            };
            add(name, line.model, &[source, (label, line.unit)], i128::from(line.quantity) * UNIT);
        }
    }
    let mut source = MemorySource::default();
    for (labels, points) in series {
        let samples = Samples::Delta(points.into_iter().collect());
        source.push(Tenant("acme".into()), Series { labels, samples });
    }
    source
}

fn random_query(random: &mut Random) -> (String, QueryParams) {
    let metric = random.pick(&[
        "llm_calls_total",
        "llm_errors_total",
        "llm_cost_usd_total",
        "llm_cost_usd_total",
        "llm_cost_by_unit_usd_total",
        "llm_unpriced_calls_total",
        "llm_tokens_total",
        "llm_call_duration_seconds_sum",
        "llm_time_to_first_token_seconds_sum",
        "llm_time_to_first_token_seconds_count",
        "llm_units_total",
        "llm_corrections_total",
        "llm_corrected_cost_usd_total",
        "llm_call_duration_seconds_bucket",
        "llm_time_to_first_token_seconds_bucket",
    ]);
    let matchers = random.pick(&[
        "",
        "{team=\"ads\"}",
        "{team!=\"ads\"}",
        "{team=\"rare\"}",
        "{team=~\"rare|none\",model=\"m1\"}",
        "{team=\"\"}",
        "{team=~\"a.*\"}",
        "{team=~\".*\",feature=~\".*\"}",
        "{model!~\"gpt-\\\\d\"}",
        "{team=\"a'b\\\\c\\td\"}",
        "{status=\"error\",model=~\"m1|claude.*\"}",
        "{nothing=\"\"}",
        "{tenant=\"acme\"}",
        "{usage_source=~\"provider|\"}",
        "{usage_source!=\"estimated\",reason!=\"repeat\"}",
        "{reason=~\"reprice|no_price.*|\",le!=\"0.64\"}",
        "{token_class=\"output_text\"}",
    ]);
    let window = random.pick(&["1s", "90s", "5m", "17m", "1h", "90m", "6h", "1d", "25h", "7d", "30d"]);
    let offset = random.pick(&["", "", " offset 7m", " offset 1d", " offset 333ms"]);
    let by = random.pick(&[
        "",
        " by (team)",
        " by (team, model)",
        " without (model)",
        " by (usage_source, reason, le)",
        " by (unit, model)",
    ]);
    let selector = format!("{metric}{matchers}");
    let expression = match random.next(6) {
        _ if metric.ends_with("_bucket") && random.next(2) == 0 => {
            format!(
                "histogram_quantile(0.{}, sum by (le, model) (rate({selector}[{window}]{offset})))",
                random.next(100)
            )
        }
        0 => format!("increase({selector}[{window}]{offset})"),
        1 => format!("sum{by}({selector}{offset})"),
        2 => format!("max{by}(increase({selector}[{window}]{offset}))"),
        3 => format!("sum{by}(rate({selector}[{window}]{offset}))"),
        _ => format!("sum{by}(increase({selector}[{window}]{offset}))"),
    };
    (expression, random_times(random))
}

fn random_times(random: &mut Random) -> QueryParams {
    let now_ms = NOW_US / 1000;
    let back = i64::try_from(random.next(3 * 86_400_000)).unwrap();
    let align = random.pick(&[1, 1000, 60_000, 900_000, 3_600_000, 86_400_000]);
    let end_ms = (now_ms - back).div_euclid(align) * align;
    if random.next(2) == 0 {
        return QueryParams::Instant { time_ms: end_ms };
    }
    let step_ms = random.pick(&[
        15_000,
        60_000,
        61_000,
        300_000,
        900_000,
        3_600_000,
        5_400_000,
        86_400_000,
        172_800_000,
    ]);
    let steps = i64::try_from(random.next(30)).unwrap();
    QueryParams::Range { start_ms: end_ms - steps * step_ms, end_ms, step_ms }
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
        (Number::Float(a), Number::Float(b)) if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
        (Number::Float(a), Number::Float(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => false,
    }
}

/// Whether whole intervals may be read that an edge cuts: windows side by side, off the bucket of which their steps are multiples.
fn may_be_cut(query: &str, params: QueryParams) -> bool {
    let QueryParams::Range { start_ms, step_ms, .. } = params else { return false };
    let ms = |text: &str| {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => 86_400_000,
        };
        digits.parse::<i64>().unwrap() * unit
    };
    let after = |begin: &str| {
        query.split_once(begin).and_then(|(_, rest)| rest.split([']', ')', ' ']).next()).map(ms)
    };
    let Some(window) = after("[") else { return false };
    let first = start_ms - after(" offset ").unwrap_or(0);
    let is_off = |bucket: i64| step_ms % bucket == 0 && first % bucket != 0;
    window % step_ms == 0 && (is_off(86_400_000) || is_off(900_000))
}

/// Of whole intervals the store does not know whether a series of which all was taken back was in one part of it or the other: it is
/// there with 0, or it is not there.
fn without_nothing(mut points: Vec<(Labels, i64, Number)>) -> Vec<(Labels, i64, Number)> {
    points.retain(|(_, _, value)| value.to_f64() != 0.0 && !value.to_f64().is_nan());
    points
}

fn is_same_point(a: &(Labels, i64, Number), b: &(Labels, i64, Number)) -> bool {
    a.0 == b.0 && a.1 == b.1 && same(&a.2, &b.2)
}

fn querier(source: impl SeriesSource + 'static) -> Querier {
    Querier::new(Arc::new(source), MemoryPool::new(MEMORY_BYTES_DEFAULT), Metrics::default())
}

/// Quantiles of random windows lie in the buckets that hold the exact ones.
async fn quantiles_are_in_their_buckets(querier: &Querier, entries: &[Entry]) {
    let scope = querier.scope(Tenant("acme".into()), Duration::from_secs(30));
    let mut random = Random(SEED);
    for _ in 0..20 {
        let time_ms = NOW_US / 1000 - i64::try_from(random.next(3_600_000)).unwrap();
        let hours = i64::try_from(1 + random.next(400)).unwrap();
        let percent = 1 + random.next(99);
        let mut counts = std::collections::BTreeMap::<u64, i128>::new();
        for entry in entries.iter().filter(|entry| entry.call) {
            let age_us = time_ms * 1000 - entry.end_us;
            if let Some(us) = entry.duration_us.filter(|_| age_us >= 0 && age_us < hours * 3_600_000_000) {
                *counts.entry(us).or_insert(0) += entry.sign;
            }
        }
        let all: i128 = counts.values().sum();
        let rank = (all * i128::try_from(percent).unwrap() + 99) / 100;
        let mut below = 0;
        let exact_us = counts.iter().find(|(_, count)| {
            below += **count;
            below >= rank
        });
        let exact_us = *exact_us.unwrap().0;
        let bounds = bounds();
        let at = bounds.iter().position(|(end_us, _)| exact_us <= *end_us).unwrap();
        // Prometheus answers the last finite bound for what is above it.
        let (low, high) =
            (at.checked_sub(1).map_or(0.0, |at| seconds(&bounds[at].1)), seconds(&bounds[at.min(16)].1));
        let query = format!(
            "histogram_quantile(0.{percent:02}, sum by (le) (rate(llm_call_duration_seconds_bucket[{hours}h])))"
        );
        let got = flat(querier.run(&scope, &query, QueryParams::Instant { time_ms }).await.unwrap());
        let value = got[0].2.to_f64();
        assert!(value >= low && value <= high, "{query} at {time_ms}: {value}, exact {exact_us} us");
    }
}

fn seconds(bound: &str) -> f64 {
    bound.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_adds_up_equals_what_the_evaluator_computes() {
    let storage = engine::storage("pushdown").await;
    let mut random = Random(SEED);
    let spans = spans(&mut random);
    let corrections = corrections(&mut random, &spans);
    load(&storage, &spans, &corrections).await;
    let entries = [spans, corrections].concat();
    let clock = Arc::new(ManualClock::at(u64::try_from(NOW_US).unwrap() * 1000));
    let pushed = querier(SqlSource::new(storage.clone(), clock));
    let plain = querier(memory(&entries));
    let scope = || pushed.scope(Tenant("acme".into()), Duration::from_secs(30));
    let mut values = 0;
    for at in 0..QUERIES {
        let (query, params) = random_query(&mut random);
        let context = format!("seed {SEED:#x}, query {at}: {query} {params:?}");
        let got = flat(
            pushed.run(&scope(), &query, params).await.unwrap_or_else(|error| panic!("{context}: {error}")),
        );
        let wanted = flat(plain.run(&scope(), &query, params).await.unwrap());
        let (got, wanted) = if may_be_cut(&query, params) {
            (without_nothing(got), without_nothing(wanted))
        } else {
            (got, wanted)
        };
        let apart = got.iter().zip(&wanted).position(|(a, b)| !is_same_point(a, b));
        let first = apart.unwrap_or(got.len().min(wanted.len()));
        let (store, evaluator) = (got.get(first), wanted.get(first));
        assert!(
            store.is_none() && evaluator.is_none(),
            "{context}\nstore: {store:?}\nevaluator: {evaluator:?}"
        );
        values += wanted.len();
    }
    assert!(values > QUERIES, "only {values} values were compared");
    let total = engine::ask(&storage, "SELECT toString(sum(amount)) FROM spend_record").await;
    let params = QueryParams::Instant { time_ms: NOW_US / 1000 + 1 };
    {
        let query = "sum(increase(llm_cost_usd_total[40d]))";
        let got = flat(pushed.run(&scope(), query, params).await.unwrap());
        let booked = entries.iter().filter(|entry| entry.call && entry.is_priced());
        let wanted: i128 =
            booked.flat_map(|entry| entry.lines.iter().map(|line| entry.sign * line.picos)).sum();
        assert!(
            matches!(got[0].2, Number::Exact(picos) if picos == wanted),
            "{query}: {got:?}, spans {wanted}"
        );
        let text = ledgerline_promql::format_number(got[0].2);
        assert_eq!(text, total.trim(), "{query}");
    }
    quantiles_are_in_their_buckets(&pushed, &entries).await;
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
