//! The spend of months, days and hours of other time zones, as a report and as a file, against arithmetic and against SQL.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ledgerline_collector::finance::csv::csv;
use ledgerline_collector::finance::http::{SpendBody, by};
use ledgerline_collector::finance::period::{Period, Step, zone};
use ledgerline_collector::finance::spend::{Question, Spend, Sums, spend};
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::clock::ManualClock;
use ledgerline_promql::MemoryPool;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_store::Store;
use ledgerline_store::sql::SqlSource;

use crate::engine;

/// 2026-11-28 05:06:07 UTC. The calls ended a year before and are read from what is kept without end.
const NOW_US: i64 = 1_795_842_367_000_000;

fn querier(store: &Store) -> Querier {
    let clock = Arc::new(ManualClock::at(NOW_US.unsigned_abs() * 1000));
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let source = SqlSource::new(store.clone(), clock);
    Querier::new(Arc::new(source), MemoryPool::new(MEMORY_BYTES_DEFAULT), metrics)
}

fn question(period: Period, names: &str) -> Question {
    Question {
        period,
        step: None,
        tables: vec![by(names).unwrap()],
        has_lines: true,
        selector: "{team!=\"none\"}".parse().unwrap(),
    }
}

async fn asked(querier: &Querier, question: Question) -> Spend {
    let scope = querier.scope(Tenant("acme".into()), Duration::from_secs(60));
    spend(querier, &scope, question, Timestamp::from_microsecond(NOW_US).unwrap()).await.unwrap()
}

/// Tenant, end, team, model, status, usage source, why it is unpriced, lines of unit, quantity and dollars; for a correction a sign.
type Booked<'a> = (&'a str, &'a str, [&'a str; 5], &'a [(&'a str, u64, &'a str)], i8);

