//! Pure: the periods of a budget. A period is open at its start and closed at its end, in its own time zone, and has a key.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::finance::period::{Period, Step, first_moment};
use crate::limits::DAYS_MAX;

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// From the first to the last.
    Month,
    /// Three months, the first from January on.
    Quarter,
    /// From January to December.
    Year,
    /// As many milliseconds up to any moment.
    Rolling(i64),
}

impl Every {
    /// The words of a document for those of a calendar.
    pub(crate) const NAMES: [(&str, Self); 5] = [
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];
}

/// The periods of a budget.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// How long.
    pub every: Every,
    /// As it was written: `month`, `30d`.
    pub name: String,
    /// Whose days.
    pub zone: TimeZone,
}

/// One period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// `2026-11-28`, `2026-W48`, `2026-11`, `2026-Q4`, `2026`; of a rolling one its length.
    pub key: String,
    /// Its start, which is outside, milliseconds since the epoch.
    pub from_ms: i64,
    /// Its end, which is inside; of a rolling one the moment itself.
    pub to_ms: i64,
}

impl Calendar {
    /// The zone's name in the database; empty where days do not matter.
    pub fn zone_name(&self) -> &str {
        match self.every {
            Every::Rolling(_) => "",
            _ => self.zone.iana_name().unwrap_or("UTC"),
        }
    }

    /// The period that a moment is in. `None` at the ends of what calendars can say.
    pub fn at(&self, time_ms: i64) -> Option<Stretch> {
        if let Every::Rolling(length_ms) = self.every {
            let from_ms = time_ms.checked_sub(length_ms)?;
            return Some(Stretch { key: self.name.clone(), from_ms, to_ms: time_ms });
        }
        // The end is inside, so the moment before decides.
        let before = Timestamp::from_millisecond(time_ms.checked_sub(1)?).ok()?;
        let (first, next, key) = self.around(before.to_zoned_datetime(self.zone.clone()).date())?;
        let moment = |date| Some(first_moment(date, &self.zone)?.as_millisecond());
        Some(Stretch { key, from_ms: moment(first)?, to_ms: moment(next)? })
    }

    /// The first day of the period that a day is in, the first day of the next one, and the key.
    fn around(&self, date: Date) -> Option<(Date, Date, String)> {
        let first_month = date.first_of_month();
        Some(match self.every {
            Every::Rolling(_) => return None,
            Every::Day => (date, date.tomorrow().ok()?, date.to_string()),
            Every::Week => {
                let week = date.iso_week_date();
                let next = date.nth_weekday(1, Weekday::Monday).ok()?;
                let key = format!("{:04}-W{:02}", week.year(), week.week());
                (next.checked_sub(7.days()).ok()?, next, key)
            }
            Every::Month => {
                let key = format!("{:04}-{:02}", date.year(), date.month());
                (first_month, first_month.checked_add(1.month()).ok()?, key)
            }
            Every::Quarter => {
                let past = i32::from((date.month() - 1) % 3);
                let first = first_month.checked_sub(past.months()).ok()?;
                let key = format!("{:04}-Q{}", date.year(), (date.month() + 2) / 3);
                (first, first.checked_add(3.months()).ok()?, key)
            }
            Every::Year => {
                let first = date.first_of_year();
                (first, first.checked_add(1.year()).ok()?, format!("{:04}", date.year()))
            }
        })
    }

    /// The days that end after `from_ms` and at `to_ms` or before, the zone's own: where they begin and end, one more than there are.
    pub fn days(&self, from_ms: i64, to_ms: i64, days_max: usize) -> Option<Vec<i64>> {
        let midnight = |time_ms: i64| {
            let time = Timestamp::from_millisecond(time_ms).ok()?;
            first_moment(time.to_zoned_datetime(self.zone.clone()).date(), &self.zone)
        };
        let (from, to) = (midnight(from_ms)?, midnight(to_ms)?);
        if from >= to {
            return Some(vec![from.as_millisecond()]);
        }
        let period = Period { zone: self.zone.clone(), from, to };
        period.boundaries(Some(Step::Day), days_max).ok()
    }

    /// Whether its periods have an end, days before it, and weekdays.
    pub fn has_forecast(&self) -> bool {
        !matches!(self.every, Every::Day | Every::Rolling(_))
    }

