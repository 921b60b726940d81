//! Pure. What the model says and what it truly used, before any wire format: chosen from the seed, the scenario and
//! the parameters. The usage here is the oracle's truth; the dialects only write it down.

use crate::request::{Api, Inbound};
use crate::scenario::{Content, Defect};
use crate::text::{self, BASE62, Chance, HEX};

/// Tokens by class. The classes are disjoint: their sum is what the provider bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Input that was neither read from nor written to a cache, text only.
    pub input_uncached: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache with the default lifetime (Anthropic: 5 minutes).
    pub cache_write_5m: u64,
    /// Input written to a cache for an hour.
    pub cache_write_1h: u64,
    /// Input written to a cache for 30 minutes, where the provider says so (OpenAI).
    pub cache_write_30m: u64,
    /// Input written to a cache for 12 hours (OpenAI).
    pub cache_write_12h: u64,
    /// Audio in the input.
    pub input_audio: u64,
    /// Text in the output, tool calls and refusals included.
    pub output_text: u64,
    /// Hidden or visible reasoning.
    pub output_reasoning: u64,
    /// Audio in the output.
    pub output_audio: u64,
    /// Web searches the provider ran; requests, not tokens.
    pub web_searches: u64,
}

impl TokenUsage {
    /// All input classes, which OpenAI calls `prompt_tokens` or `input_tokens`.
    pub fn input_total(&self) -> u64 {
        self.input_uncached + self.cache_read + self.cache_write() + self.input_audio
    }

    /// Everything written to a cache, whatever its lifetime.
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m + self.cache_write_30m + self.cache_write_1h + self.cache_write_12h
    }

    /// The classes by the names that price books, columns and labels use for them, those with tokens only. The names
    /// are written out here: an oracle takes nothing from the product.
    pub fn by_class(&self) -> Vec<(&'static str, u64)> {
        let classes = [
            ("input_uncached", self.input_uncached),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_30m", self.cache_write_30m),
            ("cache_write_1h", self.cache_write_1h),
            ("cache_write_12h", self.cache_write_12h),
            ("input_audio", self.input_audio),
            ("output_text", self.output_text),
            ("output_reasoning", self.output_reasoning),
            ("output_audio", self.output_audio),
        ];
        classes.into_iter().filter(|(_, tokens)| *tokens > 0).collect()
    }

    /// All output classes, which both APIs report as one number.
    pub fn output_total(&self) -> u64 {
        self.output_text + self.output_reasoning + self.output_audio
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done.
    Stop,
    /// The limit.
    Length,
    /// It waits for a tool.
    ToolUse,
    /// The provider's filter.
    Filtered,
    /// It would not.
    Refused,
}

/// A call of a tool; the arguments are fragments as they are streamed.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// `call_...` or `toolu_...`.
    pub id: String,
    /// The function's name.
    pub name: &'static str,
    /// JSON when put together.
    pub arguments: Vec<String>,
}

/// One of `n` alternatives.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Shown by Anthropic, and by Responses as a summary.
    pub thinking: Vec<String>,
    /// Answer, refusal or transcript, in pieces.
    pub text: Vec<String>,
    /// Instead of (OpenAI) or after the text (Anthropic).
    pub tool_call: Option<ToolCall>,
    /// Why it stopped.
    pub finish: Finish,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Response id; unique within a provider.
    pub id: String,
    /// Also unique; sent as a header.
    pub request_id: String,
    /// Not the time of the clock: the seed's.
    pub created_unix_s: u64,
    /// The snapshot served.
    pub model: String,
    /// OpenAI's `system_fingerprint`.
    pub fingerprint: String,
    /// The tier served.
    pub tier: String,
    /// As many as were asked for; Responses and Anthropic look at the first.
    pub choices: Vec<Choice>,
    /// The truth.
    pub usage: TokenUsage,
    /// What is left of the seed, for padding and headers.
    pub chance: Chance,
}

/// The moment the mock believes in: an answer may depend on nothing but the request.
pub const EPOCH_UNIX_S: u64 = 1_793_000_000;

