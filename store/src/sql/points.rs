//! Pure: what a statement says of one label set at one time, as the statement writes it and as it is read from the answer.
//!
//! A point is `edge|value|...`: the time in milliseconds at which the values count, and a value for each field. Of `moved|edge|value|...`
//! they count the other way round, and `last|edge` says when there was a row last before all edges. Points are a space apart.

use std::collections::BTreeMap;

use ledgerline_promql::source::SourceError;

use crate::catalog::{BOUNDS, Ledger, Measure, Time};

const LAST: &str = "last";
const MOVED: &str = "moved";
/// Eight stored buckets to a power of two; number 0 ends at the first of [`BOUNDS`].
const BUCKETS_TO_A_BOUND: usize = 8;

/// By time, in pico-units of a measure.
pub(super) type Increments = BTreeMap<i64, i128>;

/// The values of a point, in their order.
pub(super) struct Fields {
    fields: Vec<Field>,
    /// The last is how many calls or lines it is about: where something was moved away an edge may be left with none.
    pub has_counts: bool,
}

struct Field {
    /// Over rows of a tier.
    expression: String,
    value: Value,
}

enum Value {
    /// Of the measure at a place, in units of so many picos.
    Number { place: usize, scale: i128 },
    /// How many there are by stored bucket: of the measure at a place those up to a bucket.
    Buckets(Vec<(usize, i64)>),
}

impl Fields {
    pub fn new(measures: &[Measure], ledger: Ledger, has_counts: bool) -> Self {
        let mut fields = Vec::new();
        let mut maps: Vec<(Time, Vec<(usize, i64)>)> = Vec::new();
        for (place, measure) in measures.iter().enumerate() {
            match *measure {
                Measure::Bucket(time, at) if at + 1 < BOUNDS.len() => {
                    let bound = (place, i64::try_from(BUCKETS_TO_A_BOUND * at).unwrap_or(i64::MAX));
                    match maps.iter_mut().find(|(of, _)| *of == time) {
                        Some((_, bounds)) => bounds.push(bound),
                        None => maps.push((time, vec![bound])),
                    }
                }
                measure => {
                    let (expression, scale) = (expression(measure), scale(measure));
                    fields.push(Field { expression, value: Value::Number { place, scale } });
                }
            }
        }
        fields.extend(maps.into_iter().map(|(time, bounds)| Field {
            expression: format!("sumMap({}_buckets)", time.column()),
            value: Value::Buckets(bounds),
        }));
        if has_counts {
            let value = Value::Number { place: measures.len(), scale: 1 };
            fields.push(Field { expression: count(ledger).to_owned(), value });
        }
        Self { fields, has_counts }
    }

    /// The expression of a point of rows that count at an edge, and the other way round at the edge they are moved from.
    pub fn point(&self, edge: &str, moved_from: Option<&str>) -> String {
        let values: String =
            self.fields.iter().map(|field| format!(", '|', toString({})", field.expression)).collect();
        let moved =
            moved_from.map(|from| format!(", ' {MOVED}|', toString({from}){values}")).unwrap_or_default();
        format!("concat(toString({edge}){values}{moved})")
    }

    /// Adds what a point says to the increments of each measure, and to the counts after them; 0 where there was a row last. The time
    /// and the count.
    pub fn add(&self, point: &str, increments: &mut [Increments]) -> Result<(i64, i128), SourceError> {
        let malformed = |what: &str| SourceError::Malformed(format!("{what} in the point {point:?}"));
        let (mark, rest) = match point.split_once('|') {
            Some((mark @ (LAST | MOVED), rest)) => (mark, rest),
            _ => ("", point),
        };
        let mut texts = rest.split('|');
        let edge: i64 =
            texts.next().and_then(|edge| edge.parse().ok()).ok_or_else(|| malformed("no time"))?;
        let sums = increments.iter_mut().map(|increments| increments.entry(edge).or_insert(0));
        let mut sums: Vec<&mut i128> = sums.collect();
        let mut last = 0;
        for field in self.fields.iter().filter(|_| mark != LAST) {
            let text = texts.next().ok_or_else(|| malformed("too few values"))?;
            for (place, value) in field.values(text).ok_or_else(|| malformed("an unreadable value"))? {
                last = if mark == MOVED { -value } else { value };
                let sum = &mut *sums[place];
                *sum = sum.checked_add(last).ok_or_else(|| malformed("a sum beyond 128 bits"))?;
            }
        }
        if texts.next().is_some() { Err(malformed("too many values")) } else { Ok((edge, last)) }
    }
}

impl Field {
    /// What a text says, by the place of the measure.
    fn values(&self, text: &str) -> Option<Vec<(usize, i128)>> {
        match &self.value {
            Value::Number { place, scale } => Some(vec![(*place, picos(text, *scale)?)]),
            Value::Buckets(bounds) => {
                let counts = buckets(text)?;
                let up_to = |bound: i64| counts.iter().filter(move |(bucket, _)| *bucket <= bound);
                let sum = |bound: i64| up_to(bound).map(|(_, count)| i128::from(*count) * PICO).sum();
                Some(bounds.iter().map(|(place, bound)| (*place, sum(*bound))).collect())
            }
        }
    }
}

/// The expression of the point that says when there was a row last.
pub(super) fn last_point(edge: &str) -> String {
    format!("concat('{LAST}|', toString({edge}))")
}

/// A map as ClickHouse writes it, `{bucket:count,...}`.
fn buckets(text: &str) -> Option<Vec<(i64, i64)>> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let pairs = inside.split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (bucket, count) = pair.split_once(':')?;
        Some((bucket.parse().ok()?, count.parse().ok()?))
    };
    pairs.map(pair).collect()
}

const PICO: i128 = 1_000_000_000_000;

/// Pico units in one stored unit.
fn scale(measure: Measure) -> i128 {
    match measure {
        // Microseconds stored, seconds shown.
        Measure::TimeSum(_) => 1_000_000,
        _ => PICO,
    }
}

/// A decimal text times a scale, exactly; `None` if it is no decimal or has digits below the scale.
pub(super) fn picos(text: &str, scale: i128) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let parts = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if scale % parts != 0 {
        return None;
    }
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? * (scale / parts) };
    whole.parse::<i128>().ok()?.checked_mul(scale)?.checked_add(fraction)?.checked_mul(sign)
}

/// How much rows of a ledger are about, so that nothing is left where all of it was moved away.
fn count(ledger: Ledger) -> &'static str {
    match ledger {
        Ledger::Calls => "sum(calls)",
        Ledger::Spend => "sum(lines)",
        Ledger::Corrections => "count()",
    }
}

/// A measure over rows of a tier, as a number.
fn expression(measure: Measure) -> String {
    match measure {
        Measure::Calls => "sum(calls)".to_owned(),
        Measure::Errors => "sumIf(calls, status = 'error')".to_owned(),
        Measure::Cost => "sum(amount)".to_owned(),
        Measure::Quantity => "sum(quantity)".to_owned(),
        Measure::Corrections => "sum(toInt64(sign))".to_owned(),
        Measure::CorrectedCost => "sum(sign * toDecimal128(assumeNotNull(cost), 12))".to_owned(),
        Measure::TimeSum(time) => format!("sum({}_us_sum)", time.column()),
        // The last bound is no bound.
        Measure::TimeCount(time) | Measure::Bucket(time, _) => format!("sum({}_count)", time.column()),
    }
}
