//! What the attributes of a span or a resource state, found in one pass. Pure.
//!
//! A span has up to some fifty attributes and there are some two hundred names, so nothing is searched: each attribute
//! is looked up once, with what the allow-list says of it, and put where its fact belongs unless a better name of that
//! fact was there.

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::kind::Kind;
use super::names::{Count, Form, Reading, Text, usage_key};
use super::usage_text::scan;
use super::value::count;
use crate::condition::{Condition, Conditions};
use crate::unit::{Quantities, Side};

/// A value with the place of its name among those of its fact.
type Stated<T> = Option<(u8, T)>;

/// Whatever stands in a usage object comes after every name of an attribute.
const WITHIN_TEXT: u8 = 128;

/// Usage objects of one span that are read.
const USAGE_TEXTS_MAX: usize = 4;

/// The facts.
#[derive(Default)]
pub(super) struct Facts<'a> {
    texts: [Stated<&'a str>; Text::NUMBER],
    forms: [Stated<&'a Value>; Form::NUMBER],
    counts: [Stated<u64>; Count::NUMBER],
    kind: Option<Kind>,
    usage_texts: [Option<(Side, &'a str)>; USAGE_TEXTS_MAX],
    /// The input was stated under the name that usage objects have for input without its parts.
    input_is_a_part: bool,
    /// Our own units, as an agent states them.
    units: Option<Quantities>,
    conditions: Conditions,
}

/// Keeps the better name's value. What is stated twice under one name counts as it stood first.
fn put<T>(slot: &mut Stated<T>, place: u8, value: T) -> bool {
    let is_better = slot.as_ref().is_none_or(|(known, _)| place < *known);
    if is_better {
        *slot = Some((place, value));
    }
    is_better
}

/// A text without the quotation marks of senders that encode texts as JSON; `None` when there is nothing in it.
fn plain(value: &Value) -> Option<&str> {
    let Value::StringValue(text) = value else { return None };
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Some(inner).filter(|text| !text.is_empty())
}

impl<'a> Facts<'a> {
    /// Takes the value of an attribute. A value that cannot state the fact is as good as none.
    pub(super) fn take(&mut self, reading: Reading, place: u8, value: &'a Value) {
        match reading {
            Reading::Text(fact) => {
                if let Some(text) = plain(value) {
                    put(&mut self.texts[fact as usize], place, text);
                }
            }
            Reading::Form(fact) => {
                put(&mut self.forms[fact as usize], place, value);
            }
            Reading::Count(fact) => {
                if let Some(count) = count(value) {
                    put(&mut self.counts[fact as usize], place, count);
                }
            }
            Reading::Kind => {
                let kind = plain(value).and_then(Kind::from_word);
                self.kind = self.kind.into_iter().chain(kind).max();
            }
            Reading::UsageText(side) => {
                let free = self.usage_texts.iter_mut().find(|slot| slot.is_none());
                if let (Some(slot), Some(text)) = (free, plain(value)) {
                    *slot = Some((side, text));
                }
            }
            Reading::Unit(unit) => {
                self.units.get_or_insert_default().set(unit, count(value).unwrap_or(0));
            }
            Reading::Condition(condition) => {
                if let Some(text) = plain(value) {
                    self.conditions.set(condition, text);
                }
            }
        }
    }

    /// Reads the counts in usage objects. Apart, because only spans about models are worth it.
    pub(super) fn read_usage_texts(&mut self) {
        for (side, text) in self.usage_texts.into_iter().flatten() {
            scan(text, side, |key, side, depth, number| {
                let Some(fact) = usage_key(key, side) else { return };
                let is_new = put(&mut self.counts[fact as usize], WITHIN_TEXT.saturating_add(depth), number);
                if is_new && fact == Count::Input {
                    self.input_is_a_part = key == "input";
                }
            });
        }
    }

    pub(super) fn text(&self, fact: Text) -> Option<&'a str> {
        self.texts[fact as usize].map(|(_, text)| text)
    }

    /// The text, or an empty one.
    pub(super) fn owned(&self, fact: Text) -> String {
        self.text(fact).unwrap_or_default().to_owned()
    }

    /// The text, if it was stated under one of the fact's first names.
    pub(super) fn text_by_first_names(&self, fact: Text, names: u8) -> Option<&'a str> {
        self.texts[fact as usize].filter(|(place, _)| *place < names).map(|(_, text)| text)
    }

    pub(super) fn form(&self, fact: Form) -> Option<&'a Value> {
        self.forms[fact as usize].map(|(_, value)| value)
    }

    pub(super) fn count(&self, fact: Count) -> Option<u64> {
        self.counts[fact as usize].map(|(_, count)| count)
    }

    /// What the sender's own vocabulary says that the span is.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    pub(super) fn units(&self) -> Option<&Quantities> {
        self.units.as_ref()
    }

    /// Whether the input is a part beside its other parts, and not the whole.
    pub(super) fn input_is_a_part(&self) -> bool {
        self.input_is_a_part
    }

    /// The conditions that were stated, ours before those of the conventions.
    pub(super) fn conditions(&self) -> Conditions {
        let tier = self.text(Text::ServiceTier).map(|tier| (Condition::ServiceTier, tier));
        Conditions::from_pairs(tier.into_iter().chain(self.conditions.iter()))
    }
}
