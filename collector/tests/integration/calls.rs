//! Pages of calls, and one call with its bill and its trace, as the console reads them.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, to_bytes};
use http::Request;
use ledgerline_collector::access::Principal;
use ledgerline_collector::calls::http::{CallsState, router};
use ledgerline_collector::command::reprice::Booking;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_pricing::PriceBook;
use ledgerline_process::SystemClock;
use ledgerline_promql::MemoryPool;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_proto::{Call, SpanId, TraceId, Unit};
use ledgerline_store::Store;
use ledgerline_store::spans::{Role, SpanRow};
use ledgerline_store::sql::SqlSource;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::engine::storage;
use crate::reprice::{everything, file, of, reprice, row, write};

const USED: [(Unit, u64); 2] = [(Unit::InputUncached, 1_000), (Unit::OutputText, 100)];

async fn asked(store: &Store, prices: &PriceBook, tenant: &str, path: &str) -> (u16, Value) {
    let clock = Arc::new(SystemClock);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let source = SqlSource::new(store.clone(), clock.clone());
    let querier = Querier::new(Arc::new(source), MemoryPool::new(MEMORY_BYTES_DEFAULT), metrics);
    let state =
        CallsState { store: store.clone(), querier: Arc::new(querier), prices: prices.clone(), clock };
    let routes = router(state).layer(Extension(Principal::of(tenant)));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// The response ids of all calls that a question lets through, page by page.
async fn pages(store: &Store, question: &str) -> Vec<Vec<u64>> {
    let (prices, mut next, mut pages) = (PriceBook::embedded(), String::new(), Vec::new());
    loop {
        let (status, page) = asked(store, &prices, "acme", &format!("/api/v1/calls?{question}{next}")).await;
        assert_eq!(status, 200, "{question}: {page}");
        let calls = page["calls"].as_array().unwrap();
        let number = |call: &Value| u64::from_str_radix(call["span_id"].as_str().unwrap(), 16).unwrap() - 1;
        pages.push(calls.iter().map(number).collect());
        match page["next"].as_str() {
            Some(after) => next = format!("&after={after}"),
            None => return pages,
        }
    }
}

fn call(number: u64, model: &str, change: impl FnOnce(&mut Call)) -> Call {
    let mut call = of(number, model, &USED);
    change(&mut call);
    call
}

fn uncounted(role: Role, row: SpanRow) -> SpanRow {
    SpanRow { role, ..row }
}

/// Scenario: nine spans of acme and one of globex: one failed, one of an unknown model, one that repeats another, one above it, two that
/// ended in the same microsecond.
/// Guarantees: the newest first, each once, whatever the size of a page; every filter; nothing of another tenant; what is not counted only
/// where it is asked for; wrong questions are told what is right.
#[tokio::test]
async fn pages_have_each_call_once_the_newest_first() {
    let store = storage("calls").await;
    let list = PriceBook::embedded();
    let fourth = of(4, "gpt-4.1", &USED);
    let same = fourth.end_unix_ns;
    let rows = vec![
        row(&list, "acme", of(1, "gpt-4.1", &USED)),
        row(&list, "acme", call(2, "gpt-4o", |call| call.error_type = Some("rate_limit".to_owned()))),
        row(&list, "acme", of(3, "no-such-model", &USED)),
        row(&list, "acme", fourth),
        // Its times are those of the one before.
        row(
            &list,
            "acme",
            call(5, "gpt-4.1", |call| (call.start_unix_ns, call.end_unix_ns) = (same - 7_000_000_000, same)),
        ),
        uncounted(Role::Repeat, row(&list, "acme", of(6, "gpt-4.1", &USED))),
        uncounted(Role::Wrapper, row(&list, "acme", of(7, "gpt-4.1", &USED))),
        row(
            &list,
            "acme",
            call(8, "gpt-4.1", |call| {
                call.identity.user = "user-8".to_owned();
                call.identity.session = "it's a \\ chat".to_owned();
            }),
        ),
        row(&list, "globex", of(9, "gpt-4.1", &USED)),
    ];
    write(&store, 1, rows).await;

    // Call n ended 1.7 n seconds before now; of the two that ended together the higher id is first.
    let newest_first = [1, 2, 3, 5, 4, 8];
    for size in [1, 2, 3, 5, 6, 500] {
        let pages = pages(&store, &format!("limit={size}")).await;
        assert!(pages.iter().all(|page| page.len() <= size), "{pages:?}");
        assert_eq!(pages.concat(), newest_first, "pages of {size}");
        assert_eq!(pages.len(), newest_first.len().div_ceil(size), "pages of {size}");
    }
    for (question, expected) in [
        ("only=failed", vec![2]),
        ("only=unpriced", vec![3]),
        ("only=estimated", vec![]),
        ("only=uncounted", vec![6, 7]),
        ("user=user-8", vec![8]),
        ("session=it%27s+a+%5C+chat", vec![8]),
        ("session=it", vec![]),
        ("response_id=r-3", vec![3]),
        ("slower_ms=7000", vec![5]),
        ("slower_ms=7001", vec![]),
        ("match=%7Bmodel%3D%22gpt-4.1%22%7D", vec![1, 5, 4, 8]),
        ("match=%7Bmodel%3D~%22gpt-4o.*%22%2Cteam%3D%22search%22%7D", vec![2]),
        ("match=%7Bteam%3D%22nobody%22%7D", vec![]),
        ("to=2020-01-01", vec![]),
        ("from=2020-01-01&zone=Asia/Kathmandu", newest_first.to_vec()),
    ] {
        assert_eq!(pages(&store, question).await.concat(), expected, "{question}");
    }
    let trace = of(5, "gpt-4.1", &USED).trace_id;
    assert_eq!(pages(&store, &format!("trace={trace}")).await.concat(), [5]);
    told_what_is_right(&store, &list).await;
}

/// Of wrong questions.
async fn told_what_is_right(store: &Store, list: &PriceBook) {
    for (question, wrong) in [
        ("trace=4bf9", "32 hexadecimal digits"),
        ("limit=0", "it is 1 to 500"),
        ("limit=501", "it is 1 to 500"),
        ("limit=many", "whole number"),
        ("only=slow", "failed, unpriced, estimated, uncounted"),
        ("after=12", "`next` of a page"),
        ("colour=red", "there is none of that name"),
        ("user=a&user=b", "it is there twice"),
        ("match=team", "calls have no metric name"),
        ("match=%7Bunit%3D%22a%22%7D", "calls have no label unit"),
        ("match=%7Bteam%3D", "invalid parameter \"match\": 1:7: parse error: unexpected end of input"),
        ("from=yesterday", "yesterday"),
    ] {
        let (status, problem) = asked(store, list, "acme", &format!("/api/v1/calls?{question}")).await;
        let text = problem["error"].as_str().unwrap_or_default();
        assert!(status == 400 && text.contains(wrong), "{question}: {status} {problem}");
    }
}

/// Scenario: a trace of an agent with two calls below it, one of another trace; then one of them is repriced.
/// Guarantees: what the page of a call says, number by number: bill, arithmetic, corrections, the sum of its trace; not of another
/// tenant's, and what is not stored is said.
#[tokio::test]
async fn a_call_is_told_with_its_bill_and_its_trace() {
    let store = storage("call").await;
    let list = PriceBook::embedded();
    let trace = TraceId::from_bytes([7; 16]).unwrap();
    let above = of(3, "gpt-4.1", &USED).span_id;
    let below = |number, model| {
        call(number, model, |call| {
            call.trace_id = trace;
            call.parent_span_id = Some(above);
            call.usage_object = "{\"prompt_tokens\":1000,\"completion_tokens\":100}".to_owned();
        })
    };
    let mut wrapper = row(&list, "acme", call(3, "gpt-4.1", |call| call.trace_id = trace));
    wrapper.role = Role::Wrapper;
    wrapper.record.attributes = vec![("app.route".into(), "<img src=x onerror=alert(1)>".into())];
    let first = row(&list, "acme", below(1, "gpt-4.1"));
    write(&store, 1, vec![first, row(&list, "acme", below(2, "no-such-model")), wrapper]).await;
    write(&store, 2, vec![row(&list, "acme", of(5, "gpt-4.1", &USED))]).await;

    let id = |number: u64| SpanId::from_bytes((number + 1).to_be_bytes()).unwrap();
    let path = |number| format!("/api/v1/calls/{trace}/{}", id(number));
    let (status, call) = asked(&store, &list, "acme", &path(1)).await;
    assert_eq!(status, 200, "{call}");
    // 1,000 x 2 and 100 x 8 dollars a million.
    let lines = &call["account"]["booked"]["lines"];
    assert_eq!(lines[0]["arithmetic"], "1000 x 2 / 1000000", "{call}");
    assert_eq!(lines[0]["amount_usd"], "0.002000000000");
    assert_eq!(lines[0]["rule"], "openai/gpt-4.1@2025-04-14/standard");
    assert_eq!(lines[1]["arithmetic"], "100 x 8 / 1000000");
    assert_eq!(lines[1]["amount_usd"], "0.000800000000");
    assert_eq!(
        (&call["account"]["state"], &call["call"]["cost_usd"]),
        (&"same".into(), &"0.002800000000".into())
    );
    assert_eq!((&call["call"]["input_tokens"], &call["call"]["output_tokens"]), (&1000.into(), &100.into()));
    assert_eq!(call["facts"]["units"]["input_uncached"], 1000);
    assert_eq!(call["facts"]["usage_object"], "{\"prompt_tokens\":1000,\"completion_tokens\":100}");
    assert_eq!((&call["trace_cost_usd"], &call["trace_unpriced"]), (&"0.002800000000".into(), &1.into()));
    let spans: Vec<_> =
        call["trace"].as_array().unwrap().iter().map(|span| span["span_id"].clone()).collect();
    assert_eq!(spans.len(), 3);
    assert!([1, 2, 3].iter().all(|number| spans.contains(&id(*number).to_string().into())), "{spans:?}");
    assert_eq!(call["call"]["parent_span_id"], above.to_string());

    let (_, unpriced) = asked(&store, &list, "acme", &path(2)).await;
    assert_eq!(unpriced["call"]["cost_usd"], Value::Null);
    assert_eq!(unpriced["call"]["unpriced"], "unknown_model");
    let (_, wrapper) = asked(&store, &list, "acme", &path(3)).await;
    assert_eq!(
        (&wrapper["call"]["booked"], &wrapper["call"]["uncounted"]),
        (&"never".into(), &"wrapper".into())
    );
    assert_eq!(wrapper["account"]["not_booked"], "wrapper");
    assert_eq!(wrapper["facts"]["attributes"]["app.route"], "<img src=x onerror=alert(1)>");

    repriced(&store, &path(1)).await;
    for (tenant, path, status) in [
        ("globex", path(1), 404),
        ("acme", path(9), 404),
        ("acme", format!("/api/v1/calls/{}/{}", "ab".repeat(16), id(1)), 404),
        ("acme", format!("/api/v1/calls/abc/{}", id(1)), 400),
        ("acme", format!("/api/v1/calls/{trace}/xy"), 400),
    ] {
        assert_eq!(asked(&store, &list, tenant, &path).await.0, status, "{tenant} {path}");
    }
}

/// The call at that path, which cost 0.0028 USD, before and after its price has changed.
async fn repriced(store: &Store, path: &str) {
    // 1,000 x 3 and 100 x 8 dollars a million from now on.
    let models = "models:\n  gpt-4.1: { per_million: { input_uncached: \"3\", output_text: \"8\" } }\n";
    let dearer = PriceBook::parse(&[("openai.yaml", &file("openai", models))]).unwrap();
    let (_, before) = asked(store, &dearer, "acme", path).await;
    assert_eq!(before["account"]["state"], "changed");
    assert_eq!(before["account"]["present_book"]["cost_usd"], "0.003800000000");
    assert_eq!(before["call"]["cost_usd"], "0.002800000000");
    reprice(store, &dearer, everything(Booking::Corrections)).await;
    let (_, after) = asked(store, &dearer, "acme", path).await;
    assert_eq!(
        (&after["account"]["state"], &after["call"]["cost_usd"]),
        (&"same".into(), &"0.003800000000".into())
    );
    let corrections = after["account"]["corrections"].as_array().unwrap();
    let signed: Vec<_> =
        corrections.iter().map(|one| (one["sign"].clone(), one["cost_usd"].clone())).collect();
    assert_eq!(signed, [((-1).into(), "0.002800000000".into()), (1.into(), "0.003800000000".into())]);
    assert_eq!(after["trace_cost_usd"], "0.003800000000");
    let (_, page) = asked(store, &dearer, "acme", "/api/v1/calls").await;
    let listed =
        page["calls"].as_array().unwrap().iter().find(|one| path.ends_with(one["span_id"].as_str().unwrap()));
    assert_eq!(listed.unwrap()["cost_usd"], "0.003800000000");
}
