//! Pure. OpenAI Chat Completions on the wire: an indented document, or `data:` lines that end in `[DONE]`. The bytes
//! are written out rather than serialised, because their order and spacing are the point.

use crate::answer::{Answer, Choice, Finish, TokenUsage};
use crate::json::{indent, quote};
use crate::request::Inbound;
use crate::scenario::{Content, Defect, UsageStyle};
use crate::text::{self, BASE62};
use crate::wire::{Event, Role, bulk_bytes};

/// The body of a call that does not stream.
pub fn whole(inbound: &Inbound, answer: &Answer) -> String {
    let choices: Vec<String> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            format!(
                r#"{{"index":{index},"message":{},"logprobs":null,"finish_reason":"{}"}}"#,
                message(inbound, answer, choice),
                finish_reason(choice.finish)
            )
        })
        .collect();
    let usage = match inbound.scenario.usage {
        UsageStyle::Omitted => String::new(),
        _ => format!(r#","usage":{}"#, usage(&answer.usage)),
    };
    let compact = format!(
        r#"{{"id":"{}","object":"chat.completion","created":{},"model":{},"choices":[{}]{usage},"service_tier":"{}","system_fingerprint":"{}"}}"#,
        answer.id,
        answer.created_unix_s,
        quote(&answer.model),
        choices.join(","),
        answer.tier,
        answer.fingerprint,
    );
    format!("{}\n", indent(&compact, 2))
}

fn message(inbound: &Inbound, answer: &Answer, choice: &Choice) -> String {
    let mut text = choice.text.concat();
    if matches!(inbound.scenario.defect, Defect::LongLine | Defect::EndlessLine | Defect::Bulk) {
        text.push_str(&text::filler(bulk_bytes(inbound) as usize));
    }
    let (content, refusal) = match choice.finish {
        Finish::ToolUse => ("null".to_owned(), "null".to_owned()),
        Finish::Refused => ("null".to_owned(), quote(&text)),
        _ if inbound.scenario.content == Content::Audio => ("null".to_owned(), "null".to_owned()),
        _ => (quote(&text), "null".to_owned()),
    };
    let tool_calls = choice.tool_call.as_ref().map_or(String::new(), |call| {
        format!(
            r#","tool_calls":[{{"id":"{}","type":"function","function":{{"name":"{}","arguments":{}}}}}]"#,
            call.id,
            call.name,
            quote(&call.arguments.concat())
        )
    });
    let audio = if inbound.scenario.content == Content::Audio {
        format!(
            r#","audio":{{"id":"audio_{}","data":"UklGRiQAAABXQVZFZm10IBAAAAABAAEA","expires_at":{},"transcript":{}}}"#,
            &answer.fingerprint[3..],
            answer.created_unix_s + 3_600,
            quote(&text)
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"role":"assistant","content":{content}{tool_calls},"refusal":{refusal}{audio},"annotations":[]}}"#
    )
}

/// The events of a stream.
pub fn stream(inbound: &Inbound, answer: &Answer) -> Vec<Event> {
    let mut writer = Writer { inbound, answer: answer.clone(), events: Vec::new(), written_tokens: 0 };
    let last = answer.choices.len() - 1;
    for (index, choice) in answer.choices.iter().enumerate() {
        writer.choice(index, choice, index == last);
    }
    let asked = inbound.include_usage;
    let extra = matches!(inbound.scenario.usage, UsageStyle::Standard | UsageStyle::EveryChunk) && asked;
    if extra {
        let usage = format!(r#","usage":{}"#, usage(&answer.usage));
        let data = writer.envelope("", &usage);
        writer.events.push(Event::new(None, data, Role::Usage));
    }
    writer.events.push(Event::new(None, "[DONE]".to_owned(), Role::Terminator));
    writer.events
}

struct Writer<'a> {
    inbound: &'a Inbound,
    answer: Answer,
    events: Vec<Event>,
    written_tokens: u64,
}