/// The names of a response that no model stands behind: model lists, unknown paths, requests that were not understood.
pub fn unasked(seed: u64, occurrence: u64) -> Answer {
    let mut naming = naming(seed, occurrence);
    Answer {
        id: format!("aside-{}", naming.letters(BASE62, 24)),
        request_id: format!("req_{}", naming.letters(HEX, 32)),
        created_unix_s: EPOCH_UNIX_S,
        model: String::new(),
        fingerprint: String::new(),
        tier: String::new(),
        choices: Vec::new(),
        usage: TokenUsage::default(),
        chance: Chance::new(seed),
    }
}

/// Same request, another id: the number of the occurrence goes in.
fn naming(seed: u64, occurrence: u64) -> Chance {
    Chance::new(seed ^ 0x1D5E_ED00 ^ occurrence.wrapping_mul(0x00D1_342F_5437_1E95).rotate_left(17))
}

/// The answer to the `occurrence`-th request with this seed (0 is the first).
pub fn compose(inbound: &Inbound, occurrence: u64) -> Answer {
    let mut chance = Chance::new(inbound.seed);
    let mut naming = naming(inbound.seed, occurrence);
    let (id, request_id) = match inbound.api {
        Api::OpenAi => {
            (format!("chatcmpl-{}", naming.letters(BASE62, 29)), format!("req_{}", naming.letters(HEX, 32)))
        }
        Api::Responses => {
            (format!("resp_{}", naming.letters(HEX, 48)), format!("req_{}", naming.letters(HEX, 32)))
        }
        Api::Anthropic => (
            format!("msg_01{}", naming.letters(BASE62, 22)),
            format!("req_011C{}", naming.letters(BASE62, 20)),
        ),
    };
    let usage = usage(inbound, &mut chance);
    let choices = (0..inbound.choices).map(|_| choice(inbound, &usage, &mut chance)).collect();
    let usage = TokenUsage { output_text: usage.output_text * inbound.choices, ..usage };
    Answer {
        id,
        request_id,
        created_unix_s: EPOCH_UNIX_S + inbound.seed % 86_400,
        model: served_model(inbound),
        fingerprint: format!("fp_{}", chance.letters(HEX, 10)),
        tier: served_tier(inbound),
        choices,
        usage,
        chance,
    }
}

fn usage(inbound: &Inbound, chance: &mut Chance) -> TokenUsage {
    let parameters = &inbound.parameters;
    let input = parameters.input_tokens.unwrap_or(inbound.prompt_bytes / 4 + 8);
    let mut usage = TokenUsage {
        input_uncached: input,
        output_text: parameters.output_tokens.unwrap_or(12 + chance.below(36)),
        cache_read: parameters.cached_tokens.unwrap_or(0),
        cache_write_5m: parameters.cache_write_tokens.unwrap_or(0),
        output_reasoning: parameters.reasoning_tokens.unwrap_or(0),
        ..TokenUsage::default()
    };
    match inbound.scenario.content {
        Content::CacheRead if usage.cache_read == 0 => usage.cache_read = 1_024 + 128 * chance.below(16),
        Content::CacheWrite if usage.cache_write_5m == 0 => {
            usage.cache_write_5m = 1_024 + chance.below(2_048);
        }
        Content::CacheWrite1h => {
            usage.cache_write_5m = 300 + chance.below(200);
            usage.cache_write_1h = 2_048 + chance.below(2_048);
            usage.cache_read = 512 + chance.below(512);
        }
        Content::Reasoning if usage.output_reasoning == 0 => {
            usage.output_reasoning = 64 * (1 + chance.below(20));
        }
        Content::CacheWriteLives => {
            usage.cache_write_5m = 100 + chance.below(100);
            usage.cache_write_30m = 1_024 + chance.below(1_024);
            usage.cache_write_12h = 2_048 + chance.below(1_024);
        }
        Content::Audio => {
            usage.input_audio = 100 + chance.below(100);
            usage.output_audio = 150 + chance.below(150);
        }
        Content::ServerTool => usage.web_searches = 1 + chance.below(3),
        _ => {}
    }
    if matches!(inbound.scenario.usage, crate::scenario::UsageStyle::ZeroInDelta) && usage.cache_read == 0 {
        usage.cache_read = 700 + chance.below(300);
    }
    if let Some(limit) = inbound.output_tokens_max {
        usage.output_text = usage.output_text.min(limit.max(1));
    }
    usage
}

