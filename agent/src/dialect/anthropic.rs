//! Anthropic Messages. Pure.
//!
//! Counts are exclusive: `input_tokens` holds neither what was read from nor what was written to the cache. In a
//! stream, `message_start` carries the input side and `message_delta` running totals of both. They are merged field by
//! field and never added up: the last stated value wins, but a zero on the input side never takes back what was
//! stated before. Thinking is inside `output_tokens`.

use http::Method;
use ledgerline_proto::{BillGap, Operation, TokenClass, TokenCounts};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{Content, Count, ErrorBody, ErrorField, List, Object, Text, bounded, object};
use super::{
    Endpoint, Kind, Part, Progress, Purpose, Reader, Response, Role, Spec, TextSink, Unreadable,
    UsageInjection,
};
use crate::wire::sse::Event;

/// What the agent knows of it.
pub static SPEC: Spec = Spec {
    name: "anthropic",
    provider: "anthropic",
    // What is below `/messages` (batches, `count_tokens`) is no call.
    endpoints: &[Endpoint {
        method: Method::POST,
        path: "/messages",
        purpose: Purpose::Call,
        operation: Operation::Chat,
        usage_injection: UsageInjection::Unneeded,
        reader: || Box::new(MessageReader::default()),
    }],
    free: &["/messages/count_tokens"],
    error_body,
    header_prefixes: &["anthropic-"],
};

fn error_body(_: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": "api_error", "message": message}})
}

/// Reads one message.
#[derive(Debug, Default)]
pub struct MessageReader {
    counts: Counts,
    /// Billed runs of the same model that the counts leave out, see [`Iteration`].
    compaction: Counts,
    /// An event after the start stated the output: what the start states is only its first token.
    delta_stated_output: bool,
}

/// A message, an event of a stream, or an error: told apart by `type`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    /// Of `message_start`.
    #[serde(borrow)]
    message: Object<Message<'a>>,
    /// Of `content_block_start`.
    #[serde(borrow)]
    content_block: Object<Block<'a>>,
    /// Of `content_block_delta` and `message_delta`.
    #[serde(borrow)]
    delta: Object<Delta<'a>>,
    /// Of `message_delta`.
    #[serde(borrow)]
    usage: Object<UsageBody<'a>>,
    error: ErrorField,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
    #[serde(borrow)]
    content: List<Block<'a>>,
    #[serde(borrow)]
    usage: Object<UsageBody<'a>>,
}

/// A whole message or an error, as the body of a response that is not streamed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    error: ErrorField,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Content<'a>,
    #[serde(borrow)]
    thinking: Content<'a>,
    #[serde(borrow)]
    name: Content<'a>,
    #[serde(borrow)]
    input: Content<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Content<'a>,
    #[serde(borrow)]
    thinking: Content<'a>,
    #[serde(borrow)]
    partial_json: Content<'a>,
    #[serde(borrow)]
    stop_reason: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageBody<'a> {
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation: Object<CacheCreation>,
    output_tokens: Count,
    output_tokens_details: Object<OutputDetails>,
    server_tool_use: Object<ServerToolUse>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    #[serde(borrow)]
    speed: Text<'a>,
    #[serde(borrow)]
    inference_geo: Text<'a>,
    #[serde(borrow)]
    iterations: List<Iteration<'a>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Count,
}

/// One run of a model within the call (beta). Ordinary runs are in the call's counts. Compaction runs are billed but
/// not in them, so they are added. Runs of another model (advisor, fallback) have their own price, which one call
/// with one model cannot hold: they are counted as foreign, and the call's bill has a gap.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Iteration<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation: Object<CacheCreation>,
    output_tokens: Count,
}

/// The fields of usage, merged over the events of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

/// The newer value, unless it is a zero that would take back an older one.
fn keep_positive(slot: &mut Option<u64>, newer: Count) {
    match (newer.0, *slot) {
        (None, _) | (Some(0), Some(_)) => {}
        (Some(count), _) => *slot = Some(count),
    }
}

impl Counts {
    fn merge(&mut self, usage: &UsageBody<'_>) {
        keep_positive(&mut self.input, usage.input_tokens);
        keep_positive(&mut self.cache_write, usage.cache_creation_input_tokens);
        keep_positive(&mut self.cache_read, usage.cache_read_input_tokens);
        let creation = usage.cache_creation.0.unwrap_or_default();
        keep_positive(&mut self.cache_write_5m, creation.ephemeral_5m_input_tokens);
        keep_positive(&mut self.cache_write_1h, creation.ephemeral_1h_input_tokens);
        self.output = usage.output_tokens.0.or(self.output);
        let thinking = usage.output_tokens_details.0.and_then(|details| details.thinking_tokens.0);
        self.thinking = thinking.or(self.thinking);
    }

    fn add(&mut self, run: &Iteration<'_>) {
        let creation = run.cache_creation.0.unwrap_or_default();
        for (slot, count) in [
            (&mut self.input, run.input_tokens),
            (&mut self.cache_write, run.cache_creation_input_tokens),
            (&mut self.cache_write_5m, creation.ephemeral_5m_input_tokens),
            (&mut self.cache_write_1h, creation.ephemeral_1h_input_tokens),
            (&mut self.cache_read, run.cache_read_input_tokens),
            (&mut self.output, run.output_tokens),
        ] {
            *slot = Some(slot.unwrap_or(0) + count.or_zero());
        }
    }

