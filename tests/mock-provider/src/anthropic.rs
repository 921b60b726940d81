//! Pure. Anthropic Messages on the wire: one line of JSON, or named events with cumulative usage. The API pads the data
//! of an event with spaces before its last brace and writes its ping with a space after the colon; so does this.

use crate::answer::{Answer, Choice, Finish, TokenUsage};
use crate::json::quote;
use crate::request::Inbound;
use crate::scenario::{Content, Defect, UsageStyle};
use crate::text::{self, BASE62, Chance};
use crate::wire::{Event, Role, bulk_bytes};

/// The body of a call that does not stream.
pub fn whole(inbound: &Inbound, answer: &Answer) -> String {
    let blocks: Vec<String> = blocks(inbound, answer).iter().map(Block::whole).collect();
    let usage = match inbound.scenario.usage {
        UsageStyle::Omitted => String::new(),
        _ => format!(r#","usage":{}"#, whole_usage(answer)),
    };
    format!(
        r#"{{"model":{},"id":"{}","type":"message","role":"assistant","content":[{}],"stop_reason":"{}","stop_sequence":null{usage}}}"#,
        quote(&answer.model),
        answer.id,
        blocks.join(","),
        stop_reason(answer.choices[0].finish),
    )
}

/// The events of a stream.
pub fn stream(inbound: &Inbound, answer: &Answer) -> Vec<Event> {
    let mut writer = Writer { events: Vec::new(), chance: answer.chance.clone() };
    let usage = match inbound.scenario.usage {
        UsageStyle::Omitted => String::new(),
        _ => format!(r#","usage":{}"#, start_usage(answer)),
    };
    writer.padded(
        "message_start",
        &format!(
            r#"{{"type":"message_start","message":{{"model":{},"id":"{}","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null{usage}}}}}"#,
            quote(&answer.model),
            answer.id
        ),
        Role::Start,
    );
    for (index, block) in blocks(inbound, answer).iter().enumerate() {
        writer.block(inbound, index, block);
    }
    let usage = match inbound.scenario.usage {
        UsageStyle::Omitted => String::new(),
        style => format!(r#","usage":{}"#, delta_usage(style, &answer.usage)),
    };
    let role = if usage.is_empty() { Role::Finish } else { Role::FinishWithUsage };
    let reason = stop_reason(answer.choices[0].finish);
    writer.padded(
        "message_delta",
        &format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}}{usage}}}"#
        ),
        role,
    );
    writer.padded("message_stop", r#"{"type":"message_stop"}"#, Role::Terminator);
    writer.events
}

/// A content block: how it opens, the deltas that fill it, and how it looks when whole.
enum Block {
    Thinking { parts: Vec<String>, signature: String },
    Text { parts: Vec<String>, bulk: u64 },
    Tool { kind: &'static str, id: String, name: &'static str, arguments: Vec<String> },
    SearchResult { id: String },
}

fn blocks(inbound: &Inbound, answer: &Answer) -> Vec<Block> {
    let choice: &Choice = &answer.choices[0];
    let mut chance = Chance::new(inbound.seed ^ 0xB10C);
    let mut blocks = Vec::new();
    if !choice.thinking.is_empty() {
        let signature = format!("EqQB{}==", chance.letters(BASE62, 120));
        blocks.push(Block::Thinking { parts: choice.thinking.clone(), signature });
    }
    if inbound.scenario.content == Content::ServerTool {
        for _ in 0..answer.usage.web_searches {
            let id = format!("srvtoolu_01{}", chance.letters(BASE62, 22));
            let arguments = vec!["{\"query".to_owned(), "\": \"ledger".to_owned(), " lines\"}".to_owned()];
            blocks.push(Block::Tool {
                kind: "server_tool_use",
                id: id.clone(),
                name: "web_search",
                arguments,
            });
            blocks.push(Block::SearchResult { id });
        }
    }
    let bulk = match inbound.scenario.defect {
        Defect::LongLine | Defect::EndlessLine | Defect::Bulk => bulk_bytes(inbound),
        _ => 0,
    };
    blocks.push(Block::Text { parts: choice.text.clone(), bulk });
    if let Some(call) = &choice.tool_call {
        blocks.push(Block::Tool {
            kind: "tool_use",
            id: call.id.clone(),
            name: call.name,
            arguments: call.arguments.clone(),
        });
    }
    blocks
}

