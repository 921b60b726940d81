//! One call through the agent and the provider's answer to it: the envelope is that of the API, the usage is the case's own text.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Method, StatusCode};
use ledgerline_mock_provider::{RECORDED_HEADER, Recorded, Step};
use ledgerline_testkit::http::send;
use ledgerline_testkit::stack::Stack;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::senders;

/// What the cases call beside `openai` and `anthropic`.
pub const UPSTREAMS: &str = "\
- {name: azure, prefix: /azure, url: '{provider}', dialect: openai, provider: azure.ai.openai}
- {name: ptu, prefix: /ptu, url: '{provider}', dialect: openai, provider: azure.ai.openai, conditions: {deployment: ptu-1}}
- {name: eu, prefix: /eu, url: '{provider}', dialect: openai, conditions: {region: eu}}
- {name: quiet, prefix: /quiet, url: '{provider}', dialect: openai, usage_injection: false}
- {name: gemini, prefix: /gemini, url: '{provider}', dialect: openai, provider: gcp.gemini}
- {name: xai, prefix: /xai, url: '{provider}', dialect: openai, provider: x_ai}
- {name: deepseek, prefix: /deepseek, url: '{provider}', dialect: openai, provider: deepseek}
- {name: groq, prefix: /groq, url: '{provider}', dialect: openai, provider: groq}
- {name: openrouter, prefix: /openrouter, url: '{provider}', dialect: openai, provider: openrouter}
- {name: bedrock, prefix: /bedrock, url: '{provider}', dialect: anthropic, provider: aws.bedrock}";

/// The call and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The upstream.
    #[serde(default = "openai")]
    to: String,
    api: Api,
    /// Below the upstream; by default that of the API.
    path: Option<String>,
    #[serde(default)]
    stream: bool,
    /// The model of the request.
    asks: String,
    /// The model of the answer; the requested one if it is not stated.
    model: Option<String>,
    /// As the provider writes it. Of a stream of messages that of the start.
    usage: Option<String>,
    /// Of a stream of messages: those of the later events.
    #[serde(default)]
    deltas: Vec<String>,
    /// Further members of the answer, each with a comma behind it.
    #[serde(default)]
    also: String,
    /// The items of a response.
    output: Option<String>,
    /// Further members of the request, each with a comma behind it.
    #[serde(default)]
    asks_also: String,
    /// The id of the answer, where several calls have the same.
    id: Option<String>,
    /// An answer that is none.
    status: Option<u16>,
    /// Its body, or another one than the API's.
    body: Option<String>,
    /// The client leaves when it has seen this.
    leaves_at: Option<String>,
    /// The provider breaks the connection after so many events, or in the middle of a whole body.
    cut_after: Option<usize>,
    /// The call's span is under this one of the case.
    under: Option<usize>,
}

fn openai() -> String {
    "openai".to_owned()
}

/// What is spoken.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Api {
    Chat,
    Responses,
    /// A response in the background is asked for again.
    Poll,
    Messages,
    Embeddings,
}

impl Exchange {
    /// Makes the call, and holds that the client got what the provider sent.
    pub async fn play(&self, stack: &Stack, case: &str, place: usize) -> anyhow::Result<()> {
        let id = self.id.clone().unwrap_or_else(|| format!("{}-{place}", case.replace('/', "-")));
        let name = format!("{case}#{place}");
        let pieces = self.pieces(&id);
        let content_type = if self.stream { "text/event-stream" } else { "application/json" };
        let status = StatusCode::from_u16(self.status.unwrap_or(200))?;
        let steps = self.steps(&pieces);
        stack.provider.record(&name, Recorded { status, content_type, steps });
        let traceparent = self.under.map(|place| senders::traceparent(case, place));
        let mut headers = vec![
            ("content-type", "application/json"),
            ("authorization", "Bearer sk-mock"),
            ("x-ledgerline-feature", case),
            (RECORDED_HEADER, &name),
        ];
        headers.extend(traceparent.iter().map(|value| ("traceparent", value.as_str())));
        let url = format!("{}/{}{}", stack.agent.url("relay"), self.to, self.path(&id));
        let method = if self.api == Api::Poll { Method::GET } else { Method::POST };
        let body = if self.api == Api::Poll { String::new() } else { self.request() };
        if let Some(text) = &self.leaves_at {
            return leave(&url, &headers, &body, text).await;
        }
        let answer = send(method, &url, &headers, body).await;
        if self.cut_after.is_some() {
            return Ok(());
        }
        let answer = answer?;
        ensure!(answer.status == status, "the client got {}: {}", answer.status, answer.text());
        ensure!(status != StatusCode::OK || !answer.body.is_empty(), "the client got nothing");
        Ok(())
    }

    fn path(&self, id: &str) -> String {
        match (&self.path, self.api) {
            (Some(path), _) => path.clone(),
            (None, Api::Chat) => "/v1/chat/completions".to_owned(),
            (None, Api::Responses) => "/v1/responses".to_owned(),
            (None, Api::Poll) => format!("/v1/responses/{id}"),
            (None, Api::Messages) => "/v1/messages".to_owned(),
            (None, Api::Embeddings) => "/v1/embeddings".to_owned(),
        }
    }

