//! Pure. The events of a streamed response: each carries its type twice, as the event's name and in its data, and a
//! number that counts from 0 without a gap. There is no `[DONE]`; the last event repeats the whole response and is the
//! only one with usage.

use super::{CITATION, Carrier, Item, Status, final_status, has_usage, items, object};
use crate::answer::Answer;
use crate::json::quote;
use crate::request::Inbound;
use crate::scenario::{Content, Defect};
use crate::text::{self, BASE62};
use crate::wire::{Event, Role, bulk_bytes};

/// The events of a stream, from its first to its last.
pub fn stream(inbound: &Inbound, answer: &Answer) -> Vec<Event> {
    let mut writer = Writer { inbound, answer: answer.clone(), events: Vec::new() };
    if inbound.responses.background {
        writer.response("response.created", Status::Queued, Role::Start);
        writer.response("response.queued", Status::Queued, Role::Start);
    } else {
        writer.response("response.created", Status::InProgress, Role::Start);
    }
    writer.response("response.in_progress", Status::InProgress, Role::Start);
    let status = final_status(inbound, answer);
    for (index, item) in items(inbound, answer).iter().enumerate() {
        writer.item(index, item, status);
    }
    if inbound.scenario.content == Content::Failed {
        // The failure comes in the middle of the text: nothing that was opened is closed.
        let deltas = writer.events.iter().filter(|event| event.role == Role::Delta).count();
        let mut left = deltas / 2;
        writer.events.retain(|event| {
            left = left.saturating_sub(usize::from(event.role == Role::Delta));
            left > 0
        });
    }
    let role = if has_usage(inbound, status) { Role::FinishWithUsage } else { Role::Finish };
    match status {
        Status::Failed => writer.response("response.failed", status, role),
        Status::Incomplete => writer.response("response.incomplete", status, role),
        _ => writer.response("response.completed", status, role),
    }
    writer.events
}

/// What interrupts a stream behind `before` events: the error as OpenAI sends it and the response that failed by it, or
/// the error alone in the form of the reference.
pub fn error_events(inbound: &Inbound, answer: &Answer, before: usize) -> Vec<Event> {
    let message = quote("The server had an error while processing your request. Sorry about that!");
    if inbound.scenario.defect == Defect::FlatErrorEvent {
        let data = format!(
            r#"{{"type":"error","sequence_number":{before},"code":"server_error","message":{message},"param":null}}"#
        );
        return vec![Event::new(Some("error"), data, Role::Terminator)];
    }
    let error = format!(
        r#"{{"type":"error","sequence_number":{before},"error":{{"type":"server_error","code":"server_error","message":{message},"param":null}}}}"#
    );
    let failed = format!(
        r#"{{"type":"response.failed","sequence_number":{},"response":{}}}"#,
        before + 1,
        object(inbound, answer, Status::Failed, Carrier::Event)
    );
    vec![
        Event::new(Some("error"), error, Role::Terminator),
        Event::new(Some("response.failed"), failed, Role::Terminator),
    ]
}

struct Writer<'a> {
    inbound: &'a Inbound,
    answer: Answer,
    events: Vec<Event>,
}

