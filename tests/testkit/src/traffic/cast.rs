//! Pure. Who calls, and what: the services of an imagined company and, from the seed and a number, one call of theirs.

use std::time::Duration;

use serde_json::json;

use super::Plan;
use ledgerline_mock_provider::Api;
use ledgerline_mock_provider::text::{self, Chance};

/// Who a call belongs to, as the agent's default identity headers carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `x-ledgerline-service`.
    pub service: &'static str,
    /// `x-ledgerline-environment`.
    pub environment: &'static str,
    /// `x-ledgerline-team`.
    pub team: &'static str,
    /// `x-ledgerline-feature`.
    pub feature: &'static str,
    /// `x-ledgerline-user`.
    pub user: String,
    /// `x-ledgerline-session`.
    pub session: String,
}

/// Whether a call came from the arrival process or is one of the streams that are kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One of the calls at the plan's rate.
    Paced,
    /// A stream that is kept open beside them.
    Long,
}

/// One call before it is made.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Number within its pace.
    pub index: u64,
    /// Where it comes from.
    pub pace: Pace,
    /// Who makes it.
    pub identity: Identity,
    /// The API it speaks.
    pub api: Api,
    /// The model it asks for.
    pub model: &'static str,
    /// Whether it streams.
    pub is_stream: bool,
    /// OpenAI streams: whether the client itself asks for usage.
    pub asks_usage: bool,
    /// The mock's scenario.
    pub scenario: &'static str,
    /// The mock's parameters.
    pub params: String,
    /// Leave the stream after this many frames.
    pub abort_after: Option<u64>,
    /// The request's body.
    pub body: Vec<u8>,
}

impl Draft {
    /// True if the provider is meant to break the connection.
    pub fn expects_cut(&self) -> bool {
        matches!(self.scenario, "truncated" | "no_answer")
    }
}

struct Role {
    service: &'static str,
    team: &'static str,
    features: &'static [&'static str],
    models: &'static [(Api, &'static str)],
    /// Share of the calls.
    weight: u64,
    /// Typical size of a prompt and of an answer, in tokens.
    input_tokens: u64,
    output_tokens: u64,
}

const OPENAI: Api = Api::OpenAi;
const ANTHROPIC: Api = Api::Anthropic;

const ROLES: &[Role] = &[
    Role {
        service: "checkout-api",
        team: "payments",
        features: &["fraud-review", "receipt-summary"],
        models: &[(OPENAI, "gpt-4.1-mini"), (OPENAI, "gpt-4o-mini")],
        weight: 5,
        input_tokens: 600,
        output_tokens: 60,
    },
    Role {
        service: "support-bot",
        team: "support",
        features: &["chat", "triage", "handover-note"],
        models: &[(ANTHROPIC, "claude-haiku-4-5"), (ANTHROPIC, "claude-sonnet-4-5")],
        weight: 6,
        input_tokens: 2_400,
        output_tokens: 220,
    },
    Role {
        service: "docs-search",
        team: "search",
        features: &["answer", "query-rewrite"],
        models: &[(OPENAI, "gpt-4.1-nano"), (OPENAI, "gpt-4.1-mini"), (ANTHROPIC, "claude-haiku-4-5")],
        weight: 6,
        input_tokens: 3_000,
        output_tokens: 180,
    },
    Role {
        service: "code-review",
        team: "platform",
        features: &["pull-request", "incident-summary"],
        models: &[(ANTHROPIC, "claude-opus-4-5"), (ANTHROPIC, "claude-sonnet-4-5"), (OPENAI, "gpt-5")],
        weight: 2,
        input_tokens: 9_000,
        output_tokens: 900,
    },
    Role {
        service: "nightly-reports",
        team: "finance",
        features: &["variance-note", "board-summary"],
        models: &[(OPENAI, "gpt-4.1"), (OPENAI, "gpt-5-mini")],
        weight: 1,
        input_tokens: 6_000,
        output_tokens: 700,
    },
];

/// What goes wrong, with its share.
const ERRORS: &[&str] = &[
    "error_429",
    "error_429",
    "error_429",
    "error_500",
    "error_503",
    "overloaded_529",
    "error_400",
    "midstream_error",
    "truncated",
];

