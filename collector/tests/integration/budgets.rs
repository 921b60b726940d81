//! Budgets over the real engine: what is spent against SQL, and thresholds that are told once whatever ends in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use ledgerline_collector::budget::Budget;
use ledgerline_collector::budget::ledger::Ledger;
use ledgerline_collector::budget::source::over;
use ledgerline_collector::command::budgets::Command;
use ledgerline_collector::config::Config;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::Clock as _;
use ledgerline_process::clock::ManualClock;
use ledgerline_process::config::parse;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{MemoryPool, Number, PICOS, QueryParams, QueryValue};
use ledgerline_proto::otlp::export_request;
use ledgerline_store::Store;
use ledgerline_store::sql::SqlSource;

use crate::engine::{self, ask};
use crate::ingest::{get, kill_engine, try_post};
use crate::interleavings::Mortal;
use crate::sights::gpt;
use crate::world::{Listener, Received};

/// 2026-11-28 05:06:07 UTC.
const NOW_US: i64 = 1_795_842_367_000_000;
const QUARTER_MS: i64 = 900_000;

/// A period, its zone, and SQL for its start: of what is between `at` and that the end of the moment before decides.
const BUDGETS: [(&str, &str, &str, &str); 7] = [
    ("berlin", "period: month", "Europe/Berlin", "toDateTime(toStartOfMonth(BEFORE, 'ZONE'), 'ZONE')"),
    ("johns", "period: day", "America/St_Johns", "toStartOfDay(BEFORE, 'ZONE')"),
    ("nepal", "period: quarter", "Asia/Kathmandu", "toDateTime(toStartOfQuarter(BEFORE, 'ZONE'), 'ZONE')"),
    ("howe", "period: week", "Australia/Lord_Howe", "toDateTime(toStartOfWeek(BEFORE, 1, 'ZONE'), 'ZONE')"),
    ("india", "period: year", "Asia/Kolkata", "toDateTime(toStartOfYear(BEFORE, 'ZONE'), 'ZONE')"),
    ("york", "period: month", "America/New_York", "toDateTime(toStartOfMonth(BEFORE, 'ZONE'), 'ZONE')"),
    ("rolls", "rolling: 30d", "", "BEFORE - INTERVAL 30 DAY + INTERVAL 1 MICROSECOND"),
];

/// Budgets as a collector of this configuration has them.
fn budgets(text: &str) -> Arc<[Budget]> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let yaml = format!(
        "storage: {{url: 'http://127.0.0.1:8123'}}\nbudgets: {{files: [{}]}}\n",
        file.path().display()
    );
    parse::<Config>("c.yaml", &yaml).unwrap().budgets
}

fn querier(store: &Store, budgets: Arc<[Budget]>) -> Querier {
    let clock = Arc::new(ManualClock::at(NOW_US.unsigned_abs() * 1000));
    let ledger = Ledger {
        source: Arc::new(SqlSource::new(store.clone(), clock.clone())),
        budgets,
        owner: Tenant("acme".into()),
        crossings: Arc::default(),
        clock,
    };
    Querier::new(over(ledger), MemoryPool::new(MEMORY_BYTES_DEFAULT), Metrics::default())
}

async fn asked(querier: &Querier, tenant: &str, query: &str, params: QueryParams) -> QueryValue {
    let scope = querier.scope(Tenant(tenant.into()), Duration::from_secs(60));
    querier.run(&scope, query, params).await.unwrap().value
}

/// Pico-dollars by the labels `budget`, `period` and `zone`.
async fn spent(querier: &Querier, time_ms: i64) -> BTreeMap<[String; 3], i128> {
    let params = QueryParams::Instant { time_ms };
    let QueryValue::Vector(all) = asked(querier, "acme", "llm_budget_spent_usd", params).await else {
        panic!("no vector")
    };
    let one = |sample: &ledgerline_promql::VectorSample| {
        let Number::Exact(picos) = sample.point.value else { panic!("a float: {sample:?}") };
        (["budget", "period", "zone"].map(|name| sample.labels.get(name).to_owned()), picos)
    };
    all.iter().map(one).collect()
}

