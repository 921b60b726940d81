//! What an insert costs the engine, against the tables of the first version: CPU a row and bytes a call. Run with `make bench-store`.
//!
//! Both get the same calls in the same minute as sorted blocks of 50,000 rows, as Native bytes with their dictionaries; the engine's
//! process time is read around each insert, in turns, with merges off. Then everything is merged and weighed.

use bytes::Bytes;
use ledgerline_pricing::PriceBook;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::{Condition, Conditions, Quantities, Unit, Usage, UsageSource};
use ledgerline_store::Store;
use ledgerline_store::client::{Client, Insert, at_most};
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::spans::{COLUMNS, SpanRow, unpriced_reason};
use ledgerline_store::usage_object::UsageObject;
use ledgerline_store::writer::{Batch, Writer};
use tokio::time::{Duration, Instant};

use crate::engine::{ask, storage, target};
use crate::tables::rows;

const ROWS: u64 = 50_000;
const SERIES: u64 = 480;
const ROUNDS: u64 = 21;
/// What DESIGN.md allows, as parts of the first version's.
const BARS: (f64, f64) = (1.2, 1.3);

/// A row of the first version from one of ours: cost in nano-dollars, tokens in columns.
const FIRST: &str = "tenant, start_time, end_time, trace_id, span_id, parent_span_id, is_call, name, service, environment, team, \
    feature, provider, model, operation, status, error_type, request_model, response_model, response_id, stream, finish_reasons, \
    end_of_stream, http_status, toUInt64(bill.quantity[indexOf(bill.unit, 'input_uncached')]) AS tokens_input_uncached, \
    toUInt64(bill.quantity[indexOf(bill.unit, 'cache_read')]) AS tokens_cache_read, toUInt64(0) AS tokens_cache_write_5m, \
    toUInt64(0) AS tokens_cache_write_30m, toUInt64(0) AS tokens_cache_write_1h, toUInt64(0) AS tokens_cache_write_12h, \
    toUInt64(0) AS tokens_input_audio, toUInt64(0) AS tokens_input_image, toUInt64(0) AS tokens_tool_use_prompt, \
    toUInt64(bill.quantity[indexOf(bill.unit, 'output_text')]) AS tokens_output_text, toUInt64(0) AS tokens_output_reasoning, \
    toUInt64(0) AS tokens_output_audio, toUInt64(0) AS tokens_output_image, usage_source, \
    CAST(spans.cost, 'Nullable(Decimal(18, 9))') AS cost, unpriced_reason, price_version, \
    CAST(bill.rule[1], 'LowCardinality(String)') AS price_rule, CAST(spans.reported_cost, 'Nullable(Decimal(18, 9))') AS reported_cost, \
    CAST(conditions['service_tier'], 'LowCardinality(String)') AS service_tier, CAST('', 'LowCardinality(String)') AS speed, \
    CAST('', 'LowCardinality(String)') AS inference_geo, toUInt64(0) AS web_search_requests, \
    assumeNotNull(spans.duration_us) AS duration_us, ttft_us, user_id, session_id, attrs, batch_id, ingested_at";

/// Calls of one second in 480 label sets (120 of everything but the model, times 4), three lines each, with what an OpenAI answer says of its usage.
fn batch(round: u64, prices: &PriceBook, end_unix_ns: u64) -> Batch {
    let first = round * ROWS;
    let mut batch = rows(u128::from(round + 1), first..first + ROWS);
    for row in &mut batch.spans {
        dress(row, prices, end_unix_ns + round * 1_000_000_000);
    }
    batch
}

fn dress(row: &mut SpanRow, prices: &PriceBook, end_unix_ns: u64) {
    let random = rand::random::<u64>;
    let (series, call) = (random() % SERIES, &mut row.record.call);
    call.trace_id = ledgerline_proto::TraceId::from_bytes(rand::random()).unwrap();
    call.span_id = ledgerline_proto::SpanId::from_bytes(rand::random()).unwrap();
    let model = ["gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini"][(series / 120) as usize];
    call.request_model = model.to_owned();
    call.response_model = model.to_owned();
    // 29 letters and digits, as OpenAI's are.
    let letter = |at: u32| char::from_digit((random() >> (at % 32)) as u32 % 36, 36).unwrap();
    call.response_id = format!("chatcmpl-{}", (0..29).map(letter).collect::<String>());
    call.identity.service = format!("service-{}", series % 5);
    call.identity.environment = ["prod", "staging"][(series % 2) as usize].to_owned();
    call.identity.team = format!("team-{}", series % 8);
    call.identity.feature = format!("feature-{}", series % 12);
    call.identity.user = format!("user-{}", random() % 5_000);
    call.identity.session = format!("session-{}", random() % 20_000);
    // A second is 1e9 ns; a call takes from 0.1 to 30 s, most of them few.
    let duration_us = (100_000 << (random() % 8)) | (random() % 100_000);
    call.end_unix_ns = end_unix_ns + random() % 1_000_000_000;
    call.start_unix_ns = call.end_unix_ns - duration_us * 1000;
    row.record.duration_ns = Some(duration_us * 1000);
    call.time_to_first_token_ns = call.stream.then_some(duration_us * 200);
    call.error_type = (series % 20 == 19).then(|| "rate_limit_exceeded".to_owned());
    let (input, cached, output) = (1 + random() % 20_000, 1 + random() % 8_000, 1 + random() % 2_000);
    call.usage = Some(Usage::of(
        Quantities::from_pairs(&[
            (Unit::InputUncached, input),
            (Unit::CacheRead, cached),
            (Unit::OutputText, output),
        ]),
        UsageSource::Provider,
    ));
    call.billing.conditions = Conditions::from_pairs([(Condition::ServiceTier, "default")]);
    let object = format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        input + cached,
        input + cached + output
    );
    row.usage = UsageObject::split(&object);
    row.bill = prices.bill(call);
    row.unpriced_reason = unpriced_reason(row.bill.cost);
    assert_eq!(row.bill.lines.len(), 3);
}

