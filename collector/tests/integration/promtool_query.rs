//! Scenario: Debian's promtool, a client nobody here wrote, queries the API over a socket.
//! Guarantees: instant, range, series and label queries answer what promtool prints, and its errors are ours.

use std::sync::Arc;

use crate::memory_source::MemorySource;
use axum::{Extension, Router};
use ledgerline_collector::access::Principal;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::http::{ApiState, router};
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::clock::ManualClock;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::{Labels, MemoryPool, Samples, Series};

const NOW_S: i64 = 1_700_000_000;

fn api() -> Router {
    let reader = Principal::of("acme");
    let mut source = MemorySource::default();
    for (team, picos) in [("ads", 1_250_000_000_001), ("search", 40)] {
        let labels = Labels::from_pairs([("__name__", "llm_cost_usd_total"), ("team", team)]);
        let points = vec![((NOW_S - 60) * 1000, picos), (NOW_S * 1000, picos)];
        source.push(
            reader.tenant.clone(),
            Series { labels, samples: Samples::Delta(points.into_iter().collect()) },
        );
    }
    let clock = Arc::new(ManualClock::at(u64::try_from(NOW_S).unwrap() * 1_000_000_000));
    let querier =
        Arc::new(Querier::new(Arc::new(source), MemoryPool::new(MEMORY_BYTES_DEFAULT), Metrics::default()));
    Router::new().nest("/prometheus", router(ApiState { querier, clock })).layer(Extension(reader))
}

/// What promtool prints, and whether it was content.
async fn promtool(arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new("promtool").arg("query").args(arguments).output().await;
    let output = output.expect("promtool is not in PATH: deploy/setup/prometheus.sh fetches it");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

#[tokio::test]
async fn promtool_reads_every_kind_of_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prometheus", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, api()).await });

    let check = async |arguments: &[&str], wanted: &str| {
        let (success, text) = promtool(arguments).await;
        assert!(success, "{arguments:?}: {text}");
        assert_eq!(text.trim(), wanted, "{arguments:?}");
    };
    let now = NOW_S.to_string();
    check(
        &["instant", "--time", &now, &url, "sum by (team) (increase(llm_cost_usd_total[5m]))"],
        "{team=\"ads\"} => 2.500000000002 @[1700000000]\n{team=\"search\"} => 0.00000000008 @[1700000000]",
    )
    .await;
    check(&["instant", "--time", "4", &url, "1+1"], "scalar: 2 @[4]").await;
    let start = (NOW_S - 60).to_string();
    check(
        &[
            "range",
            "--start",
            &start,
            "--end",
            &now,
            "--step",
            "1m",
            &url,
            "sum(increase(llm_cost_usd_total[1m]))",
        ],
        "{} =>\n1.250000000041 @[1699999940]\n1.250000000041 @[1700000000]",
    )
    .await;
    check(
        &["series", "--match", "llm_cost_usd_total", "--start", &start, "--end", &now, &url],
        "{__name__=\"llm_cost_usd_total\", team=\"ads\"}\n{__name__=\"llm_cost_usd_total\", team=\"search\"}",
    )
    .await;
    check(&["labels", "--start", &start, "--end", &now, &url, "team"], "ads\nsearch").await;

    let (success, text) = promtool(&["instant", &url, "sum("]).await;
    assert!(!success && text.contains("bad_data"), "{text}");
    let (success, text) = promtool(&["instant", &url, "irate(llm_cost_usd_total[5m])"]).await;
    assert!(!success && text.contains("use increase() or rate()"), "{text}");
    server.abort();
}
