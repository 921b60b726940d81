//! What the mock reads of a request: which API, which scenario, which parameters. A scenario is named by the header
//! `x-mock-scenario`, by the model (`gpt-4.1-mini+cached`), or in the prompt (`[[mock:cached gap_ms=5]]`); parameters
//! come from `x-mock-params` or follow the name in the prompt. The seed ignores `stream_options`, so a request that
//! the agent has added to gets the answer it would have got without the agent.

use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::scenario::{self, Scenario};
use crate::text;

/// The wire format of a call.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Api {
    /// `POST /v1/chat/completions`.
    OpenAi,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Anthropic,
}

/// Overrides of what the seed would choose. Absent means: the scenario or the seed decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Pause before the status line.
    pub header_ms: Option<u64>,
    /// Pause between headers and first chunk.
    pub first_ms: Option<u64>,
    /// Pause before each later chunk.
    pub gap_ms: Option<u64>,
    /// The pause of the scenario `stall`.
    pub stall_ms: Option<u64>,
    /// Uncached input.
    pub input_tokens: Option<u64>,
    /// Input read from the cache.
    pub cached_tokens: Option<u64>,
    /// Input written to the cache for the default time.
    pub cache_write_tokens: Option<u64>,
    /// Reasoning in the output.
    pub reasoning_tokens: Option<u64>,
    /// Text in the output, of each choice.
    pub output_tokens: Option<u64>,
    /// Pieces of text that are streamed; 24 at most by default.
    pub chunks: Option<u64>,
    /// Size of the scenarios that are about size.
    pub size_bytes: Option<u64>,
    /// Where `truncated` cuts; three fifths of the way by default.
    pub cut_at_byte: Option<u64>,
}

impl Parameters {
    /// `name=number` pairs, separated by spaces, commas or semicolons.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parameters = Self::default();
        for pair in text.split([' ', ',', ';']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(format!("mock: not name=number: {pair}"))?;
            let value = value.parse().map_err(|_| format!("mock: not a number: {pair}"))?;
            *parameters.slot(name).ok_or(format!("mock: no parameter named {name}"))? = Some(value);
        }
        Ok(parameters)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<u64>> {
        Some(match name {
            "header_ms" => &mut self.header_ms,
            "first_ms" => &mut self.first_ms,
            "gap_ms" => &mut self.gap_ms,
            "stall_ms" => &mut self.stall_ms,
            "input_tokens" => &mut self.input_tokens,
            "cached_tokens" => &mut self.cached_tokens,
            "cache_write_tokens" => &mut self.cache_write_tokens,
            "reasoning_tokens" => &mut self.reasoning_tokens,
            "output_tokens" => &mut self.output_tokens,
            "chunks" => &mut self.chunks,
            "size_bytes" => &mut self.size_bytes,
            "cut_at_byte" => &mut self.cut_at_byte,
            _ => return None,
        })
    }
}

/// A request as the mock understands it.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The wire format, known from the path.
    pub api: Api,
    /// Without the name of a scenario behind `+`.
    pub model: String,
    /// `stream` is true.
    pub stream: bool,
    /// `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// `stream_options` is there, whatever it says.
    pub has_stream_options: bool,
    /// `n`, 1 to 16.
    pub choices: u64,
    /// `max_completion_tokens`, `max_output_tokens` or `max_tokens`.
    pub output_tokens_max: Option<u64>,
    /// The tier asked for.
    pub service_tier: Option<String>,
    /// How to answer.
    pub scenario: &'static Scenario,
    /// Overrides of the scenario.
    pub parameters: Parameters,
    /// Length of `messages` or `input` as it was written.
    pub prompt_bytes: u64,
    /// What only the Responses API has.
    pub responses: ResponsesFields,
    /// The SDK's own count of retries.
    pub retry: u64,
    /// From path, scenario, model and messages.
    pub seed: u64,
}