    fn request(&self) -> String {
        let Self { asks, asks_also, stream, .. } = self;
        let stream = if *stream { r#""stream":true,"# } else { "" };
        let said = match self.api {
            Api::Chat => r#""messages":[{"role":"user","content":"Is it?"}]"#,
            Api::Messages => r#""max_tokens":1024,"messages":[{"role":"user","content":"Is it?"}]"#,
            Api::Responses | Api::Poll | Api::Embeddings => r#""input":"Is it?""#,
        };
        format!(r#"{{"model":"{asks}",{asks_also}{stream}{said}}}"#)
    }

    /// Cut, and with a pause where the client leaves, so that it has left when the rest comes. What is billed does not depend on
    /// which is first.
    fn steps(&self, pieces: &[String]) -> Vec<Step> {
        let mut steps: Vec<Step> =
            pieces.iter().map(|piece| Step::Chunk(Bytes::from(piece.clone()))).collect();
        if let Some(kept) = self.cut_after {
            steps.truncate(kept);
            steps.push(Step::Cut);
        }
        if let Some(text) = &self.leaves_at {
            let seen = pieces.iter().position(|piece| piece.contains(text)).expect("the client sees it");
            steps.insert(seen + 1, Step::Wait(std::time::Duration::from_millis(300)));
        }
        steps
    }

    /// The body, whole or by event.
    fn pieces(&self, id: &str) -> Vec<String> {
        if let Some(body) = &self.body {
            return vec![body.replace("{id}", id)];
        }
        let model = self.model.as_ref().unwrap_or(&self.asks);
        match (self.api, self.stream) {
            (Api::Chat, false) => vec![self.chat(id, model)],
            (Api::Chat, true) => self.chat_stream(id, model),
            (Api::Responses | Api::Poll, false) => vec![self.response(id, model)],
            (Api::Responses | Api::Poll, true) => self.response_stream(id, model),
            (Api::Messages, false) => {
                vec![self.message(id, model, "\"end_turn\"", r#"{"type":"text","text":"Yes."}"#)]
            }
            (Api::Messages, true) => self.message_stream(id, model),
            (Api::Embeddings, _) => vec![format!(
                r#"{{"object":"list","data":[{{"object":"embedding","index":0,"embedding":"AACAPw=="}}],"model":"{model}"{}}}"#,
                self.usage()
            )],
        }
    }

    /// With a comma before it.
    fn usage(&self) -> String {
        self.usage.as_ref().map(|usage| format!(r#","usage":{usage}"#)).unwrap_or_default()
    }

    fn chat(&self, id: &str, model: &str) -> String {
        format!(
            r#"{{"id":"{id}","object":"chat.completion","created":1795780800,"model":"{model}",{}"choices":[{{"index":0,"message":{{"role":"assistant","content":"Yes."}},"finish_reason":"stop"}}]{}}}"#,
            self.also,
            self.usage(),
        )
    }

    fn chat_stream(&self, id: &str, model: &str) -> Vec<String> {
        let chunk = |choices: &str, usage: &str| {
            format!(
                "data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":1795780800,\"model\":\"{model}\",{}\"choices\":[{choices}]{usage}}}\n\n",
                self.also
            )
        };
        let mut events = vec![
            chunk(r#"{"index":0,"delta":{"role":"assistant","content":"Yes"},"finish_reason":null}"#, ""),
            chunk(r#"{"index":0,"delta":{"content":"."},"finish_reason":null}"#, ""),
            chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, ""),
        ];
        if self.usage.is_some() {
            events.push(chunk("", &self.usage()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn response(&self, id: &str, model: &str) -> String {
        let said = r#"{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Yes.","annotations":[]}]}"#;
        let output = self.output.as_deref().unwrap_or(said);
        format!(
            r#"{{"id":"{id}","object":"response","created_at":1795780800,"status":"completed",{}"model":"{model}","output":[{output}]{}}}"#,
            self.also,
            self.usage(),
        )
    }

    fn response_stream(&self, id: &str, model: &str) -> Vec<String> {
        let event =
            |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{rest}}}\n\n");
        let begun = format!(
            r#""response":{{"id":"{id}","object":"response","created_at":1795780800,"status":"in_progress","model":"{model}","output":[],"usage":null}}"#
        );
        vec![
            event("response.created", &begun),
            event(
                "response.output_text.delta",
                r#""item_id":"msg_1","output_index":0,"content_index":0,"delta":"Yes.""#,
            ),
            event("response.completed", &format!(r#""response":{}"#, self.response(id, model))),
        ]
    }

    fn message(&self, id: &str, model: &str, stop_reason: &str, content: &str) -> String {
        format!(
            r#"{{"id":"{id}","type":"message","role":"assistant","model":"{model}",{}"content":[{content}],"stop_reason":{stop_reason},"stop_sequence":null{}}}"#,
            self.also,
            self.usage(),
        )
    }

    fn message_stream(&self, id: &str, model: &str) -> Vec<String> {
        let event =
            |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
        let mut events = vec![
            event("message_start", &format!(r#","message":{}"#, self.message(id, model, "null", ""))),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
            event("content_block_delta", r#","index":0,"delta":{"type":"text_delta","text":"Yes."}"#),
            event("content_block_stop", r#","index":0"#),
        ];
        for usage in &self.deltas {
            let rest =
                format!(r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{usage}"#);
            events.push(event("message_delta", &rest));
        }
        events.push(event("message_stop", ""));
        events
    }
}

/// Sends the request, reads until it has seen the text, and is gone.
async fn leave(url: &str, headers: &[(&str, &str)], body: &str, text: &str) -> anyhow::Result<()> {
    let (authority, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("a URL")?;
    let mut stream = TcpStream::connect(authority).await?;
    let mut request =
        format!("POST /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).await?;
    let mut read = Vec::new();
    while !read.windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
        let count = stream.read_buf(&mut read).await?;
        ensure!(count > 0, "the answer ended without `{text}`: {}", String::from_utf8_lossy(&read));
    }
    Ok(())
}
