//! What a line of a bill counts. Pure.
//!
//! Every provider nests its counts differently (is the cached prompt inside the input? is reasoning inside the
//! output?), and most published cost bugs come from guessing. A dialect resolves that once, at the edge, into units
//! of which no two overlap: then a total is a sum and a cost is a sum of products.
//!
//! To add a unit, add a row here: prices, bills, columns and metrics know it by its name.

use std::fmt;

named! {
    /// One thing that is billed by number. A quantity is a whole number of what the name says.
    pub enum Unit {
        /// Prompt text neither read from nor written to a cache.
        InputUncached = "input_uncached",
        /// Prompt tokens served from the provider's cache.
        CacheRead = "cache_read",
        /// Audio among them, where the provider counts it apart.
        CacheReadAudio = "cache_read_audio",
        /// Images among them, where the provider counts them apart.
        CacheReadImage = "cache_read_image",
        /// Video among them, where the provider counts it apart.
        CacheReadVideo = "cache_read_video",
        /// Prompt tokens written to a cache that lives 5 minutes, or a life the provider did not state.
        CacheWrite5m = "cache_write_5m",
        /// Prompt tokens written to a cache that lives 30 minutes.
        CacheWrite30m = "cache_write_30m",
        /// Prompt tokens written to a cache that lives 1 hour.
        CacheWrite1h = "cache_write_1h",
        /// Prompt tokens written to a cache that lives 12 hours.
        CacheWrite12h = "cache_write_12h",
        /// Audio in the prompt.
        InputAudio = "input_audio",
        /// Images in the prompt, where the provider counts them apart.
        InputImage = "input_image",
        /// Video in the prompt, where the provider counts it apart.
        InputVideo = "input_video",
        /// Prompt tokens that the provider's own tools added.
        ToolUsePrompt = "tool_use_prompt",
        /// Answer text, tool calls included.
        OutputText = "output_text",
        /// Hidden reasoning.
        OutputReasoning = "output_reasoning",
        /// Audio in the answer.
        OutputAudio = "output_audio",
        /// Images in the answer, where the provider counts them apart.
        OutputImage = "output_image",
        /// Video in the answer, where the provider counts it apart.
        OutputVideo = "output_video",
        /// Tokens of cited sources, where the provider bills them apart.
        OutputCitation = "output_citation",
        /// The request itself.
        Request = "request",
        /// A web search that the provider ran.
        WebSearch = "web_search",
        /// A search in files or a vector store that the provider keeps.
        StorageSearch = "storage_search",
        /// A run of code in a container of the provider, where runs are billed.
        Container = "container",
        /// A second of such a container, where time is billed.
        ContainerSecond = "container_second",
        /// An image, where images are billed by number.
        Image = "image",
        /// A page of a document that was read.
        Page = "page",
        /// A page that was read and annotated.
        AnnotatedPage = "annotated_page",
        /// A character of text, where text is not billed by tokens: speech, translation.
        Character = "character",
        /// A text message, where messages are billed by number.
        TextMessage = "text_message",
        /// A millisecond of audio that was heard.
        InputAudioMs = "input_audio_ms",
        /// A millisecond of audio that was made.
        OutputAudioMs = "output_audio_ms",
        /// A millisecond of video that was seen.
        InputVideoMs = "input_video_ms",
        /// A millisecond of video that was made.
        OutputVideoMs = "output_video_ms",
        /// A token kept in a cache for an hour, where keeping is billed.
        CacheTokenHour = "cache_token_hour",
        /// An hour of capacity that was reserved.
        CapacityHour = "capacity_hour",
    }
}

/// Which side of a call a unit belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Tokens that were sent to the model.
    Input,
    /// Tokens that the model made.
    Output,
    /// What is not counted in tokens.
    Fee,
}

impl Unit {
    /// The side of the call it is counted on.
    pub const fn side(self) -> Side {
        // Declared in this order, which a test holds.
        match self as usize {
            place if place < Self::OutputText as usize => Side::Input,
            place if place < Self::Request as usize => Side::Output,
            _ => Side::Fee,
        }
    }

