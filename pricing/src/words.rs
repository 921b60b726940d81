//! The words in which providers say how a call was served: which are nothing special, which mean another. Pure.

use std::collections::BTreeMap;

use ledgerline_proto::Condition;

use crate::clause::STANDARD;
use crate::model::{Settings, Standard};

/// The words of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    standard: BTreeMap<Condition, Standard>,
    same_as: BTreeMap<Condition, BTreeMap<String, String>>,
}

impl Words {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { standard: settings.standard.clone(), same_as: settings.same_as.clone() }
    }

    /// The word that this one stands for, where the file says so.
    pub(crate) fn same_as(&self, condition: Condition, word: &str) -> Option<&str> {
        self.same_as.get(&condition)?.get(word).map(String::as_str)
    }

    /// Whether the word is nothing special, in a price that has clauses on the condition or has none.
    pub(crate) fn is_standard(&self, condition: Condition, word: &str, asked: bool) -> bool {
        if word == STANDARD {
            return true;
        }
        if let Some(stated) = self.standard.get(&condition) {
            return stated.any || stated.words.iter().any(|standard| standard == word);
        }
        match condition {
            Condition::ServiceTier => word == "default",
            Condition::Speed => false,
            Condition::Region => matches!(word, "global" | "not_available"),
            // It decides the price of the models that have prices by it, and says nothing for all others.
            Condition::SearchContext => !asked,
            _ => true,
        }
    }
}
