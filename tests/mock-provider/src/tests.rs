//! The mock's bytes: golden files for one call of each API, chunk boundaries and timing on the socket, both HTTP versions.
//! `LEDGERLINE_BLESS=1` rewrites the golden files; a reviewer then reads the difference.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const OPENAI_BODY: &str =
    r#"{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"hello"}],"max_completion_tokens":40}"#;
const OPENAI_STREAM: &str = r#"{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"hello"}],"max_completion_tokens":40,"stream":true,"stream_options":{"include_usage":true}}"#;
const ANTHROPIC_BODY: &str =
    r#"{"model":"claude-sonnet-4-5","max_tokens":40,"messages":[{"role":"user","content":"hello"}]}"#;
const ANTHROPIC_STREAM: &str = r#"{"model":"claude-sonnet-4-5","max_tokens":40,"messages":[{"role":"user","content":"hello"}],"stream":true}"#;

const RESPONSES_BODY: &str = r#"{"model":"gpt-5.4-mini","input":"hello","max_output_tokens":40}"#;
const RESPONSES_STREAM: &str =
    r#"{"model":"gpt-5.4-mini","input":"hello","max_output_tokens":40,"stream":true}"#;

struct Answered {
    status: StatusCode,
    version: Version,
    headers: http::HeaderMap,
    frames: Vec<Bytes>,
    is_whole: bool,
}

impl Answered {
    fn body(&self) -> Vec<u8> {
        self.frames.concat()
    }
}

async fn post(provider: &MockProvider, path: &str, body: &str, scenario: &str, params: &str) -> Answered {
    post_with(provider, path, body, scenario, params, false).await
}

async fn post_with(
    provider: &MockProvider,
    path: &str,
    body: &str,
    scenario: &str,
    params: &str,
    is_http2: bool,
) -> Answered {
    let client = Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http();
    let request = Request::post(format!("{}{path}", provider.url))
        .header("authorization", "Bearer sk-mock")
        .header("x-api-key", "sk-mock")
        .header("x-mock-scenario", scenario)
        .header("x-mock-params", params)
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let (parts, mut body) = response.into_parts();
    let (mut frames, mut is_whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            // HTTP/2 may end a stream with an empty DATA frame.
            Ok(frame) => frames.extend(frame.into_data().ok().filter(|data| !data.is_empty())),
            Err(_) => is_whole = false,
        }
        if !is_whole {
            break;
        }
    }
    Answered { status: parts.status, version: parts.version, headers: parts.headers, frames, is_whole }
}

fn check_golden(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name);
    if std::env::var_os("LEDGERLINE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_default();
    assert!(golden == bytes, "{name} differs from what is committed:\n{}", String::from_utf8_lossy(bytes));
}

#[tokio::test]
async fn bytes_are_those_of_the_golden_files() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let openai = "/v1/chat/completions";
    let anthropic = "/v1/messages";
    let responses = "/v1/responses";
    for (name, path, body, scenario) in [
        ("openai_plain.sse", openai, OPENAI_STREAM, "plain"),
        ("openai_cached.json", openai, OPENAI_BODY, "cached"),
        ("openai_tool_call.sse", openai, OPENAI_STREAM, "tool_call"),
        ("openai_error_429.json", openai, OPENAI_BODY, "error_429"),
        ("responses_plain.sse", responses, RESPONSES_STREAM, "plain"),
        ("responses_reasoning.sse", responses, RESPONSES_STREAM, "reasoning"),
        ("responses_tool_call.sse", responses, RESPONSES_STREAM, "tool_call"),
        ("responses_server_tool.sse", responses, RESPONSES_STREAM, "server_tool"),
        ("responses_refusal.sse", responses, RESPONSES_STREAM, "refusal"),
        ("responses_failed.sse", responses, RESPONSES_STREAM, "failed"),
        ("responses_midstream_error.sse", responses, RESPONSES_STREAM, "midstream_error"),
        ("responses_cache_write_lives.json", responses, RESPONSES_BODY, "cache_write_lives"),
        ("responses_length.json", responses, RESPONSES_BODY, "length"),
        ("responses_compact.json", "/v1/responses/compact", RESPONSES_BODY, "plain"),
        ("anthropic_plain.sse", anthropic, ANTHROPIC_STREAM, "plain"),
        ("anthropic_cache_write_1h.json", anthropic, ANTHROPIC_BODY, "cache_write_1h"),
        ("anthropic_reasoning.sse", anthropic, ANTHROPIC_STREAM, "reasoning"),
        ("anthropic_midstream_error.sse", anthropic, ANTHROPIC_STREAM, "midstream_error"),
    ] {
        check_golden(name, &post(&provider, path, body, scenario, "").await.body());
    }
}