/// The engine that this process started: the first of its children with that name.
fn engine_pid() -> u32 {
    let own = std::process::id().to_string();
    let is_engine = |stat: &str| {
        let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
        name.contains("(ledgerline-engi") && rest.split(' ').nth(2) == Some(&own)
    };
    let mut pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let stat = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat"));
    pids.find(|pid| stat(pid).is_ok_and(|stat| is_engine(&stat))).unwrap()
}

/// Processor time of the engine so far, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

/// What is stored in `source`, as one sorted block.
async fn block(source: &Store, columns: &str) -> Bytes {
    let sql = format!(
        "SELECT {columns} FROM spans ORDER BY tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id \
         SETTINGS max_block_size = 1000000, prefer_column_name_to_alias = 1"
    );
    let client = source.client();
    client.fetch(client.query(&sql), "Native", Duration::from_secs(60), at_most(1 << 30)).await.unwrap()
}

/// Inserts a block and returns the engine's microseconds a row.
async fn inserted(client: &Client, block: Bytes, token: &str) -> f64 {
    let pid = engine_pid();
    let before = ticks(pid);
    // The block says which columns it has.
    let statement = "INSERT INTO spans FORMAT Native";
    client.insert(&Insert { statement, block, rows: ROWS as usize, token }).await.unwrap();
    (ticks(pid) - before) as f64 * 10_000.0 / ROWS as f64
}

async fn bytes_a_call(store: &Store, database: &str) -> f64 {
    let tables =
        format!("SELECT name FROM system.tables WHERE database = '{database}' AND engine LIKE '%MergeTree'");
    for table in ask(store, &tables).await.lines() {
        ask(store, &format!("OPTIMIZE TABLE {database}.{table} FINAL")).await;
    }
    let parts =
        format!("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}'");
    ask(store, &parts).await.parse::<f64>().unwrap() / (ROUNDS * ROWS) as f64
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for some minutes: make bench-store"]
async fn what_an_insert_costs() {
    let (source, ours) = (storage("cost_source").await, storage("cost_ours").await);
    let first = Client::new(target("cost_first")).unwrap();
    first.create_database().await.unwrap();
    for statement in include_str!("../first/tables.sql").split(";\n") {
        let text: Vec<&str> = statement.lines().filter(|line| !line.starts_with("--")).collect();
        if !text.concat().is_empty() {
            first.text(first.query(&text.join("\n"))).await.unwrap();
        }
    }
    ask(&source, "SYSTEM STOP MERGES").await;
    let names: Vec<String> = COLUMNS.iter().map(|column| format!("`{}`", column.name)).collect();
    let names = names.join(", ");
    let prices = PriceBook::embedded();
    // In one minute, whenever this runs.
    let end_unix_ns = (SystemClock.now_unix_ns() / 60_000_000_000 - 5) * 60_000_000_000;
    let writer = Writer::new(source.clone(), StoreMetrics::default());
    let (mut of_ours, mut of_first) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let batch = batch(round, &prices, end_unix_ns);
        writer.write(&batch, Instant::now() + Duration::from_secs(60)).await.unwrap();
        let (new, old) = (block(&source, &names).await, block(&source, FIRST).await);
        ask(&source, "TRUNCATE TABLE spans").await;
        let token = round.to_string();
        if round % 2 == 0 {
            of_ours.push(inserted(ours.client(), new, &token).await);
            of_first.push(inserted(&first, old, &token).await);
        } else {
            of_first.push(inserted(&first, old, &token).await);
            of_ours.push(inserted(ours.client(), new, &token).await);
        }
    }
    ask(&source, "SYSTEM START MERGES").await;
    // Two blocks beside each other in time are slowed alike by what else the machine does; a tick is 0.2 us a row, so it takes many.
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let ratio = median(of_ours.iter().zip(&of_first).map(|(ours, first)| ours / first).collect());
    let (ours_us, first_us) = (median(of_ours), median(of_first));
    let (ours_bytes, first_bytes) =
        (bytes_a_call(&ours, "cost_ours").await, bytes_a_call(&ours, "cost_first").await);
    println!("{ROUNDS} blocks of {ROWS} rows, {SERIES} series, three lines a call");
    println!(
        "engine CPU, us a row: first version {first_us:.2}, now {ours_us:.2}; median of the ratios {ratio:.2}, bar {}",
        BARS.0
    );
    println!(
        "bytes a call, merged: first version {first_bytes:.2}, now {ours_bytes:.2}: {:.2} times as much, bar {}",
        ours_bytes / first_bytes,
        BARS.1
    );
    assert!(ours_bytes <= BARS.1 * first_bytes, "a call takes more room than it may");
}
