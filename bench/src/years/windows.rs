//! Which windows are asked for: days, weeks, months and years of twelve time zones, the days on which their clocks change, and times on no
//! boundary of anything.

use anyhow::Context;

use super::store::Opened;
use super::world::{DAY_US, World};

/// Of whole hours, half and quarter hours; with daylight saving of an hour and of half an hour, north and south, and without.
pub const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Los_Angeles",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Australia/Eucla",
    "Pacific/Chatham",
    "Pacific/Marquesas",
];

/// A quarter of an hour in microseconds.
pub const QUARTER_US: i64 = 900_000_000;

/// What ended after `low_us` and not after `high_us`.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Whose calendar it is of.
    pub zone: &'static str,
    /// What it is.
    pub kind: &'static str,
    /// Its start, which is outside.
    pub low_us: i64,
    /// Its end, which is inside.
    pub high_us: i64,
}

/// Random numbers; the seed is in every message.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// Below a bound.
    pub fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) % bound.unsigned_abs().max(1)).cast_signed()
    }

    fn pick(&mut self, times: &[i64]) -> usize {
        usize::try_from(self.below(i64::try_from(times.len()).unwrap_or(1))).unwrap_or(0)
    }
}

/// The calendar of a zone within the world, in microseconds.
#[derive(Debug)]
struct Calendar {
    zone: &'static str,
    midnights: Vec<i64>,
    months: Vec<i64>,
    /// Where in `midnights` the days are that are longer or shorter than others.
    changes: Vec<usize>,
}

impl Calendar {
    async fn of(store: &Opened, world: &World, zone: &'static str) -> anyhow::Result<Self> {
        let starts = async |function: &str| -> anyhow::Result<Vec<i64>> {
            let (from, hours) = (world.begin_us() / 1_000_000, world.days * 24);
            let starts = format!(
                "SELECT DISTINCT toUnixTimestamp(toDateTime({function}(toDateTime({from} + number * 3600, '{zone}')), '{zone}')) AS at \
                 FROM numbers({hours}) WHERE at >= {from} ORDER BY at"
            );
            let rows = store.numbers(&starts).await?;
            rows.iter().map(|row| Ok(i64::try_from(row[0])? * 1_000_000)).collect()
        };
        let (midnights, months) = (starts("toStartOfDay").await?, starts("toStartOfMonth").await?);
        let changes =
            (0..midnights.len() - 1).filter(|at| midnights[at + 1] - midnights[*at] != DAY_US).collect();
        Ok(Self { zone, midnights, months, changes })
    }

    /// One that begins at some midnight and takes that many of them.
    fn days(&self, random: &mut Random, kind: &'static str, days: usize) -> Window {
        let at = random.pick(&self.midnights[days..]);
        Window { zone: self.zone, kind, low_us: self.midnights[at], high_us: self.midnights[at + days] }
    }

    fn window(&self, random: &mut Random, kind: usize, now_us: i64) -> Window {
        let zone = self.zone;
        let last = *self.midnights.last().unwrap_or(&now_us);
        let mut between = |kind, from_us: i64, grain_us: i64| {
            let steps = (last - from_us) / grain_us;
            let (a, b) = (random.below(steps), random.below(steps));
            let low_us = from_us + a.min(b) * grain_us;
            Window { zone, kind, low_us, high_us: from_us + (a.max(b) + 1) * grain_us }
        };
        match kind {
            0 => between("quarters of an hour", self.midnights[0], QUARTER_US),
            1 => between("milliseconds", self.midnights[0], 1000),
            2 => between("recent milliseconds", now_us - now_us % 1000 - 80 * DAY_US, 1000),
            3 => between("recent minutes", now_us - 30 * DAY_US - now_us % 60_000_000, 60_000_000),
            4 => self.days(random, "a day", 1),
            5 => self.days(random, "a week", 7),
            6 => {
                let at = random.pick(&self.months[1..]);
                Window { zone, kind: "a month", low_us: self.months[at], high_us: self.months[at + 1] }
            }
            _ => {
                let days = usize::try_from(random.below(700)).unwrap_or(0) + 1;
                self.days(random, "some days", days)
            }
        }
    }
}

/// Random windows, of every zone and kind as many, and each day on which clocks change.
///
/// # Errors
/// When the engine does not know a zone.
pub async fn windows(
    store: &Opened,
    world: &World,
    random: &mut Random,
    count: usize,
    now_us: i64,
) -> anyhow::Result<Vec<Window>> {
    let mut calendars = Vec::new();
    for zone in ZONES {
        calendars.push(Calendar::of(store, world, zone).await.context(zone)?);
    }
    let mut all = Vec::new();
    for calendar in &calendars {
        all.extend(calendar.changes.iter().map(|at| Window {
            zone: calendar.zone,
            kind: "a day on which clocks change",
            low_us: calendar.midnights[*at],
            high_us: calendar.midnights[at + 1],
        }));
    }
    all.truncate(count);
    for at in all.len()..count {
        all.push(calendars[at % calendars.len()].window(random, at / calendars.len() % 8, now_us));
    }
    Ok(all)
}