    fn input_pairs(&self) -> [(TokenClass, u64); 4] {
        let hour = self.cache_write_1h.unwrap_or(0);
        let stated = self.cache_write_5m.unwrap_or(0);
        let rest = self.cache_write.unwrap_or(0).saturating_sub(hour);
        [
            (TokenClass::InputUncached, self.input.unwrap_or(0)),
            (TokenClass::CacheRead, self.cache_read.unwrap_or(0)),
            (TokenClass::CacheWrite5m, stated.max(rest)),
            (TokenClass::CacheWrite1h, hour),
        ]
    }

    fn output_pairs(&self) -> [(TokenClass, u64); 2] {
        let output = self.output.unwrap_or(0);
        let thinking = self.thinking.unwrap_or(0).min(output);
        [(TokenClass::OutputText, output - thinking), (TokenClass::OutputReasoning, thinking)]
    }
}

impl MessageReader {
    fn read_usage(&mut self, usage: &UsageBody<'_>, response: &mut Response) {
        self.counts.merge(usage);
        if !usage.iterations.0.is_empty() {
            self.read_iterations(&usage.iterations.0, response);
        }
        usage.service_tier.store_some(&mut response.billing.service_tier);
        usage.speed.store_some(&mut response.billing.speed);
        usage.inference_geo.store_some(&mut response.billing.inference_geo);
        if let Some(tools) = usage.server_tool_use.0 {
            keep_positive(&mut response.billing.web_search_requests, tools.web_search_requests);
        }
        let sum = |own: &[(TokenClass, u64)], compaction: &[(TokenClass, u64)]| {
            TokenCounts::from_pairs(&[own, compaction].concat())
        };
        response.input =
            self.counts.input.map(|_| sum(&self.counts.input_pairs(), &self.compaction.input_pairs()));
        response.output =
            self.counts.output.map(|_| sum(&self.counts.output_pairs(), &self.compaction.output_pairs()));
    }

    /// The list is cumulative like the counts, so the newest replaces what was read from an older one.
    fn read_iterations(&mut self, runs: &[Iteration<'_>], response: &mut Response) {
        self.compaction = Counts::default();
        response.foreign_runs = 0;
        response.billing.gap = None;
        for run in runs {
            let is_foreign = run.model.get().is_some_and(|model| model != response.model);
            if is_foreign && run.output_tokens.or_zero() > 0 {
                response.foreign_runs += 1;
                response.billing.gap = Some(BillGap::OtherModel);
            } else if !is_foreign && run.kind.get() == Some("compaction") {
                self.compaction.add(run);
            }
        }
    }

    fn read_message(&mut self, message: &Message<'_>, response: &mut Response, texts: &mut dyn TextSink) {
        message.id.store(&mut response.response_id);
        message.model.store(&mut response.model);
        read_stop_reason(&message.stop_reason, response);
        for block in &message.content.0 {
            read_block(block, texts);
        }
        if let Some(usage) = &message.usage.0 {
            self.read_usage(usage, response);
        }
    }
}

fn read_stop_reason(reason: &Text<'_>, response: &mut Response) {
    if let Some(reason) = reason.get() {
        response.finish_reasons = vec![bounded(reason)];
        response.progress = response.progress.max(Progress::Finished);
    }
}

fn read_block(block: &Block<'_>, texts: &mut dyn TextSink) {
    block.text.hand_to(Kind::Text, texts);
    block.thinking.hand_to(Kind::Reasoning, texts);
    match block.kind.get() {
        // A tool's name is the model's word already; a text block begins empty.
        Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
            block.name.hand_to(Kind::Tool, texts);
            block.input.hand_to(Kind::Tool, texts);
        }
        Some("redacted_thinking") => {
            texts.part(Part { role: Role::Assistant, kind: Kind::Reasoning, text: "" });
        }
        _ => {}
    }
}

impl Reader for MessageReader {
    fn read_event(
        &mut self,
        event: Event<'_>,
        response: &mut Response,
        texts: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        if event.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let body: Body<'_> = object(event.data).ok_or(Unreadable)?;
        match body.kind.get().unwrap_or_default() {
            "message_start" => {
                if let Some(message) = &body.message.0 {
                    self.read_message(message, response, texts);
                }
            }
            "content_block_start" => {
                if let Some(block) = &body.content_block.0 {
                    read_block(block, texts);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = &body.delta.0 {
                    delta.text.hand_to(Kind::Text, texts);
                    delta.thinking.hand_to(Kind::Reasoning, texts);
                    delta.partial_json.hand_to(Kind::Tool, texts);
                }
            }
            "message_delta" => {
                if let Some(delta) = &body.delta.0 {
                    read_stop_reason(&delta.stop_reason, response);
                }
                if let Some(usage) = &body.usage.0 {
                    self.read_usage(usage, response);
                    self.delta_stated_output |= usage.output_tokens.0.is_some();
                    response.usage_is_final |=
                        usage.output_tokens.0.is_some() && response.progress >= Progress::Finished;
                }
            }
            "message_stop" => {
                response.progress = Progress::Terminated;
                // Some servers state the count before the stop reason; nothing comes after this.
                response.usage_is_final |= self.delta_stated_output;
            }
            "error" => response.error = Some(body.error.0.and_then(ErrorBody::class)),
            _ => {}
        }
        Ok(())
    }

    fn read_body(
        &mut self,
        body: &[u8],
        response: &mut Response,
        texts: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        let head: Head<'_> = object(body).ok_or(Unreadable)?;
        if head.kind.get() == Some("error") || head.error.0.is_some() {
            response.error = Some(head.error.0.and_then(ErrorBody::class));
        } else {
            let message: Message<'_> = object(body).ok_or(Unreadable)?;
            self.read_message(&message, response, texts);
            response.usage_is_final = response.input.is_some() || response.output.is_some();
        }
        response.progress = Progress::Terminated;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
