//! How Anthropic counts: with exclusive counts. Pure.
//!
//! `input_tokens` holds neither what was read from nor what was written to the cache; thinking is inside `output_tokens`. A stream
//! states the input side first and then running totals of both: the last stated value wins, but a zero on the input side never
//! takes back what was stated before.

use serde::Deserialize;

use super::Reading;
use crate::call::BillGap;
use crate::json::lenient::{Count, List, Object, Text, bounded};
use crate::unit::{Quantities, Side, Unit};
use crate::usage::Run;

/// The usage of a message, or of one run of a model within it (beta).
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct UsageBody<'a> {
    /// Of a run.
    #[serde(rename = "type")]
    kind: Text<'a>,
    /// Of a run.
    model: Text<'a>,
    input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation: Object<Details>,
    /// All that the model made.
    pub output_tokens: Count,
    output_tokens_details: Object<Details>,
    server_tool_use: Object<Details>,
    /// The tier that served it.
    pub service_tier: Text<'a>,
    /// `fast` or not.
    pub speed: Text<'a>,
    /// Where it ran.
    pub inference_geo: Text<'a>,
    iterations: List<UsageBody<'a>>,
}

/// The counts within a part of the usage; each part states some.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Details {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
    thinking_tokens: Count,
    web_search_requests: Count,
}

/// The fields of usage, merged over the events of a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Uncached, written to the cache, of that for five minutes and for an hour, read from it.
    input: [Option<u64>; 5],
    output: Option<u64>,
    thinking: Option<u64>,
}

/// The newer value, unless it is a zero that would take back an older one.
fn keep_positive(slot: &mut Option<u64>, newer: Count) {
    match (newer.0, *slot) {
        (None, _) | (Some(0), Some(_)) => {}
        (Some(count), _) => *slot = Some(count),
    }
}

impl Counts {
    /// What a usage says of each count of the input side.
    fn input_side(usage: &UsageBody<'_>) -> [Count; 5] {
        let creation = usage.cache_creation.0.unwrap_or_default();
        [
            usage.input_tokens,
            usage.cache_creation_input_tokens,
            creation.ephemeral_5m_input_tokens,
            creation.ephemeral_1h_input_tokens,
            usage.cache_read_input_tokens,
        ]
    }

    fn merge(&mut self, usage: &UsageBody<'_>) {
        self.input.iter_mut().zip(Self::input_side(usage)).for_each(|(slot, it)| keep_positive(slot, it));
        self.output = usage.output_tokens.0.or(self.output);
        let thinking = usage.output_tokens_details.0.and_then(|details| details.thinking_tokens.0);
        self.thinking = thinking.or(self.thinking);
    }

    fn input_pairs(&self) -> [(Unit, u64); 4] {
        let [uncached, written, five_minutes, hour, read] = self.input.map(Option::unwrap_or_default);
        [
            (Unit::InputUncached, uncached),
            (Unit::CacheRead, read),
            (Unit::CacheWrite5m, five_minutes.max(written.saturating_sub(hour))),
            (Unit::CacheWrite1h, hour),
        ]
    }

    fn output_pairs(&self) -> [(Unit, u64); 2] {
        let output = self.output.unwrap_or(0);
        let thinking = self.thinking.unwrap_or(0).min(output);
        [(Unit::OutputText, output - thinking), (Unit::OutputReasoning, thinking)]
    }
}

/// What the usage objects of one call have said so far.
#[derive(Debug, Default)]
pub struct Merged {
    counts: Counts,
    /// As the newest usage lists them.
    iterations: Iterations,
    searches: u64,
}

impl Merged {
    /// Takes the next of them in, of a call of that model.
    pub fn add(&mut self, usage: &UsageBody<'_>, own_model: &str) {
        self.counts.merge(usage);
        let searches = usage.server_tool_use.0.and_then(|tools| tools.web_search_requests.0);
        self.searches = searches.filter(|searches| *searches > 0).unwrap_or(self.searches);
        if !usage.iterations.0.is_empty() {
            self.iterations = Iterations::read(&usage.iterations.0, own_model);
            // Of what was written as a stream went on, only the runs say for how long.
            if let Some(hour) = self.iterations.written_for_an_hour {
                keep_positive(&mut self.counts.input[3], Count(Some(hour)));
            }
        }
    }

