//! The listening side: accepts connections, routes requests and turns scenarios into responses. HTTP/1.1 and cleartext
//! HTTP/2 (prior knowledge) share one port, as hyper's automatic server tells them apart by their first bytes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer};
use crate::body::{Cut, ScriptBody};
use crate::failure::{self, Failure};
use crate::ledger::{Ledger, ServedCall, ServedEnd, hexadecimal};
use crate::recorded::{self, Recorded, Recordings};
use crate::request::{self, Api, Inbound, Misunderstood};
use crate::scenario::{Content, Defect, UsageStyle};
use crate::stored::{Reply, Store};
use crate::wire::{self, Event, Role, Script};
use crate::{anthropic, headers, models, openai, responses, text};

/// Serves until `stop`; then every connection is dropped where it is.
pub async fn accept(
    listener: TcpListener,
    ledger: Arc<Ledger>,
    recordings: Arc<Recordings>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let state = Arc::new(State { ledger, recordings, store: Store::default() });
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors or a connection that is gone already: the next accept may work.
                Err(_) => continue,
            },
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            // An error here is a peer that went away or a cut we were asked for; the ledger has it.
            let served = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(served);
        });
    }
    connections.shutdown().await;
}

/// What all connections share.
struct State {
    ledger: Arc<Ledger>,
    recordings: Arc<Recordings>,
    store: Store,
}

