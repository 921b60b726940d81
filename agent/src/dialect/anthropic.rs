//! Anthropic Messages. Pure.
//!
//! In a stream, `message_start` carries the input side of the usage and `message_delta` running totals of both sides. How it counts is
//! in [`ledgerline_proto::usage_object::anthropic`].

use http::Method;
use ledgerline_proto::json::lenient::{List, Object, Text, bounded, object};
use ledgerline_proto::usage_object::anthropic::{Merged, UsageBody};
use ledgerline_proto::{Condition, Operation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{Content, ErrorBody, ErrorField, Verbatim};
use super::{Endpoint, Kind, Progress, Purpose, Read, Reader, Response, Spec, TextSink, Unreadable};
use crate::wire::sse::Event;

/// What the agent knows of it.
pub static SPEC: Spec = Spec {
    name: "anthropic",
    provider: "anthropic",
    // Its answers say where they were made.
    regions: &[],
    // What is below `/messages` (batches, `count_tokens`) is no call.
    endpoints: &[Endpoint {
        method: Method::POST,
        path: "/messages",
        purpose: Purpose::Call,
        operation: Operation::Chat,
        injects_usage: false,
        finish_field: None,
        reader: || Box::new(MessageReader::default()),
    }],
    free: &["/messages/count_tokens"],
    error_body,
    header_prefixes: &["anthropic-"],
};

fn error_body(_: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": "api_error", "message": message}})
}

#[derive(Debug, Default)]
pub struct MessageReader {
    usage: Merged,
    /// An event after the start stated the output: what the start states is only its first token.
    delta_stated_output: bool,
}

/// A message, an event of a stream, or an error: told apart by `type`.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: Text<'a>,
    message: Object<Message<'a>>,
    content_block: Object<Block<'a>>,
    delta: Object<Delta<'a>>,
    usage: Verbatim<'a, UsageBody<'a>>,
    error: ErrorField,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Message<'a> {
    /// `message`, or `error` where an error is the whole body.
    #[serde(rename = "type")]
    kind: Text<'a>,
    error: ErrorField,
    id: Text<'a>,
    model: Text<'a>,
    stop_reason: Text<'a>,
    content: List<Block<'a>>,
    usage: Verbatim<'a, UsageBody<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: Text<'a>,
    text: Content<'a>,
    thinking: Content<'a>,
    name: Content<'a>,
    input: Content<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Delta<'a> {
    text: Content<'a>,
    thinking: Content<'a>,
    partial_json: Content<'a>,
    stop_reason: Text<'a>,
}

impl MessageReader {
    fn read_usage(&mut self, usage: &UsageBody<'_>, response: &mut Response) {
        let conditions = [
            (Condition::ServiceTier, &usage.service_tier),
            (Condition::Speed, &usage.speed),
            (Condition::Region, &usage.inference_geo),
        ];
        for (condition, word) in conditions {
            word.store_condition(condition, &mut response.billing.conditions);
        }
        self.usage.add(usage, &response.model);
        let reading = self.usage.reading();
        (response.input, response.output, response.runs) = (reading.input, reading.output, reading.runs);
        response.fees = reading.fees.unwrap_or_default();
        response.billing.gap = reading.gap;
    }

    fn read_message(&mut self, message: &Message<'_>, response: &mut Response, texts: &mut dyn TextSink) {
        message.id.store(&mut response.response_id);
        message.model.store(&mut response.model);
        read_stop_reason(&message.stop_reason, response);
        for block in &message.content.0 {
            read_block(block, texts);
        }
        if let Some(usage) = &message.usage.object {
            response.usage_objects.add(SPEC.name, message.usage.text);
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
            texts.take(Kind::Reasoning, "");
        }
        _ => {}
    }
}

impl Reader for MessageReader {
    fn read_event(&mut self, event: Event<'_>, response: &mut Response, texts: &mut dyn TextSink) -> Read {
        if event.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let body: Body<'_> = object(event.data).ok_or(Unreadable)?;
        match body.kind.get().unwrap_or_default() {
            "message_start" => {
                body.message.0.iter().for_each(|message| self.read_message(message, response, texts));
            }
            "content_block_start" => body.content_block.0.iter().for_each(|block| read_block(block, texts)),
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
                if let Some(usage) = &body.usage.object {
                    response.usage_objects.add(SPEC.name, body.usage.text);
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

    fn read_body(&mut self, body: &[u8], response: &mut Response, texts: &mut dyn TextSink) -> Read {
        let message: Message<'_> = object(body).ok_or(Unreadable)?;
        if message.kind.get() == Some("error") || message.error.0.is_some() {
            response.error = Some(message.error.0.and_then(ErrorBody::class));
        } else {
            self.read_message(&message, response, texts);
            response.usage_is_final = response.has_counts();
        }
        response.progress = Progress::Terminated;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
