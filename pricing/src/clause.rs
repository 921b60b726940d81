//! A clause of `when`: the conditions under which a price or a multiplier holds. Pure.
//!
//! Two questions decide how clauses compose: does one hold in a setting, and is one more specific than another.

use std::collections::BTreeMap;

use ledgerline_proto::{Condition, Side, Unit};

use crate::exact::Exact;
use crate::price::{Price, Prices, Validity};

/// The word in a file for "nothing special".
pub(crate) const STANDARD: &str = "standard";

/// A number of tokens from which on a clause holds, and how the rule names that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    pub(crate) first: u64,
    pub(crate) name: String,
}

/// Minutes of the day, the end outside; it passes midnight where the end is before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: u16,
    pub(crate) end: u16,
}

impl Window {
    fn holds(self, minute: u16) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }

    fn is_within(self, other: Self) -> bool {
        (0..MINUTES_OF_A_DAY).all(|minute| !self.holds(minute) || other.holds(minute))
    }

    pub(crate) fn name(self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{}-{}", clock(self.start), clock(self.end))
    }
}

pub(crate) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub(crate) const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// Factors by side; `None` leaves a side alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) input: Option<Exact>,
    pub(crate) output: Option<Exact>,
    pub(crate) fees: Option<Exact>,
}

impl Times {
    pub(crate) fn of(&self, side: Side) -> Option<Exact> {
        match side {
            Side::Input => self.input,
            Side::Output => self.output,
            Side::Fee => self.fees,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Prices(Prices),
    Times(Times),
}

/// Conditions that must all hold, and what they do to the price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) words: BTreeMap<Condition, Vec<String>>,
    pub(crate) prompt: Option<Threshold>,
    pub(crate) month: Option<Threshold>,
    pub(crate) window: Option<Window>,
    /// A bit for each day, Monday the lowest.
    pub(crate) weekdays: Option<u8>,
    pub(crate) valid: Validity,
    pub(crate) effect: Effect,
}

/// What a clause is asked about: one point of everything that can matter. A word of `None` is a standard one.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) words: Vec<(Condition, Option<&'a str>)>,
    pub(crate) prompt: u64,
    pub(crate) month: u64,
    pub(crate) minute: u16,
    pub(crate) weekday: u8,
}

impl Setting<'_> {
    pub(crate) fn word(&self, condition: Condition) -> Option<&str> {
        self.words.iter().find(|(known, _)| *known == condition).and_then(|(_, word)| *word)
    }
}

impl Clause {
    pub(crate) fn holds(&self, setting: &Setting<'_>) -> bool {
        let reached = |threshold: &Option<Threshold>, count| {
            threshold.as_ref().is_none_or(|threshold| count >= threshold.first)
        };
        let mut words = self.words.iter();
        words.all(|(&condition, words)| {
            let word = setting.word(condition).unwrap_or(STANDARD);
            words.iter().any(|named| named == word)
        }) && reached(&self.prompt, setting.prompt)
            && reached(&self.month, setting.month)
            && self.window.is_none_or(|window| window.holds(setting.minute))
            && self.weekdays.is_none_or(|days| days & (1 << setting.weekday) != 0)
    }