    /// Whether it counts tokens.
    pub const fn is_token(self) -> bool {
        !matches!(self.side(), Side::Fee)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of each unit. A unit that is not mentioned is a true zero.
///
/// A short list in the order of the units and no array: a call has three to five of some forty.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Quantities(Vec<(Unit, u64)>);

impl Quantities {
    /// Quantities from pairs; a unit named twice is added up.
    pub fn from_pairs(pairs: &[(Unit, u64)]) -> Self {
        let mut quantities = Self::default();
        pairs.iter().for_each(|&(unit, quantity)| quantities.add(unit, quantity));
        quantities
    }

    /// How much of one unit.
    pub fn get(&self, unit: Unit) -> u64 {
        self.0.iter().find(|(known, _)| *known == unit).map_or(0, |(_, quantity)| *quantity)
    }

    /// Replaces the quantity of one unit.
    pub fn set(&mut self, unit: Unit, quantity: u64) {
        let place = self.0.partition_point(|(known, _)| *known < unit);
        match self.0.get_mut(place) {
            Some((known, _)) if *known == unit && quantity == 0 => drop(self.0.remove(place)),
            Some((known, old)) if *known == unit => *old = quantity,
            _ if quantity == 0 => {}
            _ => self.0.insert(place, (unit, quantity)),
        }
    }

    /// Adds to the quantity of one unit; saturating.
    pub fn add(&mut self, unit: Unit, quantity: u64) {
        self.set(unit, self.get(unit).saturating_add(quantity));
    }

    /// The units of which there is something, in the order of the table.
    pub fn nonzero(&self) -> impl Iterator<Item = (Unit, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All tokens of one side, as OpenTelemetry's inclusive `gen_ai.usage.{input,output}_tokens`; saturating.
    pub fn total(&self, side: Side) -> u64 {
        self.sum(|unit| unit.side() == side)
    }

    /// Tokens read from any cache; saturating.
    pub fn cache_read(&self) -> u64 {
        use Unit::{CacheRead, CacheReadAudio, CacheReadImage, CacheReadVideo};
        self.sum(|unit| matches!(unit, CacheRead | CacheReadAudio | CacheReadImage | CacheReadVideo))
    }

    /// Tokens written to any cache; saturating.
    pub fn cache_write(&self) -> u64 {
        use Unit::{CacheWrite1h, CacheWrite5m, CacheWrite12h, CacheWrite30m};
        self.sum(|unit| matches!(unit, CacheWrite5m | CacheWrite30m | CacheWrite1h | CacheWrite12h))
    }

    fn sum(&self, counts: impl Fn(Unit) -> bool) -> u64 {
        let counted = self.nonzero().filter(|(unit, _)| counts(*unit));
        counted.fold(0, |sum, (_, quantity)| sum.saturating_add(quantity))
    }
}

impl Extend<(Unit, u64)> for Quantities {
    fn extend<T: IntoIterator<Item = (Unit, u64)>>(&mut self, pairs: T) {
        pairs.into_iter().for_each(|(unit, quantity)| self.add(unit, quantity));
    }
}

impl fmt::Debug for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.nonzero().map(|(unit, quantity)| (unit.name(), quantity))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_stand_together_in_the_table() {
        let side = |name: &str| Unit::from_name(name).map(Unit::side);
        for input in
            ["input_uncached", "cache_read_audio", "cache_write_12h", "input_video", "tool_use_prompt"]
        {
            assert_eq!(side(input), Some(Side::Input), "{input}");
        }
        for output in ["output_text", "output_reasoning", "output_citation"] {
            assert_eq!(side(output), Some(Side::Output), "{output}");
        }
        for fee in ["request", "web_search", "input_audio_ms", "capacity_hour"] {
            assert_eq!(side(fee), Some(Side::Fee), "{fee}");
        }
        for unit in Unit::ALL {
            let begins = |words: &[&str]| words.iter().any(|word| unit.name().starts_with(word));
            let is_time = unit.name().ends_with("_ms");
            let expected = match unit {
                _ if is_time || unit.name().ends_with("_hour") => Side::Fee,
                _ if begins(&["input_", "cache_", "tool_"]) => Side::Input,
                _ if begins(&["output_"]) => Side::Output,
                _ => Side::Fee,
            };
            assert_eq!(unit.side(), expected, "{unit}");
        }
    }

    #[test]
    fn quantities_hold_what_there_is_in_the_order_of_the_table() {
        let mut quantities = Quantities::from_pairs(&[
            (Unit::WebSearch, 2),
            (Unit::InputUncached, 10),
            (Unit::OutputText, 0),
            (Unit::InputUncached, 5),
            (Unit::CacheReadAudio, 7),
        ]);
        let pairs: Vec<_> = quantities.nonzero().collect();
        assert_eq!(pairs, [(Unit::InputUncached, 15), (Unit::CacheReadAudio, 7), (Unit::WebSearch, 2)]);
        assert_eq!((quantities.total(Side::Input), quantities.total(Side::Output)), (22, 0));
        assert_eq!((quantities.cache_read(), quantities.cache_write()), (7, 0));
        quantities.set(Unit::WebSearch, 0);
        quantities.set(Unit::InputUncached, 1);
        quantities.add(Unit::OutputText, u64::MAX);
        quantities.add(Unit::OutputText, 1);
        let pairs: Vec<_> = quantities.nonzero().collect();
        assert_eq!(
            pairs,
            [(Unit::InputUncached, 1), (Unit::CacheReadAudio, 7), (Unit::OutputText, u64::MAX)]
        );
        assert!(!quantities.is_empty() && Quantities::default().is_empty());
    }
}
