//! Anthropic Messages. Pure.
//!
//! Counts are exclusive: `input_tokens` holds neither what was read from nor what was written to the cache; thinking is inside
//! `output_tokens`. In a stream, `message_start` carries the input side and `message_delta` running totals of both: the last
//! stated value wins, but a zero on the input side never takes back what was stated before.

use http::Method;
use ledgerline_proto::{BillGap, Condition, Operation, Quantities, Run, Side, Unit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{Content, Count, ErrorBody, ErrorField, List, Object, Text, Verbatim, bounded, object};
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
    counts: Counts,
    /// As the newest usage lists them.
    iterations: Iterations,
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

/// The usage of a message, or of one run of a model within it (beta).
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct UsageBody<'a> {
    /// Of a run.
    #[serde(rename = "type")]
    kind: Text<'a>,
    /// Of a run.
    model: Text<'a>,
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation: Object<Details>,
    output_tokens: Count,
    output_tokens_details: Object<Details>,
    server_tool_use: Object<Details>,
    service_tier: Text<'a>,
    speed: Text<'a>,
    inference_geo: Text<'a>,
    iterations: List<UsageBody<'a>>,
}

/// The counts within a part of the usage; each part states some.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Details {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
    thinking_tokens: Count,
    web_search_requests: Count,
}

/// The fields of usage, merged over the events of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Uncached, written to the cache, of that for five minutes and for an hour, read from it.
    input: [Option<u64>; 5],
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
    /// What a usage says of each count of the input side.
    fn input_side(usage: &UsageBody<'_>) -> [Count; 5] {
        let creation = usage.cache_creation.0.unwrap_or_default();
        [
            usage.input_tokens,
            usage.cache_creation_input_tokens,
            creation.ephemeral_5m_input_tokens,
            creation.ephemeral_1h_input_tokens,
            usage.cache_read_input_tokens,
        ]
    }

    fn merge(&mut self, usage: &UsageBody<'_>) {
        self.input.iter_mut().zip(Self::input_side(usage)).for_each(|(slot, it)| keep_positive(slot, it));
        self.output = usage.output_tokens.0.or(self.output);
        let thinking = usage.output_tokens_details.0.and_then(|details| details.thinking_tokens.0);
        self.thinking = thinking.or(self.thinking);
    }

    fn input_pairs(&self) -> [(Unit, u64); 4] {
        let [uncached, written, five_minutes, hour, read] = self.input.map(Option::unwrap_or_default);
        [
            (Unit::InputUncached, uncached),
            (Unit::CacheRead, read),
            (Unit::CacheWrite5m, five_minutes.max(written.saturating_sub(hour))),
            (Unit::CacheWrite1h, hour),
        ]
    }

    fn output_pairs(&self) -> [(Unit, u64); 2] {
        let output = self.output.unwrap_or(0);
        let thinking = self.thinking.unwrap_or(0).min(output);
        [(Unit::OutputText, output - thinking), (Unit::OutputReasoning, thinking)]
    }
}

impl MessageReader {
    fn read_usage(&mut self, usage: &UsageBody<'_>, response: &mut Response) {
        self.counts.merge(usage);
        let conditions = [
            (Condition::ServiceTier, &usage.service_tier),
            (Condition::Speed, &usage.speed),
            (Condition::Region, &usage.inference_geo),
        ];
        for (condition, word) in conditions {
            word.store_condition(condition, &mut response.billing.conditions);
        }
        if let Some(searches) = usage.server_tool_use.0.and_then(|tools| tools.web_search_requests.0)
            && searches > 0
        {
            response.fees.set(Unit::WebSearch, searches);
        }
        if !usage.iterations.0.is_empty() {
            self.iterations = Iterations::read(&usage.iterations.0, &response.model);
            // Of what was written as a stream went on, only the runs say for how long.
            if let Some(hour) = self.iterations.written_for_an_hour {
                keep_positive(&mut self.counts.input[3], Count(Some(hour)));
            }
        }
        response.input = self.counts.input[0].map(|_| Quantities::from_pairs(&self.counts.input_pairs()));
        response.output = self.counts.output.map(|_| Quantities::from_pairs(&self.counts.output_pairs()));
        self.iterations.add_to(response);
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

/// The runs of models within one call, where the provider lists them (`usage.iterations`, beta). Runs of the call's own loop are
/// in its counts; a compaction and an advisor's run never are, and a run that another model gave up or took over is billed at
/// that model's price.
#[derive(Debug, Default)]
struct Iterations {
    /// Of the call's own model, beside its counts.
    beside: Quantities,
    /// Of the call's own model, in place of its counts: other models had a part in those.
    instead: Option<Quantities>,
    /// Of others, by model.
    runs: Vec<Run>,
    /// Tokens of the own loop that were written to a cache for an hour, if the runs say.
    written_for_an_hour: Option<u64>,
    /// A kind of run that is not known here.
    is_unclear: bool,
}

impl Iterations {
    fn read(list: &[UsageBody<'_>], own_model: &str) -> Self {
        let mut found = Self::default();
        let mut own_loop = Quantities::default();
        let mut is_shared = false;
        for run in list {
            let mut counts = Counts::default();
            counts.merge(run);
            let mut quantities = Quantities::from_pairs(&counts.input_pairs());
            quantities.extend(counts.output_pairs());
            let other = run.model.get().filter(|model| *model != own_model);
            // An attempt without output is not billed.
            let is_billed = run.output_tokens.or_zero() > 0;
            match (run.kind.get().unwrap_or_default(), other) {
                ("advisor_message", _) if is_billed => {
                    found.add_run(run.model.get().unwrap_or(own_model), quantities);
                }
                ("compaction", None) => found.beside.extend(quantities.nonzero()),
                ("message" | "fallback_message", None) => {
                    own_loop.extend(quantities.nonzero());
                    if run.cache_creation.0.is_some() {
                        let hour = quantities.get(Unit::CacheWrite1h);
                        found.written_for_an_hour = Some(found.written_for_an_hour.unwrap_or(0) + hour);
                    }
                }
                ("message" | "fallback_message", Some(model)) => {
                    is_shared = true;
                    if is_billed {
                        found.add_run(model, quantities);
                    }
                }
                ("compaction", Some(model)) => found.add_run(model, quantities),
                ("advisor_message", _) => {}
                _ => found.is_unclear |= is_billed,
            }
        }
        found.instead = is_shared.then_some(own_loop);
        found
    }

    fn add_run(&mut self, model: &str, quantities: Quantities) {
        match self.runs.iter_mut().find(|run| run.model == model) {
            Some(run) => run.quantities.extend(quantities.nonzero()),
            None => self.runs.push(Run { model: bounded(model), quantities }),
        }
    }

    fn add_to(&self, response: &mut Response) {
        let of = |side| move |(unit, _): &(Unit, u64)| unit.side() == side;
        for (counts, side) in [(&mut response.input, Side::Input), (&mut response.output, Side::Output)] {
            let Some(counts) = counts else { continue };
            if let Some(instead) = &self.instead {
                *counts = Quantities::default();
                counts.extend(instead.nonzero().filter(of(side)));
            }
            counts.extend(self.beside.nonzero().filter(of(side)));
        }
        response.runs.clone_from(&self.runs);
        response.billing.gap = self.is_unclear.then_some(BillGap::OtherModel);
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
