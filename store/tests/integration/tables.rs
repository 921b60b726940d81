//! The store against the real engine: what is written is what is read, a repeat is counted once, and the tables are ours.

use std::sync::Arc;
use std::time::Duration;

use ledgerline_pricing::PriceBook;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_promql::source::SourceError;
use ledgerline_promql::{MemoryError, MemoryPool};
use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::{Condition, Conditions, Unit};
use ledgerline_store::Store;
use ledgerline_store::client::{Client, StoreError, at_most};
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::migrate::{MIGRATIONS, MigrateError, Migration, migrate};
use ledgerline_store::rows::{Row, Select, select};
use ledgerline_store::spans::{COLUMNS, SpanRow, unpriced_reason};
use ledgerline_store::sql::SqlRunner as _;
use ledgerline_store::usage_object::UsageObject;
use ledgerline_store::writer::{Batch, Writer, Written};
use tokio::time::Instant;

use crate::engine::{ask, storage, target};
use crate::spans::{TIERS, call, sums_of};

/// The rows of these calls, priced as ingest prices them.
pub fn rows(id: u128, numbers: std::ops::Range<u64>) -> Batch {
    let now = SystemClock.now_unix_ns();
    let prices = PriceBook::embedded();
    let version: Arc<str> = prices.version().to_string().into();
    let places = usize::try_from(numbers.end - numbers.start).unwrap();
    let row = |(place, number)| {
        let call = call(number, now);
        let bill = prices.bill(&call);
        SpanRow {
            place,
            tenant: "default".into(),
            unpriced_reason: unpriced_reason(bill.cost),
            role: ledgerline_store::spans::Role::Counts,
            bill,
            usage: UsageObject::split(r#"{"input_tokens":12,"details":{"cached":0}}"#),
            record: SpanRecord {
                duration_ns: call.end_unix_ns.checked_sub(call.start_unix_ns),
                call,
                observer: "ledgerline-agent".into(),
                observer_version: "1.2.3".into(),
                name: "chat".into(),
                attributes: vec![],
                attributes_dropped: 0,
            },
            price_version: Arc::clone(&version),
            batch_id: id,
            ingested_at_ms: i64::try_from(now / 1_000_000).unwrap(),
        }
    };
    Batch { id, places, spans: numbers.enumerate().map(row).collect(), quarantine: vec![] }
}

async fn write(storage: &Store, batch: &Batch) -> Written {
    let writer = Writer::new(storage.clone(), StoreMetrics::default());
    writer.write(batch, Instant::now() + Duration::from_secs(30)).await.unwrap()
}

/// Scenario: one request is inserted three times, as after lost answers; another one once.
/// Guarantees: spans and every rollup hold each call once, and their sums agree to the pico-dollar.
#[tokio::test]
async fn a_repeated_insert_is_counted_once_in_every_table() {
    let storage = storage("repeats").await;
    let first = rows(1, 0..5_000);
    for _ in 0..3 {
        assert_eq!(write(&storage, &first).await, Written { stored: 5_000, poisoned: vec![] });
    }
    write(&storage, &rows(2, 5_000..5_500)).await;
    let picos: i128 = first
        .spans
        .iter()
        .chain(&rows(2, 5_000..5_500).spans)
        .filter_map(|row| row.bill.cost.amount())
        .map(|cost| i128::from(cost.picos()))
        .sum();
    assert!(picos > 0);
    let spans = ask(&storage, &sums_of("spans")).await;
    assert!(spans.starts_with("5500\t"), "{spans}");
    let cost = spans.split('\t').nth(9).unwrap();
    assert_eq!(i128::from(cost.parse::<ledgerline_proto::PicoUsd>().unwrap().picos()), picos);
    for table in TIERS {
        assert_eq!(ask(&storage, &sums_of(table)).await, spans, "{table}");
    }
    // Merging the parts must not change a sum either.
    for table in
        ["spans", "calls_minute", "calls_quarter", "calls_day", "spend_minute", "spend_quarter", "spend_day"]
    {
        ask(&storage, &format!("OPTIMIZE TABLE {table} FINAL")).await;
    }
    for tier in TIERS {
        assert_eq!(ask(&storage, &sums_of(tier)).await, spans, "{tier} merged");
    }
}

/// Guarantees: every column the writer declares is read back as it was given, through the engine.
#[tokio::test]
async fn what_is_written_is_what_is_read() {
    let storage = storage("roundtrip").await;
    let mut batch = rows(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10, 0..2);
    let long = "x".repeat(300);
    {
        let record = &mut batch.spans[0].record;
        record.attributes = vec![("k".into(), "v\t'\u{e9}".into()), ("long".into(), long.clone())];
        record.call.finish_reasons = vec!["stop".into(), "length".into()];
        record.call.billing.reported_cost = Some("0.000000001".parse().unwrap());
        record.call.billing.conditions = Conditions::from_pairs([(Condition::Region, "eu")]);
        record.call.parent_span_id = ledgerline_proto::SpanId::from_hex("00f067aa0ba902b7");
        batch.spans[1].record.call.http_status = None;
    }
    write(&storage, &batch).await;
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let columns = ask(&storage, "SELECT arrayStringConcat(groupArray(name), ',') FROM system.columns WHERE database = 'roundtrip' AND table = 'spans' AND default_kind != 'ALIAS'").await;
    assert_eq!(columns, names.join(","));
    let query = Select {
        text: "SELECT hex(trace_id), hex(span_id), hex(parent_span_id), toString(is_call), model, status, toString(finish_reasons), \
               toString(http_status), toString(bill.unit), toString(bill.quantity), toString(cost), \
               toString(reported_cost), toString(bill.amount), toString(ttft_us), attrs['k'], toString(length(attrs['long'])), toString(batch_id), \
               toString(toUnixTimestamp64Micro(end_time)), toString(duration_us), user_id, toString(bill.rule), usage_source, \
               toString(conditions), usage_template, toString(usage_counts), observer, observer_version \
               FROM spans WHERE tenant = {tenant:String} AND trace_id = unhex({trace:String})".into(),
        parameters: vec![
            ("tenant".into(), "default".into()),
            ("trace".into(), format!("{:032x}", 1)),
        ],
        settings: vec![("max_execution_time", 10)],
        timeout: Duration::from_secs(10),
    };
    let answer: Vec<Row> = select(storage.client(), &query, at_most(1 << 20)).await.unwrap();
    let row = &batch.spans[0];
    let call = &row.record.call;
    let cost = row.bill.cost.amount().unwrap();
    let priced = row.bill.lines[0].price.as_ref().unwrap();
    let usage = call.usage.as_ref().unwrap();
    let expected = [
        format!("{:032X}", 1),
        format!("{:016X}", 1),
        "00F067AA0BA902B7".into(),
        "1".into(),
        "gpt-4.1".into(),
        "ok".into(),
        "['stop','length']".into(),
        "200".into(),
        "['input_uncached','output_text']".into(),
        format!("[{},{}]", usage.own.get(Unit::InputUncached), usage.own.get(Unit::OutputText)),
        cost.to_string().trim_end_matches('0').to_owned(),
        "0.000000001".into(),
        // 1 token at 2.00 and 1 at 8.00 USD per million.
        "[0.000002,0.000008]".into(),
        "0".into(),
        "v\t'\u{e9}".into(),
        long.len().to_string(),
        "01020304-0506-0708-090a-0b0c0d0e0f10".into(),
        (call.end_unix_ns / 1_000).to_string(),
        ((call.end_unix_ns - call.start_unix_ns) / 1_000).to_string(),
        "user-0".into(),
        format!("['{0}','{0}']", priced.rule),
        "provider".into(),
        "{'region':'eu'}".into(),
        r##"{"input_tokens":#,"details":{"cached":#}}"##.into(),
        "[12,0]".into(),
        "ledgerline-agent".into(),
        "1.2.3".into(),
    ];
    assert_eq!(answer, [expected]);
    let nulls = ask(&storage, "SELECT isNull(http_status), isNull(ttft_us), isNull(reported_cost), length(attrs['long']) FROM spans WHERE user_id = 'user-1'").await;
    assert_eq!(nulls, "1\t1\t1\t0");
}

/// Scenario: the store refuses two rows of a request for what they are.
/// Guarantees: the rest is stored, the two are in the quarantine with the store's reason, and a repeat changes nothing.
#[tokio::test]
async fn poison_goes_to_the_quarantine_and_the_rest_is_stored() {
    let storage = storage("poison").await;
    ask(
        &storage,
        "ALTER TABLE spans ADD CONSTRAINT no_poison CHECK response_id != 'r-3' AND response_id != 'r-70'",
    )
    .await;
    let batch = rows(9, 0..100);
    for _ in 0..2 {
        assert_eq!(write(&storage, &batch).await, Written { stored: 98, poisoned: vec![3, 70] });
        let spans = ask(&storage, &sums_of("spans")).await;
        assert!(spans.starts_with("98\t"), "{spans}");
        assert_eq!(ask(&storage, &sums_of("day")).await, spans);
        let quarantine = ask(&storage, "SELECT count(), any(reason), countIf(detail LIKE '%no_poison%'), countIf(payload LIKE '%checkout%') FROM quarantine").await;
        assert_eq!(quarantine, "2\tpoison\t2\t2");
    }
}

/// Scenario: somebody drops a view under a running collector, and makes it again.
/// Guarantees: the store is not ready for as long, and the reason names the view and the rollup that falls behind.
#[tokio::test]
async fn a_view_that_goes_missing_is_noticed() {
    let storage = storage("missing_view").await;
    storage.check_tables().await;
    storage.ready().unwrap();
    let create = ask(&storage, "SHOW CREATE TABLE calls_day_from_calls_quarter FORMAT TSVRaw").await;
    ask(&storage, "DROP TABLE calls_day_from_calls_quarter").await;
    storage.check_tables().await;
    let reason = storage.ready().unwrap_err();
    assert!(
        reason.contains("calls_day_from_calls_quarter is missing") && reason.contains("calls_day:"),
        "{reason}"
    );
    ask(&storage, &create).await;
    storage.check_tables().await;
    storage.ready().unwrap();
}

/// Scenario: a view of the operator's own fails on one row of a request; the operator drops the view, the sender repeats.
/// Guarantees: nothing is cut into parts or quarantined, and in the end spans and every rollup hold each call once.
#[tokio::test]
async fn a_view_that_fails_is_no_fault_of_the_rows() {
    let storage = storage("view").await;
    ask(&storage, "CREATE TABLE side (failed UInt8) ENGINE = MergeTree ORDER BY failed").await;
    ask(
        &storage,
        "CREATE MATERIALIZED VIEW broken TO side AS SELECT throwIf(response_id = 'r-3') AS failed FROM spans",
    )
    .await;
    let batch = rows(11, 0..100);
    let writer = Writer::new(storage.clone(), StoreMetrics::default());
    let error = writer.write(&batch, Instant::now() + Duration::from_secs(2)).await.unwrap_err();
    assert!(error.to_string().contains("while pushing to view"), "{error}");
    ask(&storage, "DROP VIEW broken").await;
    assert_eq!(write(&storage, &batch).await, Written { stored: 100, poisoned: vec![] });
    let spans = ask(&storage, &sums_of("spans")).await;
    assert!(spans.starts_with("100\t"), "{spans}");
    for table in TIERS {
        assert_eq!(ask(&storage, &sums_of(table)).await, spans, "{table}");
    }
    assert_eq!(ask(&storage, "SELECT count() FROM quarantine").await, "0");
}

fn client(database: &str) -> Client {
    Client::new(target(database)).unwrap()
}

/// Guarantees: migrations apply once, and a database that is not ours stops the collector with the reason.
#[tokio::test]
async fn migrations_apply_once_and_refuse_what_they_do_not_know() {
    let client = client("migrations");
    let names: Vec<&str> = MIGRATIONS.iter().map(|migration| migration.name).collect();
    assert_eq!(migrate(&client, MIGRATIONS).await.unwrap(), names);
    assert!(migrate(&client, MIGRATIONS).await.unwrap().is_empty());
    let (sql, name) = (MIGRATIONS[0].sql, MIGRATIONS[0].name);
    let changed = format!("{sql}\nSELECT 1;").leak();
    let error = migrate(&client, &[Migration { version: 1, name, sql: changed }]).await.unwrap_err();
    // The later ones are unknown to that list, which is found first.
    assert!(matches!(error, MigrateError::FromTheFuture { version: 2, .. }), "{error}");
    let mut list: Vec<Migration> = MIGRATIONS
        .iter()
        .map(|known| Migration { version: known.version, name: known.name, sql: known.sql })
        .collect();
    list[0].sql = changed;
    let error = migrate(&client, &list).await.unwrap_err();
    assert!(matches!(&error, MigrateError::Changed { name, .. } if name == "0001_spans"), "{error}");
    let show = client.query("SHOW CREATE TABLE calls_quarter_from_calls_minute FORMAT TSVRaw");
    let create = client.text(show).await.unwrap();
    client.text(client.query("DROP TABLE calls_quarter_from_calls_minute")).await.unwrap();
    let error = migrate(&client, MIGRATIONS).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::ViewMissing { view: "calls_quarter_from_calls_minute", .. }),
        "{error}"
    );
    client.text(client.query(&create)).await.unwrap();
    assert!(migrate(&client, MIGRATIONS).await.unwrap().is_empty());
    let off = "ALTER TABLE calls_quarter MODIFY SETTING non_replicated_deduplication_window = 0";
    client.text(client.query(off)).await.unwrap();
    let error = migrate(&client, MIGRATIONS).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::NoDeduplicationWindow { table } if table == "calls_quarter"),
        "{error}"
    );
    client.text(client.query("DROP TABLE calls_quarter")).await.unwrap();
    assert!(matches!(
        migrate(&client, MIGRATIONS).await,
        Err(MigrateError::TableMissing { table: "calls_quarter" })
    ));
}