/// Fields of a Responses request that the answer repeats or that change what happens to it. JSON is kept as it was
/// written.
#[derive(Clone, Debug, Default)]
pub struct ResponsesFields {
    /// The request goes to `/v1/responses/compact`.
    pub compacts: bool,
    /// Answer at once and work afterwards.
    pub background: bool,
    /// Keep the response for later requests; true unless the request says false.
    pub store: bool,
    /// The id of the conversation the response belongs to.
    pub conversation: Option<String>,
    /// The response this one continues.
    pub previous_response_id: Option<String>,
    /// `input` as JSON.
    pub input: String,
    /// `instructions` as JSON.
    pub instructions: Option<String>,
    /// `tools` as JSON.
    pub tools: Option<String>,
    /// `reasoning` as JSON.
    pub reasoning: Option<String>,
    /// `metadata` as JSON.
    pub metadata: Option<String>,
}

#[derive(Deserialize)]
struct Document<'a> {
    model: String,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    conversation: Option<Conversation>,
    previous_response_id: Option<String>,
    background: Option<bool>,
    store: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u64>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    service_tier: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Conversation {
    Id(String),
    Object { id: String },
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// Why a request was not understood; becomes the provider's own 400.
#[derive(Debug, PartialEq, Eq)]
pub enum Misunderstood {
    /// The body is not the JSON document of this API.
    Body(String),
    /// The test asked for something the mock does not have.
    Mock(String),
}

/// Reads a request. `headers` may override what the body says.
pub fn read(api: Api, headers: &HeaderMap, body: &[u8]) -> Result<Inbound, Misunderstood> {
    let document: Document<'_> =
        serde_json::from_slice(body).map_err(|error| Misunderstood::Body(error.to_string()))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (prompt, missing) = match api {
        Api::OpenAi | Api::Anthropic => (document.messages, "messages"),
        Api::Responses => (document.input, "input"),
    };
    let prompt = prompt
        .map(RawValue::get)
        .ok_or_else(|| Misunderstood::Body(format!("missing required parameter: '{missing}'")))?;
    let in_prompt =
        prompt.split_once("[[mock:").and_then(|(_, rest)| rest.split_once("]]")).map(|(text, _)| text);
    let (prompt_name, prompt_parameters) = in_prompt
        .map_or((None, ""), |text| (text.split(' ').next(), text.split_once(' ').map_or("", |(_, p)| p)));
    let (model, model_name) = match document.model.split_once('+') {
        Some((model, name)) => (model.to_owned(), Some(name)),
        None => (document.model.clone(), None),
    };
    let name = header("x-mock-scenario").or(model_name).or(prompt_name).unwrap_or("plain");
    let scenario =
        scenario::find(name).ok_or_else(|| Misunderstood::Mock(format!("mock: no scenario named {name}")))?;
    let parameters = Parameters::parse(header("x-mock-params").unwrap_or(prompt_parameters))
        .map_err(Misunderstood::Mock)?;
    let path: &[u8] = match api {
        Api::OpenAi => b"openai",
        Api::Responses => b"responses",
        Api::Anthropic => b"anthropic",
    };
    let seed = text::seed_of(&[path, name.as_bytes(), model.as_bytes(), prompt.as_bytes()]);
    Ok(Inbound {
        api,
        model,
        stream: document.stream.unwrap_or(false),
        include_usage: document
            .stream_options
            .as_ref()
            .and_then(|options| options.include_usage)
            .unwrap_or(false),
        has_stream_options: document.stream_options.is_some(),
        choices: document.n.unwrap_or(1).clamp(1, 16),
        output_tokens_max: document
            .max_completion_tokens
            .or(document.max_output_tokens)
            .or(document.max_tokens),
        service_tier: document.service_tier.clone(),
        scenario,
        parameters,
        prompt_bytes: prompt.len() as u64,
        responses: responses_fields(&document, prompt),
        retry: header("x-stainless-retry-count").and_then(|count| count.parse().ok()).unwrap_or(0),
        seed,
    })
}

fn responses_fields(document: &Document<'_>, input: &str) -> ResponsesFields {
    let raw = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
    ResponsesFields {
        compacts: false,
        background: document.background.unwrap_or(false),
        store: document.store.unwrap_or(true),
        conversation: document.conversation.as_ref().map(|conversation| match conversation {
            Conversation::Id(id) | Conversation::Object { id } => id.clone(),
        }),
        previous_response_id: document.previous_response_id.clone(),
        input: input.to_owned(),
        instructions: raw(document.instructions),
        tools: raw(document.tools),
        reasoning: raw(document.reasoning),
        metadata: raw(document.metadata),
    }
}
