//! The ledger against plain arithmetic: what calls and corrections add up to is what every tier says, over any window.

use std::collections::BTreeMap;
use std::time::Duration;

use ledgerline_proto::{Bill, Cost, Line, LinePrice, NotBilled, PicoUsd, Unit, UnpricedReason};
use ledgerline_store::Store;
use ledgerline_store::corrections::{CorrectionRow, Reason, Sign};
use ledgerline_store::ledger::{Action, Change};
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::sealed::Sealed;
use ledgerline_store::spans::{Role, SpanRow, unpriced_reason};
use ledgerline_store::writer::Writer;
use tokio::time::Instant;

use crate::engine::{ask, storage};
use crate::tables::rows;

const QUARTER_US: i64 = 900_000_000;
const DAY_US: i64 = 86_400_000_000;
const SEED: u64 = 0x5eed_1ed9;

/// A small generator of random numbers; the seed is in every message.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) % below
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.next(list.len() as u64)).unwrap()]
    }
}

/// A bill of up to four lines, of which one may be another model's; one in six has no price.
fn bill(random: &mut Random) -> Bill {
    let is_priced = random.next(6) > 0;
    let units = [Unit::InputUncached, Unit::CacheRead, Unit::OutputText, Unit::WebSearch, Unit::InputAudioMs];
    let mut lines = Vec::new();
    for _ in 0..random.next(5) {
        let amount = PicoUsd::from_picos(i64::try_from(random.next(900_000_000_000)).unwrap()).unwrap();
        let price = is_priced.then(|| LinePrice { amount, rule: "openai/gpt-5@2026-01-01".into() });
        let model = random.pick(&["gpt-5", "gpt-5", "gpt-5-mini"]).into();
        lines.push(Line { model, unit: random.pick(&units), quantity: 1 + random.next(1_000_000), price });
    }
    let amounts = lines.iter().filter_map(|line| line.price.as_ref()).map(|price| price.amount.picos());
    let cost = match is_priced {
        true => Cost::Known(PicoUsd::from_picos(amounts.sum()).unwrap()),
        false => Cost::Unpriced(random.pick(&[UnpricedReason::UnknownModel, UnpricedReason::OtherModel])),
    };
    Bill { model: "gpt-5".into(), lines, cost, rounded: 0 }
}

/// Calls within a month before now, some on the edges of buckets.
fn calls(random: &mut Random, id: u128, count: u64) -> Vec<SpanRow> {
    // Ids of their own: two rows with one id and one end would be one row once merged.
    let first = 1000 * u64::try_from(id).unwrap();
    let mut batch = rows(id, first..first + count);
    for row in &mut batch.spans {
        row.bill = bill(random);
        row.unpriced_reason = unpriced_reason(row.bill.cost);
        let call = &mut row.record.call;
        let back_us = random.pick(&[60_000_000, 3_600_000_000, 86_400_000_000, 2_500_000_000_000]);
        let end_us = call.end_unix_ns / 1000 - random.next(back_us);
        let edge_us = random.pick(&[1, 1, 60_000_000, 900_000_000, 86_400_000_000]);
        call.end_unix_ns = (end_us - end_us % edge_us) * 1000;
    }
    batch.spans
}

/// Of some calls that they are taken back, and of some of these that they are booked otherwise.
fn corrections(random: &mut Random, spans: &[SpanRow]) -> Vec<CorrectionRow> {
    let mut out = Vec::new();
    for span in spans {
        let reason = random.pick(&[Reason::Repeat, Reason::Wrapper, Reason::Reprice]);
        if random.next(4) > 0 {
            continue;
        }
        out.push(CorrectionRow::of(span, Sign::TakesBack, reason));
        if reason == Reason::Reprice {
            let bill = bill(random);
            let unpriced_reason = unpriced_reason(bill.cost);
            out.push(CorrectionRow { bill, unpriced_reason, ..CorrectionRow::of(span, Sign::Books, reason) });
        }
    }
    out
}

/// What is booked of one call: when, with which sign, and its bill.
struct Booked<'a> {
    end_us: i64,
    sign: i128,
    bill: &'a Bill,
    duration: bool,
}

