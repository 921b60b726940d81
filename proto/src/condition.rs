//! What beside the quantities decides a price: a few words that the provider, the request or the agent's configuration
//! state. Pure.
//!
//! To add a condition, add a row here: the wire, the columns and the price book know it by its name.

use std::fmt;

named! {
    /// One kind of fact that a price may depend on.
    pub enum Condition {
        /// The tier that served the call (not the one asked for), in the provider's word: `default`, `flex`, `batch`.
        ServiceTier = "service_tier",
        /// Anthropic's `speed`: `standard` or `fast`.
        Speed = "speed",
        /// Where the call ran: Anthropic's `inference_geo`, a regional host.
        Region = "region",
        /// How much of the web is read for a search: `low`, `medium`, `high`.
        SearchContext = "search_context",
        /// Which way a router took.
        Route = "route",
        /// Which deployment or committed capacity served the call.
        Deployment = "deployment",
        /// Of an image: `low`, `medium`, `high`, `hd`.
        Quality = "quality",
        /// Of an image or a video: `1024x1024`, `720p`.
        Size = "size",
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The conditions of one call, in the order of the table. What is not here was not stated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions(Vec<(Condition, String)>);

impl Conditions {
    /// Conditions from pairs; the last word on one counts, an empty word is none.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (Condition, &'a str)>) -> Self {
        let mut conditions = Self::default();
        pairs.into_iter().for_each(|(condition, word)| conditions.set(condition, word));
        conditions
    }

    /// The word, if stated.
    pub fn get(&self, condition: Condition) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == condition).map(|(_, word)| word.as_str())
    }

    /// States a condition anew; an empty word takes it back.
    pub fn set(&mut self, condition: Condition, word: &str) {
        self.0.retain(|(known, _)| *known != condition);
        if !word.is_empty() {
            let place = self.0.partition_point(|(known, _)| *known < condition);
            self.0.insert(place, (condition, word.to_owned()));
        }
    }

    /// All that are stated.
    pub fn iter(&self) -> impl Iterator<Item = (Condition, &str)> {
        self.0.iter().map(|(condition, word)| (*condition, word.as_str()))
    }

    /// Their words, to be cut where they are too long.
    pub fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.0.iter_mut().map(|(_, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_an_empty_one_is_none() {
        use Condition::{Region, ServiceTier, Speed};
        let mut conditions = Conditions::from_pairs([(Region, "us"), (ServiceTier, "flex"), (Region, "eu")]);
        assert_eq!(conditions.iter().collect::<Vec<_>>(), [(ServiceTier, "flex"), (Region, "eu")]);
        conditions.set(ServiceTier, "");
        conditions.set(Speed, "");
        assert_eq!((conditions.get(ServiceTier), conditions.get(Region)), (None, Some("eu")));
        assert_eq!(conditions.iter().count(), 1);
    }
}