/// Calls on, before and behind quarters of hours of 800 days, and their corrections: one in ten is taken back, half of those are booked
/// anew at half the price.
///
/// What they cost stands in a table of the test's own beside: spans of more than ninety days ago are not kept.
async fn book(store: &Store, from: u32, to: u32) {
    let begin_us = NOW_US - 800 * 86_400_000_000;
    let begin_us = begin_us - begin_us % 900_000_000;
    let call = format!(
        "['acme', 'acme', 'globex'][number % 3 + 1] AS tenant, \
         fromUnixTimestamp64Micro({begin_us} + toInt64(number * 7919 % 76801) * 900000000 + toInt64(number % 5) - 2, 'UTC') AS end_time, \
         ['search', 'support'][number % 2 + 1] AS team, toInt64(10000000030 * (number % 1000 + 1)) AS picos"
    );
    let numbers = format!("FROM numbers({from}, {})", to - from);
    let own = "(tenant String, end_time DateTime64(6, 'UTC'), team String, picos Int64)";
    ask(store, &format!("CREATE TABLE IF NOT EXISTS truth {own} ENGINE = MergeTree ORDER BY end_time")).await;
    for (table, columns, values, divisor, which) in [
        ("spans", "is_call", "1", 1, ""),
        ("corrections", "sign, reason", "-1, 'reprice'", 1, "WHERE number % 10 = 0"),
        ("corrections", "sign, reason", "1, 'reprice'", 2, "WHERE number % 20 = 0"),
    ] {
        let sql = format!(
            "INSERT INTO {table} (tenant, end_time, team, trace_id, model, usage_source, bill.model, bill.unit, bill.quantity, bill.amount, \
             {columns}) SELECT tenant, end_time, team, toFixedString(leftPad(toString(number), 16, '0'), 16), 'm', 'provider', ['m'], \
             ['output_text'], [toInt64(number)], \
             CAST([reinterpret(intDiv(picos, {divisor}), 'Decimal(18, 12)')], 'Array(Nullable(Decimal(18, 12)))'), {values} \
             FROM (SELECT number, {call} {numbers}) {which} SETTINGS max_partitions_per_insert_block = 0"
        );
        ask(store, &sql).await;
        let sign = if values.starts_with('-') { -1 } else { 1 };
        let sql = format!(
            "INSERT INTO truth SELECT tenant, end_time, team, {sign} * intDiv(picos, {divisor}) FROM (SELECT number, {call} {numbers}) {which}"
        );
        ask(store, &sql).await;
    }
}

/// Moments at and around which something changes in one of the zones.
const MOMENTS: [&str; 22] = [
    "2024-12-31T18:30:00Z", // India's and Nepal's new year, a quarter apart
    "2024-12-31T18:15:00Z",
    "2024-12-31T23:00:00Z",      // Berlin's
    "2025-01-01T00:00:00-05:00", // New York's
    "2025-03-09T02:15:00-05:00", // clocks go forward in New York, and in St. John's
    "2025-03-10T00:00:00-02:30",
    "2025-03-30T03:00:00+02:00", // and in Berlin
    "2025-03-31T00:00:00+02:00",
    "2025-04-01T00:00:00+02:00",
    "2025-04-06T01:45:00+10:30", // back by half an hour on Lord Howe
    "2025-04-07T00:00:00+10:30",
    "2025-10-05T02:30:00+11:00", // forward again
    "2025-10-26T02:15:00+02:00", // the hour that is there twice in Berlin
    "2025-10-26T02:15:00+01:00",
    "2025-10-27T00:00:00+01:00",
    "2025-11-01T00:00:00+01:00",
    "2025-11-01T00:15:00+01:00",
    "2025-11-02T01:30:00-04:00", // and in New York
    "2025-11-02T01:30:00-05:00",
    "2026-02-28T23:45:00-05:00",
    "2026-09-30T18:15:00Z",
    "2026-11-28T05:00:00Z",
];