    /// The days from that moment to the end of a period, both cut days among them.
    pub fn days_left(&self, time_ms: i64, to_ms: i64) -> usize {
        let count = |ends: Vec<i64>| ends.len() - 1;
        self.days(time_ms, to_ms, DAYS_MAX).map_or(0, count)
    }

    /// How much of its day is left at a moment: 1 at its beginning, 0 at its end.
    pub fn left_of_day(&self, time_ms: i64) -> f64 {
        // Here the beginning is inside.
        let day = Self { every: Every::Day, ..self.clone() }.at(time_ms.saturating_add(1));
        day.map_or(0.0, |day| seconds(day.to_ms - time_ms) / seconds(day.to_ms - day.from_ms))
    }
}

/// Of less than a few days, so that nothing is lost.
fn seconds(ms: i64) -> f64 {
    Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::period::zone;

    fn calendar(every: Every, name: &str) -> Calendar {
        Calendar { every, name: "30d".to_owned(), zone: zone(name).unwrap() }
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// How long and where, a moment, the key of its period, and its ends.
    const PERIODS: [(Every, &str, &str, &str, &str, &str); 8] = [
        (
            Every::Month,
            "Europe/Berlin",
            "2026-11-01T00:00:00+01:00",
            "2026-10",
            "2026-10-01T00:00:00+02:00",
            "2026-11-01T00:00:00+01:00",
        ),
        (
            Every::Month,
            "Europe/Berlin",
            "2026-11-01T00:00:00.001+01:00",
            "2026-11",
            "2026-11-01T00:00:00+01:00",
            "2026-12-01T00:00:00+01:00",
        ),
        (
            Every::Day,
            "Europe/Berlin",
            "2026-10-25T12:00:00+01:00",
            "2026-10-25",
            "2026-10-25T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
        ),
        (
            Every::Day,
            "Africa/Cairo",
            "2026-04-24T12:00:00+03:00",
            "2026-04-24",
            "2026-04-24T01:00:00+03:00",
            "2026-04-25T00:00:00+03:00",
        ),
        (
            Every::Week,
            "America/St_Johns",
            "2027-01-01T12:00:00-03:30",
            "2026-W53",
            "2026-12-28T00:00:00-03:30",
            "2027-01-04T00:00:00-03:30",
        ),
        (
            Every::Quarter,
            "Asia/Kathmandu",
            "2026-12-31T23:59:59+05:45",
            "2026-Q4",
            "2026-10-01T00:00:00+05:45",
            "2027-01-01T00:00:00+05:45",
        ),
        (
            Every::Year,
            "Australia/Lord_Howe",
            "2026-06-01T00:00:00+10:30",
            "2026",
            "2026-01-01T00:00:00+11:00",
            "2027-01-01T00:00:00+11:00",
        ),
        (
            Every::Rolling(3_600_000),
            "UTC",
            "2026-06-01T00:00:00Z",
            "30d",
            "2026-05-31T23:00:00Z",
            "2026-06-01T00:00:00Z",
        ),
    ];

    /// Each by the offsets of the zone's clock on those days, which stand in the times.
    #[test]
    fn a_period_is_its_zones_own_and_its_end_is_inside() {
        for (every, name, at, key, from, to) in PERIODS {
            let found = calendar(every, name).at(ms(at)).unwrap();
            let wanted = Stretch { key: key.to_owned(), from_ms: ms(from), to_ms: ms(to) };
            assert_eq!(found, wanted, "{every:?} {name} {at}");
        }
        assert_eq!(calendar(Every::Year, "UTC").at(i64::MIN), None);
    }

    #[test]
    fn days_are_whole_and_over() {
        let berlin = calendar(Every::Month, "Europe/Berlin");
        let hours = |from, to| -> Vec<i64> {
            let days = berlin.days(ms(from), ms(to), 400).unwrap();
            days.windows(2).map(|ends| (ends[1] - ends[0]) / 3_600_000).collect()
        };
        assert_eq!(hours("2026-10-24T10:00:00Z", "2026-10-26T22:59:59Z"), [24, 25]);
        assert_eq!(hours("2026-10-24T10:00:00Z", "2026-10-26T23:00:00Z"), [24, 25, 24]);
        assert_eq!(hours("2026-10-24T10:00:00Z", "2026-10-24T12:00:00Z"), [0; 0]);
        assert_eq!(berlin.days(0, 86_400_000 * 500, 400), None);
    }
}
