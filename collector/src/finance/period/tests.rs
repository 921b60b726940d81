//! Lengths of days and months, against the dates on which clocks changed.

use super::*;

const HOUR: i64 = 3_600_000;

fn hours(period: &Period, step: Step) -> Vec<i64> {
    let boundaries = period.boundaries(Some(step), 1_100).unwrap();
    assert!(boundaries.is_sorted() && boundaries[0] == period.from.as_millisecond());
    boundaries.windows(2).map(|ends| (ends[1] - ends[0]) / HOUR).collect()
}

/// Lengths from the dates on which clocks changed: 2026-03-29 and 2026-10-25 in Berlin, 2026-03-08 in New York.
#[test]
fn days_and_months_are_as_long_as_the_zone_has_them() {
    let month = |text, name| Period::month(text, zone(name).unwrap()).unwrap();
    let march = month("2026-03", "Europe/Berlin");
    assert_eq!(march.local(march.from.as_millisecond()), "2026-03-01T00:00:00+01:00");
    assert_eq!(march.local(march.to.as_millisecond()), "2026-04-01T00:00:00+02:00");
    let days = hours(&march, Step::Day);
    assert_eq!((days.len(), days[27], days[28], days[29]), (31, 24, 23, 24));
    assert_eq!(hours(&month("2026-10", "Europe/Berlin"), Step::Day)[24], 25);
    assert_eq!(hours(&month("2026-03", "America/New_York"), Step::Day)[7], 23);
    // 1 March 2026 is a Sunday; the last week has two days.
    assert_eq!(hours(&march, Step::Week), [24, 168, 168, 168, 167, 48]);
    let year = Period::between("2026-01-01", "2027-01-01", zone("Asia/Kolkata").unwrap()).unwrap();
    assert_eq!(year.local(year.from.as_millisecond()), "2026-01-01T00:00:00+05:30");
    let days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    assert_eq!(hours(&year, Step::Month), days.map(|days| 24 * days));
    // Where clocks go back the hour is there twice.
    let day = Period::between("2026-10-25", "2026-10-26", zone("Europe/Berlin").unwrap()).unwrap();
    assert_eq!(hours(&day, Step::Hour), [1; 25]);
    // Midnight is not there where clocks change at it: in Cairo on 2026-04-24 the day begins at one.
    let cairo = Period::between("2026-04-24", "2026-04-25", zone("Africa/Cairo").unwrap()).unwrap();
    assert_eq!(cairo.local(cairo.from.as_millisecond()), "2026-04-24T01:00:00+03:00");
    assert_eq!(hours(&cairo, Step::Hour), [1; 23]);
}

#[test]
fn what_is_cut_is_cut() {
    let utc = || zone("UTC").unwrap();
    let clock = Period::between("2026-07-01", "2026-07-01T14:30:00", zone("Europe/Berlin").unwrap()).unwrap();
    assert_eq!(clock.local(clock.to.as_millisecond()), "2026-07-01T14:30:00+02:00");
    let period = Period::between("2026-11-01T06:00:00Z", "2026-11-03T00:00:01Z", utc()).unwrap();
    let parts: Vec<i64> =
        period.boundaries(Some(Step::Day), 1_100).unwrap().windows(2).map(|ends| ends[1] - ends[0]).collect();
    assert_eq!(parts, [18 * HOUR, 24 * HOUR, 1000]);
    assert_eq!(period.boundaries(None, 1_100).unwrap().len(), 2);
    let now = "2026-11-02T12:00:00Z".parse().unwrap();
    assert_eq!(hours(&period.until(now), Step::Day), [18, 12]);
    // Of what has not begun there is nothing.
    let before = period.until("2026-10-01T00:00:00Z".parse().unwrap());
    assert_eq!(before.from, before.to);
    assert_eq!(runs(&before.boundaries(Some(Step::Day), 1_100).unwrap()), []);
}

#[test]
fn days_of_one_length_are_one_run() {
    let month = Period::month("2026-03", zone("Europe/Berlin").unwrap()).unwrap();
    let found = runs(&month.boundaries(Some(Step::Day), 1_100).unwrap());
    let parts: Vec<_> = found.iter().map(|run| (run.at, run.count, run.length_ms / HOUR)).collect();
    assert_eq!(parts, [(0, 28, 24), (28, 1, 23), (29, 2, 24)]);
    assert_eq!(found[0].first_end_ms - month.from.as_millisecond(), 24 * HOUR);
}

#[test]
fn what_is_no_stretch_is_told() {
    let utc = || zone("UTC").unwrap();
    for month in ["2026-13", "2026-1", "26-11", "", "2026-11-01"] {
        assert_eq!(Period::month(month, utc()).unwrap_err(), PeriodError::Month(month.into()));
    }
    for (from, to) in [("2026-11-02", "2026-11-01"), ("2026-11-01", "2026-11-01")] {
        assert_eq!(Period::between(from, to, utc()).unwrap_err(), PeriodError::Order);
    }
    for time in
        ["2026-11-01 ", "2026-11-31", "2026-11-01T25:00:00", "2026-11-01T14:30:00[America/New_York]", "now"]
    {
        assert_eq!(Period::between(time, "2026-12-01", utc()).unwrap_err(), PeriodError::Time(time.into()));
    }
    assert_eq!(zone("Berlin").unwrap_err(), PeriodError::Zone("Berlin".into()));
    let long = Period::between("2020-01-01", "2026-01-01", utc()).unwrap();
    assert_eq!(long.boundaries(Some(Step::Day), 1_100), Err(PeriodError::Parts(1_100)));
    assert_eq!(long.boundaries(Some(Step::Month), 1_100).unwrap().len(), 73);
}