/// By model and unit: quantity, pico-dollars and lines; under an empty unit calls, unpriced calls and known durations.
type Sums = BTreeMap<(String, String), [i128; 3]>;

fn expected(booked: &[Booked<'_>], window: (i64, i64)) -> Sums {
    let mut sums = Sums::new();
    for Booked { sign, bill, duration, .. } in
        booked.iter().filter(|of| of.end_us > window.0 && of.end_us <= window.1)
    {
        let mut add = |model: &str, unit: &str, values: [i128; 3]| {
            let sum = sums.entry((model.to_owned(), unit.to_owned())).or_default();
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += sign * value);
        };
        let unpriced = matches!(bill.cost, Cost::Unpriced(_));
        add(&bill.model, "", [1, i128::from(unpriced), i128::from(*duration)]);
        for line in &bill.lines {
            let picos = line.price.as_ref().map_or(0, |price| price.amount.picos());
            add(&line.model, line.unit.name(), [line.quantity.into(), picos.into(), 1]);
        }
    }
    sums
}

async fn stored(storage: &Store, tier: &str, (low, high): (i64, i64)) -> Sums {
    // A rollup's bucket is named by its start, the record by its end.
    let within = match tier {
        "record" => format!(
            "end_time > fromUnixTimestamp64Micro({low}) AND end_time <= fromUnixTimestamp64Micro({high})"
        ),
        _ => format!(
            "bucket >= toDateTime({}, 'UTC') AND bucket < toDateTime({}, 'UTC')",
            low / 1_000_000,
            high / 1_000_000
        ),
    };
    let text = ask(
        storage,
        &format!(
            "SELECT model, unit, sum(quantity), toInt128(sum(amount) * 1000000000000), sum(lines) FROM spend_{tier} \
             WHERE tenant = 'default' AND {within} GROUP BY model, unit \
             UNION ALL SELECT model, '', sum(calls), sumIf(calls, unpriced_reason != ''), sum(arraySum(mapValues(duration_buckets))) \
             FROM calls_{tier} WHERE tenant = 'default' AND {within} GROUP BY model"
        ),
    )
    .await;
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| fields[at].parse::<i128>().unwrap();
        ((fields[0].to_owned(), fields[1].to_owned()), [number(2), number(3), number(4)])
    };
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

/// Scenario: random calls and corrections, each request written twice; then random windows of whole buckets.
/// Guarantees: for every model and unit, bills with their corrections add up to the same quantities, pico-dollars and lines in the record,
/// by minute, by quarter of an hour and by day, and so do the calls; that is what plain arithmetic says.
#[tokio::test]
async fn bills_and_corrections_add_up_alike_in_every_tier() {
    let storage = storage("ledger").await;
    let mut random = Random(SEED);
    let writer = Writer::new(storage.clone(), StoreMetrics::default());
    let mut written = Vec::new();
    for id in 1..=4_u128 {
        let spans = calls(&mut random, id, 500);
        let corrections = corrections(&mut random, &spans);
        let deadline = Instant::now() + Duration::from_secs(30);
        let batch = ledgerline_store::writer::Batch { id, places: spans.len(), spans, quarantine: vec![] };
        for _ in 0..2 {
            writer.write(&batch, deadline).await.unwrap();
            writer.book(&Sealed::of(id, &corrections), 0, deadline).await.unwrap();
        }
        written.push((batch.spans, corrections));
    }
    let us = |ns: u64| i64::try_from(ns / 1000).unwrap();
    let mut booked = Vec::new();
    for (spans, corrections) in &written {
        booked.extend(spans.iter().map(|row| Booked {
            end_us: us(row.record.call.end_unix_ns),
            sign: 1,
            bill: &row.bill,
            duration: row.record.duration_ns.is_some(),
        }));
        booked.extend(corrections.iter().map(|row| Booked {
            end_us: us(row.end_unix_ns),
            sign: if row.sign == Sign::TakesBack { -1 } else { 1 },
            bill: &row.bill,
            duration: row.duration_us.is_some(),
        }));
    }
    let last = booked.iter().map(|of| of.end_us).max().unwrap();
    let mut compared = 0;
    for at in 0..60 {
        let (bucket, tiers) = match at % 3 {
            0 => (60_000_000, &["record", "minute"][..]),
            1 => (QUARTER_US, &["record", "minute", "quarter"][..]),
            _ => (DAY_US, &["record", "minute", "quarter", "day"][..]),
        };
        let reach = u64::try_from(31 * DAY_US / bucket).unwrap();
        let back = |random: &mut Random| i64::try_from(random.next(reach)).unwrap() * bucket;
        let high = (last / bucket + 1) * bucket - if random.next(2) == 0 { 0 } else { back(&mut random) };
        let window = (high - bucket - back(&mut random), high);
        let wanted = expected(&booked, window);
        compared += wanted.len();
        for tier in tiers {
            let found = stored(&storage, tier, window).await;
            assert_eq!(found, wanted, "seed {SEED:#x}, {tier}, window {window:?}");
        }
    }
    assert!(compared > 200, "only {compared} sums were compared");
}