    /// Whether whatever meets this also meets `other`.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        let words = other.words.iter().all(|(condition, words)| {
            self.words.get(condition).is_some_and(|own| own.iter().all(|word| words.contains(word)))
        });
        let beyond = |own: &Option<Threshold>, other: &Option<Threshold>| {
            let Some(other) = other else { return true };
            own.as_ref().is_some_and(|own| own.first >= other.first)
        };
        let window = other.window.is_none_or(|other| self.window.is_some_and(|own| own.is_within(other)));
        let weekdays = other.weekdays.is_none_or(|other| self.weekdays.is_some_and(|own| own & !other == 0));
        words
            && beyond(&self.prompt, &other.prompt)
            && beyond(&self.month, &other.month)
            && window
            && weekdays
    }

    /// Stricter than `other`.
    pub(crate) fn is_more_specific(&self, other: &Self) -> bool {
        self.implies(other) && !other.implies(self)
    }

    /// Whether both ask about the same things. Such multipliers are alternatives, and do not multiply.
    pub(crate) fn asks_what(&self, other: &Self) -> bool {
        self.words.keys().eq(other.words.keys())
            && self.prompt.is_some() == other.prompt.is_some()
            && self.month.is_some() == other.month.is_some()
            && (self.window.is_some() || self.weekdays.is_some())
                == (other.window.is_some() || other.weekdays.is_some())
    }

    pub(crate) fn names(&self, condition: Condition, word: &str) -> bool {
        self.words.get(&condition).is_some_and(|words| words.iter().any(|named| named == word))
    }

    /// Whether it holds in every setting: only dates limit it, if anything does.
    pub(crate) fn is_unconditional(&self) -> bool {
        let timed = self.window.is_some() || self.weekdays.is_some();
        self.words.is_empty() && self.prompt.is_none() && self.month.is_none() && !timed
    }

    pub(crate) fn has_condition(&self) -> bool {
        !self.is_unconditional() || self.valid.from.is_some() || self.valid.until.is_some()
    }

    /// The conditions as a person reads them: `service_tier batch or flex, prompt above 272000, from 2026-10-14`.
    pub(crate) fn conditions_text(&self) -> String {
        let words = self.words.iter();
        let words = words.map(|(condition, words)| format!("{} {}", condition.name(), words.join(" or ")));
        let tokens = |what: &'static str, of: &Option<Threshold>| {
            of.as_ref().map(|threshold| format!("{what} {}", threshold.name.replace('_', " ")))
        };
        let window = self.window.map(|window| format!("time {} UTC", window.name()));
        let days = self.weekdays.map(|days| {
            let named = (0_u8..).zip(WEEKDAYS).filter(|(day, _)| days & (1 << day) != 0);
            named.map(|(_, name)| name).collect::<Vec<_>>().join(" or ")
        });
        let from = self.valid.from.as_ref().map(|from| format!("from {}", from.text));
        let until = self.valid.until.as_ref().map(|until| format!("until {}", until.text));
        let more = [tokens("prompt", &self.prompt), tokens("month", &self.month), window, days, from, until];
        words.chain(more.into_iter().flatten()).collect::<Vec<_>>().join(", ")
    }

    /// What it does, as a person reads it: `tokens x 0.5`, `input_uncached 12.5 per million, cache_read none`.
    pub(crate) fn effect_text(&self) -> String {
        let times = match &self.effect {
            Effect::Prices(prices) => {
                let price = |(unit, price): (&Unit, &Option<Price>)| match price {
                    Some(price) => format!("{} {}", unit.name(), price.text(*unit)),
                    None => format!("{} none", unit.name()),
                };
                return prices.iter().map(price).collect::<Vec<_>>().join(", ");
            }
            Effect::Times(times) => times,
        };
        let Times { input, output, fees } = *times;
        let named = match (input == output, output == fees) {
            (true, true) => vec![("all", input)],
            (true, false) => vec![("tokens", input), ("fees", fees)],
            _ => vec![("input", input), ("output", output), ("fees", fees)],
        };
        let named = named.into_iter().filter_map(|(name, by)| Some(format!("{name} x {}", by?)));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The conditions in words, for a problem: `service_tier flex, above_272000`.
    pub(crate) fn describe(&self) -> String {
        let words =
            self.words.iter().map(|(condition, words)| format!("{} {}", condition.name(), words.join("|")));
        let month = self.month.iter().map(|month| format!("month_{}", month.name));
        let prompt = self.prompt.iter().map(|prompt| prompt.name.clone());
        let window = self.window.iter().map(|window| window.name());
        let days = self.weekdays.iter().map(|days| format!("weekdays {days:07b}"));
        let all: Vec<_> = words.chain(prompt).chain(month).chain(window).chain(days).collect();
        if all.is_empty() { "no condition".to_owned() } else { all.join(", ") }
    }
}