/// Scenario: budgets of six time zones and one that rolls, over two years of calls of two tenants with corrections; both changes of the
/// clocks, ends of days, weeks, months, quarters and years; then more calls and corrections come late.
/// Guarantees: what is spent is what SQL adds up of calls and corrections since the start that ClickHouse finds, to the pico-dollar, before
/// and after.
#[tokio::test]
async fn spent_is_what_sql_adds_up() {
    let store = engine::storage("budgets_spent").await;
    let documents: String = BUDGETS.iter().fold("kind: budgets\nbudgets:\n".to_owned(), |text, budget| {
        let (name, period, zone, _) = budget;
        let zone = if zone.is_empty() { String::new() } else { format!(", zone: {zone}") };
        format!("{text}- {{name: {name}, amount: 1, match: '{{team=\"search\"}}', {period}{zone}}}\n")
    });
    let querier = querier(&store, budgets(&documents));
    let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
    let mut sums = BTreeSet::new();
    for (from, to, each) in [(0, 5_000, 1), (5_000, 6_000, 3)] {
        book(&store, from, to).await;
        for moment in MOMENTS.into_iter().step_by(each) {
            let found = spent(&querier, ms(moment)).await;
            let before = format!(
                "(fromUnixTimestamp64Micro(toInt64({}), 'UTC') - INTERVAL 1 MICROSECOND)",
                ms(moment) * 1000
            );
            let spent = BUDGETS.map(|(_, _, zone, start)| {
                let start = start.replace("BEFORE", &before).replace("ZONE", zone);
                format!(
                    "(SELECT toString(sum(toInt128(picos))) FROM truth WHERE tenant = 'acme' AND team = 'search' AND end_time > {start} \
                     AND end_time < {before} + INTERVAL 2 MICROSECOND)"
                )
            });
            let wanted = ask(&store, &format!("SELECT {}", spent.join(", "))).await;
            for ((name, ..), wanted) in BUDGETS.iter().zip(wanted.split('\t')) {
                let wanted: i128 = wanted.parse().unwrap();
                let of_budget: Vec<i128> =
                    found.iter().filter(|(labels, _)| labels[0] == *name).map(|(_, picos)| *picos).collect();
                assert_eq!(of_budget, [wanted], "{name} at {moment} of {to} calls");
                sums.insert(wanted);
            }
        }
    }
    assert!(sums.len() > 90, "only {} different sums", sums.len());
    check_labels(&querier, ms("2025-11-01T00:00:00+01:00")).await;
    check_ranges(&querier, ms("2025-10-24T00:00:00Z")).await;
}