async fn book(store: &Store, booked: &[Booked<'_>]) {
    for (at, (tenant, end, [team, model, status, source, unpriced], lines, sign)) in booked.iter().enumerate()
    {
        let list =
            |of: &dyn Fn(&(&str, u64, &str)) -> String| lines.iter().map(of).collect::<Vec<_>>().join(", ");
        let (table, more, values) = match sign {
            0 => ("spans", "is_call", "1".to_owned()),
            sign => ("corrections", "sign, reason", format!("{sign}, 'reprice'")),
        };
        let statement = format!(
            "INSERT INTO {table} (tenant, end_time, trace_id, team, model, status, usage_source, unpriced_reason, bill.model, bill.unit, \
             bill.quantity, bill.amount, {more}) SELECT '{tenant}', parseDateTime64BestEffort('{end}', 6, 'UTC'), '{at:016}', '{team}', '{model}', \
             '{status}', '{source}', '{unpriced}', [{}], [{}], [{}], CAST([{}], 'Array(Nullable(Decimal(18, 12)))'), {values}",
            list(&|_| format!("'{model}'")),
            list(&|(unit, ..)| format!("'{unit}'")),
            list(&|(_, quantity, _)| quantity.to_string()),
            list(&|(.., usd)| if usd.is_empty() {
                "NULL".to_owned()
            } else {
                format!("toDecimal64('{usd}', 12)")
            }),
        );
        engine::ask(store, &statement).await;
    }
}

const AROUND_OCTOBER: [Booked<'static>; 11] = [
    (
        "acme",
        "2025-09-30T22:00:00Z",
        ["search", "m1", "ok", "provider", ""],
        &[("input_uncached", 7, "7")],
        0,
    ),
    (
        "acme",
        "2025-09-30T22:00:00.000001Z",
        ["search", "m1", "ok", "provider", ""],
        &[("input_uncached", 100, "0.0001"), ("output_text", 10, "0.00005")],
        0,
    ),
    (
        "acme",
        "2025-10-15T12:00:00Z",
        ["search", "m2", "error", "provider", "unknown_model"],
        &[("input_uncached", 5, "")],
        0,
    ),
    (
        "acme",
        "2025-10-20T12:00:00Z",
        ["=1+1", "m1", "ok", "sender", ""],
        &[("input_uncached", 1, "0.000000000001")],
        0,
    ),
    (
        "acme",
        "2025-10-26T00:30:00Z",
        ["support", "m1", "ok", "provider", ""],
        &[("web_search", 2, "0.02")],
        0,
    ),
    (
        "acme",
        "2025-10-26T00:30:00Z",
        ["support", "m1", "ok", "provider", ""],
        &[("web_search", 2, "0.02")],
        -1,
    ),
    (
        "acme",
        "2025-10-26T00:30:00Z",
        ["support", "m1", "ok", "provider", ""],
        &[("web_search", 2, "0.01")],
        1,
    ),
    (
        "acme",
        "2025-10-31T23:00:00Z",
        ["search", "m1", "ok", "estimated", ""],
        &[("output_text", 20, "0.0001")],
        0,
    ),
    (
        "acme",
        "2025-10-31T23:00:00.000001Z",
        ["search", "m1", "ok", "provider", ""],
        &[("input_uncached", 8, "8")],
        0,
    ),
    ("acme", "2025-10-15T12:00:00Z", ["none", "m1", "ok", "provider", ""], &[("input_uncached", 9, "9")], 0),
    (
        "globex",
        "2025-10-15T12:00:00Z",
        ["search", "m1", "ok", "provider", ""],
        &[("input_uncached", 99, "99")],
        0,
    ),
];

/// Scenario: October 2025 of Berlin, which has 745 hours, of two tenants: calls that end at its first and last moments and just beside
/// them, one without a price, one that was repriced, one that another program counted, and a team whose name is a formula.
/// Guarantees: the file is, byte by byte, what a person adds up; so are the totals of the report.
#[tokio::test]
async fn a_month_is_a_file() {
    let store = engine::storage("finance_month").await;
    book(&store, &AROUND_OCTOBER).await;
    let querier = querier(&store);
    let october = || Period::month("2025-10", zone("Europe/Berlin").unwrap()).unwrap();
    let spend = asked(&querier, question(october(), "team,model")).await;
    let file = String::from_utf8(csv(&spend, &spend.tables[0]).unwrap()).unwrap();
    let wanted = "team,model,cost_usd,estimated_usd,sender_usd,corrections_usd,calls,failed_calls,unpriced_calls,input_uncached,\
                  input_uncached_usd,output_text,output_text_usd,web_search,web_search_usd\n\
                  '=1+1,m1,0.000000000001,0.000000000000,0.000000000001,0.000000000000,1,0,0,1,0.000000000001,0,0.000000000000,0,0.000000000000\n\
                  search,m1,0.000250000000,0.000100000000,0.000000000000,0.000000000000,2,0,0,100,0.000100000000,30,0.000150000000,0,0.000000000000\n\
                  search,m2,0.000000000000,0.000000000000,0.000000000000,0.000000000000,1,1,1,5,0.000000000000,0,0.000000000000,0,0.000000000000\n\
                  support,m1,0.010000000000,0.000000000000,0.000000000000,-0.010000000000,1,0,0,0,0.000000000000,0,0.000000000000,2,0.010000000000\n";
    assert_eq!(file, wanted.replace('\n', "\r\n"));
    let body = serde_json::to_value(SpendBody::of(&spend)).unwrap();
    assert_eq!(body["from"], "2025-10-01T00:00:00+02:00");
    assert_eq!((&body["to"], &body["through"]), (&body["through"], &"2025-11-01T00:00:00+01:00".into()));
    assert_eq!(body["total"]["cost_usd"], "0.010250000001");
    assert_eq!((&body["total"]["calls"], &body["total"]["unpriced_calls"]), (&5.into(), &1.into()));
    assert_eq!(body["total"]["lines"]["output_text"]["quantity"], 30);
    // Without the lines the same sums.
    let sums = asked(&querier, Question { has_lines: false, ..question(october(), "team,model") }).await;
    let Sums { cost, estimated, by_sender, corrections, calls, failed, unpriced, lines } = &sums.total;
    assert_eq!((*cost, *estimated, *by_sender), (10_250_000_001, 100_000_000, 1));
    assert_eq!((*corrections, *calls, *failed, *unpriced, lines.len()), (-10_000_000_000, 5, 1, 1, 0));
    assert_eq!(sums.tables[0].rows.len(), 4);
    assert_eq!(serde_json::to_value(SpendBody::of(&sums)).unwrap()["total"].get("lines"), None);
    // Two tables of one reading.
    let tables = vec![by("team").unwrap(), by("provider,model").unwrap()];
    let two = asked(&querier, Question { tables, ..question(october(), "") }).await;
    let rows = |at: usize| two.tables[at].rows.iter().map(|row| (row.values.join("/"), row.sums.cost));
    let by_team = [("=1+1", 1), ("search", 250_000_000), ("support", 10_000_000_000)];
    assert_eq!(rows(0).collect::<Vec<_>>(), by_team.map(|(team, picos)| (team.to_owned(), picos)));
    assert_eq!(rows(1).collect::<Vec<_>>(), [("/m1".to_owned(), 10_250_000_001), ("/m2".to_owned(), 0)]);
    assert_eq!(two.total, spend.total);
    // A unit of a newer version is in the sums, and said to have no line.
    assert_eq!(spend.notices, Vec::<String>::new());
    let of_newer = [(
        "globex",
        "2025-10-15T12:00:00Z",
        ["x", "m1", "ok", "provider", ""],
        &[("dream", 1, "0.5")][..],
        0,
    )];
    book(&store, &of_newer).await;
    let scope = querier.scope(Tenant("globex".into()), Duration::from_secs(60));
    let now = Timestamp::from_microsecond(NOW_US).unwrap();
    let newer = ledgerline_collector::finance::spend::spend(&querier, &scope, question(october(), ""), now)
        .await
        .unwrap();
    assert_eq!(newer.total.cost, 99_500_000_000_000);
    assert!(newer.notices[0].contains("\"dream\""), "{:?}", newer.notices);
    assert_eq!(body["tables"][0]["rows"][2]["labels"]["team"], "search");

    let daily = Question { step: Some(Step::Day), ..question(october(), "") };
    let days = asked(&querier, daily).await;
    let calls: Vec<(usize, i128)> =
        days.parts.iter().map(|day| day.calls).enumerate().filter(|(_, calls)| *calls > 0).collect();
    // The first, the 15th, the 20th, the 26th, the last.
    assert_eq!(calls, [(0, 1), (14, 1), (19, 1), (25, 1), (30, 1)]);
    assert_eq!((days.parts.len(), &days.total), (31, &spend.total));
    let file = String::from_utf8(csv(&days, &days.tables[0]).unwrap()).unwrap();
    let begins: Vec<&str> = file.lines().map(|line| line.split(',').next().unwrap()).collect();
    let on = ["2025-10-01T00:00:00+02:00", "2025-10-26T00:00:00+02:00", "2025-10-31T00:00:00+01:00"];
    assert_eq!([begins[0], begins[1], begins[4], begins[5]], ["from", on[0], on[1], on[2]]);
}

/// Guarantees: grouped by the status, which the statement of the calls has a column for as well, failed calls stand with `error` alone, and the
/// rows add up to the month.
#[tokio::test]
async fn failed_calls_stand_with_their_status() {
    let store = engine::storage("finance_status").await;
    book(&store, &AROUND_OCTOBER).await;
    let october = Period::month("2025-10", zone("Europe/Berlin").unwrap()).unwrap();
    let spend = asked(&querier(&store), question(october, "status")).await;
    let rows = spend.tables[0].rows.iter().map(|row| {
        let Sums { cost, calls, failed, unpriced, .. } = row.sums;
        (row.values.join("/"), [cost, calls, failed, unpriced])
    });
    let wanted = [("error", [0, 1, 1, 1]), ("ok", [10_250_000_001, 4, 0, 0])];
    assert_eq!(rows.collect::<Vec<_>>(), wanted.map(|(status, sums)| (status.to_owned(), sums)));
}

/// Scenario: 3,000 calls over two years, taken back or repriced now and then; months, weeks, days and hours of six time zones.
/// Guarantees: each part of each report is the sum of the calls that ended in it, and the parts add up to the whole.
#[tokio::test]
async fn every_part_is_the_sum_of_its_calls() {
    let store = engine::storage("finance_parts").await;
    let begin_us = NOW_US - 800 * 86_400_000_000;
    // As many calls in SQL as in the test, of their number alone: when they end, and their pico-dollars.
    engine::ask(
        &store,
        &format!(
            "INSERT INTO spans (tenant, end_time, trace_id, team, model, usage_source, bill.model, bill.unit, bill.quantity, bill.amount, is_call) \
             SELECT 'acme', fromUnixTimestamp64Micro({begin_us} + toInt64((number * 7919 % 3001) * 18000000000 + number % 3 * 450000000), 'UTC'), \
             toFixedString(leftPad(toString(number), 16, '0'), 16), ['a', 'b', 'c'][number % 3 + 1], 'm', 'provider', ['m'], ['output_text'], \
             [toInt64(number)], CAST([reinterpret(toInt64(1000003 * number), 'Decimal(18, 12)')], 'Array(Nullable(Decimal(18, 12)))'), 1 FROM numbers(3000) \
             SETTINGS max_partitions_per_insert_block = 0"
        ),
    )
    .await;
    let calls: Vec<(i64, i128)> = (0..3000_i64)
        .map(|at| {
            (
                begin_us + (at * 7919 % 3001) * 18_000_000_000 + at % 3 * 450_000_000,
                i128::from(1_000_003 * at),
            )
        })
        .collect();
    // Ends move to a quarter of an hour where nothing finer is kept: none of these zones has an edge that is not one.
    let quarter = |us: i64| -(-us).div_euclid(900_000_000) * 900_000_000;
    let querier = querier(&store);
    for (name, step, from, to) in [
        ("Europe/Berlin", Step::Day, "2025-01-15", "2026-06-01"),
        ("America/St_Johns", Step::Month, "2024-12-01", "2026-08-01"),
        ("Asia/Kathmandu", Step::Week, "2025-03-05", "2026-03-04"),
        ("Australia/Lord_Howe", Step::Hour, "2025-10-01", "2025-10-20"),
        ("America/New_York", Step::Day, "2025-10-20T03:15:00-04:00", "2025-11-20T17:30:00-05:00"),
        ("Africa/Cairo", Step::Day, "2025-04-20", "2025-05-03"),
        // Longer than there may be parts.
        ("Asia/Kolkata", Step::Month, "2023-01-01", "2026-08-01"),
    ] {
        let period = Period::between(from, to, zone(name).unwrap()).unwrap();
        let asked = asked(&querier, Question { step: Some(step), ..question(period, "team") }).await;
        let mut whole = 0;
        for (at, ends) in asked.boundaries.windows(2).enumerate() {
            let inside = |us: i64| us > ends[0] * 1000 && us <= ends[1] * 1000;
            let wanted: Vec<i128> =
                calls.iter().filter(|(us, _)| inside(quarter(*us))).map(|(_, picos)| *picos).collect();
            let (sum, count) = (wanted.iter().sum::<i128>(), i128::try_from(wanted.len()).unwrap());
            let found = &asked.parts[at];
            assert_eq!((found.cost, found.calls), (sum, count), "{name}, {step:?} {at}");
            whole += sum;
        }
        assert_eq!(asked.total.cost, whole, "{name}");
        assert!(whole > 0 && asked.tables[0].rows.len() == 3, "{name}");
        assert_eq!(asked.notices, Vec::<String>::new(), "{name}");
    }
}