    /// What they say together.
    pub fn reading(&self) -> Reading {
        let mut reading = Reading {
            input: self.counts.input[0].map(|_| Quantities::from_pairs(&self.counts.input_pairs())),
            output: self.counts.output.map(|_| Quantities::from_pairs(&self.counts.output_pairs())),
            fees: Some(Quantities::from_pairs(&[(Unit::WebSearch, self.searches)])),
            runs: self.iterations.runs.clone(),
            gap: self.iterations.is_unclear.then_some(BillGap::OtherModel),
        };
        self.iterations.add_to(&mut reading);
        reading
    }
}

/// The runs of models within one call, where the provider lists them (`usage.iterations`, beta). Runs of the call's own loop are
/// in its counts; a compaction and an advisor's run never are, and a run that another model gave up or took over is billed at
/// that model's price.
#[derive(Debug, Default)]
struct Iterations {
    /// Of the call's own model, beside its counts.
    beside: Quantities,
    /// Of the call's own model, in place of its counts: other models had a part in those.
    instead: Option<Quantities>,
    /// Of others, by model.
    runs: Vec<Run>,
    /// Tokens of the own loop that were written to a cache for an hour, if the runs say.
    written_for_an_hour: Option<u64>,
    /// A kind of run that is not known here.
    is_unclear: bool,
}

impl Iterations {
    fn read(list: &[UsageBody<'_>], own_model: &str) -> Self {
        let mut found = Self::default();
        let mut own_loop = Quantities::default();
        let mut is_shared = false;
        for run in list {
            let mut counts = Counts::default();
            counts.merge(run);
            let mut quantities = Quantities::from_pairs(&counts.input_pairs());
            quantities.extend(counts.output_pairs());
            let other = run.model.get().filter(|model| *model != own_model);
            // An attempt without output is not billed.
            let is_billed = run.output_tokens.or_zero() > 0;
            match (run.kind.get().unwrap_or_default(), other) {
                ("advisor_message", _) if is_billed => {
                    found.add_run(run.model.get().unwrap_or(own_model), quantities);
                }
                ("compaction", None) => found.beside.extend(quantities.nonzero()),
                ("message" | "fallback_message", None) => {
                    own_loop.extend(quantities.nonzero());
                    if run.cache_creation.0.is_some() {
                        let hour = quantities.get(Unit::CacheWrite1h);
                        found.written_for_an_hour = Some(found.written_for_an_hour.unwrap_or(0) + hour);
                    }
                }
                ("message" | "fallback_message", Some(model)) => {
                    is_shared = true;
                    if is_billed {
                        found.add_run(model, quantities);
                    }
                }
                ("compaction", Some(model)) => found.add_run(model, quantities),
                ("advisor_message", _) => {}
                _ => found.is_unclear |= is_billed,
            }
        }
        found.instead = is_shared.then_some(own_loop);
        found
    }

    fn add_run(&mut self, model: &str, quantities: Quantities) {
        match self.runs.iter_mut().find(|run| run.model == model) {
            Some(run) => run.quantities.extend(quantities.nonzero()),
            None => self.runs.push(Run { model: bounded(model), quantities }),
        }
    }

    fn add_to(&self, reading: &mut Reading) {
        let of = |side| move |(unit, _): &(Unit, u64)| unit.side() == side;
        for (counts, side) in [(&mut reading.input, Side::Input), (&mut reading.output, Side::Output)] {
            let Some(counts) = counts else { continue };
            if let Some(instead) = &self.instead {
                *counts = Quantities::default();
                counts.extend(instead.nonzero().filter(of(side)));
            }
            counts.extend(self.beside.nonzero().filter(of(side)));
        }
    }
}