/// Guarantees: times fall into the bucket whose end is at or above them, and the ends that dashboards name are exact: 10 ms, 20 ms,
/// 40 ms ... 81.92 s. A time of 0 is in the lowest that there is.
#[tokio::test]
async fn buckets_end_where_they_should() {
    let storage = storage("buckets").await;
    // Every eighth bucket is twice as long: bucket b ends at 10 ms * 2^(b/8), worked out by hand.
    let known = [
        (0, -106),
        (1, -106),
        (2, -98),
        (5_000, -8),
        (5_001, -7),
        (10_000, 0),
        (10_001, 1),
        (10_905, 1),
        (10_906, 2),
        (20_000, 8),
        (20_001, 9),
        (40_000, 16),
        (81_920_000, 104),
        (81_920_001, 105),
    ];
    for (us, bucket) in known {
        ask(
            &storage,
            &format!(
                "INSERT INTO spans (tenant, end_time, is_call, duration_us) VALUES ('{us}', '2026-11-27 12:00:30', 1, {us})"
            ),
        )
        .await;
        for tier in ["record", "minute", "day"] {
            let found =
                ask(&storage, &format!("SELECT duration_buckets FROM calls_{tier} WHERE tenant = '{us}'"))
                    .await;
            assert_eq!(found, format!("{{{bucket}:1}}"), "{us} us by {tier}");
        }
    }
}

/// A line of gpt-5 of so many tokens, for so many pico-dollars where it is priced.
fn line(quantity: u64, picos: Option<i64>) -> Line {
    let price =
        |picos| LinePrice { amount: PicoUsd::from_picos(picos).unwrap(), rule: "openai/gpt-5".into() };
    Line { model: "gpt-5".into(), unit: Unit::OutputText, quantity, price: picos.map(price) }
}

fn booked_as(action: Action, rows: &[SpanRow]) -> Vec<Change> {
    let change = |row: &SpanRow| Change {
        trace_id: row.record.call.trace_id,
        span_id: row.record.call.span_id,
        end_unix_ns: row.record.call.end_unix_ns / 1_000 * 1_000,
        action,
    };
    rows.iter().map(change).collect()
}

