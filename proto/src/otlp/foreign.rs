//! What senders other than our agent count: whole sides and parts of them, from which our disjoint units are computed. Pure.
//!
//! Whether a part (what was cached, what was reasoning) is inside its side or beside it decides money, by a factor of up to ten,
//! and the conventions' word (inside) is not everybody's practice. So, in this order: the sender's own total, which fits
//! only one reading; what is known of the sender's code; the size, for a part larger than its side cannot be inside it; the conventions.

use super::facts::Facts;
use super::names::Count;
use crate::call::Operation;
use crate::unit::{Quantities, Unit};

/// Who states the counts, as far as it decides their meaning.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    /// The instrumentation scope's name; empty when not sent.
    pub scope_name: &'a str,
    /// Under its one name.
    pub provider: &'a str,
    /// What the span is about.
    pub operation: &'a Operation,
}

/// Where a part of a side is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Inside,
    Beside,
}

/// Where a sender counts the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    cached: Place,
    reasoning: Place,
}

const INSIDE: Places = Places { cached: Place::Inside, reasoning: Place::Inside };
const CACHED_BESIDE: Places = Places { cached: Place::Beside, ..INSIDE };
const REASONING_BESIDE: Places = Places { reasoning: Place::Beside, ..INSIDE };
const BESIDE: Places = Places { cached: Place::Beside, reasoning: Place::Beside };

/// What a total of a sender is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Total {
    /// It is the provider's, or made with knowledge of the parts.
    Proof,
    /// The sender adds input and output, whatever they hold.
    Sum,
}

/// Senders that do not count as the conventions say, by the beginning of their scope's name and, where one scope serves many
/// providers, the provider. Found by reading their code in the versions of 2026.
const KNOWN: [(&str, Option<&str>, Places, Total); 6] = [
    ("opentelemetry.instrumentation.botocore.bedrock", None, CACHED_BESIDE, Total::Proof),
    ("opentelemetry.instrumentation.bedrock", None, CACHED_BESIDE, Total::Proof),
    ("openlit.", Some("anthropic"), CACHED_BESIDE, Total::Sum),
    ("com.anthropic.claude_code", None, CACHED_BESIDE, Total::Proof),
    ("opentelemetry.instrumentation.google_generativeai", None, REASONING_BESIDE, Total::Proof),
    ("opentelemetry.instrumentation.vertexai", None, REASONING_BESIDE, Total::Proof),
];

/// The counts of a call as they were stated.
struct Stated {
    input: u64,
    output: u64,
    total: Option<u64>,
    cached: u64,
    reasoning: u64,
}

impl Stated {
    /// The only places under which the total is right, if there is a total and it fits one reading alone.
    fn proven(&self) -> Option<Places> {
        let total = self.total?;
        let differ = |places: &Places| {
            (places.cached == Place::Inside || self.cached > 0)
                && (places.reasoning == Place::Inside || self.reasoning > 0)
        };
        let sum = |places: &Places| {
            let beside = |place, part| if place == Place::Beside { part } else { 0 };
            let parts =
                [self.output, beside(places.cached, self.cached), beside(places.reasoning, self.reasoning)];
            parts.into_iter().fold(self.input, u64::saturating_add)
        };
        let all = [INSIDE, CACHED_BESIDE, REASONING_BESIDE, BESIDE].into_iter();
        let mut fitting = all.filter(differ).filter(|places| sum(places) == total);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    fn places(&self, facts: &Facts<'_>, sender: Sender<'_>) -> Places {
        let known = KNOWN.into_iter().find(|(scope, only, ..)| {
            sender.scope_name.starts_with(scope) && only.is_none_or(|only| only == sender.provider)
        });
        let known = known.map(|(_, _, places, total)| (places, total));
        match known {
            Some((places, Total::Sum)) => places,
            _ => self.proven().or(known.map(|(places, _)| places)).unwrap_or(if facts.input_is_a_part() {
                BESIDE
            } else {
                INSIDE
            }),
        }
    }
}

/// `whole` without a part that is inside; a part that does not fit is beside it, whatever was believed.
fn without(whole: u64, part: u64, place: Place) -> u64 {
    match place {
        Place::Inside => whole.checked_sub(part).unwrap_or(whole),
        Place::Beside => whole,
    }
}

/// What a sender states, as disjoint units. A side that it left out is unknown, not zero, and half a usage would be priced as
/// if it were whole; only embeddings have no output by nature.
pub(super) fn quantities(facts: &Facts<'_>, sender: Sender<'_>) -> Option<Quantities> {
    let input = facts.count(Count::Input)?;
    let output = match facts.count(Count::Output) {
        None if *sender.operation == Operation::Embeddings => 0,
        stated => stated?,
    };
    let part = |fact| facts.count(fact).unwrap_or(0);
    let (cache_read, reasoning) = (part(Count::CacheRead), part(Count::Reasoning));
    let (write_5m, write_1h) = (part(Count::CacheWrite5m), part(Count::CacheWrite1h));
    // The rest has a life that was not stated.
    let cache_write = part(Count::CacheWrite).max(write_5m.saturating_add(write_1h));
    let cached = cache_read.saturating_add(cache_write);
    let stated = Stated { input, output, total: facts.count(Count::Total), cached, reasoning };
    let places = stated.places(facts, sender);
    let (audio_in, image_in) = (part(Count::InputAudio), part(Count::InputImage));
    let (audio_out, image_out) = (part(Count::OutputAudio), part(Count::OutputImage));
    // Cached audio is stated as cached and as audio: it is cheaper as cached, and that is what it was.
    let input = Side::of(without(input, cached, places.cached), audio_in, image_in, places.cached, facts);
    let output =
        Side::of(without(output, reasoning, places.reasoning), audio_out, image_out, places.reasoning, facts);
    Some(Quantities::from_pairs(&[
        (Unit::InputUncached, input.text),
        (Unit::CacheRead, cache_read),
        (Unit::CacheWrite5m, cache_write.saturating_sub(write_1h)),
        (Unit::CacheWrite1h, write_1h),
        (Unit::InputAudio, input.audio),
        (Unit::InputImage, input.image),
        (Unit::OutputText, output.text),
        (Unit::OutputReasoning, reasoning),
        (Unit::OutputAudio, output.audio),
        (Unit::OutputImage, output.image),
        (Unit::WebSearch, part(Count::WebSearch)),
    ]))
}

/// What remains of a side, by modality.
struct Side {
    text: u64,
    audio: u64,
    image: u64,
}

impl Side {
    /// Audio and images are inside their side, but in an object whose parts are all beside each other.
    fn of(rest: u64, audio: u64, image: u64, place: Place, facts: &Facts<'_>) -> Self {
        if facts.input_is_a_part() && place == Place::Beside {
            return Self { text: rest, audio, image };
        }
        let audio = audio.min(rest);
        let image = image.min(rest - audio);
        Self { text: rest - audio - image, audio, image }
    }
}