/// Reads the chunked encoding by hand: a client library might join chunks.
#[tokio::test]
async fn each_chunk_is_an_http_chunk_of_its_own() {
    for scenario in ["plain", "split_utf8", "merged", "comment_keepalive", "gzip", "crlf"] {
        let provider = MockProvider::start(MockOptions::default()).await.unwrap();
        let mut stream = TcpStream::connect(provider.address).await.unwrap();
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: mock\r\nconnection: close\r\nx-api-key: k\r\nx-mock-scenario: \
             {scenario}\r\ncontent-length: {}\r\n\r\n{ANTHROPIC_STREAM}",
            ANTHROPIC_STREAM.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.unwrap();
        let head = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let chunks = dechunk(&raw[head..]);
        let call = provider.calls().remove(0);
        let written: Vec<Vec<u8>> = call.chunks.iter().map(|chunk| chunk.bytes.to_vec()).collect();
        assert_eq!(chunks, written, "{scenario}");
        assert!(chunks.len() > 5, "{scenario}");
        assert_eq!(call.end, ServedEnd::Complete);
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        bytes = &bytes[line + 2..];
        if length == 0 {
            return chunks;
        }
        chunks.push(bytes[..length].to_vec());
        bytes = &bytes[length + 2..];
    }
}

#[tokio::test]
async fn http2_gets_the_same_bytes_in_the_same_frames() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let answered =
        post_with(&provider, "/v1/chat/completions", OPENAI_STREAM, "plain", "gap_ms=2", true).await;
    assert_eq!(answered.version, Version::HTTP_2);
    let call = provider.calls().remove(0);
    assert_eq!(call.version, Version::HTTP_2);
    assert_eq!(answered.frames, call.chunks.iter().map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cut_is_seen_as_one_and_recorded_as_one() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    for (body, params) in [(OPENAI_STREAM, ""), (OPENAI_BODY, ""), (OPENAI_STREAM, "cut_at_byte=700")] {
        for is_http2 in [false, true] {
            provider.clear();
            let answered =
                post_with(&provider, "/v1/chat/completions", body, "truncated", params, is_http2).await;
            assert!(!answered.is_whole, "{params} http2={is_http2}");
            let call = provider.calls().remove(0);
            assert_eq!(call.end, ServedEnd::CutByScenario);
            assert!(!call.usage_was_sent);
            assert!(call.body().unwrap().starts_with(&answered.body()));
            if !params.is_empty() {
                assert_eq!(call.response_bytes, 700);
            }
        }
    }
}

#[tokio::test]
async fn the_usage_event_is_where_the_oracle_says() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    for scenario in
        ["plain", "crlf", "byte_by_byte", "split_utf8", "multiline_data", "merged", "comment_keepalive"]
    {
        provider.clear();
        let body = post(&provider, "/v1/chat/completions", OPENAI_STREAM, scenario, "").await.body();
        let call = provider.calls().remove(0);
        let range = call.usage_event.clone().unwrap();
        let event = std::str::from_utf8(&body[range.start as usize..range.end as usize]).unwrap();
        assert!(event.starts_with("data: {") && event.ends_with('\n'), "{scenario}: {event:?}");
        assert!(
            event.contains(r#""choices":[]"#) && event.contains(r#""prompt_tokens""#),
            "{scenario}: {event:?}"
        );
        let without = call.body_without_usage_event().unwrap();
        let nulls = std::str::from_utf8(&body).unwrap().matches(r#","usage":null"#).count() as u64;
        assert!(nulls > 0, "{scenario}");
        assert_eq!(without.len() as u64, body.len() as u64 - (range.end - range.start) - 13 * nulls);
        let digest = |bytes: &[u8]| {
            use sha2::{Digest, Sha256};
            Some(hexadecimal(&Sha256::digest(bytes)))
        };
        assert_eq!(call.response_sha256_without_usage_event, digest(&without), "{scenario}");
        assert_eq!(call.response_sha256, digest(&body), "{scenario}");
        assert!(call.usage_was_sent);
    }
}

/// A proxy that adds `stream_options` must get the same answer, so that the two can be compared.
#[tokio::test]
async fn asking_for_usage_does_not_change_the_answer() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let other = MockProvider::start(MockOptions::default()).await.unwrap();
    let without = OPENAI_STREAM.replace(r#","stream_options":{"include_usage":true}"#, "");
    let asked = post(&provider, "/v1/chat/completions", OPENAI_STREAM, "plain", "").await.body();
    let unasked = post(&other, "/v1/chat/completions", &without, "plain", "").await.body();
    let call = provider.calls().remove(0);
    let stripped = String::from_utf8(call.body_without_usage_event().unwrap()).unwrap();
    assert_ne!(asked, unasked);
    assert_eq!(stripped, String::from_utf8(unasked).unwrap());
}

#[tokio::test]
async fn equal_requests_get_equal_answers_under_different_ids() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let mut ids = HashSet::new();
    let mut bodies = HashSet::new();
    for _ in 0..20 {
        let answered = post(&provider, "/v1/messages", ANTHROPIC_BODY, "plain", "").await;
        let id = answered.headers["x-mock-call-id"].to_str().unwrap().to_owned();
        let request_id = answered.headers["request-id"].to_str().unwrap();
        assert_eq!(provider.call(request_id).unwrap().id, id);
        bodies.insert(String::from_utf8(answered.body()).unwrap().replace(&id, "ID"));
        ids.insert(id);
    }
    assert_eq!((ids.len(), bodies.len()), (20, 1));
}

