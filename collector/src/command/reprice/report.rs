//! What a run has found, by team, model and reason. Money is an integer of pico-dollars.

use std::collections::BTreeMap;
use std::fmt;

use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::money::dollars;
use ledgerline_store::corrections::CorrectionRow;

use super::Booking;
use crate::calls::verdict::Verdict;

/// Rows of the report; what comes beyond is one row.
const ROWS_MAX: usize = 10_000;

/// What is the same, where a reason stands otherwise.
const SAME: &str = "same";

/// The findings of a run.
#[derive(Debug)]
pub struct Report {
    booking: Booking,
    /// Inserts of an earlier run that were finished first.
    pub resumed: u64,
    /// Calls that ingest may still change, which were left out.
    pub recent: u64,
    /// Spans of which nothing is booked.
    pub not_booked: u64,
    /// Calls that are booked several times or not whole.
    pub unclear: u64,
    /// Calls that cannot be read.
    pub unreadable: u64,
    /// The run was stopped.
    pub is_cut_short: bool,
    rows: BTreeMap<[String; 3], Sums>,
}

/// What a row of the report adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls that were looked at.
    pub calls: u64,
    /// Those of them that are booked otherwise.
    pub changed: u64,
    /// Pico-dollars: what is booked now less what was. An unknown cost counts for nothing on either side.
    pub difference: i128,
    /// Calls without a price before.
    pub unpriced_before: u64,
    /// And after.
    pub unpriced_after: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.changed += other.changed;
        self.difference += other.difference;
        self.unpriced_before += other.unpriced_before;
        self.unpriced_after += other.unpriced_after;
    }
}

impl Report {
    pub(super) const fn new(booking: Booking) -> Self {
        Self {
            booking,
            resumed: 0,
            recent: 0,
            not_booked: 0,
            unclear: 0,
            unreadable: 0,
            is_cut_short: false,
            rows: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, verdict: &Verdict) {
        let (before, after, reason) = match verdict {
            Verdict::NotBooked => return self.not_booked += 1,
            Verdict::Unclear => return self.unclear += 1,
            Verdict::Same(booked) => (booked, booked, SAME.to_owned()),
            Verdict::Changed { booked, new, why } => {
                let detail = [&booked.unpriced_reason, &new.unpriced_reason];
                let detail = detail.into_iter().filter(|text| !text.is_empty()).map(|text| &**text);
                let detail = detail.collect::<Vec<_>>().join(" -> ");
                let of = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
                (booked, new, format!("{}{of}", why.name()))
            }
        };
        let picos = |row: &CorrectionRow| row.bill.cost.amount().map(|amount| i128::from(amount.picos()));
        let unpriced = |row: &CorrectionRow| u64::from(picos(row).is_none());
        let sums = Sums {
            calls: 1,
            changed: u64::from(matches!(verdict, Verdict::Changed { .. })),
            difference: picos(after).unwrap_or(0) - picos(before).unwrap_or(0),
            unpriced_before: unpriced(before),
            unpriced_after: unpriced(after),
        };
        let [team, model] = [Dimension::Team, Dimension::Model]
            .map(|dimension| before.dimensions[dimension as usize].clone());
        let key = [team, model, reason];
        let is_beyond = self.rows.len() >= ROWS_MAX && !self.rows.contains_key(&key);
        let key = if is_beyond { ["(more)".to_owned(), String::new(), String::new()] } else { key };
        self.rows.entry(key).or_default().add(sums);
    }

    /// By team, model and reason.
    pub const fn rows(&self) -> &BTreeMap<[String; 3], Sums> {
        &self.rows
    }

    /// Of all rows.
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.rows.values().for_each(|sums| total.add(*sums));
        total
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head =
            ["team", "model", "reason", "calls", "changed", "difference USD", "unpriced before", "after"];
        let cells = |[team, model, reason]: &[String; 3], sums: &Sums| {
            let Sums { calls, changed, difference, unpriced_before, unpriced_after } = sums;
            let numbers = [*calls, *changed].map(|number| number.to_string());
            let unpriced = [*unpriced_before, *unpriced_after].map(|number| number.to_string());
            let texts =
                [team, model, reason].map(|text| if text.is_empty() { "-".to_owned() } else { text.clone() });
            texts.into_iter().chain(numbers).chain([dollars(*difference)]).chain(unpriced).collect::<Vec<_>>()
        };
        let mut table = vec![head.map(str::to_owned).to_vec()];
        table.extend(self.rows.iter().map(|(key, sums)| cells(key, sums)));
        let all = ["all".to_owned(), String::new(), String::new()];
        table.push(cells(&all, &self.total()));
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for row in &table {
            for (column, (text, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                // Texts to the left, numbers to the right.
                if column < 3 { write!(f, "{gap}{text:<width$}")? } else { write!(f, "{gap}{text:>width$}")? }
            }
            writeln!(f)?;
        }
        for (count, what) in [
            (self.resumed, "inserts of an earlier run were finished first"),
            (
                self.recent,
                "calls came in the last hours: ingest may still change what is booked of them, so they were left out; run again later",
            ),
            (self.not_booked, "spans are not booked: another one tells of the same call"),
            (self.unclear, "calls are booked otherwise than once and were left as they are"),
            (
                self.unreadable,
                "calls cannot be read by this version, or lack the name of a model, and were left as they are",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        if self.is_cut_short {
            writeln!(f, "stopped before the end; run the same command again to go on")?;
        }
        match self.booking {
            Booking::Nothing => writeln!(f, "nothing is booked (--dry-run)"),
            Booking::Corrections => {
                writeln!(
                    f,
                    "{} calls are booked anew, by corrections with the reason reprice",
                    self.total().changed
                )
            }
        }
    }
}
