//! Four kinds of teams, minute by minute: how often they call, and how often that goes wrong without a fault that anybody should hear of.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::chance::Chance;

/// Monday, 5 January 2026, in UTC; the clocks of Europe and America change in March.
pub const BEGIN_S: i64 = 1_767_571_200;
/// Minutes of a week.
pub const WEEK: usize = 7 * DAY;
/// Minutes of a day.
pub const DAY: usize = 24 * 60;

/// How a team works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From eight to six on weekdays in Berlin, with holidays.
    Office,
    /// Day and night with a rhythm, and a small service beside it.
    Always,
    /// Batches at odd hours and one each Sunday.
    Bursty,
    /// Nothing for half of the time, then it grows; office hours in New York.
    New,
}

impl Kind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 4] = [Self::Office, Self::Always, Self::Bursty, Self::New];

    /// Its team's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Always => "always",
            Self::Bursty => "bursty",
            Self::New => "new",
        }
    }
}

/// One minute of a service.
#[derive(Debug, Clone, Copy)]
pub struct Minute {
    /// Expected calls.
    pub rate: f64,
    /// Share of them that fails.
    pub errors: f64,
    /// Times the usual cost of a call.
    pub cost: f64,
    /// Times the usual duration.
    pub slow: f64,
    /// Times the usual time to the first token.
    pub first: f64,
}

/// A service and its minutes.
#[derive(Debug)]
pub struct Service {
    /// The label `service`.
    pub name: &'static str,
    /// The label `model`.
    pub model: &'static str,
    /// The label `provider`.
    pub provider: &'static str,
    /// From [`BEGIN_S`].
    pub minutes: Vec<Minute>,
}

/// A team and its services.
#[derive(Debug)]
pub struct Team {
    /// How it works.
    pub kind: Kind,
    /// The busiest first.
    pub services: Vec<Service>,
    /// For what is made of it.
    pub chance: Chance,
}

impl Team {
    /// So many weeks without a fault.
    #[must_use]
    pub fn of(kind: Kind, weeks: usize, seed: u64) -> Self {
        let mut chance = Chance::of(seed, kind.name());
        let count = weeks * WEEK;
        let rates = match kind {
            Kind::Office => office(count, "Europe/Berlin", 20.0, &mut chance),
            Kind::Always => always(count, &mut chance),
            Kind::Bursty => bursty(count, &mut chance),
            Kind::New => new(count, &mut chance),
        };
        let mut services =
            vec![service(kind.name(), rates, if kind == Kind::Bursty { 0.03 } else { 0.01 }, &mut chance)];
        if kind == Kind::Always {
            services.push(service("seldom", vec![0.5; count], 0.01, &mut chance));
        }
        Self { kind, services, chance }
    }
}

/// With blips: a minute or two in which many calls fail, three times a week.
fn service(name: &'static str, rates: Vec<f64>, errors: f64, chance: &mut Chance) -> Service {
    let minute = |rate| Minute { rate, errors, cost: 1.0, slow: 1.0, first: 1.0 };
    let mut minutes: Vec<Minute> = rates.into_iter().map(minute).collect();
    for _ in 0..3 * minutes.len() / WEEK {
        let (start, length, share) =
            (chance.below(minutes.len()), 1 + chance.below(2), chance.between(0.5, 1.0));
        minutes.iter_mut().skip(start).take(length).for_each(|minute| minute.errors = share);
    }
    Service { name, model: "large", provider: "acme", minutes }
}

/// Weekdays from eight to six, with a lunch, a start that moves, a busy or a quiet day, and two holidays.
fn office(count: usize, zone: &str, peak: f64, chance: &mut Chance) -> Vec<f64> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let holidays: Vec<usize> = (0..2).map(|_| 28 + chance.below((count / DAY).max(29) - 28)).collect();
    let mut rates = vec![0.01; count];
    let mut day = (0, 8.0, 18.0, 1.0);
    for (at, rate) in rates.iter_mut().enumerate() {
        let minute = i64::try_from(at).unwrap_or(0);
        let Ok(time) = Timestamp::from_second(BEGIN_S).and_then(|begin| begin.checked_add(minute.minutes()))
        else {
            continue;
        };
        let local = zone.to_datetime(time);
        if i64::from(local.day_of_year()) != day.0 {
            let (start, end) = (8.0 + chance.between(-0.3, 0.3), 18.0 + chance.between(-0.5, 0.5));
            day = (i64::from(local.day_of_year()), start, end, chance.around(1.0, 0.15));
        }
        let weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
        let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
        if !weekend && !holidays.contains(&(at / DAY)) && hour > day.1 && hour < day.2 {
            let lunch = if (12.0..13.0).contains(&hour) { 0.5 } else { 1.0 };
            *rate = peak * lunch * day.3;
        }
    }
    rates
}

/// A wave over the day, less on weekends, one per cent more each week, and hours that are busier than others.
fn always(count: usize, chance: &mut Chance) -> Vec<f64> {
    let mut hour = 0.0;
    let mut rate_at = |at: usize| {
        if at.is_multiple_of(60) {
            hour = 0.7 * hour + 0.12 * chance.normal();
        }
        let wave = (std::f64::consts::TAU * ((at % DAY) as f64 / DAY as f64 - 0.5)).cos();
        let weekend = if at / DAY % 7 >= 5 { 0.7 } else { 1.0 };
        let growth = 1.01_f64.powf(at as f64 / WEEK as f64);
        12.0 * (1.0 + 0.6 * wave) * weekend * growth * f64::exp(hour)
    };
    (0..count).map(&mut rate_at).collect()
}

/// About nine batches a week whenever somebody starts one, and the same report each Sunday at two.
fn bursty(count: usize, chance: &mut Chance) -> Vec<f64> {
    let mut rates = vec![0.0; count];
    for week in 0..count / WEEK {
        let mut batches = vec![(week * WEEK + 6 * DAY + 120, 60, 50.0)];
        for _ in 0..chance.poisson(9.0) {
            let length = chance.around(50.0, 0.4) as usize;
            batches.push((week * WEEK + chance.below(WEEK), length, chance.around(45.0, 0.3)));
        }
        for (start, length, rate) in batches {
            rates.iter_mut().skip(start).take(length).for_each(|minute| *minute += rate);
        }
    }
    rates
}

/// From the middle on: a fifth in the first week, all of it in the fifth; a load test on its third day.
fn new(count: usize, chance: &mut Chance) -> Vec<f64> {
    let middle = count / WEEK / 2 * WEEK;
    let mut rates = office(count, "America/New_York", 15.0, chance);
    for (at, rate) in rates.iter_mut().enumerate() {
        let age = at.saturating_sub(middle);
        *rate *= if at < middle { 0.0 } else { (0.2 + 0.2 * (age / WEEK) as f64).min(1.0) };
        if (2 * DAY + 960..2 * DAY + 1020).contains(&age) && at >= middle {
            *rate = 100.0;
        }
    }
    rates
}
