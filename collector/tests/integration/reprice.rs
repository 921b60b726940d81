//! Bills of stored calls computed anew: what is booked is the difference, once, whoever is killed meanwhile.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ledgerline_collector::command::reprice::{Booking, Order, Progress, Report, Reprice};
use ledgerline_collector::command::store::Attached;
use ledgerline_collector::config::Storage;
use ledgerline_collector::selector::Selector;
use ledgerline_pricing::PriceBook;
use ledgerline_process::lock::{COLLECTOR, DirectoryLock, ENGINE};
use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::{
    BillGap, Call, EndOfStream, Identity, Operation, PicoUsd, Quantities, Run, SpanId, TraceId, Unit, Usage,
    UsageSource,
};
use ledgerline_store::Store;
use ledgerline_store::client::{Client, Target};
use ledgerline_store::engine::Engine;
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::spans::{Role, SpanRow, unpriced_reason};
use ledgerline_store::usage_object::UsageObject;
use ledgerline_store::writer::{Batch, Writer};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::{self, ask, storage};
use crate::spans::call;

const DAY_NS: u64 = 86_400_000_000_000;

pub fn now_ns() -> u64 {
    SystemClock.now_unix_ns()
}

fn wait() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A price file; `rest` is its models and more.
pub fn file(provider: &str, rest: &str) -> String {
    format!("provider: {provider}\nsource: a contract\nread_on: \"2026-11-27\"\n{rest}")
}

fn model(name: &str, input: &str, cached: &str, output: &str) -> String {
    format!(
        "  {name}: {{ per_million: {{ input_uncached: \"{input}\", cache_read: \"{cached}\", output_text: \"{output}\" }} }}\n"
    )
}

