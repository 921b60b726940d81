//! The scenarios, as one table: each entry is a way in which a provider answers, well or badly. Tests name them;
//! the real SDKs' reaction is part of the entry and is itself tested. Nothing else in the mock knows their names.

use crate::failure::Failure;
use crate::request::Api;

/// What a correct client library makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It returns an answer, and the usage the wire carried.
    Answer,
    /// It raises its own error.
    Error,
    /// It returns less than was sent, or raises, depending on the library: only the bytes are asserted.
    Any,
}

/// What the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Plain,
    /// Text after a prompt that was mostly cached.
    CacheRead,
    /// Text after a prompt that was cached for the default time.
    CacheWrite,
    /// The same with both lifetimes.
    CacheWrite1h,
    /// Reasoning before the text.
    Reasoning,
    /// A call of a tool.
    ToolCall,
    /// A refusal.
    Refusal,
    /// Text up to the limit.
    Length,
    /// Text that the filter ended.
    Filtered,
    /// A transcript with audio.
    Audio,
    /// Text of many pieces, each long: the event that ends the stream repeats it all.
    Large,
    /// Text whose cached part says how long it lives.
    CacheWriteLives,
    /// The response fails after it was accepted; its status says so, HTTP's does not.
    Failed,
    /// Web searches before the text.
    ServerTool,
    /// Text served on this tier.
    Tier(&'static str),
    /// Text from a model nobody knows.
    UnknownModel,
    /// An error.
    Fails(Failure),
    /// An error unless the SDK says it is a retry.
    FailsOnce(Failure),
    /// An error if the request has `stream_options`.
    RejectsStreamOptions,
    /// Nothing: the connection closes.
    NoAnswer,
}

/// How the body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// Not at all, but the header says gzip.
    FalseGzip,
}

/// How events become chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One chunk an event.
    Event,
    /// One chunk a byte.
    Byte,
    /// Events, and each multi-byte code point cut after its first byte.
    InsideCodePoint,
    /// Events with CR LF.
    Crlf,
    /// Events whose data is on two lines.
    MultilineData,
    /// Events with comments and pings between them.
    Comments,
    /// Two and a half events a chunk.
    Merged,
}

/// Where usage stands in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageStyle {
    /// As the API documents it.
    Standard,
    /// Nowhere.
    Omitted,
    /// Beside the finish reason (Together, Mistral).
    InFinishChunk,
    /// Running, in every chunk (vLLM).
    EveryChunk,
    /// Input counts of the delta are 0.
    ZeroInDelta,
    /// The delta has no input counts.
    OutputOnlyDelta,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Nothing.
    None,
    /// An error event takes the place of the second half.
    ErrorEvent,
    /// The same in the form that the Responses reference documents, without an `error` object.
    FlatErrorEvent,
    /// The connection breaks inside a chunk.
    Cut,
    /// The last event is missing.
    NoTerminator,
    /// The JSON of the middle event, or of the body, is cut.
    MalformedJson,
    /// Three bytes that are not UTF-8 stand in the text.
    InvalidUtf8,
    /// One event is very long.
    LongLine,
    /// One event is very long and never ends.
    EndlessLine,
    /// Very many events.
    Bulk,
    /// Bytes follow the end.
    TrailingGarbage,
    /// A long pause in the middle.
    Stall,
    /// No byte.
    Empty,
}

/// One way of answering.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What a test writes to choose it.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub doc: &'static str,
    /// The APIs that have it.
    pub apis: &'static [Api],
    /// What the real SDK makes of it when it streams.
    pub streamed: Expectation,
    /// What the real SDK makes of it when it does not.
    pub whole: Expectation,
    pub(super) content: Content,
    pub(super) encoding: Encoding,
    pub(super) framing: Framing,
    pub(super) usage: UsageStyle,
    pub(super) defect: Defect,
    pub(super) slow: bool,
}

impl Scenario {
    /// True if this API has the scenario.
    pub fn applies_to(&self, api: Api) -> bool {
        self.apis.contains(&api)
    }

    /// True if the body is encoded, or says so: a proxy cannot take an event out of it without decoding.
    pub fn is_encoded(&self) -> bool {
        self.encoding != Encoding::Identity
    }

    /// True if nothing is said of the usage beyond what the API itself prescribes.
    pub fn has_standard_usage(&self) -> bool {
        self.usage == UsageStyle::Standard
    }
}

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

const ALL: &[Api] = &[Api::OpenAi, Api::Responses, Api::Anthropic];
const OPENAI: &[Api] = &[Api::OpenAi, Api::Responses];
const CHAT: &[Api] = &[Api::OpenAi];
const RESPONSES: &[Api] = &[Api::Responses];
const ANTHROPIC: &[Api] = &[Api::Anthropic];

