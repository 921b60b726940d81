//! Pure. Adds outcomes up: counts, client errors and percentiles of latency.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::call::{End, Outcome, Verdict};

/// Error texts that are kept as examples.
const FAILURES_MAX: usize = 20;

/// The sum of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls that were begun, long streams included.
    pub started: u64,
    /// Calls whose body arrived to its end.
    pub complete: u64,
    /// Calls the client left as planned.
    pub aborted: u64,
    /// Calls the provider cut as planned.
    pub cut_as_planned: u64,
    /// Calls that failed or took too long although nobody had planned it. The number that must be zero.
    pub client_errors: u64,
    /// Calls that were still running when the run was stopped.
    pub cut_by_stop: u64,
    /// Calls that were not made because too many were running.
    pub skipped: u64,
    /// Calls whose bytes were compared and right.
    pub equal: u64,
    /// Calls whose bytes were compared and wrong. The other number that must be zero.
    pub different: u64,
    /// Calls whose bytes could not be compared.
    pub unchecked: u64,
    /// Calls by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Calls by team and model asked for.
    pub by_team_model: BTreeMap<(&'static str, &'static str), u64>,
    /// Bytes of body received.
    pub bytes: u64,
    /// The first few unplanned failures and differences, in words.
    pub failures: Vec<String>,
    /// From the first arrival to the last end.
    pub wall: Duration,
    first_bytes_us: Vec<u32>,
    durations_us: Vec<u32>,
}

/// Percentiles of a duration over complete calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of the calls were at most this long.
    pub p50: Duration,
    /// 95 of 100.
    pub p95: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// All of them.
    pub max: Duration,
}

impl Report {
    /// Takes one outcome in.
    pub fn add(&mut self, outcome: &Outcome) {
        match &outcome.end {
            End::Complete => {
                self.complete += 1;
                self.durations_us.push(micros(outcome.duration));
                self.first_bytes_us.extend(outcome.first_byte.map(micros));
            }
            End::Aborted => self.aborted += 1,
            End::CutAsPlanned => self.cut_as_planned += 1,
            End::Failed(_) | End::TimedOut => {
                self.client_errors += 1;
                self.note(outcome);
            }
        }
        match outcome.verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Different => {
                self.different += 1;
                self.note(outcome);
            }
            Verdict::Unchecked => self.unchecked += 1,
        }
        if let Some(status) = outcome.status {
            *self.by_status.entry(status).or_default() += 1;
        }
        *self.by_team_model.entry((outcome.draft.identity.team, outcome.draft.model)).or_default() += 1;
        self.bytes += outcome.bytes;
    }

    fn note(&mut self, outcome: &Outcome) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(format!(
                "{:?} {} {} {} status={:?} end={:?} bytes={} {:?} after {:?}",
                outcome.draft.pace,
                outcome.draft.index,
                outcome.draft.scenario,
                outcome.call_id.as_deref().unwrap_or("no id"),
                outcome.status,
                outcome.end,
                outcome.bytes,
                outcome.verdict,
                outcome.duration,
            ));
        }
    }

    /// Whole duration of complete calls.
    pub fn duration(&self) -> Percentiles {
        percentiles(&self.durations_us)
    }

    /// Time to the first byte of the body of complete calls.
    pub fn first_byte(&self) -> Percentiles {
        percentiles(&self.first_bytes_us)
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Nearest rank.
fn percentiles(values: &[u32]) -> Percentiles {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = |per_cent: usize| {
        let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(Duration::ZERO, |us| Duration::from_micros(u64::from(*us)))
    };
    Percentiles { p50: rank(50), p95: rank(95), p99: rank(99), max: rank(100) }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, whole) = (self.first_byte(), self.duration());
        writeln!(
            formatter,
            "{} calls in {:.1?}: {} complete, {} aborted, {} cut as planned, {} client errors, {} skipped, {} stopped",
            self.started,
            self.wall,
            self.complete,
            self.aborted,
            self.cut_as_planned,
            self.client_errors,
            self.skipped,
            self.cut_by_stop
        )?;
        writeln!(
            formatter,
            "bytes: {} in all; {} calls equal, {} different, {} unchecked; status {:?}",
            self.bytes, self.equal, self.different, self.unchecked, self.by_status
        )?;
        writeln!(
            formatter,
            "first byte: p50 {:.1?}, p95 {:.1?}, p99 {:.1?}",
            first.p50, first.p95, first.p99
        )?;
        write!(formatter, "duration: p50 {:.1?}, p95 {:.1?}, p99 {:.1?}", whole.p50, whole.p95, whole.p99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let us = Duration::from_micros;
        let values: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(
            percentiles(&values),
            Percentiles { p50: us(100), p95: us(190), p99: us(198), max: us(200) }
        );
        assert_eq!(percentiles(&[7]), Percentiles { p50: us(7), p95: us(7), p99: us(7), max: us(7) });
        assert_eq!(percentiles(&[]), Percentiles::default());
    }
}