/// A megabyte of text, in as many pieces.
const LARGE_PIECES: usize = 64;
const LARGE_PIECE_BYTES: usize = 16 * 1_024;

fn choice(inbound: &Inbound, usage: &TokenUsage, chance: &mut Chance) -> Choice {
    let count = match inbound.scenario.defect {
        Defect::LongLine | Defect::EndlessLine | Defect::Bulk => 4,
        _ => inbound.parameters.chunks.unwrap_or(usage.output_text.min(24)),
    };
    let reached_limit = inbound.output_tokens_max == Some(usage.output_text);
    let mut choice = Choice {
        thinking: Vec::new(),
        text: text::pieces(chance, count as usize),
        tool_call: None,
        finish: if reached_limit { Finish::Length } else { Finish::Stop },
    };
    match inbound.scenario.content {
        Content::Reasoning => choice.thinking = text::pieces(chance, 8),
        Content::ToolCall => {
            choice.finish = Finish::ToolUse;
            choice.tool_call = Some(tool_call(inbound.api, chance));
        }
        Content::Large => {
            choice.text = (0..LARGE_PIECES).map(|_| text::filler(LARGE_PIECE_BYTES)).collect();
        }
        Content::Refusal => choice.finish = Finish::Refused,
        Content::Length => choice.finish = Finish::Length,
        Content::Filtered => choice.finish = Finish::Filtered,
        _ => {}
    }
    choice
}

fn tool_call(api: Api, chance: &mut Chance) -> ToolCall {
    let id = match api {
        Api::OpenAi | Api::Responses => format!("call_{}", chance.letters(BASE62, 24)),
        Api::Anthropic => format!("toolu_01{}", chance.letters(BASE62, 22)),
    };
    let arguments = ["{\"", "city", "\": \"", "S\u{e3}o", " Paulo", "\", \"", "days", "\": ", "3", "}"];
    ToolCall { id, name: "get_weather", arguments: arguments.map(str::to_owned).to_vec() }
}

fn served_tier(inbound: &Inbound) -> String {
    let asked = inbound.service_tier.as_deref();
    match (inbound.scenario.content, inbound.api) {
        (Content::Tier(tier), _) => tier.to_owned(),
        (_, Api::Anthropic) => "standard".to_owned(),
        (_, Api::OpenAi | Api::Responses) => {
            asked.filter(|tier| *tier != "auto").unwrap_or("default").to_owned()
        }
    }
}

/// Aliases and the dated snapshots that the providers serve for them.
const SNAPSHOTS: &[(&str, &str)] = &[
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
    ("gpt-4.1-nano", "gpt-4.1-nano-2025-04-14"),
    ("o3", "o3-2025-04-16"),
    ("o4-mini", "o4-mini-2025-04-16"),
    ("gpt-5", "gpt-5-2025-08-07"),
    ("gpt-5-mini", "gpt-5-mini-2025-08-07"),
    ("gpt-5-nano", "gpt-5-nano-2025-08-07"),
    ("gpt-5.1", "gpt-5.1-2025-11-13"),
    ("gpt-5.2", "gpt-5.2-2025-12-11"),
    ("gpt-5.4-mini", "gpt-5.4-mini-2026-03-17"),
    ("gpt-5.4-nano", "gpt-5.4-nano-2026-03-17"),
    ("gpt-5.5", "gpt-5.5-2026-04-23"),
    ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("claude-opus-4-5", "claude-opus-4-5-20251101"),
];

fn served_model(inbound: &Inbound) -> String {
    if inbound.scenario.content == Content::UnknownModel {
        return match inbound.api {
            Api::OpenAi | Api::Responses => "gpt-99-nova-2031-01-01".to_owned(),
            Api::Anthropic => "claude-nova-99-20310101".to_owned(),
        };
    }
    let known = SNAPSHOTS.iter().find(|(alias, _)| *alias == inbound.model);
    known.map_or_else(|| inbound.model.clone(), |(_, snapshot)| (*snapshot).to_owned())
}