const PLAIN: Scenario = Scenario {
    name: "plain",
    doc: "A well-behaved answer: one choice of text, usage where the API puts it.",
    apis: ALL,
    streamed: Expectation::Answer,
    whole: Expectation::Answer,
    content: Content::Plain,
    encoding: Encoding::Identity,
    framing: Framing::Event,
    usage: UsageStyle::Standard,
    defect: Defect::None,
    slow: false,
};

const fn says(name: &'static str, content: Content, doc: &'static str) -> Scenario {
    Scenario { name, doc, content, ..PLAIN }
}

const fn only(apis: &'static [Api], scenario: Scenario) -> Scenario {
    Scenario { apis, ..scenario }
}

const fn fails(name: &'static str, failure: Failure, doc: &'static str) -> Scenario {
    broken(Scenario { name, doc, content: Content::Fails(failure), ..PLAIN })
}

const fn encoded(name: &'static str, encoding: Encoding, doc: &'static str) -> Scenario {
    Scenario { name, doc, encoding, ..PLAIN }
}

const fn framed(name: &'static str, framing: Framing, doc: &'static str) -> Scenario {
    Scenario { name, doc, framing, ..PLAIN }
}

const fn counts(name: &'static str, usage: UsageStyle, doc: &'static str) -> Scenario {
    Scenario { name, doc, usage, ..PLAIN }
}

const fn spoils(name: &'static str, defect: Defect, doc: &'static str) -> Scenario {
    Scenario { name, doc, defect, ..PLAIN }
}

const fn broken(scenario: Scenario) -> Scenario {
    Scenario { streamed: Expectation::Error, whole: Expectation::Error, ..scenario }
}

