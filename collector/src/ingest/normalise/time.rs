//! Bounds the times of a span. No I/O; the time is an argument.
//!
//! A call is billed whatever its sender's clock says. A clock that is ahead, or was never set, costs the span its place in
//! time: it counts when it came in. A duration that cannot be is unknown, which is no number and enters no sum. Either is
//! flagged on the span and counted.

use ledgerline_proto::otlp::SpanRecord;
use ledgerline_store::quarantine::Reason;

use super::Refused;
use crate::limits;

/// What was wrong with a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeCorrection {
    /// The span ends in the future, so it counts at its receipt.
    ClockAhead,
    /// The span has no end, or one from before this software: it counts at its receipt.
    ClockUnset,
    /// The duration is unknown: no start, one behind the end, or one too long ago.
    Duration,
    /// The time to the first token is unknown: it is longer than the call.
    FirstToken,
}

impl TimeCorrection {
    /// The names in the metric's label, in the order of the variants.
    pub const NAMES: [&str; 4] = ["clock_ahead", "clock_unset", "duration", "first_token"];
}

/// How many spans of a request were corrected, by correction.
pub type TimeCorrections = [u64; TimeCorrection::NAMES.len()];

/// Bounds the times of a span that came in at `now`. What ended longer ago than is taken, by a clock that was set, is refused.
pub(super) fn correct(
    record: &mut SpanRecord,
    now: u64,
    corrections: &mut TimeCorrections,
) -> Result<(), Refused> {
    let call = &mut record.call;
    let sent_end = call.end_unix_ns;
    let wrong_clock = if sent_end > now.saturating_add(nanoseconds(limits::SPAN_LEAD_MAX)) {
        Some(TimeCorrection::ClockAhead)
    } else if sent_end < limits::CLOCK_SET_SINCE_UNIX_NS {
        Some(TimeCorrection::ClockUnset)
    } else if sent_end < now.saturating_sub(nanoseconds(limits::SPAN_AGE_MAX)) {
        let (days, age) = (limits::SPAN_AGE_MAX.as_secs() / 86_400, (now - sent_end) / 1_000_000_000);
        let detail = format!("span ended {age} s ago, more than the {days} days that are taken");
        return Err((Reason::TooOld, detail));
    } else {
        None
    };
    if let Some(correction) = wrong_clock {
        call.end_unix_ns = now;
        let skew_ms = (i128::from(sent_end) - i128::from(now)) / 1_000_000;
        record.attributes.push((limits::CLOCK_SKEW.to_owned(), skew_ms.to_string()));
        corrections[correction as usize] += 1;
    }
    let is_call = call.operation.is_call();
    let longest = nanoseconds(if is_call { limits::CALL_DURATION_MAX } else { limits::SPAN_AGE_MAX });
    if record.duration_ns.is_none_or(|duration| duration > longest) {
        record.duration_ns = None;
        corrections[TimeCorrection::Duration as usize] += 1;
    }
    call.start_unix_ns = call.end_unix_ns.saturating_sub(record.duration_ns.unwrap_or(0));
    let first_token_max =
        record.duration_ns.unwrap_or(longest).saturating_add(nanoseconds(limits::FIRST_TOKEN_SLACK));
    if call.time_to_first_token_ns.is_some_and(|first| first > first_token_max) {
        call.time_to_first_token_ns = None;
        corrections[TimeCorrection::FirstToken as usize] += 1;
    }
    Ok(())
}

fn nanoseconds(bound: std::time::Duration) -> u64 {
    u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)
}