/// Whose month ends with that moment has the old key, by hand.
async fn check_labels(querier: &Querier, time_ms: i64) {
    let keys = |found: BTreeMap<[String; 3], i128>| -> Vec<String> {
        found.into_keys().map(|[budget, period, zone]| format!("{budget} {period} {zone}")).collect()
    };
    assert_eq!(
        keys(spent(querier, time_ms).await),
        [
            "berlin 2025-10 Europe/Berlin",
            "howe 2025-W44 Australia/Lord_Howe",
            "india 2025 Asia/Kolkata",
            "johns 2025-10-31 America/St_Johns",
            "nepal 2025-Q4 Asia/Kathmandu",
            "rolls 30d ",
            "york 2025-10 America/New_York"
        ]
    );
    assert!(keys(spent(querier, time_ms + 1).await)[0].starts_with("berlin 2025-11 "));
    let params = QueryParams::Instant { time_ms };
    for (tenant, query, count) in [
        ("acme", "llm_budget_usd == 1", 7),
        ("acme", "llm_budget_spent_usd{zone=~\"A.*\", period!~\"2025-.*\"} / ignoring() llm_budget_usd", 1),
        ("acme", "llm_budget_crossed_usd{threshold=\"80%\"}", 7),
        ("globex", "llm_budget_usd", 0),
        ("globex", "llm_budget_spent_usd", 0),
    ] {
        let QueryValue::Vector(found) = asked(querier, tenant, query, params).await else {
            panic!("{query}")
        };
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
}

/// Over days at which clocks change, months end and weeks begin, a range is its moments; a series ends with its period.
async fn check_ranges(querier: &Querier, start_ms: i64) {
    // A series that has ended must not be seen beside the next one, however close the moments are: Berlin's month ends in the last range.
    let end_of_month_ms = start_ms + 7 * 86_400_000 + 82_320_000;
    for (start_ms, step_ms, count) in [
        (start_ms, QUARTER_MS * 7, 36),
        (start_ms, 86_400_000, 10),
        (start_ms, 40 * 86_400_000, 4),
        (end_of_month_ms, 60_000, 12),
    ] {
        let end_ms = start_ms + (count - 1) * step_ms;
        let params = QueryParams::Range { start_ms, end_ms, step_ms };
        let QueryValue::Matrix(found) = asked(querier, "acme", "llm_budget_spent_usd", params).await else {
            panic!("no matrix")
        };
        let mut by_time: BTreeMap<i64, BTreeMap<[String; 3], i128>> = BTreeMap::new();
        for series in &found {
            let labels = ["budget", "period", "zone"].map(|name| series.labels.get(name).to_owned());
            for point in series.points() {
                let Number::Exact(picos) = point.value else { panic!("a float") };
                by_time.entry(point.time_ms).or_default().insert(labels.clone(), picos);
            }
        }
        assert_eq!(by_time.len(), usize::try_from(count).unwrap());
        for (time_ms, found) in by_time {
            assert_eq!(found, spent(querier, time_ms).await, "{time_ms} by {step_ms}");
        }
    }
}

/// Scenario: ten dollars on each of sixty days, in the first second of each.
/// Guarantees: the command says to the last digit what was spent this month, and expects ten dollars on each day that is left.
#[tokio::test]
async fn the_command_says_where_a_budget_stands() {
    let store = engine::storage("budgets_command").await;
    let now = "SELECT toString(toDayOfMonth(now('UTC'))), toString(toDayOfMonth(toLastDayOfMonth(now('UTC')))), formatDateTime(now('UTC'), '%Y-%m')";
    let before = ask(&store, now).await;
    ask(
        &store,
        "INSERT INTO spans (tenant, end_time, trace_id, team, model, usage_source, bill.model, bill.unit, bill.quantity, bill.amount, is_call) \
         SELECT 'acme', toDateTime64(toStartOfDay(now('UTC')), 6, 'UTC') - INTERVAL number DAY + INTERVAL 1 SECOND, \
         toFixedString(leftPad(toString(number), 16, '0'), 16), 'search', 'm', 'provider', ['m'], ['output_text'], [1], \
         CAST([toDecimal64('10', 12)], 'Array(Nullable(Decimal(18, 12)))'), 1 FROM numbers(60) SETTINGS max_partitions_per_insert_block = 0",
    )
    .await;
    let documents = "kind: budgets\nbudgets: [{name: search, amount: 200, period: month, match: '{team=\"search\"}'}, \
                     {name: night, amount: 1.5, rolling: 1d}]";
    let answer = async |json| {
        let (budgets, owner) = (budgets(documents), Tenant("acme".into()));
        let command = Command::Status { json };
        command.answer(store.clone(), budgets, owner, MEMORY_BYTES_DEFAULT).await.unwrap()
    };
    let body: serde_json::Value = serde_json::from_str(&answer(true).await).unwrap();
    let table = answer(false).await;
    if ask(&store, now).await != before {
        // Midnight came in between: the next run says it.
        return;
    }
    let [day, last, month] = before.split('\t').collect::<Vec<_>>()[..] else { panic!("{before}") };
    let (day, last): (f64, f64) = (day.parse().unwrap(), last.parse().unwrap());
    let [search, night] = body["budgets"].as_array().unwrap().as_slice() else { panic!("{body}") };
    assert_eq!(search["spent_usd"], format!("{}.000000000000", day * 10.0));
    assert_eq!((&search["period"]["key"], &search["period"]["every"]), (&month.into(), &"month".into()));
    assert!((search["share"].as_f64().unwrap() - day / 20.0).abs() < 1e-9);
    let usd = |name: &str| search["forecast"][name].as_str().unwrap().parse::<f64>().unwrap();
    let expected = usd("expected_usd");
    // Of today nothing may be left, or a whole day.
    assert!((last * 10.0..=last * 10.0 + 10.01).contains(&expected), "{expected}");
    assert!(usd("low_usd") <= expected && expected <= usd("high_usd") && usd("high_usd") < last * 11.5);
    assert_eq!((&night["forecast"], &night["no_forecast"].is_string()), (&serde_json::Value::Null, &true));
    assert_eq!(night["spent_usd"], "10.000000000000");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("BUDGET  PERIOD   AMOUNT"), "{table}");
    assert!(lines[1].starts_with(&format!("search  {month}  200.00")), "{table}");
    assert!(lines[2].contains("1.50") && lines[2].contains("not known"), "{table}");
}