/// Every scenario the mock knows.
#[rustfmt::skip]
pub static SCENARIOS: &[Scenario] = &[
    PLAIN,
    // What the answer says.
    says("cached", Content::CacheRead, "Most of the prompt was read from the cache; OpenAI counts it inside the input, Anthropic beside it."),
    says("cache_write", Content::CacheWrite, "Part of the prompt was written to the cache with the default lifetime (Anthropic: 5 minutes)."),
    only(ANTHROPIC, says("cache_write_1h", Content::CacheWrite1h, "Part of the prompt was written to the cache for an hour and part for five minutes.")),
    says("reasoning", Content::Reasoning, "Hidden reasoning tokens (OpenAI; Responses adds a summary) or a thinking block with a signature (Anthropic); a part of the output count."),
    says("tool_call", Content::ToolCall, "The model calls a tool; the arguments arrive in fragments that are not JSON one by one."),
    says("refusal", Content::Refusal, "The model refuses: OpenAI's refusal field, a refusal part (Responses), Anthropic's stop reason."),
    says("length", Content::Length, "The answer stops at the token limit."),
    only(OPENAI, says("content_filter", Content::Filtered, "The provider's filter ends the answer.")),
    only(CHAT, says("audio", Content::Audio, "Audio in and out, counted in the usage details.")),
    only(&[Api::Responses, Api::Anthropic], says("server_tool", Content::ServerTool, "The provider ran web searches, which it bills per request.")),
    says("priority_tier", Content::Tier("priority"), "The tier served is priority, whatever was asked for."),
    only(OPENAI, says("flex_tier", Content::Tier("flex"), "The tier served is flex, whatever was asked for.")),
    only(RESPONSES, says("cache_write_lives", Content::CacheWriteLives, "Parts of the prompt were written to the cache for 30 minutes, for 12 hours and for a time that is not said.")),
    only(RESPONSES, says("large_output", Content::Large, "A megabyte of text; the event that ends the stream repeats all of it before it comes to the usage.")),
    only(RESPONSES, Scenario { streamed: Expectation::Any, whole: Expectation::Any, ..says("failed", Content::Failed, "The response fails while the model works: status `failed`, an error object, no usage, HTTP 200.") }),
    says("unknown_model", Content::UnknownModel, "The model served is in no price book."),
    // Pace.
    Scenario { name: "slow", doc: "Headers, first chunk and each next chunk come late: 40, 40 and 15 ms unless the parameters say otherwise.", slow: true, ..PLAIN },
    spoils("stall", Defect::Stall, "The stream stops half-way for `stall_ms` (15 minutes by default), then goes on."),
    // Refused.
    fails("error_400", Failure::BadRequest, "An invalid request."),
    fails("error_401", Failure::Unauthorized, "A wrong key."),
    fails("error_403", Failure::Forbidden, "A key without permission."),
    fails("error_404", Failure::NotFound, "A model that does not exist."),
    fails("error_413", Failure::TooLarge, "A body that is too large."),
    fails("error_429", Failure::RateLimited, "The rate limit, with retry-after and exhausted rate-limit headers."),
    fails("error_quota", Failure::QuotaExceeded, "The account has no credit left."),
    fails("error_500", Failure::Internal, "An internal error."),
    fails("error_502_html", Failure::BadGateway, "A page of HTML from the provider's own edge."),
    fails("error_503", Failure::Unavailable, "The service is unavailable."),
    fails("overloaded_529", Failure::Overloaded, "The model is overloaded."),
    broken(says("no_answer", Content::NoAnswer, "The connection closes before any answer.")),
    says("flaky_429", Content::FailsOnce(Failure::RateLimited), "The first attempt meets the rate limit, a retry by the SDK succeeds."),
    only(CHAT, says("usage_on_400", Content::RejectsStreamOptions, "An old OpenAI-compatible server: 400 if `stream_options` is present at all, a plain answer otherwise.")),
    // Broken on the way.
    broken(spoils("midstream_error", Defect::ErrorEvent, "A stream that turns into an error half-way; without streaming, a 500.")),
    broken(spoils("truncated", Defect::Cut, "The connection is cut inside an event, or inside the body.")),
    broken(spoils("malformed_json", Defect::MalformedJson, "One event in the middle, or the body, is not complete JSON.")),
    broken(spoils("invalid_utf8", Defect::InvalidUtf8, "Bytes that are not UTF-8 inside a JSON string.")),
    only(&[Api::OpenAi, Api::Anthropic], spoils("no_done", Defect::NoTerminator, "The stream ends well but without `[DONE]` or `message_stop`.")),
    only(RESPONSES, Scenario { streamed: Expectation::Any, ..spoils("no_terminal_event", Defect::NoTerminator, "The stream ends without `response.completed` and with it without any usage.") }),
    only(RESPONSES, Scenario { streamed: Expectation::Any, whole: Expectation::Error, ..spoils("flat_error_event", Defect::FlatErrorEvent, "A stream that turns into an error half-way, in the form that the reference documents and the libraries do not raise; without streaming, a 500.") }),
    Scenario { streamed: Expectation::Any, ..spoils("endless_line", Defect::EndlessLine, "After the first events one line runs for `size_bytes` (10 MB) and the stream ends without a line feed.") },
    Scenario { streamed: Expectation::Any, whole: Expectation::Any, ..spoils("trailing_garbage", Defect::TrailingGarbage, "Bytes that are no event follow the end of the answer.") },
    Scenario { streamed: Expectation::Any, whole: Expectation::Any, ..spoils("empty", Defect::Empty, "Status 200 and no body at all.") },
    // Large.
    spoils("one_line_10mb", Defect::LongLine, "One event of `size_bytes` (10 MB) on a single line, written in pieces of 64 KiB; usage follows it."),
    spoils("huge_response", Defect::Bulk, "`size_bytes` (32 MiB) of answer in events of 16 KiB."),
    // Encoded.
    encoded("gzip", Encoding::Gzip, "gzip, flushed after each event."),
    broken(Scenario { defect: Defect::Cut, ..encoded("gzip_truncated", Encoding::Gzip, "gzip that is cut in the middle.") }),
    encoded("br", Encoding::Brotli, "Brotli, flushed after each event."),
    encoded("zstd", Encoding::Zstd, "Zstandard, flushed after each event."),
    broken(encoded("wrong_content_encoding", Encoding::FalseGzip, "The header says gzip, the bytes are plain.")),
    // Framed.
    framed("crlf", Framing::Crlf, "Lines end in CR LF."),
    framed("multiline_data", Framing::MultilineData, "The data of each event stands on two `data:` lines."),
    framed("split_utf8", Framing::InsideCodePoint, "Every multi-byte code point is split between two chunks."),
    framed("byte_by_byte", Framing::Byte, "Every byte is a chunk of its own."),
    framed("comment_keepalive", Framing::Comments, "Comment lines and pings between the events."),
    framed("merged", Framing::Merged, "Several events in one chunk, the last of them unfinished."),
    // Counted.
    counts("no_usage", UsageStyle::Omitted, "The provider never says what was used, even when asked."),
    only(CHAT, counts("usage_in_finish", UsageStyle::InFinishChunk, "Usage stands in the chunk that carries the finish reason, asked for or not.")),
    only(CHAT, counts("usage_every_chunk", UsageStyle::EveryChunk, "A running usage in every chunk; only the last is true.")),
    only(ANTHROPIC, counts("zero_usage_in_delta", UsageStyle::ZeroInDelta, "message_delta says 0 input and 0 cache although message_start said otherwise.")),
    only(ANTHROPIC, counts("output_only_delta", UsageStyle::OutputOnlyDelta, "message_delta carries output tokens alone.")),
];
