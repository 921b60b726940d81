//! Pure. The last thirty days of the demo's company, so that its month has days: what its agents would have sent, with what it
//! must add up to. The same callers, models and sizes as the calls that are played, from numbers alone.

use std::collections::BTreeMap;

use ledgerline_mock_provider::text::Chance;
use ledgerline_mock_provider::{Api, TokenUsage};
use ledgerline_testkit::traffic::{Draft, Plan, paced};
use serde_json::{Value, json};

use super::prices;
use super::spans::{self, Resource, Span};

/// How the trace ids of these spans begin, so that they can be told from what is played.
pub const TRACE_PREFIX: &str = "de305eedf00d";

/// The collector takes spans that are up to 31 days old.
const DAYS: u64 = 30;
const DAY_NS: u64 = 86_400_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;
/// A call of the past stands for longer conversations than are played, so that the month is a company's. The longest prompt stays below the
/// 200,000 tokens from which some prices rise.
const INPUT_SCALE: u64 = 12;
const OUTPUT_SCALE: u64 = 3;
/// Calls on the first working day.
const CALLS_A_DAY: u64 = 70;
/// Days before today on which a loop in `docs-search` repeated its calls: the day that finance asks about.
const INCIDENT: u64 = 9;

/// Calls of the past.
#[derive(Debug)]
pub struct History {
    /// OTLP, as resources of one request.
    pub resources: Vec<Value>,
    /// How many calls there are.
    pub calls: u64,
    /// What they cost by team, in pico-dollars.
    pub cost_by_team: BTreeMap<&'static str, i128>,
}

impl History {
    /// What they cost in all.
    #[must_use]
    pub fn cost(&self) -> i128 {
        self.cost_by_team.values().sum()
    }

    /// Everything from thirty days before this time to three hours before it: no call of the past can be one of the present.
    #[must_use]
    pub fn until(now_unix_ns: u64) -> Self {
        let today = now_unix_ns / DAY_NS;
        let plan = Plan { seed: 30, ..Plan::default() };
        let mut chance = Chance::new(plan.seed);
        let mut groups: BTreeMap<Resource, Vec<Span>> = BTreeMap::new();
        let mut history = Self { resources: Vec::new(), calls: 0, cost_by_team: BTreeMap::new() };
        let mut number = 0;
        for day in today - DAYS + 1..=today {
            for _ in 0..calls_on(day, today) {
                number += 1;
                let draft = paced(&plan, number);
                let repeats = today - day == INCIDENT && draft.identity.service == "docs-search";
                for _ in 0..if repeats { 6 } else { 1 } {
                    // Most of it between seven and nineteen hours.
                    let hour = if chance.per_mille(850) { 7 + chance.below(12) } else { chance.below(24) };
                    let end = day * DAY_NS + hour * HOUR_NS + chance.below(HOUR_NS);
                    if end + 3 * HOUR_NS < now_unix_ns {
                        history.add(&mut groups, &draft, end, &mut chance);
                    }
                }
            }
        }
        history.resources = groups.iter().map(|(resource, spans)| spans::resource(resource, spans)).collect();
        history
    }

    fn add(
        &mut self,
        groups: &mut BTreeMap<Resource, Vec<Span>>,
        draft: &Draft,
        end_unix_ns: u64,
        chance: &mut Chance,
    ) {
        let usage = has_answer(draft).then(|| used(draft));
        if let Some(usage) = usage {
            *self.cost_by_team.entry(draft.identity.team).or_default() +=
                prices::cost(draft.model, &usage).unwrap_or_default();
        }
        self.calls += 1;
        let resource = Resource {
            service: draft.identity.service.to_owned(),
            environment: draft.identity.environment.to_owned(),
            scope: "ledgerline-agent",
        };
        groups.entry(resource).or_default().push(span(draft, usage, self.calls, end_unix_ns, chance));
    }
}

fn calls_on(day: u64, today: u64) -> u64 {
    // 1970 began on a Thursday.
    let is_weekend = (day + 3) % 7 >= 5;
    let grown = CALLS_A_DAY + 3 * (day + DAYS - today);
    if is_weekend { grown * 35 / 100 } else { grown }
}

