//! Pure. OpenAI's Responses on the wire: the response object in each of its states, its output items and its usage. The
//! order of the fields is that of recorded answers. The events of a stream are in `stream.rs`.

use std::fmt;

use crate::answer::{Answer, Choice, Finish, TokenUsage, ToolCall};
use crate::json::{indent, quote};
use crate::request::Inbound;
use crate::scenario::{Content, Defect, UsageStyle};
use crate::text::{self, Chance};
use crate::wire::bulk_bytes;

mod stream;

pub use stream::{error_events, stream};

/// The states of a response, by their names on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Accepted in the background.
    Queued,
    /// The model works.
    InProgress,
    /// Done.
    Completed,
    /// Ended by a limit or the filter.
    Incomplete,
    /// Ended by an error.
    Failed,
    /// Ended by the client.
    Cancelled,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The state in which this answer ends.
pub fn final_status(inbound: &Inbound, answer: &Answer) -> Status {
    match (inbound.scenario.content, answer.choices[0].finish) {
        (Content::Failed, _) => Status::Failed,
        (_, Finish::Length | Finish::Filtered) => Status::Incomplete,
        _ => Status::Completed,
    }
}

/// True if a response in this state carries the usage.
pub fn has_usage(inbound: &Inbound, status: Status) -> bool {
    inbound.scenario.usage != UsageStyle::Omitted && matches!(status, Status::Completed | Status::Incomplete)
}

/// A response that is not streamed, in this state.
pub fn whole(inbound: &Inbound, answer: &Answer, status: Status) -> String {
    let compact = object(inbound, answer, status, Carrier::Body);
    format!("{}\n", indent(&compact, 2))
}

/// The output items of an answer, each as JSON.
pub fn output(inbound: &Inbound, answer: &Answer) -> Vec<String> {
    let status = final_status(inbound, answer);
    items(inbound, answer).iter().map(|item| item.json(status)).collect()
}

/// The answer of `POST /v1/responses/compact`: the user's messages as they were and one opaque item instead of the rest.
pub fn compacted(inbound: &Inbound, answer: &Answer) -> String {
    let mut ids = Ids::of(answer);
    let compact = format!(
        r#"{{"id":"{}","object":"response.compaction","created_at":{},"output":[{{"id":"{}","type":"message","status":"completed","content":[{{"type":"input_text","text":{}}}],"role":"user"}},{{"id":"{}","type":"compaction","encrypted_content":"{}"}}],"usage":{}}}"#,
        answer.id,
        answer.created_unix_s,
        ids.next("msg"),
        // A prompt that is a string is the common case; a list of items is quoted as a whole.
        if inbound.responses.input.starts_with('"') {
            inbound.responses.input.clone()
        } else {
            quote(&inbound.responses.input)
        },
        ids.next("cmp"),
        sealed(answer),
        usage(&answer.usage),
    );
    format!("{}\n", indent(&compact, 2))
}

/// Where a response object stands: a body knows more than the event that opens a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Body,
    Event,
}