/// Scenario: three calls are stored as repeats, one priced, one of a model without a price, one that its provider bills nothing for and
/// that has no usage; later each turns out to be a call of its own, and then to be a repeat after all.
/// Guarantees: each is booked with its own bill: its cost, its reason why there is none, or a true 0; and taken back the same.
#[tokio::test]
async fn what_is_booked_later_is_booked_as_it_would_have_been() {
    let storage = storage("later").await;
    let mut batch = rows(1, 0..3);
    let bills = [
        (
            vec![line(7, Some(70_000_000)), line(2, Some(5))],
            Cost::Known(PicoUsd::from_picos(70_000_005).unwrap()),
        ),
        (vec![line(9, None)], Cost::Unpriced(UnpricedReason::UnknownModel)),
        (vec![], Cost::NotBilled(NotBilled::HttpError)),
    ];
    for (row, (lines, cost)) in batch.spans.iter_mut().zip(bills) {
        row.role = Role::Repeat;
        row.bill = Bill { model: "gpt-5".into(), lines, cost, rounded: 0 };
        row.unpriced_reason = unpriced_reason(cost);
    }
    batch.spans[2].record.call.usage = None;
    let writer = Writer::new(storage.clone(), StoreMetrics::default());
    writer.write(&batch, Instant::now() + Duration::from_secs(30)).await.unwrap();
    let stored = "SELECT arrayStringConcat(groupArray(concat(uncounted, ' ', unpriced_reason, ' ', not_billed)), ','), countIf(cost IS NULL) \
        FROM (SELECT uncounted, unpriced_reason, not_billed, cost FROM spans ORDER BY span_id)";
    assert_eq!(ask(&storage, stored).await, "repeat  ,repeat unknown_model ,repeat  http_error\t3");
    storage.change(2, "default", &booked_as(Action::Book(Reason::Repeat), &batch.spans)).await.unwrap();
    let booked = "SELECT reason, sign, ifNull(toString(cost), unpriced_reason) FROM corrections ORDER BY booked_at, span_id";
    let book = "repeat\t1\t0.000070000005\nrepeat\t1\tunknown_model\nrepeat\t1\t0";
    assert_eq!(ask(&storage, booked).await, book);
    let calls = "SELECT sum(calls), sumIf(calls, unpriced_reason != ''), (SELECT toString(sum(amount)) FROM spend_day) FROM calls_day";
    assert_eq!(ask(&storage, calls).await, "3\t1\t0.000070000005");
    storage.change(3, "default", &booked_as(Action::TakeBack(Reason::Wrapper), &batch.spans)).await.unwrap();
    let both = "wrapper\t-1\t0.000070000005\nwrapper\t-1\tunknown_model\nwrapper\t-1\t0";
    assert_eq!(ask(&storage, booked).await, format!("{book}\n{both}"));
    assert_eq!(ask(&storage, calls).await, "0\t0\t0");
}

/// Scenario: the views of `corrections` are away while calls are taken back, as when the engine is killed between a table and its views;
/// the same is tried again when they are back, and once more. Then likewise the calls are booked again.
/// Guarantees: the second attempt brings the rollups what the first would have, though the first one's rows are in the table.
#[tokio::test]
async fn a_change_that_was_cut_off_before_the_views_is_completed_by_its_repeat() {
    let storage = storage("cut_change").await;
    let batch = rows(1, 240..280);
    let writer = Writer::new(storage.clone(), StoreMetrics::default());
    writer.write(&batch, Instant::now() + Duration::from_secs(30)).await.unwrap();
    let sums = async |tier: &str| {
        let sums = format!(
            "SELECT sum(calls), sum(duration_us_sum), (SELECT sum(quantity), toString(sum(amount)), sum(lines) FROM spend_{tier}) FROM calls_{tier}"
        );
        ask(&storage, &sums).await
    };
    let whole = sums("record").await;
    assert!(whole.starts_with("40\t"), "{whole}");
    let some = &batch.spans[5..30];
    for (id, action, calls) in [
        (2, Action::TakeBack(Reason::Repeat), 15),
        (3, Action::Book(Reason::Repeat), 40),
        (4, Action::TakeBack(Reason::Wrapper), 15),
    ] {
        let changes = booked_as(action, some);
        let before = sums("day").await;
        ask(&storage, "DETACH TABLE bookings_from_corrections SYNC").await;
        storage.change(id, "default", &changes).await.unwrap();
        ask(&storage, "ATTACH TABLE bookings_from_corrections").await;
        let record = sums("record").await;
        assert!(record.starts_with(&format!("{calls}\t")), "{action:?}: {record}");
        assert_eq!(sums("day").await, before, "{action:?} was cut off");
        for repeat in 0..3 {
            // By the request that is repeated, or by the start of the next collector.
            if (id + repeat) % 2 == 0 {
                storage.change(id, "default", &changes).await.unwrap();
            } else {
                storage.complete_changes().await.unwrap();
            }
            for tier in ["record", "minute", "quarter", "day"] {
                assert_eq!(sums(tier).await, record, "{action:?} by {tier}");
            }
        }
    }
    assert_eq!(ask(&storage, "SELECT count() FROM corrections").await, "125");
}
