//! Responses, plain, streamed and in the background; compaction. Pure.
//!
//! One object says everything: its `status`, its `usage`, and the tools of the provider that ran, which are billed apart.
//! A stream states it whole in its last event, after deltas of texts. In the background it is created without usage, and
//! whoever asks for it later sees it grow ([`Response::is_running`]).

use ledgerline_proto::json::lenient::{
    Count, FromValue, LIST_MAX, List, Object, Text, bounded, lenient, object,
};
use ledgerline_proto::usage_object::Reading;
use ledgerline_proto::usage_object::openai::UsageBody;
use ledgerline_proto::{BillGap, Condition, Unit};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

use crate::dialect::json::{Code, Content, ErrorBody, ErrorField, Flag, Verbatim};
use crate::dialect::{Kind, Progress, Read, Reader, Response, TextSink, Unreadable};
use crate::wire::sse::Event;

#[derive(Clone, Copy, Debug, Default)]
pub struct ResponsesReader;

/// The response object, or an error in its place.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Body<'a> {
    id: Text<'a>,
    status: Text<'a>,
    model: Text<'a>,
    service_tier: Text<'a>,
    background: Flag,
    error: ErrorField,
    incomplete_details: Object<Details<'a>>,
    output: Output<'a>,
    tools: List<Details<'a>>,
    usage: Verbatim<'a, UsageBody>,
    tool_usage: Object<ToolUsage<'a>>,
}

/// A small object, of which each place reads a field or two.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Details<'a> {
    /// Of a tool, of what it did, of where it runs.
    #[serde(rename = "type")]
    kind: Text<'a>,
    /// Of an end that came too early.
    reason: Text<'a>,
    /// Of what newer servers count of their tools.
    num_requests: Count,
    total_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct ToolUsage<'a> {
    web_search: Object<Details<'a>>,
    image_gen: Object<Details<'a>>,
}

/// What the model and its tools put out. Of thousands of items all are counted, the texts of the first are kept.
#[derive(Default)]
struct Output<'a> {
    items: Vec<Item<'a>>,
    searches: u64,
    /// The client is asked to run something.
    has_client_tool: bool,
    has_reasoning: bool,
    /// A tool ran that costs more than its tokens.
    has_billed_tool: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Output<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Item<'a> {
    #[serde(rename = "type")]
    kind: Text<'a>,
    content: Content<'a>,
    summary: Content<'a>,
    name: Content<'a>,
    arguments: Content<'a>,
    /// Of calls of the client's own tools.
    input: Content<'a>,
    /// Of web searches: what was done.
    action: Object<Details<'a>>,
    /// Of commands: where they run.
    environment: Object<Details<'a>>,
}

impl<'de: 'a, 'a> FromValue<'de> for Output<'a> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut output = Self::default();
        while let Some(item) = list.next_element::<Object<Item<'a>>>()? {
            let Some(item) = item.0 else { continue };
            output.count(&item);
            if output.items.len() < LIST_MAX {
                output.items.push(item);
            }
        }
        Ok(output)
    }
}

impl Output<'_> {
    fn count(&mut self, item: &Item<'_>) {
        match item.kind.get().unwrap_or_default() {
            // Opening a page and looking into it are free.
            "web_search_call" => {
                let action = item.action.0.as_ref().and_then(|action| action.kind.get());
                self.searches += u64::from(action.is_none_or(|action| action == "search"));
            }
            "reasoning" => self.has_reasoning = true,
            "function_call" | "custom_tool_call" | "computer_call" | "local_shell_call"
            | "apply_patch_call" => {
                self.has_client_tool = true;
            }
            "shell_call" => {
                let place = item.environment.0.as_ref().and_then(|place| place.kind.get());
                let is_hosted = place.is_some_and(|place| place != "local");
                self.has_billed_tool |= is_hosted;
                self.has_client_tool |= !is_hosted;
            }
            "file_search_call" | "code_interpreter_call" | "image_generation_call" => {
                self.has_billed_tool = true;
            }
            _ => {}
        }
    }
}

impl Item<'_> {
    fn hand_to(&self, texts: &mut dyn TextSink) {
        match self.kind.get().unwrap_or_default() {
            "message" => self.content.hand_to(Kind::Text, texts),
            "reasoning" => {
                self.summary.hand_to(Kind::Reasoning, texts);
                self.content.hand_to(Kind::Reasoning, texts);
            }
            _ => {
                for content in [&self.name, &self.arguments, &self.input] {
                    content.hand_to(Kind::Tool, texts);
                }
            }
        }
    }
}