fn object(inbound: &Inbound, answer: &Answer, status: Status, carrier: Carrier) -> String {
    let fields = &inbound.responses;
    let is_final = !matches!(status, Status::Queued | Status::InProgress);
    let null = || "null".to_owned();
    let raw = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let output = match status {
        Status::Queued | Status::InProgress | Status::Cancelled | Status::Failed => Vec::new(),
        Status::Completed | Status::Incomplete => output(inbound, answer),
    };
    let billing = if carrier == Carrier::Body { r#","billing":{"payer":"developer"}"# } else { "" };
    let conversation = fields
        .conversation
        .as_ref()
        .map_or(String::new(), |id| format!(r#","conversation":{{"id":{}}}"#, quote(id)));
    let searches = answer.usage.web_searches;
    let tool_usage = if searches > 0 && is_final {
        format!(
            r#","tool_usage":{{"image_gen":{{"input_tokens":0,"input_tokens_details":{{"image_tokens":0,"text_tokens":0}},"output_tokens":0,"output_tokens_details":{{"image_tokens":0,"text_tokens":0}},"total_tokens":0}},"web_search":{{"num_requests":{searches}}}}}"#
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"id":"{id}","object":"response","created_at":{created},"status":"{status}","background":{background}{billing},"completed_at":{completed}{conversation},"error":{error},"frequency_penalty":0.0,"incomplete_details":{incomplete},"instructions":{instructions},"max_output_tokens":{limit},"max_tool_calls":null,"model":{model},"output":[{output}],"parallel_tool_calls":true,"presence_penalty":0.0,"previous_response_id":{previous},"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{reasoning},"safety_identifier":null,"service_tier":"{tier}","store":{store},"temperature":1.0,"text":{{"format":{{"type":"text"}},"verbosity":"medium"}},"tool_choice":"auto"{tool_usage},"tools":{tools},"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":{usage},"user":null,"metadata":{metadata}}}"#,
        id = answer.id,
        created = answer.created_unix_s,
        background = fields.background,
        completed =
            if status == Status::Completed { (answer.created_unix_s + 3).to_string() } else { null() },
        error = if status == Status::Failed { failure() } else { null() },
        incomplete = incomplete_details(status, answer),
        instructions = raw(&fields.instructions, "null"),
        limit = inbound.output_tokens_max.map_or_else(null, |limit| limit.to_string()),
        model = quote(&answer.model),
        output = output.join(","),
        previous = fields.previous_response_id.as_deref().map_or_else(null, quote),
        reasoning = raw(&fields.reasoning, r#"{"effort":null,"summary":null}"#),
        // Before it is done nobody knows which tier serves it.
        tier =
            if is_final { answer.tier.as_str() } else { inbound.service_tier.as_deref().unwrap_or("auto") },
        store = fields.store,
        tools = raw(&fields.tools, "[]"),
        usage = if has_usage(inbound, status) { usage(&answer.usage) } else { null() },
        metadata = raw(&fields.metadata, "{}"),
    )
}

fn incomplete_details(status: Status, answer: &Answer) -> String {
    match (status, answer.choices[0].finish) {
        (Status::Incomplete, Finish::Filtered) => r#"{"reason":"content_filter"}"#.to_owned(),
        (Status::Incomplete, _) => r#"{"reason":"max_output_tokens"}"#.to_owned(),
        _ => "null".to_owned(),
    }
}

fn failure() -> String {
    format!(r#"{{"code":"server_error","message":{}}}"#, quote(FAILURE))
}

const FAILURE: &str = "The model failed to generate a response.";

/// One thing the model put out.
enum Item {
    Reasoning { id: String, summary: Vec<String>, sealed: String },
    WebSearch { id: String, query: &'static str },
    FunctionCall { id: String, call: ToolCall },
    Message { id: String, text: Vec<String>, is_refusal: bool, cites: bool, is_cut: bool, filler: String },
}

impl Item {
    fn id(&self) -> &str {
        match self {
            Self::Reasoning { id, .. }
            | Self::WebSearch { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::Message { id, .. } => id,
        }
    }

    /// The item as it is when it is added: without what is streamed.
    fn opening(&self) -> String {
        match self {
            Self::Reasoning { id, sealed, .. } => {
                format!(r#"{{"id":"{id}","type":"reasoning","encrypted_content":"{sealed}","summary":[]}}"#)
            }
            Self::WebSearch { id, .. } => {
                format!(r#"{{"id":"{id}","type":"web_search_call","status":"in_progress"}}"#)
            }
            Self::FunctionCall { id, call } => format!(
                r#"{{"id":"{id}","type":"function_call","status":"in_progress","arguments":"","call_id":"{}","name":"{}"}}"#,
                call.id, call.name
            ),
            Self::Message { id, .. } => format!(
                r#"{{"id":"{id}","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#
            ),
        }
    }

    /// The item as it is in the end.
    fn json(&self, status: Status) -> String {
        match self {
            Self::Reasoning { id, summary, sealed } => format!(
                r#"{{"id":"{id}","type":"reasoning","encrypted_content":"{sealed}","summary":[{{"type":"summary_text","text":{}}}]}}"#,
                quote(&summary.concat())
            ),
            Self::WebSearch { id, query } => format!(
                r#"{{"id":"{id}","type":"web_search_call","status":"completed","action":{{"type":"search","queries":[{0}],"query":{0}}}}}"#,
                quote(query)
            ),
            Self::FunctionCall { id, call } => format!(
                r#"{{"id":"{id}","type":"function_call","status":"completed","arguments":{},"call_id":"{}","name":"{}"}}"#,
                quote(&call.arguments.concat()),
                call.id,
                call.name
            ),
            Self::Message { id, is_cut, .. } => {
                let status = if status == Status::Incomplete && *is_cut { "incomplete" } else { "completed" };
                format!(
                    r#"{{"id":"{id}","type":"message","status":"{status}","content":[{}],"role":"assistant"}}"#,
                    self.part()
                )
            }
        }
    }

    /// The content part of a message, whole.
    fn part(&self) -> String {
        let Self::Message { text, is_refusal, cites, filler, .. } = self else { return String::new() };
        let text = text.concat() + filler;
        if *is_refusal {
            return format!(r#"{{"type":"refusal","refusal":{}}}"#, quote(&text));
        }
        let annotations = if *cites { CITATION } else { "" };
        format!(
            r#"{{"type":"output_text","annotations":[{annotations}],"logprobs":[],"text":{}}}"#,
            quote(&text)
        )
    }
}

/// What a search adds to the text that rests on it.
const CITATION: &str = r#"{"type":"url_citation","end_index":5,"start_index":0,"title":"Posting rules","url":"https://example.com/posting?utm_source=openai"}"#;

const QUERIES: [&str; 3] = ["open invoices", "posting rules caf\u{e9}", "exchange rate \u{20ac}"];

fn items(inbound: &Inbound, answer: &Answer) -> Vec<Item> {
    let Choice { thinking, text, tool_call, finish } = &answer.choices[0];
    let mut ids = Ids::of(answer);
    let mut items = Vec::new();
    if !thinking.is_empty() {
        let (id, summary) = (ids.next("rs"), thinking.clone());
        items.push(Item::Reasoning { id, summary, sealed: sealed(answer) });
    }
    let searches = answer.usage.web_searches;
    for query in QUERIES.iter().cycle().take(searches as usize) {
        items.push(Item::WebSearch { id: ids.next("ws"), query });
    }
    if let Some(call) = tool_call {
        items.push(Item::FunctionCall { id: ids.next("fc"), call: call.clone() });
    } else {
        let is_long =
            matches!(inbound.scenario.defect, Defect::LongLine | Defect::EndlessLine | Defect::Bulk);
        items.push(Item::Message {
            id: ids.next("msg"),
            text: text.clone(),
            is_refusal: *finish == Finish::Refused,
            cites: searches > 0,
            is_cut: matches!(finish, Finish::Length | Finish::Filtered),
            filler: if is_long && !inbound.stream {
                text::filler(bulk_bytes(inbound) as usize)
            } else {
                String::new()
            },
        });
    }
    items
}

/// Item ids end as the response's id does.
struct Ids<'a> {
    chance: Chance,
    tail: &'a str,
}

impl<'a> Ids<'a> {
    fn of(answer: &'a Answer) -> Self {
        Self { chance: Chance::new(text::seed_of(&[answer.id.as_bytes()])), tail: &answer.id[21..] }
    }

    fn next(&mut self, prefix: &str) -> String {
        format!("{prefix}_{:016x}{}", self.chance.next_u64(), self.tail)
    }
}

/// What stands for content that only the provider can read.
fn sealed(answer: &Answer) -> String {
    format!("gAAAAAB{}", answer.chance.clone().letters(text::BASE62, 120))
}

/// Usage in the terms of Responses: the cache is inside the input, reasoning inside the output.
fn usage(usage: &TokenUsage) -> String {
    let (input, output) = (usage.input_total(), usage.output_total());
    let (life_30m, life_12h) = (usage.cache_write_30m, usage.cache_write_12h);
    let lives = if life_30m + life_12h > 0 {
        format!(
            r#","cache_write_tokens_details":{{"ttl_12h_tokens":{life_12h},"ttl_30m_tokens":{life_30m}}}"#
        )
    } else {
        String::new()
    };
    format!(
        r#"{{"input_tokens":{input},"input_tokens_details":{{"cache_write_tokens":{},"cached_tokens":{}{lives}}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}}"#,
        usage.cache_write(),
        usage.cache_read,
        usage.output_reasoning,
        input + output,
    )
}