fn has_answer(draft: &Draft) -> bool {
    matches!(draft.scenario, "plain" | "reasoning" | "tool_call" | "length")
}

/// The counts that the draft asks the mock provider for, scaled; of a stream that was left a part of the answer.
fn used(draft: &Draft) -> TokenUsage {
    let asked = |name: &str| {
        let pair = draft.params.split(';').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        pair.and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    let output: u64 = asked("output_tokens");
    TokenUsage {
        input_uncached: INPUT_SCALE * asked("input_tokens"),
        cache_read: INPUT_SCALE * asked("cached_tokens"),
        cache_write_5m: INPUT_SCALE * asked("cache_write_tokens"),
        output_text: OUTPUT_SCALE * draft.abort_after.map_or(output, |frames| frames * 8),
        ..TokenUsage::default()
    }
}

fn span(
    draft: &Draft,
    usage: Option<TokenUsage>,
    number: u64,
    end_unix_ns: u64,
    chance: &mut Chance,
) -> Span {
    let is_anthropic = draft.api == Api::Anthropic;
    let length_ms = 250 + usage.map_or(0, |usage| usage.output_total() * (9 + chance.below(6)));
    let mut span = Span {
        trace_id: format!("{TRACE_PREFIX}{number:020x}"),
        span_id: format!("{number:016x}"),
        parent_span_id: String::new(),
        name: format!("chat {}", draft.model),
        start_unix_ns: end_unix_ns - length_ms * 1_000_000,
        end_unix_ns,
        attributes: Vec::new(),
    };
    span.set("gen_ai.operation.name", "chat");
    span.set("gen_ai.provider.name", if is_anthropic { "anthropic" } else { "openai" });
    span.set("gen_ai.request.model", draft.model);
    span.set("ledgerline.team", draft.identity.team);
    span.set("ledgerline.feature", draft.identity.feature);
    span.set("user.id", draft.identity.user.as_str());
    span.set("gen_ai.conversation.id", draft.identity.session.as_str());
    let Some(usage) = usage else {
        let (status, error) =
            if is_anthropic { (529, "overloaded_error") } else { (429, "rate_limit_exceeded") };
        span.set("http.response.status_code", status);
        span.set("error.type", error);
        span.set("ledgerline.usage.source", "missing");
        span.set("ledgerline.end_of_stream", "provider_error");
        return span;
    };
    let is_left = draft.abort_after.is_some();
    span.set("http.response.status_code", 200);
    span.set("gen_ai.response.model", draft.model);
    span.set("gen_ai.response.id", format!("of-the-past-{number}"));
    span.set("gen_ai.response.finish_reasons", json!([if is_anthropic { "end_turn" } else { "stop" }]));
    span.set("ledgerline.usage.source", if is_left { "estimated" } else { "provider" });
    span.set("ledgerline.end_of_stream", if is_left { "client_gone" } else { "complete" });
    if draft.is_stream {
        span.set("gen_ai.request.stream", true);
        span.set("gen_ai.response.time_to_first_chunk", 0.2 + chance.unit() * 0.04);
    }
    span.set("gen_ai.usage.input_tokens", usage.input_total());
    span.set("gen_ai.usage.output_tokens", usage.output_total());
    for (class, tokens) in usage.by_class() {
        span.set(format!("ledgerline.usage.unit.{class}"), tokens);
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_the_same_at_any_hour_and_ends_before_the_present() {
        // 2026-11-28, 12:00 UTC.
        let noon = 20_785 * DAY_NS + 12 * HOUR_NS;
        let history = History::until(noon);
        let text = Value::from(history.resources.clone()).to_string();
        assert_eq!(text.matches("\"traceId\"").count() as u64, history.calls);
        assert!((1_500..6_000).contains(&history.calls), "{}", history.calls);
        let ends: Vec<u64> = text
            .split("\"endTimeUnixNano\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect();
        let (first, last) = (ends.iter().min().copied(), ends.iter().max().copied());
        assert!(last < Some(noon - 3 * HOUR_NS), "{last:?}");
        assert!(first > Some(noon - 31 * DAY_NS), "{first:?}");
        assert_eq!(History::until(noon).cost_by_team, history.cost_by_team);
        assert_eq!(history.cost_by_team.len(), 5);
    }
}