impl Writer<'_> {
    fn choice(&mut self, index: usize, choice: &Choice, is_last: bool) {
        let (content, refused) = (self.inbound.scenario.content, choice.finish == Finish::Refused);
        if let Some(call) = &choice.tool_call {
            let opening = format!(
                r#"{{"role":"assistant","content":null,"tool_calls":[{{"index":0,"id":"{}","type":"function","function":{{"name":"{}","arguments":""}}}}],"refusal":null}}"#,
                call.id, call.name
            );
            self.delta(index, &opening, Role::Start);
            for part in &call.arguments {
                let delta =
                    format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{}}}}}]}}"#, quote(part));
                self.delta(index, &delta, Role::Delta);
            }
        } else {
            let opening = if content == Content::Audio {
                format!(
                    r#"{{"role":"assistant","content":null,"refusal":null,"audio":{{"id":"audio_{}","transcript":""}}}}"#,
                    &self.answer.fingerprint[3..]
                )
            } else {
                let null_content = if refused { "null" } else { "\"\"" };
                format!(r#"{{"role":"assistant","content":{null_content},"refusal":null}}"#)
            };
            self.delta(index, &opening, Role::Start);
            for (position, part) in choice.text.iter().enumerate() {
                let delta = match content {
                    Content::Audio => format!(r#"{{"audio":{{"transcript":{}}}}}"#, quote(part)),
                    _ if refused => format!(r#"{{"refusal":{}}}"#, quote(part)),
                    _ => format!(r#"{{"content":{}}}"#, quote(part)),
                };
                self.delta(index, &delta, Role::Delta);
                if position == 1 {
                    self.bulk(index);
                }
            }
        }
        self.finish(index, choice, is_last);
    }

    fn bulk(&mut self, index: usize) {
        let total = bulk_bytes(self.inbound);
        let (length, repeat, role) = match self.inbound.scenario.defect {
            Defect::LongLine => (total, 1, Role::Delta),
            Defect::EndlessLine => (total, 1, Role::Endless),
            Defect::Bulk => (16 * 1024, total / (16 * 1024), Role::Delta),
            _ => return,
        };
        let delta = format!(r#"{{"content":"{}"}}"#, text::filler(length as usize));
        self.delta(index, &delta, role);
        if let Some(event) = self.events.last_mut() {
            event.repeat = repeat;
        }
    }

    fn delta(&mut self, index: usize, delta: &str, role: Role) {
        let choice = format!(r#"{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":null}}"#);
        self.written_tokens += 1;
        let usage = match self.inbound.scenario.usage {
            UsageStyle::Omitted | UsageStyle::InFinishChunk => String::new(),
            _ if !self.inbound.include_usage => String::new(),
            UsageStyle::EveryChunk => {
                let so_far = TokenUsage {
                    output_text: self.written_tokens.min(self.answer.usage.output_text),
                    output_reasoning: 0,
                    ..self.answer.usage
                };
                format!(r#","usage":{}"#, usage(&so_far))
            }
            _ => r#","usage":null"#.to_owned(),
        };
        let data = self.envelope(&choice, &usage);
        self.events.push(Event::new(None, data, role));
    }

    fn finish(&mut self, index: usize, choice: &Choice, is_last: bool) {
        let reason = finish_reason(choice.finish);
        let choice =
            format!(r#"{{"index":{index},"delta":{{}},"logprobs":null,"finish_reason":"{reason}"}}"#);
        let (usage, role) = match self.inbound.scenario.usage {
            UsageStyle::InFinishChunk if is_last => {
                (format!(r#","usage":{}"#, usage(&self.answer.usage)), Role::FinishWithUsage)
            }
            UsageStyle::InFinishChunk | UsageStyle::Omitted => (String::new(), Role::Finish),
            _ if !self.inbound.include_usage => (String::new(), Role::Finish),
            _ => (r#","usage":null"#.to_owned(), Role::Finish),
        };
        let data = self.envelope(&choice, &usage);
        self.events.push(Event::new(None, data, role));
    }

    fn envelope(&mut self, choices: &str, usage: &str) -> String {
        let length = self.answer.chance.below(16) as usize;
        let obfuscation = self.answer.chance.letters(BASE62, length);
        format!(
            r#"{{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"service_tier":"{}","system_fingerprint":"{}","choices":[{choices}]{usage},"obfuscation":"{obfuscation}"}}"#,
            self.answer.id,
            self.answer.created_unix_s,
            quote(&self.answer.model),
            self.answer.tier,
            self.answer.fingerprint,
        )
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Refused => "stop",
        Finish::Length => "length",
        Finish::ToolUse => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// Usage in OpenAI's terms: cache and audio are inside the prompt count, reasoning and audio inside the completion.
fn usage(usage: &TokenUsage) -> String {
    let (input, output) = (usage.input_total(), usage.output_total());
    let cache_write = usage.cache_write_5m + usage.cache_write_1h;
    let cache_write =
        if cache_write > 0 { format!(r#""cache_write_tokens":{cache_write},"#) } else { String::new() };
    format!(
        r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},{cache_write}"audio_tokens":{}}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":{},"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        input + output,
        usage.cache_read,
        usage.input_audio,
        usage.output_reasoning,
        usage.output_audio,
    )
}
