//! Makes one call with hyper and compares what arrived with what the provider says it wrote.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::cast::Draft;
use super::{Plan, Protocol, Targets};
use ledgerline_mock_provider::{Api, Ledger, ServedCall, hexadecimal};

/// How a call ended, seen from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The body arrived to its end, whatever its status.
    Complete,
    /// The client left, as it had planned.
    Aborted,
    /// The connection broke because the scenario breaks it.
    CutAsPlanned,
    /// The connection failed or broke, and nobody had planned that.
    Failed(String),
    /// The call took longer than the plan allows.
    TimedOut,
}

/// What the comparison with the oracle said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes are those the provider wrote (without the usage event the client did not ask for); for a call that
    /// was left or cut, a prefix of them.
    Equal,
    /// They are not.
    Different,
    /// There was nothing to compare with.
    Unchecked,
}

/// One call after it was made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was meant.
    pub draft: Draft,
    /// The provider's name for the call; `None` if no headers came.
    pub call_id: Option<String>,
    /// The status; `None` if no headers came.
    pub status: Option<u16>,
    /// How it ended.
    pub end: End,
    /// Bytes of body that arrived.
    pub bytes: u64,
    /// Until the first byte of the body.
    pub first_byte: Option<Duration>,
    /// Until the end.
    pub duration: Duration,
    /// Whether the bytes were right.
    pub verdict: Verdict,
}

/// Makes calls; shared by all of them.
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    openai: String,
    responses: String,
    anthropic: String,
    timeout: Duration,
    oracle: Option<Arc<Ledger>>,
}

impl Caller {
    /// A caller with a connection pool of its own.
    pub fn new(plan: &Plan, targets: &Targets, oracle: Option<Arc<Ledger>>) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(256).http2_only(plan.protocol == Protocol::Http2);
        let base = |uri: &Uri, path: &str| format!("{}{path}", uri.to_string().trim_end_matches('/'));
        Arc::new(Self {
            client: builder.build(connector),
            openai: base(&targets.openai, "/v1/chat/completions"),
            responses: base(&targets.openai, "/v1/responses"),
            anthropic: base(&targets.anthropic, "/v1/messages"),
            timeout: plan.call_timeout,
            oracle,
        })
    }

    /// Makes the call. Never fails: what went wrong is in the outcome.
    pub async fn call(&self, draft: Draft) -> Outcome {
        let started = Instant::now();
        let mut reading = Reading::default();
        let ended = tokio::time::timeout(self.timeout, self.exchange(&draft, &mut reading, started)).await;
        let end = match ended {
            Ok(Ok(end)) => end,
            Ok(Err(_)) if draft.expects_cut() => End::CutAsPlanned,
            Ok(Err(error)) => End::Failed(format!("{error:#}")),
            Err(_) => End::TimedOut,
        };
        let verdict = self.compare(&draft, &reading, &end);
        Outcome {
            draft,
            call_id: reading.call_id,
            status: reading.status,
            end,
            bytes: reading.bytes,
            first_byte: reading.first_byte,
            duration: started.elapsed(),
            verdict,
        }
    }

    async fn exchange(&self, draft: &Draft, reading: &mut Reading, started: Instant) -> anyhow::Result<End> {
        let response = self.client.request(self.request(draft)?).await?;
        reading.open(&response);
        let mut body = response.into_body();
        let mut frames = 0;
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                reading.first_byte.get_or_insert_with(|| started.elapsed());
                reading.bytes += data.len() as u64;
                reading.sha256.update(data);
            }
            frames += 1;
            if draft.abort_after.is_some_and(|limit| frames >= limit) {
                return Ok(End::Aborted);
            }
        }
        Ok(End::Complete)
    }

    fn request(&self, draft: &Draft) -> anyhow::Result<Request<Full<Bytes>>> {
        let identity = &draft.identity;
        let url = match draft.api {
            Api::OpenAi => &self.openai,
            Api::Responses => &self.responses,
            Api::Anthropic => &self.anthropic,
        };
        let builder = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "ledgerline-traffic")
            .header("x-mock-scenario", draft.scenario)
            .header("x-mock-params", &draft.params)
            .header("x-ledgerline-service", identity.service)
            .header("x-ledgerline-environment", identity.environment)
            .header("x-ledgerline-team", identity.team)
            .header("x-ledgerline-feature", identity.feature)
            .header("x-ledgerline-user", &identity.user)
            .header("x-ledgerline-session", &identity.session);
        let builder = match draft.api {
            Api::OpenAi | Api::Responses => builder.header(AUTHORIZATION, "Bearer sk-mock-traffic"),
            Api::Anthropic => {
                builder.header("x-api-key", "sk-ant-mock-traffic").header("anthropic-version", "2023-06-01")
            }
        };
        Ok(builder.body(Full::new(Bytes::from(draft.body.clone())))?)
    }

    fn compare(&self, draft: &Draft, reading: &Reading, end: &End) -> Verdict {
        let served =
            self.oracle.as_ref().zip(reading.call_id.as_ref()).and_then(|(oracle, id)| oracle.call(id));
        let Some(served) = served else { return Verdict::Unchecked };
        let is_equal = if *end == End::Complete {
            let expected = if draft.asks_usage {
                served.response_sha256
            } else {
                served.response_sha256_without_usage_event
            };
            expected.as_deref() == Some(&reading.digest())
        } else {
            let Some(body) = prefix(draft, &served, reading.bytes) else { return Verdict::Unchecked };
            hexadecimal(&Sha256::digest(&body)) == reading.digest()
        };
        if is_equal { Verdict::Equal } else { Verdict::Different }
    }
}

/// The first `length` bytes the client should have seen, if the chunks were kept and are that many.
fn prefix(draft: &Draft, served: &ServedCall, length: u64) -> Option<Vec<u8>> {
    let mut body = if draft.asks_usage { served.body()? } else { served.body_without_usage_event()? };
    if (body.len() as u64) < length {
        // More arrived than was written: whatever it is, it is not equal.
        return Some(Vec::new());
    }
    body.truncate(length as usize);
    Some(body)
}

#[derive(Default)]
struct Reading {
    call_id: Option<String>,
    status: Option<u16>,
    sha256: Sha256,
    bytes: u64,
    first_byte: Option<Duration>,
}

impl Reading {
    fn open(&mut self, response: &Response<Incoming>) {
        self.status = Some(response.status().as_u16());
        let id = response.headers().get("x-mock-call-id");
        self.call_id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
    }

    fn digest(&self) -> String {
        hexadecimal(&self.sha256.clone().finalize())
    }
}