impl Body<'_> {
    fn read(&self, response: &mut Response) {
        self.id.store(&mut response.response_id);
        self.model.store(&mut response.model);
        // Until it ends, a response repeats what was asked for, and `auto` is no tier.
        if self.service_tier.get() != Some("auto") {
            self.service_tier.store_condition(Condition::ServiceTier, &mut response.billing.conditions);
        }
        if let Some(error) = &self.error.0 {
            response.error = Some(error.clone().class());
        }
        let status = self.status.get().unwrap_or_default();
        let is_under_way = matches!(status, "queued" | "in_progress");
        response.is_running = is_under_way && self.background.0;
        if is_under_way {
            return;
        }
        response.progress = Progress::Terminated;
        self.read_end(status, response);
        self.read_tools(response);
        if let Some(usage) = &self.usage.object {
            response.usage_objects.replace(super::SPEC.name, self.usage.text);
            let stated = ledgerline_proto::reported_cost::of_usage(self.usage.text);
            response.billing.reported_cost = stated.or(response.billing.reported_cost);
            let Reading { input, output, .. } = usage.of_response();
            response.input = input.or(response.input.take());
            response.output = output.or(response.output.take());
        }
        response.usage_is_final = response.has_counts();
    }

    fn read_end(&self, status: &str, response: &mut Response) {
        let incomplete = self.incomplete_details.0.as_ref().and_then(|details| details.reason.get());
        let reason = match status {
            "completed" if self.output.has_client_tool => "tool_calls",
            "completed" => "stop",
            "incomplete" => incomplete.unwrap_or(status),
            "cancelled" => status,
            "failed" => {
                response.error.get_or_insert_default();
                return;
            }
            _ => return,
        };
        response.finish_reasons = vec![bounded(reason)];
    }

    fn read_tools(&self, response: &mut Response) {
        let usage = self.tool_usage.0.as_ref();
        let stated = usage.and_then(|usage| usage.web_search.0.as_ref()?.num_requests.0);
        let searches = stated.or(Some(self.output.searches).filter(|searches| *searches > 0));
        if let Some(searches) = searches {
            response.fees.set(Unit::WebSearch, searches);
        }
        // The older search tool costs the same as the newer with models that reason, and another fee with others.
        let is_preview =
            |tool: &Details<'_>| tool.kind.get().is_some_and(|kind| kind.starts_with("web_search_preview"));
        let has_other_fee = searches.is_some_and(|searches| searches > 0)
            && self.tools.0.iter().any(is_preview)
            && !self.output.has_reasoning;
        let images = usage.and_then(|usage| usage.image_gen.0.as_ref()?.total_tokens.0).unwrap_or(0);
        if self.output.has_billed_tool || has_other_fee || images > 0 {
            response.billing.gap = Some(BillGap::Tool);
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct StreamEvent<'a> {
    #[serde(rename = "type")]
    kind: Text<'a>,
    delta: Content<'a>,
    response: Object<Body<'a>>,
    item: Object<Item<'a>>,
    /// Of the event `error`, where some servers put an object and most its fields.
    error: ErrorField,
    code: Code,
}

/// What a delta adds to, from the name of its event.
fn kind_of_delta(event: &str) -> Option<Kind> {
    let of = event.strip_prefix("response.")?.strip_suffix(".delta")?;
    Some(match of {
        "output_text" | "refusal" | "audio.transcript" => Kind::Text,
        _ if of.starts_with("reasoning") => Kind::Reasoning,
        _ => Kind::Tool,
    })
}

impl Reader for ResponsesReader {
    fn read_event(&mut self, event: Event<'_>, response: &mut Response, texts: &mut dyn TextSink) -> Read {
        let data = event.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let event: StreamEvent<'_> = object(data).ok_or(Unreadable)?;
        let kind = event.kind.get().unwrap_or_default();
        if let Some(body) = &event.response.0 {
            body.read(response);
        }
        match kind {
            // Encoded sound is no text.
            "response.audio.delta" => texts.take(Kind::Text, ""),
            "response.output_item.added" => {
                event.item.0.iter().for_each(|item| item.name.hand_to(Kind::Tool, texts));
            }
            "error" => {
                let body = ErrorBody { code: event.code, kind: Code::default() };
                response.error = Some(event.error.0.unwrap_or(body).class());
                response.progress = Progress::Terminated;
            }
            _ => {
                if let Some(kind) = kind_of_delta(kind) {
                    event.delta.hand_to(kind, texts);
                }
            }
        }
        Ok(())
    }

    fn read_body(&mut self, body: &[u8], response: &mut Response, texts: &mut dyn TextSink) -> Read {
        let body: Body<'_> = object(body).ok_or(Unreadable)?;
        body.read(response);
        for item in &body.output.items {
            item.hand_to(texts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