fn book(files: &[(&str, &str)]) -> PriceBook {
    PriceBook::parse(files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The row of a call that ingest has priced with that book a day ago.
pub fn row(prices: &PriceBook, tenant: &str, call: Call) -> SpanRow {
    let bill = prices.for_tenant(tenant).bill(&call);
    SpanRow {
        place: 0,
        tenant: tenant.into(),
        unpriced_reason: unpriced_reason(bill.cost),
        role: Role::Counts,
        bill,
        usage: UsageObject::split(&call.usage_object),
        record: SpanRecord {
            duration_ns: call.end_unix_ns.checked_sub(call.start_unix_ns),
            call,
            observer: "ledgerline-agent".into(),
            observer_version: "1.2.3".into(),
            name: "chat".into(),
            attributes: vec![],
            attributes_dropped: 0,
        },
        price_version: prices.version().to_string().into(),
        batch_id: 7,
        ingested_at_ms: i64::try_from((now_ns() - DAY_NS) / 1_000_000).unwrap(),
    }
}

/// Call number `number` of that model, two days ago, with these counts by the provider.
pub fn of(number: u64, model: &str, counts: &[(Unit, u64)]) -> Call {
    Call {
        trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
        span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
        provider: "openai".to_owned(),
        request_model: model.to_owned(),
        response_model: model.to_owned(),
        operation: Operation::Chat,
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: Some(Usage::of(Quantities::from_pairs(counts), UsageSource::Provider)),
        identity: Identity { team: "search".to_owned(), ..Identity::default() },
        ..call(number, now_ns() - 2 * DAY_NS)
    }
}

pub async fn write(store: &Store, id: u128, mut rows: Vec<SpanRow>) {
    for (place, row) in rows.iter_mut().enumerate() {
        row.place = place;
    }
    let batch = Batch { id, places: rows.len(), spans: rows, quarantine: vec![] };
    Writer::new(store.clone(), StoreMetrics::default()).write(&batch, wait()).await.unwrap();
}

pub fn everything(booking: Booking) -> Order {
    Order {
        from_us: 0,
        until_us: i64::try_from(now_ns() / 1000).unwrap(),
        selector: Selector::default(),
        booking,
    }
}

pub async fn reprice(store: &Store, prices: &PriceBook, order: Order) -> Report {
    let run = Reprice::new(store.clone(), prices.clone(), Arc::new(SystemClock), order);
    run.run(&mut Progress::on(Box::new(std::io::sink()), false), &CancellationToken::new()).await.unwrap()
}

/// Calls, unpriced calls and pico-dollars of the record and each of its rollups, which must agree.
async fn books(store: &Store) -> (u64, u64, i128) {
    let mut all = Vec::new();
    for tier in ["record", "minute", "quarter", "day"] {
        let text = ask(
            store,
            &format!(
                "SELECT sum(calls), sumIf(calls, unpriced_reason != ''), \
                 (SELECT toInt128(sum(amount) * 1000000000000) FROM spend_{tier}) FROM calls_{tier}"
            ),
        )
        .await;
        let numbers: Vec<i128> = text.split('\t').map(|number| number.parse().unwrap()).collect();
        all.push((u64::try_from(numbers[0]).unwrap(), u64::try_from(numbers[1]).unwrap(), numbers[2]));
    }
    assert!(all.iter().all(|books| *books == all[0]), "{all:?}");
    all[0]
}

/// Calls of which more or less than one booking is left, by their rows and corrections.
const NOT_ONCE: &str = "SELECT count() FROM (SELECT trace_id, sum(signed) AS booked FROM (SELECT trace_id, toInt64(is_call) AS signed FROM spans \
     UNION ALL SELECT trace_id, toInt64(sign) FROM corrections) GROUP BY trace_id HAVING booked != 1)";

/// By reason: calls, difference in pico-dollars, unpriced before and after; of what has changed.
fn findings(report: &Report) -> Vec<(String, u64, i128, u64, u64)> {
    let changed = report.rows().iter().filter(|(_, sums)| sums.changed > 0);
    let found = changed.map(|([_, model, reason], sums)| {
        (
            format!("{model}: {reason}"),
            sums.changed,
            sums.difference,
            sums.unpriced_before,
            sums.unpriced_after,
        )
    });
    found.collect()
}

/// Scenario: one call of each kind that a change of prices may meet is stored under old prices, then repriced under new ones: first as
/// a trial, then in earnest, then once more.
/// Guarantees: the trial books nothing; each difference is the one worked out by hand here; what is unknown is never 0; the third run
/// finds nothing; every tier agrees.
#[tokio::test]
async fn the_difference_is_booked_and_nothing_else() {
    let store = storage("reprice").await;
    let (old, new) = books_of_prices();
    write(&store, 1, one_of_each_kind(&old)).await;

    let expected = [
        // Of the advisor 1,000 tokens at 2 in place of 1 dollar a million, and 100 at 10 in place of 5; of both calls.
        ("big: price", 2, 2 * 1_500_000_000, 0, 0),
        ("by-request: price", 1, -1_000_000_000, 0, 0),
        // 1,000 at 3 in place of 2; those of acme at 1.
        ("changed: price", 2, 1_000_000_000 - 1_000_000_000, 0, 0),
        ("dated: price", 1, 1_000_000_000, 0, 0),
        ("gone: unpriced (no_price_for_class(input_uncached))", 1, -2_800_000_000, 0, 1),
        // 0.05 in place of 0.002 and 0.0008.
        ("routed: price", 1, 47_200_000_000, 0, 0),
        ("searching: price", 1, 1_000_000_000, 0, 0),
        // 400 at 0.5 in place of 2.
        ("steady: usage", 1, -600_000_000, 0, 0),
        // 1,000 at 1 and 100 at 2.
        ("unheard-of: priced (unknown_model)", 1, 1_200_000_000, 1, 0),
    ];
    let before = books(&store).await;
    let trial = reprice(&store, &new, everything(Booking::Nothing)).await;
    assert_eq!(books(&store).await, before, "a trial");
    let report = reprice(&store, &new, everything(Booking::Corrections)).await;
    assert_eq!(findings(&trial), findings(&report));
    let found = findings(&report);
    let found: Vec<_> = found
        .iter()
        .map(|(key, calls, picos, one, two)| (key.as_str(), *calls, *picos, *one, *two))
        .collect();
    assert_eq!(found, expected, "{report}");
    assert_eq!((report.not_booked, report.recent, report.unclear, report.unreadable), (1, 1, 0, 0));
    let total = 49_000_000_000;
    assert_eq!(report.total().difference, total);
    // Unpriced before: the unheard-of and the one with a tool; after: that one and the one whose price is gone.
    assert_eq!((before.0, before.1), (15, 2));
    assert_eq!(books(&store).await, (15, 2, before.2 + total));
    let by_hand = "SELECT toInt128(sum(sign * ifNull(cost, 0)) * 1000000000000), countIf(sign = -1), countIf(sign = 1), \
        countIf(cost IS NULL AND unpriced_reason = '') FROM corrections WHERE reason = 'reprice'";
    assert_eq!(ask(&store, by_hand).await, format!("{total}\t11\t11\t0"));
    let again = reprice(&store, &new, everything(Booking::Corrections)).await;
    assert_eq!((again.total().changed, findings(&again)), (0, vec![]), "{again}");
    assert_eq!(ask(&store, by_hand).await, format!("{total}\t11\t11\t0"));
    // And back again: the first booking stands a second time, which is no repeat of it.
    let back = reprice(&store, &old, everything(Booking::Corrections)).await;
    // But for the cached tokens, which no price brings back.
    assert_eq!(back.total().difference, -total - 600_000_000, "{back}");
    assert_eq!(books(&store).await, (15, 2, before.2 - 600_000_000));
}

/// A call of each kind, under the prices before.
fn one_of_each_kind(old: &PriceBook) -> Vec<SpanRow> {
    let mut rows = Vec::new();
    let mut add = |tenant: &str, call: Call| rows.push(row(old, tenant, call));
    let counts = [(Unit::InputUncached, 1_000), (Unit::OutputText, 100)];
    let kept = |call: Call, object: &str| Call { usage_object: object.to_owned(), ..call };
    add("default", of(0, "changed", &counts));
    add("acme", of(1, "changed", &counts));
    add("default", of(2, "unheard-of", &counts));
    add("default", of(3, "gone", &counts));
    let mut short = of(4, "changed", &counts);
    short.billing.gap = Some(BillGap::Tool);
    add("default", short);
    // 400 of the 1,000 were cached, which an older reading did not see.
    let object = r#"{"openai":{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":400}}}"#;
    add("default", kept(of(5, "steady", &counts), object));
    // Half of it is an estimate of ours: the object is not the word on it.
    let mut estimated = kept(of(6, "steady", &counts), object);
    estimated.usage.as_mut().unwrap().source = UsageSource::Estimated;
    add("default", estimated);
    let object = r#"{"anthropic":{"input_tokens":1000,"output_tokens":100,"iterations":[{"type":"message","input_tokens":1000,"output_tokens":100},{"type":"advisor_message","model":"small","input_tokens":1000,"output_tokens":100}]}}"#;
    add("default", with_an_advisor(7, object));
    add("default", with_an_advisor(8, ""));
    add("default", of(9, "dated", &counts));
    let mut before_the_date = of(10, "dated", &counts);
    before_the_date.start_unix_ns -= 2 * DAY_NS;
    before_the_date.end_unix_ns -= 2 * DAY_NS;
    add("default", before_the_date);
    let mut routed = of(11, "routed", &counts);
    routed.provider = "router".to_owned();
    routed.billing.reported_cost = Some("0.05".parse::<PicoUsd>().unwrap());
    add("default", routed);
    let searched = [(Unit::InputUncached, 1_000), (Unit::OutputText, 100), (Unit::WebSearch, 2)];
    let object = r#"{"openai":{"prompt_tokens":1000,"completion_tokens":100}}"#;
    add("default", kept(of(12, "searching", &searched), object));
    add("default", of(13, "by-request", &counts));
    rows.push(SpanRow { role: Role::Repeat, ..row(old, "default", of(14, "changed", &counts)) });
    let just_now = i64::try_from(now_ns() / 1_000_000).unwrap();
    rows.push(SpanRow { ingested_at_ms: just_now, ..row(old, "default", of(15, "changed", &counts)) });
    rows
}

/// The prices before and after.
fn books_of_prices() -> (PriceBook, PriceBook) {
    let from =
        jiff::Timestamp::from_second(i64::try_from(now_ns() / 1_000_000_000).unwrap() - 3 * 86_400).unwrap();
    let same = model("steady", "2", "0.5", "8");
    let searching = |input: &str| {
        let tokens = format!("input_uncached: \"{input}\", output_text: \"8\"");
        format!("  searching: {{ per_million: {{ {tokens} }}, per_thousand: {{ web_search: \"10\" }} }}\n")
    };
    let old = [
        file(
            "openai",
            &format!(
                "models:\n{same}{}{}{}{}  by-request: {{ per_million: {{ input_uncached: \"2\", output_text: \"8\" }}, each: {{ request: \"0.001\" }} }}\n",
                model("changed", "2", "0.5", "8"),
                model("gone", "2", "0.5", "8"),
                model("dated", "2", "0.5", "8"),
                searching("2"),
            ),
        ),
        file("router", &format!("models:\n{}", model("routed", "2", "0.5", "8"))),
        file(
            "anthropic",
            &format!("models:\n{}{}", model("big", "10", "1", "50"), model("small", "1", "0.1", "5")),
        ),
    ];
    let new = [
        file(
            "openai",
            &format!(
                "models:\n{same}{}{}{}{}  gone: {{ per_million: {{ output_text: \"8\" }} }}\n  dated:\n    prices:\n      - per_million: {{ input_uncached: \"2\", output_text: \"8\" }}\n      - from: \"{from}\"\n        per_million: {{ input_uncached: \"3\", output_text: \"8\" }}\n",
                model("changed", "3", "0.5", "8"),
                model("unheard-of", "1", "0.5", "2"),
                searching("3"),
                "  by-request: { per_million: { input_uncached: \"2\", output_text: \"8\" } }\n",
            ),
        ),
        file("router", &format!("booked: reported\nmodels:\n{}", model("routed", "2", "0.5", "8"))),
        file(
            "anthropic",
            &format!("models:\n{}{}", model("big", "10", "1", "50"), model("small", "2", "0.2", "10")),
        ),
    ];
    let acme = format!(
        "tenant: acme\n{}",
        file("openai", &format!("models:\n{}", model("changed", "1", "0.5", "8")))
    );
    let of = |files: &[String]| {
        let named: Vec<(&str, &str)> = files.iter().map(|text| ("prices.yaml", text.as_str())).collect();
        book(&named)
    };
    (of(&old), of(&new).with_overrides(&book(&[("acme.yaml", &acme)])))
}

/// A call in which a second model ran.
fn with_an_advisor(number: u64, object: &str) -> Call {
    let counts = [(Unit::InputUncached, 1_000), (Unit::OutputText, 100)];
    let mut call = of(number, "big", &counts);
    call.provider = "anthropic".to_owned();
    let run = Run { model: "small".to_owned(), quantities: Quantities::from_pairs(&counts) };
    call.usage.as_mut().unwrap().runs.push(run);
    call.usage_object = object.to_owned();
    call
}

/// Scenario: an insert was stored and its end was not noted, as after a kill; the next run has other prices.
/// Guarantees: it is sent again and counted once, and what the other prices change is booked on top of it.
#[tokio::test]
async fn what_was_cut_off_is_finished_as_it_was_begun() {
    let store = storage("reprice_cut_off").await;
    let prices = |input: &str| {
        book(&[("p.yaml", &file("openai", &format!("models:\n{}", model("m", input, "0.5", "8"))))])
    };
    let rows =
        (0..50).map(|number| row(&prices("2"), "default", of(number, "m", &[(Unit::InputUncached, 1_000)])));
    write(&store, 1, rows.collect()).await;
    assert_eq!(books(&store).await, (50, 0, 50 * 2_000_000_000));
    reprice(&store, &prices("3"), everything(Booking::Corrections)).await;
    ask(&store, "DELETE FROM sealed WHERE is_booked = 1").await;
    assert_eq!(ask(&store, "SELECT count(), sum(row_count) FROM sealed").await, "1\t100");
    let report = reprice(&store, &prices("5"), everything(Booking::Corrections)).await;
    assert_eq!((report.resumed, report.total().difference), (1, 50 * 2_000_000_000));
    assert_eq!(books(&store).await, (50, 0, 50 * 5_000_000_000));
    assert_eq!(ask(&store, NOT_ONCE).await, "0");
    assert_eq!(reprice(&store, &prices("5"), everything(Booking::Corrections)).await.resumed, 0);
}

/// Scenario: a command asks for the store of a configuration with the engine built in, while the collector runs and after it has ended.
/// Guarantees: it reads and writes the same store; the first does not end the collector's engine, the second leaves none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_finds_the_store_whether_the_collector_runs_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let config = || engine::config(directory.path().to_owned());
    let embedded = || Storage::Embedded(config(), "ledgerline".to_owned());
    let collectors = Engine::start(config(), Counter::default(), CancellationToken::new()).await.unwrap();
    let beside = Attached::to(embedded()).await.unwrap();
    ask(&beside.store, "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
    beside.close().await;
    let client = Client::new(collectors.target("ledgerline")).unwrap();
    assert_eq!(client.text(client.query("EXISTS t")).await.unwrap(), "1\n");
    collectors.stop().await;
    let alone = Attached::to(embedded()).await.unwrap();
    assert_eq!(ask(&alone.store, "EXISTS t").await, "1");
    alone.close().await;
    DirectoryLock::take(directory.path(), ENGINE).unwrap();
    DirectoryLock::take(directory.path(), COLLECTOR).unwrap();
}

/// The binary with `reprice` over everything of that store, its prices and what else is said.
fn command(target: &Target, folder: &Path, more: &[&str]) -> Command {
    let path = |name: &str| folder.join(name);
    let password = target.password.as_ref().unwrap().expose();
    std::fs::write(path("password"), password).unwrap();
    let config = format!(
        "storage: {{url: '{}', database: {}, user: default, password: {{file: {}}}}}\npricing: {{overrides: [{}]}}\n",
        target.url,
        target.database,
        path("password").display(),
        path("prices.yaml").display()
    );
    std::fs::write(path("collector.yaml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerline-collector"));
    command.arg("--config").arg(path("collector.yaml")).args([
        "reprice",
        "--from",
        "2020-01-01",
        "--to",
        "2100-01-01",
    ]);
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Waits until so many inserts were sealed.
async fn until_sealed(store: &Store, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let client = store.client();
        // The engine may just have been killed.
        let sealed = client.text(client.query("SELECT countIf(is_booked = 0) FROM sealed")).await;
        if sealed.is_ok_and(|text| text.trim().parse::<u64>().unwrap() >= count) {
            return;
        }
        assert!(Instant::now() < deadline, "{count} inserts were not sealed");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Scenario: calls whose model has another price; the command is killed each time it has sealed an insert and is about to send it, or
/// the engine is, in turns; then it runs to its end, and once more. `LEDGERLINE_REPRICE_CALLS` says how many calls (45,000);
/// `make bench-reprice` takes a million.
/// Guarantees: each call is booked once, the difference is that of plain arithmetic in every tier, and the last run books nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_books_once() {
    let calls: u64 =
        std::env::var("LEDGERLINE_REPRICE_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(45_000);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let engine = Engine::start(engine::config(data.clone()), Counter::default(), CancellationToken::new())
        .await
        .unwrap();
    let target = engine.target("ledgerline");
    let store = Store::open(target.clone()).await.unwrap();
    let published = PriceBook::embedded();
    let (mut picos, mut difference) = (0, 0);
    for first in (0..calls).step_by(50_000) {
        let rows = (first..calls.min(first + 50_000)).map(|number| {
            let (input, output) = (1_000 + number % 7, 100 + number % 3);
            let usage = format!(r#"{{"openai":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#);
            // A million in a day.
            let end_unix_ns = now_ns() - 2 * DAY_NS - number * 86_000_000;
            let base = of(number, "gpt-4.1", &[(Unit::InputUncached, input), (Unit::OutputText, output)]);
            // 2 and 8 dollars a million; the override says 3.
            picos += i128::from(input) * 2_000_000 + i128::from(output) * 8_000_000;
            difference += i128::from(input) * 1_000_000;
            row(
                &published,
                "default",
                Call { usage_object: usage, start_unix_ns: end_unix_ns - 900_000_000, end_unix_ns, ..base },
            )
        });
        write(&store, u128::from(first) + 1, rows.collect()).await;
    }
    assert_eq!(books(&store).await, (calls, 0, picos));
    std::fs::write(
        folder.path().join("prices.yaml"),
        file("openai", &format!("models:\n{}", model("gpt-4.1", "3", "0.5", "8"))),
    )
    .unwrap();

    let mut kills = 0;
    for round in 0..(calls / 10_000).min(6) {
        let mut command = command(&target, folder.path(), &[]).spawn().unwrap();
        until_sealed(&store, round + 1).await;
        if round % 2 == 1 {
            let engine = std::fs::read_to_string(data.join("engine.lock")).unwrap();
            assert!(Command::new("kill").args(["-9", engine.trim()]).status().unwrap().success());
        }
        command.kill().unwrap();
        command.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0);
    let begun = Instant::now();
    let output = command(&target, folder.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{calls} calls, the last run after {kills} kills took {:?}:\n{text}", begun.elapsed());
    assert!(output.status.success(), "{text}");
    assert!(text.contains("inserts of an earlier run were finished first"), "{text}");
    assert_eq!(books(&store).await, (calls, 0, picos + difference));
    assert_eq!(ask(&store, NOT_ONCE).await, "0");
    let by_hand = "SELECT count(), toInt128(sum(sign * cost) * 1000000000000) FROM corrections WHERE reason = 'reprice'";
    assert_eq!(ask(&store, by_hand).await, format!("{}\t{difference}", 2 * calls));
    let begun = Instant::now();
    let output = command(&target, folder.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("once more {:?}:\n{text}", begun.elapsed());
    assert!(text.contains("\n0 calls are booked anew"), "{text}");
    assert_eq!(ask(&store, by_hand).await, format!("{}\t{difference}", 2 * calls));
    engine.stop().await;
}