/// A request whose body has arrived.
struct Received {
    started: Instant,
    parts: http::request::Parts,
    body: Bytes,
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<ScriptBody>, Cut> {
    let State { ledger, recordings, store } = &*state;
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let received = Received { started: Instant::now(), parts, body };
    let path = received.parts.uri.path().to_owned();
    let named = received.parts.headers.get(recorded::HEADER).and_then(|name| name.to_str().ok());
    if let Some(answer) = named.and_then(|name| recordings.get(name)) {
        return Ok(play(ledger, &received, answer));
    }
    // Azure's own API is the same below another folder, and below that of a deployment, but for what its content filter adds to an answer.
    let path = path.strip_prefix("/openai").map_or(path.as_str(), |rest| rest).to_owned();
    match (&received.parts.method, path.as_str()) {
        (&Method::POST, "/v1/chat/completions") => call(ledger, store, received, Api::OpenAi).await,
        (&Method::POST, path) if path.starts_with("/deployments/") && path.ends_with("/chat/completions") => {
            call(ledger, store, received, Api::OpenAi).await
        }
        (&Method::POST, "/v1/responses" | "/v1/responses/compact") => {
            call(ledger, store, received, Api::Responses).await
        }
        (&Method::POST, "/v1/messages") => call(ledger, store, received, Api::Anthropic).await,
        (&Method::POST, "/v1/responses/input_tokens") => {
            let tokens = received.body.len() / 4;
            let body =
                format!("{{\n  \"object\": \"response.input_tokens\",\n  \"input_tokens\": {tokens}\n}}\n");
            Ok(aside(ledger, &received, StatusCode::OK, body))
        }
        (&Method::POST, "/v1/messages/count_tokens") => {
            let tokens = received.body.len() / 4;
            Ok(aside(ledger, &received, StatusCode::OK, format!(r#"{{"input_tokens":{tokens}}}"#)))
        }
        (&Method::GET, "/v1/models") => {
            let body = models::list(received.parts.headers.contains_key("anthropic-version"));
            Ok(aside(ledger, &received, StatusCode::OK, body))
        }
        _ if path.starts_with("/v1/responses/") || path.starts_with("/v1/conversations") => {
            Ok(kept(ledger, store, &received))
        }
        _ => {
            let message = format!("Invalid URL ({} {path})", received.parts.method);
            let body = failure::openai_body("invalid_request_error", None, None, &message, 2);
            Ok(aside(ledger, &received, StatusCode::NOT_FOUND, body))
        }
    }
}

async fn call(
    ledger: &Arc<Ledger>,
    store: &Store,
    received: Received,
    api: Api,
) -> Result<Response<ScriptBody>, Cut> {
    let parsed = request::read(api, &received.parts.headers, &received.body);
    let mut inbound = match parsed {
        Ok(inbound) => inbound,
        Err(problem) => return Ok(misunderstood(ledger, &received, api, &problem)),
    };
    inbound.responses.compacts = received.parts.uri.path().ends_with("/compact");
    let answer = answer::compose(&inbound, ledger.occurrence(inbound.seed));
    let verdict = verdict(&inbound, &received.parts.headers);
    let (status, script, headers) = match verdict {
        Verdict::Silence => {
            let call = record(&received, Some(&inbound), &answer, StatusCode::SERVICE_UNAVAILABLE);
            ledger.open(call, received.started, None).end(ServedEnd::CutByScenario);
            return Err(Cut);
        }
        Verdict::Fail(failure) => refuse(&inbound, &answer, failure),
        Verdict::RejectArgument(message) => {
            let body = failure::openai_body("invalid_request_error", None, None, message, 2);
            let mut headers = headers::common(api, &answer, false);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (StatusCode::BAD_REQUEST, wire::untouched(body), headers)
        }
        Verdict::Answer => speak(&inbound, &answer),
    };
    let mut call = record(&received, Some(&inbound), &answer, status);
    if status.is_success() {
        call.usage = Some(answer.usage);
        call.model_served = Some(answer.model.clone());
        call.tier_served = Some(answer.tier.clone());
        if api == Api::Responses && !inbound.responses.compacts {
            store.keep(&inbound, &answer);
        }
    }
    let header_wait = script.header_wait;
    // The call is in the ledger before the wait: a peer that leaves during it is a fact about the call.
    let response = respond(ledger, call, received.started, script, headers);
    if !header_wait.is_zero() {
        tokio::time::sleep(header_wait).await;
    }
    Ok(response)
}

enum Verdict {
    Answer,
    Fail(Failure),
    RejectArgument(&'static str),
    Silence,
}

fn verdict(inbound: &Inbound, headers: &HeaderMap) -> Verdict {
    let has_key = match inbound.api {
        Api::OpenAi | Api::Responses => headers.contains_key(AUTHORIZATION),
        Api::Anthropic => headers.contains_key("x-api-key") || headers.contains_key(AUTHORIZATION),
    };
    if !has_key {
        return Verdict::Fail(Failure::Unauthorized);
    }
    if inbound.api == Api::OpenAi && inbound.has_stream_options && !inbound.stream {
        return Verdict::RejectArgument(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        );
    }
    match inbound.scenario.content {
        Content::NoAnswer => Verdict::Silence,
        Content::Fails(failure) => Verdict::Fail(failure),
        Content::FailsOnce(failure) if inbound.retry == 0 => Verdict::Fail(failure),
        Content::RejectsStreamOptions if inbound.has_stream_options => {
            Verdict::RejectArgument("Unrecognized request argument supplied: stream_options")
        }
        _ if matches!(inbound.scenario.defect, Defect::ErrorEvent | Defect::FlatErrorEvent)
            && !inbound.stream =>
        {
            Verdict::Fail(Failure::Internal)
        }
        _ => Verdict::Answer,
    }
}

fn refuse(inbound: &Inbound, answer: &Answer, failure: Failure) -> (StatusCode, Script, HeaderMap) {
    let is_exhausted = failure == Failure::RateLimited;
    let mut headers = headers::common(inbound.api, answer, is_exhausted);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(failure.content_type()));
    if is_exhausted {
        headers::add_retry_after(&mut headers, inbound.api);
    }
    let status = StatusCode::from_u16(failure.status()).expect("the table holds valid statuses");
    (status, wire::untouched(failure.body(inbound.api, &inbound.model, &answer.request_id)), headers)
}

fn speak(inbound: &Inbound, answer: &Answer) -> (StatusCode, Script, HeaderMap) {
    let mut headers = headers::common(inbound.api, answer, false);
    let content_type = if inbound.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let has_usage = inbound.scenario.usage != UsageStyle::Omitted;
    let script = match (inbound.api, inbound.stream) {
        (Api::OpenAi, true) => {
            let error = Failure::Internal.event_data(inbound.api, &inbound.model, &answer.request_id);
            wire::stream(inbound, openai::stream(inbound, answer), |_| {
                vec![Event::new(None, error, Role::Terminator)]
            })
        }
        (Api::Anthropic, true) => {
            headers.insert("cache-control", HeaderValue::from_static("no-cache"));
            let error = Failure::Overloaded.event_data(inbound.api, &inbound.model, &answer.request_id);
            let error = Event::new(Some("error"), error, Role::Terminator);
            wire::stream(inbound, anthropic::stream(inbound, answer), |_| vec![error])
        }
        (Api::Responses, true) => wire::stream(inbound, responses::stream(inbound, answer), |before| {
            responses::error_events(inbound, answer, before)
        }),
        (Api::Responses, false) if inbound.responses.compacts => {
            wire::whole(inbound, responses::compacted(inbound, answer), true)
        }
        (Api::Responses, false) => {
            let status = match inbound.responses.background {
                true => responses::Status::Queued,
                false => responses::final_status(inbound, answer),
            };
            let body = responses::whole(inbound, answer, status);
            wire::whole(inbound, body, responses::has_usage(inbound, status))
        }
        (Api::OpenAi, false) => wire::whole(inbound, openai::whole(inbound, answer), has_usage),
        (Api::Anthropic, false) => wire::whole(inbound, anthropic::whole(inbound, answer), has_usage),
    };
    if let Some(encoding) = script.content_encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    (StatusCode::OK, script, headers)
}

fn misunderstood(
    ledger: &Arc<Ledger>,
    received: &Received,
    api: Api,
    problem: &Misunderstood,
) -> Response<ScriptBody> {
    let message = match problem {
        Misunderstood::Mock(message) => message.clone(),
        Misunderstood::Body(detail) => format!("We could not parse the JSON body of your request: {detail}"),
    };
    let body = match api {
        Api::OpenAi | Api::Responses => {
            failure::openai_body("invalid_request_error", None, None, &message, 2)
        }
        Api::Anthropic => failure::anthropic_body("invalid_request_error", &message, "req_011CMock"),
    };
    aside(ledger, received, StatusCode::BAD_REQUEST, body)
}

/// Answers a request about a response or a conversation that is kept. The usage of a response that worked in the
/// background stands here and nowhere else.
fn kept(ledger: &Arc<Ledger>, store: &Store, received: &Received) -> Response<ScriptBody> {
    let reply = store.reply(&received.parts.method, &received.parts.uri, &received.body);
    let (kept, script, content_type) = match reply {
        Reply::Aside(status, body) => return aside(ledger, received, status, body),
        Reply::Response(kept) => {
            let body = responses::whole(&kept.inbound, &kept.answer, kept.status);
            let mut script = wire::untouched(body);
            if responses::has_usage(&kept.inbound, kept.status) {
                script.usage_end = script.content_length;
            }
            (kept, script, "application/json")
        }
        Reply::Resumed(kept, events) => {
            let script = wire::stream(&kept.inbound, events, |_| Vec::new());
            (kept, script, "text/event-stream; charset=utf-8")
        }
    };
    let path = received.parts.uri.path();
    let seed = text::seed_of(&[path.as_bytes()]);
    let names = answer::unasked(seed, ledger.occurrence(seed));
    let mut headers = headers::common(Api::Responses, &names, false);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut call = record(received, Some(&kept.inbound), &names, StatusCode::OK);
    call.model_served = Some(kept.answer.model.clone());
    call.tier_served = Some(kept.answer.tier.clone());
    call.usage = Some(kept.answer.usage);
    respond(ledger, call, received.started, script, headers)
}

/// Answers something that is not a call to a model, with a JSON body that no scenario touches.
fn aside(
    ledger: &Arc<Ledger>,
    received: &Received,
    status: StatusCode,
    body: String,
) -> Response<ScriptBody> {
    let path = received.parts.uri.path().to_owned();
    let seed = text::seed_of(&[path.as_bytes(), &received.body]);
    let answer = answer::unasked(seed, ledger.occurrence(seed));
    let mut headers = headers::common(Api::OpenAi, &answer, false);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let call = record(received, None, &answer, status);
    respond(ledger, call, received.started, wire::untouched(body), headers)
}

/// Answers what a test has stated.
fn play(ledger: &Arc<Ledger>, received: &Received, answer: Recorded) -> Response<ScriptBody> {
    let seed = text::seed_of(&[received.parts.uri.path().as_bytes(), &received.body]);
    let names = answer::unasked(seed, ledger.occurrence(seed));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    let call = record(received, None, &names, answer.status);
    let script = Script { steps: answer.steps, ..Script::default() };
    respond(ledger, call, received.started, script, headers)
}

fn record(received: &Received, inbound: Option<&Inbound>, answer: &Answer, status: StatusCode) -> ServedCall {
    let uri = &received.parts.uri;
    ServedCall {
        id: answer.id.clone(),
        request_id: answer.request_id.clone(),
        api: inbound.map(|inbound| inbound.api),
        method: received.parts.method.clone(),
        path: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
        version: received.parts.version,
        scenario: inbound.map_or("none", |inbound| inbound.scenario.name),
        request_headers: received.parts.headers.clone(),
        request_sha256: sha256(&received.body),
        request_body: Some(received.body.clone()),
        model_requested: inbound.map_or(String::new(), |inbound| inbound.model.clone()),
        model_served: None,
        tier_served: None,
        is_stream: inbound.is_some_and(|inbound| inbound.stream),
        status,
        response_headers: HeaderMap::new(),
        chunks: Vec::new(),
        response_bytes: 0,
        response_sha256: None,
        response_sha256_without_usage_event: None,
        usage_event: None,
        usage: None,
        usage_was_sent: false,
        end: ServedEnd::Running,
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hexadecimal(&Sha256::digest(bytes))
}

fn respond(
    ledger: &Arc<Ledger>,
    mut call: ServedCall,
    started: Instant,
    script: Script,
    headers: HeaderMap,
) -> Response<ScriptBody> {
    let status = call.status;
    call.response_headers = headers.clone();
    call.usage_event = script.usage_event;
    let entry = ledger.open(call, started, script.usage_end);
    let mut response = Response::new(ScriptBody::new(script.steps, script.content_length, entry));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