/// The `index`-th call of the arrival process.
pub fn paced(plan: &Plan, index: u64) -> Draft {
    let mut chance = Chance::new(plan.seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (role, mut draft) = begin(&mut chance, index, Pace::Paced);
    draft.is_stream = chance.per_mille(plan.stream_per_mille);
    draft.asks_usage = chance.per_mille(500);
    let input = around(&mut chance, role.input_tokens);
    let output = around(&mut chance, role.output_tokens);
    let cached = if chance.per_mille(plan.cached_per_mille) { input / 2 } else { 0 };
    let writes =
        if cached == 0 && draft.api == Api::Anthropic && chance.per_mille(200) { input / 3 } else { 0 };
    // A long output now and then, as a user who asks for a whole document gets.
    let output = if chance.per_mille(20) { output * 8 } else { output };
    draft.params = format!(
        "input_tokens={};cached_tokens={cached};cache_write_tokens={writes};output_tokens={output};chunks={};gap_ms={};\
         header_ms={}",
        input - cached - writes,
        (output / 8).clamp(4, 60),
        plan.gap.as_millis(),
        5 + chance.below(40),
    );
    if chance.per_mille(plan.error_per_mille) {
        draft.scenario = chance.pick(ERRORS);
    } else if draft.is_stream && chance.per_mille(plan.abort_per_mille) {
        draft.abort_after = Some(1 + chance.below(6));
    } else if chance.per_mille(60) {
        draft.scenario = chance.pick(&["reasoning", "tool_call", "length"]);
    }
    draft.body = body(&draft, &mut chance);
    draft
}

/// The `index`-th of the streams that are kept open.
pub fn long(plan: &Plan, index: u64) -> Draft {
    let mut chance = Chance::new(plan.seed ^ 0x1006_5EED ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (role, mut draft) = begin(&mut chance, index, Pace::Long);
    draft.is_stream = true;
    draft.asks_usage = chance.per_mille(500);
    let gap = Duration::from_millis(50 + chance.below(50));
    let chunks = (plan.long_stream_duration.as_millis() / gap.as_millis()).max(2);
    let input = around(&mut chance, role.input_tokens);
    draft.params = format!(
        "input_tokens={input};output_tokens={};chunks={chunks};gap_ms={}",
        chunks * 3,
        gap.as_millis()
    );
    draft.body = body(&draft, &mut chance);
    draft
}

fn begin(chance: &mut Chance, index: u64, pace: Pace) -> (&'static Role, Draft) {
    let total: u64 = ROLES.iter().map(|role| role.weight).sum();
    let mut ticket = chance.below(total);
    let role = ROLES.iter().find(|role| {
        let is_it = ticket < role.weight;
        ticket = ticket.saturating_sub(role.weight);
        is_it
    });
    let role = role.expect("the ticket is below the sum of the weights");
    let (api, model) = chance.pick(role.models);
    let user = chance.below(200);
    let identity = Identity {
        service: role.service,
        environment: if chance.per_mille(900) { "production" } else { "staging" },
        team: role.team,
        feature: chance.pick(role.features),
        user: format!("user-{user:03}"),
        session: format!("session-{user:03}-{}", index / 500),
    };
    let draft = Draft {
        index,
        pace,
        identity,
        api,
        model,
        is_stream: false,
        asks_usage: false,
        scenario: "plain",
        params: String::new(),
        abort_after: None,
        body: Vec::new(),
    };
    (role, draft)
}

/// Between half and one and a half of the typical size.
fn around(chance: &mut Chance, typical: u64) -> u64 {
    typical / 2 + chance.below(typical)
}

fn body(draft: &Draft, chance: &mut Chance) -> Vec<u8> {
    let words = 20 + chance.below(60) as usize;
    let prompt = text::pieces(chance, words).concat();
    // The number makes each prompt, and so each seed of the mock, its own.
    let prompt = format!("{prompt} [{:?} {}]", draft.pace, draft.index);
    let system =
        format!("You are the {} of {}. Answer briefly.", draft.identity.feature, draft.identity.service);
    let user = json!({ "role": "user", "content": prompt });
    let mut body = match draft.api {
        Api::OpenAi => json!({
            "model": draft.model,
            "messages": [{ "role": "system", "content": system }, user],
            "temperature": 0.2,
            "user": draft.identity.user,
        }),
        Api::Responses => json!({
            "model": draft.model,
            "instructions": system,
            "input": [user],
            "safety_identifier": draft.identity.user,
        }),
        Api::Anthropic => json!({
            "model": draft.model,
            "system": system,
            "messages": [user],
            "max_tokens": 16_384,
            "temperature": 0.2,
        }),
    };
    if draft.is_stream {
        body["stream"] = json!(true);
        if draft.api == Api::OpenAi && draft.asks_usage {
            body["stream_options"] = json!({ "include_usage": true });
        }
    }
    body.to_string().into_bytes()
}
