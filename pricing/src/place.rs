//! Which of the prepared settings a call is in. Pure.

use ledgerline_proto::{Call, Condition, Quantities, Side, UnpricedReason};

use crate::lookup::ProviderBook;
use crate::resolve::unknown;
use crate::table::{Axis, Cell, Compiled, Segment};
use crate::words::Words;

const NANOS_PER_MINUTE: u64 = 60_000_000_000;
const MINUTES_PER_DAY: u64 = 24 * 60;
/// 1 January 1970 was a Thursday; Monday is 0.
const WEEKDAY_OF_DAY_0: u64 = 3;

/// What a quantity is priced with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) segment: &'a Segment,
    pub(crate) number: usize,
    pub(crate) cell: &'a Cell,
}

/// Finds the setting of a call, or of a run of another model within it.
pub(crate) fn place<'a>(
    provider: &ProviderBook,
    call: &Call,
    used: &Quantities,
    month_tokens: u64,
    (compiled, segment): (&'a Compiled, &'a Segment),
) -> Result<Placed<'a>, UnpricedReason> {
    let conditions = &call.billing.conditions;
    let minutes = call.start_unix_ns / NANOS_PER_MINUTE;
    let (mut number, mut stride) = (0_usize, 1_usize);
    for axis in &segment.axes {
        let reached = |firsts: &[u64], count| firsts.partition_point(|&first| first <= count);
        let cell = match axis {
            Axis::Words(condition, words) => {
                word(&provider.words, *condition, words, conditions.get(*condition))?
            }
            Axis::Prompt(firsts) => reached(firsts, used.total(Side::Input)),
            Axis::Month(firsts) => reached(firsts, month_tokens),
            Axis::Minutes(starts) => {
                let minute = minutes % MINUTES_PER_DAY;
                starts.partition_point(|&start| u64::from(start) <= minute).saturating_sub(1)
            }
            Axis::Weekday => {
                let weekday = (minutes / MINUTES_PER_DAY).saturating_add(WEEKDAY_OF_DAY_0) % 7;
                usize::try_from(weekday).unwrap_or(0)
            }
        };
        number = number.saturating_add(cell.saturating_mul(stride));
        stride = stride.saturating_mul(axis.len());
    }
    for (condition, word) in conditions.iter() {
        let asked =
            segment.axes.iter().any(|axis| matches!(axis, Axis::Words(named, _) if *named == condition));
        if !asked && !word.is_empty() {
            let same = provider.words.same_as(condition, word).unwrap_or(word);
            if !provider.words.is_standard(condition, same, false) {
                return Err(unknown(condition));
            }
        }
    }
    Ok(Placed { compiled, segment, number, cell: segment.cell(number)? })
}

/// The cell of a word: a clause's own, that of the word it stands for, or the standard one.
fn word(
    words: &Words,
    condition: Condition,
    named: &[String],
    word: Option<&str>,
) -> Result<usize, UnpricedReason> {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(0) };
    let cell = |word: &str| named.iter().position(|named| named == word).map(|place| place.saturating_add(1));
    let same = words.same_as(condition, word);
    if let Some(cell) = cell(word).or_else(|| cell(same?)) {
        return Ok(cell);
    }
    let standard = words.is_standard(condition, same.unwrap_or(word), true);
    if standard { Ok(0) } else { Err(unknown(condition)) }
}