#[tokio::test]
async fn a_scenario_is_chosen_by_header_model_or_prompt() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    for (model, prompt) in
        [("gpt-4.1-mini+cached", "hi"), ("gpt-4.1-mini", "hi [[mock:cached cached_tokens=77]]")]
    {
        provider.clear();
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
        let request = Request::post(format!("{}/v1/chat/completions", provider.url))
            .header("authorization", "Bearer sk-mock")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        client.request(request).await.unwrap().into_body().collect().await.unwrap();
        let call = provider.calls().remove(0);
        assert_eq!((call.scenario, call.model_requested.as_str()), ("cached", "gpt-4.1-mini"));
        let read = call.usage.unwrap().cache_read;
        assert!(if prompt == "hi" { read >= 1_024 } else { read == 77 }, "{read}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_a_400_in_the_providers_words() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    for (path, body, scenario, params) in [
        ("/v1/chat/completions", "{", "plain", ""),
        ("/v1/messages", "[]", "plain", ""),
        ("/v1/chat/completions", OPENAI_BODY, "no_such_scenario", ""),
        ("/v1/chat/completions", OPENAI_BODY, "plain", "gap=5"),
    ] {
        let answered = post(&provider, path, body, scenario, params).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST);
        let error: serde_json::Value = serde_json::from_slice(&answered.body()).unwrap();
        assert_eq!(error["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn every_scenario_has_a_name_of_its_own_and_a_sentence() {
    let names: HashSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), SCENARIOS.len());
    for scenario in SCENARIOS {
        assert!(
            scenario.doc.ends_with('.') && scenario.doc.len() >= 12,
            "{}: {}",
            scenario.name,
            scenario.doc
        );
    }
}

#[tokio::test]
async fn recording_for_load_keeps_hashes_and_the_newest_calls() {
    let provider = MockProvider::start(MockOptions::for_load(5)).await.unwrap();
    let mut last = None;
    for _ in 0..8 {
        let answered = post(&provider, "/v1/chat/completions", OPENAI_STREAM, "plain", "").await;
        last = Some(answered.headers["x-mock-call-id"].to_str().unwrap().to_owned());
    }
    let calls = provider.calls();
    assert_eq!(calls.len(), 5);
    assert!(
        calls
            .iter()
            .all(|call| call.chunks.is_empty() && call.request_body.is_none() && call.body().is_none())
    );
    assert!(calls.iter().all(|call| call.response_sha256.is_some() && call.usage.is_some()));
    assert_eq!(calls.last().map(|call| call.id.clone()), last);
}

#[tokio::test]
async fn stopping_cuts_streams_and_closes_the_port() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let (address, ledger) = (provider.address, provider.ledger());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: mock\r\nx-api-key: k\r\nx-mock-scenario: stall\r\ncontent-length: \
         {}\r\n\r\n{ANTHROPIC_STREAM}",
        ANTHROPIC_STREAM.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0_u8; 1];
    stream.read_exact(&mut first).await.unwrap();
    provider.stop().await;
    let mut rest = Vec::new();
    // A reset is as good an end as a close.
    stream.read_to_end(&mut rest).await.ok();
    assert_eq!(ledger.calls()[0].end, ServedEnd::PeerGone);
    assert!(TcpStream::connect(address).await.is_err());
}