impl Block {
    fn opening(&self) -> String {
        match self {
            Self::Thinking { .. } => r#"{"type":"thinking","thinking":"","signature":""}"#.to_owned(),
            Self::Text { .. } => r#"{"type":"text","text":""}"#.to_owned(),
            Self::Tool { kind, id, name, .. } => {
                format!(r#"{{"type":"{kind}","id":"{id}","name":"{name}","input":{{}}}}"#)
            }
            Self::SearchResult { .. } => self.whole(),
        }
    }

    fn whole(&self) -> String {
        match self {
            Self::Thinking { parts, signature } => {
                format!(
                    r#"{{"type":"thinking","thinking":{},"signature":"{signature}"}}"#,
                    quote(&parts.concat())
                )
            }
            Self::Text { parts, bulk } => {
                let text = parts.concat() + &text::filler(*bulk as usize);
                format!(r#"{{"type":"text","text":{}}}"#, quote(&text))
            }
            Self::Tool { kind, id, name, arguments } => {
                format!(r#"{{"type":"{kind}","id":"{id}","name":"{name}","input":{}}}"#, arguments.concat())
            }
            Self::SearchResult { id } => format!(
                r#"{{"type":"web_search_tool_result","tool_use_id":"{id}","content":[{{"type":"web_search_result","title":"Ledger lines","url":"https://example.com/ledger","encrypted_content":"EqgfCioIARgBIiQ3","page_age":null}}]}}"#
            ),
        }
    }

    fn deltas(&self) -> Vec<String> {
        match self {
            Self::Thinking { parts, signature } => {
                let think =
                    |part: &String| format!(r#"{{"type":"thinking_delta","thinking":{}}}"#, quote(part));
                let sign = format!(r#"{{"type":"signature_delta","signature":"{signature}"}}"#);
                parts.iter().map(think).chain([sign]).collect()
            }
            Self::Text { parts, .. } => parts
                .iter()
                .map(|part| format!(r#"{{"type":"text_delta","text":{}}}"#, quote(part)))
                .collect(),
            Self::Tool { arguments, .. } => [String::new()]
                .iter()
                .chain(arguments)
                .map(|part| format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, quote(part)))
                .collect(),
            Self::SearchResult { .. } => Vec::new(),
        }
    }
}

struct Writer {
    events: Vec<Event>,
    chance: Chance,
}

impl Writer {
    fn block(&mut self, inbound: &Inbound, index: usize, block: &Block) {
        let opening = block.opening();
        let data = format!(r#"{{"type":"content_block_start","index":{index},"content_block":{opening}}}"#);
        self.padded("content_block_start", &data, Role::Start);
        if index == 0 {
            self.events.push(Event::new(Some("ping"), r#"{"type": "ping"}"#.to_owned(), Role::Ping));
        }
        for (position, delta) in block.deltas().iter().enumerate() {
            self.delta(index, delta, Role::Delta);
            if let (1, Block::Text { bulk: 1.., .. }) = (position, block) {
                self.bulk(inbound, index);
            }
        }
        let data = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
        self.padded("content_block_stop", &data, Role::BlockStop);
    }

    fn bulk(&mut self, inbound: &Inbound, index: usize) {
        let total = bulk_bytes(inbound);
        let (length, repeat, role) = match inbound.scenario.defect {
            Defect::EndlessLine => (total, 1, Role::Endless),
            Defect::Bulk => (16 * 1024, total / (16 * 1024), Role::Delta),
            _ => (total, 1, Role::Delta),
        };
        let delta = format!(r#"{{"type":"text_delta","text":"{}"}}"#, text::filler(length as usize));
        self.delta(index, &delta, role);
        if let Some(event) = self.events.last_mut() {
            event.repeat = repeat;
        }
    }

    fn delta(&mut self, index: usize, delta: &str, role: Role) {
        let data = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#);
        self.padded("content_block_delta", &data, role);
    }

    fn padded(&mut self, name: &'static str, json: &str, role: Role) {
        let spaces = self.chance.below(16) as usize;
        let data = format!("{}{}}}", &json[..json.len() - 1], " ".repeat(spaces));
        self.events.push(Event::new(Some(name), data, role));
    }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Filtered => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolUse => "tool_use",
        Finish::Refused => "refusal",
    }
}

/// Input fields in Anthropic's terms: the cache is beside `input_tokens`, not inside it.
fn input_fields(usage: &TokenUsage) -> String {
    format!(
        r#""input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{}"#,
        usage.input_uncached + usage.input_audio,
        usage.cache_write_5m + usage.cache_write_1h,
        usage.cache_read,
    )
}

fn cache_creation(usage: &TokenUsage) -> String {
    format!(
        r#""cache_creation":{{"ephemeral_5m_input_tokens":{},"ephemeral_1h_input_tokens":{}}}"#,
        usage.cache_write_5m, usage.cache_write_1h
    )
}

fn start_usage(answer: &Answer) -> String {
    format!(
        r#"{{{},{},"output_tokens":{},"service_tier":"{}","inference_geo":"not_available"}}"#,
        input_fields(&answer.usage),
        cache_creation(&answer.usage),
        answer.usage.output_total().min(1),
        answer.tier
    )
}

fn whole_usage(answer: &Answer) -> String {
    let usage = &answer.usage;
    format!(
        r#"{{{},{},"output_tokens":{}{},"service_tier":"{}","inference_geo":"not_available"}}"#,
        input_fields(usage),
        cache_creation(usage),
        usage.output_total(),
        details(usage),
        answer.tier
    )
}

fn delta_usage(style: UsageStyle, usage: &TokenUsage) -> String {
    let output = format!(r#""output_tokens":{}{}"#, usage.output_total(), details(usage));
    match style {
        UsageStyle::OutputOnlyDelta => format!("{{{output}}}"),
        UsageStyle::ZeroInDelta => format!("{{{},{output}}}", input_fields(&TokenUsage::default())),
        _ => format!("{{{},{output}}}", input_fields(usage)),
    }
}

fn details(usage: &TokenUsage) -> String {
    let mut details = String::new();
    if usage.output_reasoning > 0 {
        details += &format!(r#","output_tokens_details":{{"thinking_tokens":{}}}"#, usage.output_reasoning);
    }
    if usage.web_searches > 0 {
        details += &format!(
            r#","server_tool_use":{{"web_search_requests":{},"web_fetch_requests":0}}"#,
            usage.web_searches
        );
    }
    details
}
