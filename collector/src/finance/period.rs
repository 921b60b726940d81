//! Pure: a stretch of time as a time zone's calendar has it, and its hours, days, weeks and months.
//!
//! As everywhere a stretch is open at its start and closed at its end: a call that ends at midnight belongs to the day that ends then.

#[cfg(test)]
mod tests;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};

/// What a stretch is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From each full hour to the next, by the clock on the wall.
    Hour,
    /// From midnight to midnight: 23 to 25 hours.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// From the first of a month to its end.
    Month,
}

impl Step {
    /// The step of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }
}

/// Why there is no such stretch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// The zone is not one of the time zone database.
    #[error("`{0}` is no time zone; name one as the IANA database does: Europe/Berlin, UTC")]
    Zone(String),
    /// The month is not one.
    #[error("`{0}` is no month; write 2026-11")]
    Month(String),
    /// The time is not one.
    #[error(
        "`{0}` is neither a date (2026-11-01: its first moment in the zone) nor a time (2026-11-01T14:30:00 by the zone's clock, or with an offset: \
         2026-11-01T14:30:00+01:00)"
    )]
    Time(String),
    /// It ends before it has begun.
    #[error("it must begin before it ends")]
    Order,
    /// There are more parts than are told at once.
    #[error("it has more than {0} parts; take a longer step or a shorter time")]
    Parts(usize),
}

/// A stretch of a calendar.
#[derive(Clone, Debug)]
pub struct Period {
    /// Whose calendar.
    pub zone: TimeZone,
    /// Its start, which is outside.
    pub from: Timestamp,
    /// Its end, which is inside.
    pub to: Timestamp,
}

/// Parts of one length side by side: what one range query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The place of the first among all parts.
    pub at: usize,
    /// How many there are.
    pub count: usize,
    /// When the first ends, milliseconds since the epoch.
    pub first_end_ms: i64,
    /// How long each is.
    pub length_ms: i64,
}

/// The zone of that name; UTC where none is named.
pub fn zone(name: &str) -> Result<TimeZone, PeriodError> {
    let name = if name.is_empty() { "UTC" } else { name };
    TimeZone::get(name).map_err(|_| PeriodError::Zone(name.to_owned()))
}

impl Period {
    /// The month `2026-11`.
    pub fn month(month: &str, zone: TimeZone) -> Result<Self, PeriodError> {
        let wrong = || PeriodError::Month(month.to_owned());
        let is_month = month.len() == "2026-11".len();
        let first: Date = is_month.then(|| format!("{month}-01").parse().ok()).flatten().ok_or_else(wrong)?;
        let next = first.checked_add(1.month()).map_err(|_| wrong())?;
        Self::between_days(first, next, zone).ok_or_else(wrong)
    }

    /// From one time to another, each a date or a time, by the zone's clock or with an offset.
    pub fn between(from: &str, to: &str, zone: TimeZone) -> Result<Self, PeriodError> {
        let time = |text: &str| {
            let wrong = || PeriodError::Time(text.to_owned());
            if text.len() == "2026-11-01".len() {
                return text.parse().ok().and_then(|date| first_moment(date, &zone)).ok_or_else(wrong);
            }
            let by_the_clock = |text: &str| zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
            // What names a zone of its own would be read by ours.
            let time = text.parse().ok().or_else(|| by_the_clock(text)).filter(|_| !text.contains('['));
            time.ok_or_else(wrong)
        };
        let (from, to) = (time(from)?, time(to)?);
        if from < to { Ok(Self { zone, from, to }) } else { Err(PeriodError::Order) }
    }

    fn between_days(from: Date, to: Date, zone: TimeZone) -> Option<Self> {
        Some(Self { from: first_moment(from, &zone)?, to: first_moment(to, &zone)?, zone })
    }

    /// The zone's name in the database.
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// A time by the zone's clock, with its offset: `2026-11-01T00:00:00+01:00`.
    pub fn local(&self, time_ms: i64) -> String {
        let time = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::MAX);
        time.display_with_offset(self.zone.to_offset(time)).to_string()
    }

    /// What a file is called of as much of it as was over at that time.
    pub fn file_name(&self, through: Timestamp, extension: &str) -> String {
        let date = |time: Timestamp| time.to_zoned_datetime(self.zone.clone()).date();
        format!("spend-{}-{}.{extension}", date(self.from), date(through))
    }

    /// As much of it as is over at that time.
    pub fn until(&self, now: Timestamp) -> Self {
        Self { to: self.to.min(now).max(self.from), ..self.clone() }
    }

    /// Where its parts begin and end, milliseconds since the epoch: one more than there are parts, of which there may be so many. The
    /// first and the last may be cut.
    pub fn boundaries(&self, step: Option<Step>, parts_max: usize) -> Result<Vec<i64>, PeriodError> {
        let mut boundaries = vec![self.from.as_millisecond()];
        if let Some(step) = step {
            let mut at = self.from.to_zoned_datetime(self.zone.clone());
            while let Some(next) = next(&at, step).filter(|next| next.timestamp() < self.to) {
                if boundaries.len() >= parts_max {
                    return Err(PeriodError::Parts(parts_max));
                }
                boundaries.push(next.timestamp().as_millisecond());
                at = next;
            }
        }
        boundaries.push(self.to.as_millisecond());
        Ok(boundaries)
    }
}

/// When a day begins there: not at midnight where clocks change at it.
pub(crate) fn first_moment(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned_datetime(zone.clone()).and_then(|day| day.start_of_day()).ok().map(|day| day.timestamp())
}

/// The next boundary after a time.
fn next(at: &ZonedDateTime, step: Step) -> Option<ZonedDateTime> {
    let date = at.date();
    let next = match step {
        Step::Hour => return next_hour(at),
        Step::Day => date.tomorrow(),
        Step::Week => date.nth_weekday(1, Weekday::Monday),
        Step::Month => date.first_of_month().checked_add(1.month()),
    };
    next.and_then(|date| date.to_zoned_datetime(at.time_zone().clone()))
        .and_then(|day| day.start_of_day())
        .ok()
}

/// Where clocks change by half an hour the hour after that is half as long, or half as long again.
fn next_hour(at: &ZonedDateTime) -> Option<ZonedDateTime> {
    let later = at.checked_add(1.hour()).ok()?;
    let full = later.with().minute(0).second(0).subsec_nanosecond(0).build().ok()?;
    Some(if full > *at { full } else { later })
}

/// Parts of the same length side by side. None are empty.
pub fn runs(boundaries: &[i64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, ends) in boundaries.windows(2).enumerate() {
        let length_ms = ends[1] - ends[0];
        match runs.last_mut() {
            Some(run) if run.length_ms == length_ms && run.at + run.count == at => run.count += 1,
            _ if length_ms > 0 => runs.push(Run { at, count: 1, first_end_ms: ends[1], length_ms }),
            _ => {}
        }
    }
    runs
}