/// The committed schema is what the migrations make. `LEDGERLINE_UPDATE=1` writes it anew.
#[tokio::test]
async fn the_committed_schema_is_what_the_migrations_make() {
    let storage = storage("ledgerline").await;
    let tables =
        ask(&storage, "SELECT name FROM system.tables WHERE database = 'ledgerline' ORDER BY name").await;
    let mut schema =
        String::from("-- Made by the test the_committed_schema_is_what_the_migrations_make; do not edit.\n");
    for table in tables.lines() {
        let create = ask(&storage, &format!("SHOW CREATE TABLE {table} FORMAT TSVRaw")).await;
        schema.push_str(&format!("\n{create};\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
    if std::env::var_os("LEDGERLINE_UPDATE").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, schema, "run the test with LEDGERLINE_UPDATE=1 and commit schema.sql");
}

/// Scenario: a quarter of an hour of calls in each hour of 100 days, of which the reports of another zone read some hours (`sql/statement.rs`).
/// Guarantees: the engine's primary key skips the others.
#[tokio::test]
async fn the_hours_of_a_day_are_found_by_the_key() {
    let storage = storage("hours").await;
    let rows = "INSERT INTO calls_quarter (tenant, bucket, team, calls) SELECT 'acme', toDateTime('2026-01-01 00:00:00', 'UTC') + intDiv(number, 200) * 3600, \
                toString(number % 200), 1 FROM numbers(480000)";
    ask(&storage, rows).await;
    let granules = async |condition: &str| {
        let plan = format!(
            "EXPLAIN indexes = 1 SELECT sum(calls) FROM calls_quarter WHERE tenant = 'acme' AND bucket >= toDateTime('2026-01-01', 'UTC') AND {condition}"
        );
        let plan = ask(&storage, &plan).await;
        let key = plan.split_once("PrimaryKey").unwrap().1;
        let (read, all) = key.split_once("Granules: ").unwrap().1.split_once('/').unwrap();
        let number = |text: &str| text.trim().lines().next().unwrap().parse::<u32>().unwrap();
        (number(read), number(all))
    };
    let (read, all) = granules("toHour(bucket) BETWEEN 23 AND 23").await;
    assert!(all > 400 && read < all / 2, "{read} of {all}");
    // Which is why it is said in hours.
    let (read, all) = granules("toUnixTimestamp(bucket) % 86400 >= 82800").await;
    assert_eq!(read, all);
}

/// Guarantees: a parameter is a value whatever it holds, and a query that exceeds its bounds is an error and not a part.
#[tokio::test]
async fn values_are_bound_and_bounds_hold() {
    let storage = storage("bounds").await;
    let text = "a'; DROP TABLE spans --\t\\ \n\r\n \0 \u{e9}";
    let query = Select {
        text: "SELECT {value:String}, toString({number:Int64})".into(),
        parameters: vec![("value".into(), text.into()), ("number".into(), "-5".into())],
        settings: vec![],
        timeout: Duration::from_secs(10),
    };
    assert_eq!(select::<Row>(storage.client(), &query, at_most(1 << 20)).await.unwrap(), [[text, "-5"]]);
    let modes = Select {
        text: "SELECT name, value FROM system.settings WHERE changed AND name IN \
               ('timeout_overflow_mode', 'read_overflow_mode', 'result_overflow_mode', 'group_by_overflow_mode')".into(),
        parameters: vec![],
        ..query.clone()
    };
    let modes: Vec<Row> = select(storage.client(), &modes, at_most(1 << 20)).await.unwrap();
    assert!(modes.len() == 4 && modes.iter().all(|mode| mode[1] == "throw"), "{modes:?}");
    assert!(matches!(
        select::<Row>(storage.client(), &query, at_most(10)).await,
        Err(StoreError::TooLarge(10))
    ));
    let mut held = MemoryPool::new(100).share_of(10).charge(0).unwrap();
    let refused = storage.rows(&query, &mut held).await.unwrap_err();
    assert!(matches!(refused, SourceError::Memory(MemoryError::Query(10))), "{refused}");
    let write =
        Select { text: "INSERT INTO quarantine (tenant) SELECT 'x'".into(), parameters: vec![], ..query };
    let refused = select::<Row>(storage.client(), &write, at_most(1 << 20)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Exception { .. }), "{refused}");
    assert_eq!(ask(&storage, "SELECT count() FROM quarantine").await, "0");
    let slow = Select {
        text: "SELECT toString(sum(sleepEachRow(0.1))) FROM numbers(10000) SETTINGS max_block_size = 1"
            .into(),
        parameters: vec![],
        settings: vec![("max_execution_time", 1)],
        timeout: Duration::from_secs(600),
    };
    let late = select::<Row>(storage.client(), &slow, at_most(1 << 20)).await.unwrap_err();
    assert!(matches!(late, StoreError::Exception { code: 159, .. }), "TIMEOUT_EXCEEDED: {late}");
}