/// What a webhook was told to fire: budget, period, threshold; and the key and the start of it.
fn told(received: &Received) -> Option<([String; 3], (String, String))> {
    let alert = &received.body["alerts"][0];
    if received.body["status"] != "firing" {
        return None;
    }
    assert_eq!(alert["labels"]["alertname"], "LLMBudgetThreshold");
    let what =
        ["budget", "period", "threshold"].map(|name| alert["labels"][name].as_str().unwrap().to_owned());
    let key = received.headers["idempotency-key"].to_str().unwrap().to_owned();
    Some((what, (key, alert["startsAt"].as_str().unwrap().to_owned())))
}

const HOUR_NS: u64 = 3_600_000_000_000;

/// 06:00 in Kathmandu, 01:15 in Berlin, where the month ends on the fourth day.
const BEGUN: &str = "2026-11-27T00:15:00Z";

const DEADLINE: Duration = Duration::from_secs(90);

/// A budget of a day in Kathmandu and one of all that is spent in a month in Berlin, with a threshold that is far away.
const DOCUMENT: &str = "kind: budgets
budgets:
- {name: day, owner: ops, match: '{operation=\"chat\"}', amount: 0.15, period: day, zone: Asia/Kathmandu, thresholds: [50%, 100%]}
- {name: month, amount: 1, period: month, zone: Europe/Berlin, thresholds: [10%, 30%, 10000%]}
";

/// Sends a call until it is taken; its pico-dollars.
async fn spend(mortal: &Mortal, number: u64, clock: &ManualClock) -> i128 {
    let (call, picos) = gpt(number, clock.now_unix_ns() - 1_000_000);
    let body = bytes::Bytes::from(prost::Message::encode_to_vec(&export_request(&[call])));
    let sending = async {
        while try_post(mortal.collector().addresses.http, body.clone()).await != Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, sending).await.unwrap();
    picos
}

/// What was told, and what must be: by budget, period and threshold.
#[derive(Default)]
struct Told {
    wanted: BTreeSet<[String; 3]>,
    found: BTreeMap<[String; 3], Vec<(String, String)>>,
}

impl Told {
    fn reach(&mut self, budget: &str, period: &str, thresholds: [(&str, i128); 2], spent: i128) {
        let over = thresholds.into_iter().filter(|(_, amount)| spent >= *amount);
        self.wanted.extend(over.map(|(name, _)| [budget, period, name].map(str::to_owned)));
    }

    fn note(&mut self, received: &Received) {
        if let Some((what, how)) = told(received) {
            self.found.entry(what).or_default().push(how);
        }
    }

