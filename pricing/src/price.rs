//! Prices by unit, and the time something holds. Pure.

use std::collections::BTreeMap;

use ledgerline_proto::Unit;

use crate::exact::Exact;

/// A moment as the file writes it, and in nanoseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) unix_ns: u64,
    pub(crate) text: String,
}

/// From its first moment to the first it no longer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Option<Moment>,
    pub(crate) until: Option<Moment>,
}

impl Validity {
    pub(crate) fn start_ns(&self) -> u64 {
        self.from.as_ref().map_or(0, |from| from.unix_ns)
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.until.as_ref().map_or(u64::MAX, |until| until.unix_ns)
    }

    pub(crate) fn holds(&self, unix_ns: u64) -> bool {
        (self.start_ns()..self.end_ns()).contains(&unix_ns)
    }
}

/// The price of a unit: in the file's money, for `per` of it. Marginal parts rising; a flat price is one part without an end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Price {
    pub(crate) per: u64,
    pub(crate) parts: Vec<Part>,
}

impl Price {
    /// `2.5 per million`; where it falls with the quantity `16 per million up to 1000000, then 12 per million`.
    pub(crate) fn text(&self, unit: Unit) -> String {
        let is_time = unit.name().ends_with("_ms");
        let per = match (self.per, is_time) {
            (1_000, true) => "per second",
            (60_000, true) => "per minute",
            (3_600_000, true) => "per hour",
            (1_000_000, _) => "per million",
            (1_000, false) => "per thousand",
            (60, false) => "per minute",
            (3_600, false) => "per hour",
            _ => "each",
        };
        let part = |part: &Part| match part.up_to {
            u64::MAX => format!("{} {per}", part.price),
            up_to => format!("{} {per} up to {up_to}", part.price),
        };
        self.parts.iter().map(part).collect::<Vec<_>>().join(", then ")
    }
}

/// The price of what lies below `up_to`, and above the part before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Part {
    pub(crate) up_to: u64,
    pub(crate) price: Exact,
}

/// Prices by unit. `None`: this unit has no price, whatever a less specific table or `billed_as` says.
pub(crate) type Prices = BTreeMap<Unit, Option<Price>>;