impl Writer<'_> {
    fn push(&mut self, name: &'static str, fields: &str, role: Role) {
        let data = format!(r#"{{"type":"{name}","sequence_number":{},{fields}}}"#, self.events.len());
        self.events.push(Event::new(Some(name), data, role));
    }

    fn response(&mut self, name: &'static str, status: Status, role: Role) {
        let object = object(self.inbound, &self.answer, status, Carrier::Event);
        self.push(name, &format!(r#""response":{object}"#), role);
    }

    fn item(&mut self, index: usize, item: &Item, status: Status) {
        let opening = format!(r#""output_index":{index},"item":{}"#, item.opening());
        self.push("response.output_item.added", &opening, Role::Start);
        let place = format!(r#""item_id":"{}","output_index":{index}"#, item.id());
        match item {
            Item::Reasoning { summary, .. } => self.summary(&place, summary),
            Item::WebSearch { .. } => {
                self.push("response.web_search_call.in_progress", &place, Role::Start);
                self.push("response.web_search_call.searching", &place, Role::Ping);
                self.push("response.web_search_call.completed", &place, Role::BlockStop);
            }
            Item::FunctionCall { call, .. } => {
                for part in &call.arguments {
                    self.delta("response.function_call_arguments.delta", &place, part, "");
                }
                let whole = format!(r#"{place},"arguments":{}"#, quote(&call.arguments.concat()));
                self.push("response.function_call_arguments.done", &whole, Role::BlockStop);
            }
            Item::Message { text, is_refusal, cites, .. } => {
                let place = format!(r#"{place},"content_index":0"#);
                self.message(&place, text, *is_refusal, *cites);
                let part = format!(r#"{place},"part":{}"#, item.part());
                self.push("response.content_part.done", &part, Role::BlockStop);
            }
        }
        let closing = format!(r#""output_index":{index},"item":{}"#, item.json(status));
        self.push("response.output_item.done", &closing, Role::BlockStop);
    }

    fn summary(&mut self, place: &str, summary: &[String]) {
        let place = format!(r#"{place},"summary_index":0"#);
        let part = |text: &str| format!(r#"{place},"part":{{"type":"summary_text","text":{}}}"#, quote(text));
        self.push("response.reasoning_summary_part.added", &part(""), Role::Start);
        for piece in summary {
            self.delta("response.reasoning_summary_text.delta", &place, piece, "");
        }
        let whole = summary.concat();
        let text = format!(r#"{place},"text":{}"#, quote(&whole));
        self.push("response.reasoning_summary_text.done", &text, Role::BlockStop);
        self.push("response.reasoning_summary_part.done", &part(&whole), Role::BlockStop);
    }

    fn message(&mut self, place: &str, text: &[String], is_refusal: bool, cites: bool) {
        let (part, delta, done, field, logprobs) = if is_refusal {
            let part = r#"{"type":"refusal","refusal":""}"#;
            (part, "response.refusal.delta", "response.refusal.done", "refusal", "")
        } else {
            let part = r#"{"type":"output_text","annotations":[],"logprobs":[],"text":""}"#;
            let logprobs = r#","logprobs":[]"#;
            (part, "response.output_text.delta", "response.output_text.done", "text", logprobs)
        };
        self.push("response.content_part.added", &format!(r#"{place},"part":{part}"#), Role::Start);
        for (position, piece) in text.iter().enumerate() {
            self.delta(delta, place, piece, logprobs);
            if position == 1 {
                self.bulk(delta, place, logprobs);
            }
        }
        if cites {
            let citation = format!(r#"{place},"annotation_index":0,"annotation":{CITATION}"#);
            self.push("response.output_text.annotation.added", &citation, Role::Ping);
        }
        let whole = format!(r#"{place}{logprobs},"{field}":{}"#, quote(&text.concat()));
        self.push(done, &whole, Role::BlockStop);
    }

    fn delta(&mut self, name: &'static str, place: &str, piece: &str, logprobs: &str) {
        let length = self.answer.chance.below(16) as usize;
        let obfuscation = self.answer.chance.letters(BASE62, length);
        let fields = format!(r#"{place},"delta":{}{logprobs},"obfuscation":"{obfuscation}""#, quote(piece));
        self.push(name, &fields, Role::Delta);
    }

    /// The filler of the scenarios that are about size. It is streamed and not repeated: they are about one long line and
    /// about many events, and `large_output` is about the repetition.
    fn bulk(&mut self, name: &'static str, place: &str, logprobs: &str) {
        let total = bulk_bytes(self.inbound);
        let (length, repeat, role) = match self.inbound.scenario.defect {
            Defect::LongLine => (total, 1, Role::Delta),
            Defect::EndlessLine => (total, 1, Role::Endless),
            Defect::Bulk => (16 * 1024, total / (16 * 1024), Role::Delta),
            _ => return,
        };
        self.delta(name, place, &text::filler(length as usize), logprobs);
        if let Some(event) = self.events.last_mut() {
            event.role = role;
            event.repeat = repeat;
        }
    }
}