    /// Lets evaluations go on until all is told.
    async fn wait(&mut self, hook: &mut Listener, clock: &ManualClock) {
        let waiting = async {
            while !self.wanted.iter().all(|what| self.found.contains_key(what)) {
                clock.set(clock.now_unix_ns() + 100_000_000);
                if let Ok(received) =
                    tokio::time::timeout(Duration::from_millis(50), hook.requests.recv()).await
                {
                    self.note(&received.unwrap());
                }
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(waited.is_ok(), "wanted {:?}, told {:?}", self.wanted, self.found.keys());
    }
}

/// Lets so many evaluations of the group happen, so that what it would say it has said.
async fn evaluations(mortal: &Mortal, count: u64, clock: &ManualClock) {
    let metric = "ledgerline_collector_rule_evaluations_total{rule_group=\"budgets;budgets\"}";
    let before = mortal.collector().metric(metric).await;
    let waiting = async {
        while mortal.collector().metric(metric).await < before + count * 2 {
            clock.set(clock.now_unix_ns() + 100_000_000);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
}

/// Scenario: day after day calls are made until a day's budget is used up, and with them a month's; after each call the engine is killed, the
/// collector stopped, or both killed, in turn; the webhook refuses each fifth request. At the end corrections take most of the day's
/// spend back, and it is spent again. `LEDGERLINE_KILLS` says how often something ends (5; `make budgets` has 20).
/// Guarantees: each threshold that was reached in a period is told, with one key and one start, and none that was not; what was reached goes
/// on firing when it is taken back, and is not told again; the API says when it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_threshold_is_told_once_whatever_ends() {
    let ends: u64 = std::env::var("LEDGERLINE_KILLS").map_or(5, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let documents = directory.path().join("budgets.yaml");
    std::fs::write(&documents, DOCUMENT).unwrap();
    let mut hook =
        Listener::start(
            |_, number| {
                if number % 5 == 4 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
            },
        )
        .await;
    let more = format!(
        "budgets: {{files: [{}], evaluation_interval_ms: 100}}\nalerting: {{query_offset_ms: 0, receivers: [{{name: hook, kind: webhook, \
         url: '{}'}}]}}\n",
        documents.display(),
        hook.url()
    );
    let begun: Timestamp = BEGUN.parse().unwrap();
    let begun_ns = u64::try_from(begun.as_nanosecond()).unwrap();
    let clock = Arc::new(ManualClock::at(begun_ns));
    let data = directory.path().join("data");
    let mut mortal = Mortal::with(&data, Arc::clone(&clock), more).await;
    let mut all = Told::default();
    let (mut ended, mut number, mut november, mut december) = (0, 1000, 0, 0);
    for day in 0.. {
        clock.set(begun_ns + 24 * HOUR_NS * day);
        let date = ["2026-11-27", "2026-11-28", "2026-11-29", "2026-11-30", "2026-12-01", "2026-12-02"];
        let date = date[usize::try_from(day).unwrap()];
        let (month, of_month) = if day < 4 { ("2026-11", &mut november) } else { ("2026-12", &mut december) };
        let mut today = 0;
        for _ in 0..4 {
            let picos = spend(&mortal, number, &clock).await;
            number += 1;
            today += picos;
            *of_month += picos;
            all.reach("day", date, [("50%", PICOS * 3 / 40), ("100%", PICOS * 3 / 20)], today);
            all.reach("month", month, [("10%", PICOS / 10), ("30%", PICOS * 3 / 10)], *of_month);
            clock.set(clock.now_unix_ns() + HOUR_NS);
            if ended == ends {
                continue;
            }
            ended += 1;
            match ended % 3 {
                0 => mortal.stop().await,
                1 => assert_eq!(kill_engine(&data), 1),
                _ => mortal.kill(),
            }
            if ended % 3 != 1 {
                mortal.start().await;
            }
        }
        all.wait(&mut hook, &clock).await;
        if ended == ends && day > 0 {
            break;
        }
    }
    let (told, repeats) = settle(mortal, hook, &clock, all).await;
    println!(
        "{ended} ends, {told} thresholds in periods told, {repeats} requests repeated with the same key"
    );
}

/// Takes most of the day's spend back and spends again: nobody is told again, and all that was told is what must be. How
/// much was told, and how many requests were repeated.
async fn settle(
    mut mortal: Mortal,
    mut hook: Listener,
    clock: &ManualClock,
    mut all: Told,
) -> (usize, usize) {
    let told = all.found.len();
    take_back(&mortal, clock).await;
    for call in 0..2 {
        evaluations(&mortal, 3, clock).await;
        check_status(&mortal, &all).await;
        spend(&mortal, 2000 + call, clock).await;
    }
    mortal.stop().await;
    while let Ok(received) = hook.requests.try_recv() {
        all.note(&received);
    }
    let repeats = all.found.values().map(Vec::len).sum::<usize>() - told;
    assert_eq!(all.found.keys().cloned().collect::<BTreeSet<_>>(), all.wanted);
    for (what, requests) in &all.found {
        let keys: BTreeSet<_> = requests.iter().collect();
        assert_eq!(keys.len(), 1, "{what:?} was told as if it were another: {requests:?}");
    }
    (told, repeats)
}

/// Takes back nearly all that was spent in the last hours, as a correction.
async fn take_back(mortal: &Mortal, clock: &ManualClock) {
    let (budget, at_s) = ("llm_budget_spent_usd{budget=\"day\"}", clock.now_unix_ns() / 1_000_000_000);
    let before = mortal.collector().query(budget, at_s).await;
    ask(
        mortal.store(),
        &format!(
            "INSERT INTO corrections (tenant, end_time, trace_id, model, operation, usage_source, bill.model, bill.unit, bill.quantity, bill.amount, \
             sign, reason) SELECT 'default', fromUnixTimestamp64Milli(toInt64({}), 'UTC'), toFixedString('0123456789abcdef', 16), 'gpt-4.1', \
             'chat', 'provider', ['gpt-4.1'], ['output_text'], [1], CAST([toDecimal64('0.14', 12)], 'Array(Nullable(Decimal(18, 12)))'), -1, 'reprice'",
            clock.now_unix_ns() / 1_000_000 - 60_000
        ),
    )
    .await;
    let after = mortal.collector().query(budget, at_s).await;
    let usd = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text}"));
    assert!((usd(&before) - usd(&after) - 0.14).abs() < 1e-9 && usd(&after) < 0.075, "{before} {after}");
}

/// What was reached in the periods of now fires, and the API says since when; the budget is far below it again.
async fn check_status(mortal: &Mortal, all: &Told) {
    let api = mortal.collector().addresses.api;
    let body = get(&format!("http://{api}/api/v1/budgets")).await.json();
    let alerts = get(&format!("http://{api}/prometheus/api/v1/alerts")).await.json();
    let alerts = alerts["data"]["alerts"].as_array().unwrap();
    let mut reached = 0;
    for budget in body["budgets"].as_array().unwrap() {
        let (name, period) = (budget["name"].as_str().unwrap(), budget["period"]["key"].as_str().unwrap());
        for threshold in budget["thresholds"].as_array().unwrap() {
            let at = threshold["at"].as_str().unwrap();
            let requests = all.found.get(&[name, period, at].map(str::to_owned));
            let since = requests.map(|requests| requests[0].1.parse::<Timestamp>().unwrap());
            let crossed = threshold["crossed_at"].as_str().map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(crossed, since, "{name} {period} {at}: {body}");
            assert_eq!(threshold["reached"], since.is_some(), "{name} {period} {at}: {body}");
            let fires = alerts.iter().any(|alert| {
                let is = |label: &str, value: &str| alert["labels"][label] == value;
                is("budget", name)
                    && is("period", period)
                    && is("threshold", at)
                    && alert["state"] == "firing"
            });
            assert_eq!(fires, since.is_some(), "{name} {period} {at}: {alerts:?}");
            reached += usize::from(fires);
        }
    }
    assert!(reached >= 3, "{body}");
}
