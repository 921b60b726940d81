//! Strangers at the ports: thousands of connections that say nothing, and web pages that are not ours.

use std::time::Duration;

use http::Method;
use ledgerline_testkit::http::{get, send};
use ledgerline_testkit::stack::{Stack, StackOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const CONNECTIONS: usize = 2_000;
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// 2,000 connections that send no more than this and stay.
async fn besiege(port: u16, bytes: &[u8]) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    while connections.len() < CONNECTIONS {
        let connecting = TcpStream::connect(("127.0.0.1", port));
        let mut stream = tokio::time::timeout(Duration::from_secs(60), connecting).await.unwrap().unwrap();
        // One that was closed to make room for another is no longer silent; its place is what counts.
        let _written = stream.write_all(bytes).await;
        connections.push(stream);
    }
    connections
}

/// Scenario: 2,000 connections on each port of agent and collector send nothing, one byte, or HTTP/2's preface, and stay.
/// Guarantees: each port goes on answering: calls, OTLP over both transports, queries, health.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_on_every_port_leave_it_serving() {
    ledgerline_process::descriptors::raise_limit();
    assert!(ledgerline_process::descriptors::limit() > 5_000, "ulimit -n must allow 5,000 files");
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let ports = stack.ports();
    let every = [ports.grpc, ports.http, ports.api, ports.agent, ports.agent_admin];
    for (port, bytes) in
        every.into_iter().flat_map(|port| [(port, &b""[..]), (port, b"G"), (port, HTTP2_PREFACE)])
    {
        let silent = besiege(port, bytes).await;
        let answer = if port == ports.agent {
            get(&format!("{}/v1/models", stack.openai())).await.unwrap()
        } else if port == ports.http {
            let headers = [("content-type", "application/json")];
            send(Method::POST, &format!("{}/v1/traces", stack.otlp_http()), &headers, "{}").await.unwrap()
        } else if port == ports.grpc {
            // The port answers whoever speaks HTTP; what it says of the path is not the point here.
            get(&format!("http://127.0.0.1:{port}/")).await.unwrap()
        } else {
            get(&format!("http://127.0.0.1:{port}/health")).await.unwrap()
        };
        assert!(answer.status.is_success(), "{port} {bytes:?}: {} {}", answer.status, answer.text());
        drop(silent);
    }
    assert!(
        stack.collector_metric("ledgerline_collector_silent_connections_closed_total").await.unwrap() > 0.0
    );
}

/// Scenario: a page at evil.example lets its name point at this machine and asks, or asks across origins.
/// Guarantees: neither port for HTTP tells it anything or takes a span of it; people and programs of this machine are
/// answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebound_name_and_a_foreign_page_get_nothing() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let agent_admin = stack.agent_admin();
    let query = format!("{}/api/v1/labels", stack.prometheus());
    let traces = format!("{}/v1/traces", stack.otlp_http());
    let json = ("content-type", "application/json");
    for (method, url, body) in [
        (Method::GET, format!("{}/metrics", stack.api()), ""),
        (Method::GET, format!("{agent_admin}/metrics"), ""),
        (Method::GET, query, ""),
        (Method::POST, traces, "{}"),
    ] {
        for (headers, expected) in [
            (vec![json, ("host", "evil.example")], 421),
            (vec![json, ("host", "evil.example"), ("origin", "http://evil.example")], 421),
            (vec![json, ("origin", "http://evil.example")], 403),
            (vec![json, ("origin", "null")], 403),
            (vec![json], 200),
            (vec![json, ("host", "localhost")], 200),
        ] {
            let answer = send(method.clone(), &url, &headers, body).await.unwrap();
            assert_eq!(answer.status.as_u16(), expected, "{url} {headers:?}: {}", answer.text());
        }
    }
    assert_eq!(stack.sql("SELECT count() FROM spans").await.unwrap(), "0\n");
}