async fn ask(
    provider: &MockProvider,
    method: &str,
    path: &str,
    body: &str,
) -> (StatusCode, serde_json::Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", provider.url))
        .header("authorization", "Bearer sk-mock")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_background_response_shows_its_usage_only_once_it_is_done() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let body = r#"{"model":"gpt-5.4-mini","input":"hello","background":true}"#;
    let (_, created) = ask(&provider, "POST", "/v1/responses", body).await;
    let path = format!("/v1/responses/{}", created["id"].as_str().unwrap());
    let mut seen = vec![created];
    for _ in 0..4 {
        seen.push(ask(&provider, "GET", &path, "").await.1);
    }
    let states: Vec<&str> = seen.iter().map(|response| response["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["queued", "queued", "in_progress", "completed", "completed"]);
    for response in &seen {
        assert_eq!(response["usage"].is_null(), response["status"] != "completed", "{response}");
    }
    let sent: Vec<bool> = provider.calls().iter().map(|call| call.usage_was_sent).collect();
    assert_eq!(sent, [false, false, false, true, true]);
    assert_eq!(seen[4]["usage"]["total_tokens"], {
        let usage = provider.calls()[0].usage.unwrap();
        usage.input_total() + usage.output_total()
    });
}

#[tokio::test]
async fn a_cancelled_response_stays_cancelled_and_a_deleted_one_is_gone() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let body = r#"{"model":"gpt-5.4-mini","input":"hello","background":true}"#;
    let (_, created) = ask(&provider, "POST", "/v1/responses", body).await;
    let path = format!("/v1/responses/{}", created["id"].as_str().unwrap());
    for (method, path) in [("POST", format!("{path}/cancel")), ("GET", path.clone()), ("GET", path.clone())] {
        assert_eq!(ask(&provider, method, &path, "").await.1["status"], "cancelled");
    }
    assert_eq!(ask(&provider, "DELETE", &path, "").await.1["deleted"], true);
    assert_eq!(ask(&provider, "GET", &path, "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_is_taken_up_behind_the_event_it_was_left_at() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let body = r#"{"model":"gpt-5.4-mini","input":"hello","background":true,"stream":true}"#;
    let whole = String::from_utf8(post(&provider, "/v1/responses", body, "plain", "").await.body()).unwrap();
    let id = provider.calls()[0].id.clone();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("{}/v1/responses/{id}?stream=true&starting_after=6", provider.url);
    let request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
    let rest = client.request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let from = whole.match_indices("event: ").nth(7).unwrap().0;
    assert_eq!(String::from_utf8_lossy(&rest), whole[from..]);
    assert!(whole.starts_with("event: response.created\n") && whole.contains("event: response.queued\n"));
}

#[tokio::test]
async fn a_conversation_takes_up_what_was_said_in_it() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let (_, conversation) = ask(&provider, "POST", "/v1/conversations", "{}").await;
    let id = conversation["id"].as_str().unwrap();
    let body = format!(r#"{{"model":"gpt-5.4-mini","input":"hello","conversation":"{id}"}}"#);
    let (_, response) = ask(&provider, "POST", "/v1/responses", &body).await;
    assert_eq!(response["conversation"]["id"], id);
    let (_, items) = ask(&provider, "GET", &format!("/v1/conversations/{id}/items"), "").await;
    assert_eq!(items["data"].as_array().unwrap().len(), 2);
    assert_eq!(items["data"][0]["content"][0]["text"], "hello");
    assert_eq!(items["data"][1], response["output"][0]);
}

#[tokio::test]
async fn events_of_a_response_are_numbered_without_a_gap() {
    for scenario in ["plain", "reasoning", "server_tool", "tool_call", "failed", "midstream_error", "length"]
    {
        let provider = MockProvider::start(MockOptions::default()).await.unwrap();
        let body = post(&provider, "/v1/responses", RESPONSES_STREAM, scenario, "").await.body();
        let text = String::from_utf8(body).unwrap();
        let events: Vec<serde_json::Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        for (number, (event, name)) in events.iter().zip(&names).enumerate() {
            assert_eq!(event["sequence_number"], number, "{scenario}");
            assert_eq!(event["type"], *name, "{scenario}");
        }
        assert!(events.len() > 10 && events.len() == names.len(), "{scenario}");
    }
}
