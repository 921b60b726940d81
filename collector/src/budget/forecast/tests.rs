//! The band against two years of each of several companies that nobody tuned for alone, and against what is known by hand.

use super::*;

/// SplitMix64, so that every run has the same companies.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / 4_294_967_296.0
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Companies by what is special about them.
const COMPANIES: [&str; 10] =
    ["steady", "growth", "decline", "holidays", "bursts", "new", "steps", "drifting", "sparse", "years"];

/// Days of a company from 1 June 2023, a Thursday: 945 of them, to the end of 2025. Pico-dollars.
fn company(name: &str, seed: u64) -> Vec<i128> {
    let mut dice = Dice(seed);
    let mut drift = 0.0;
    let days = (0..945_u32).map(|day| {
        let (weeks, is_weekend) = (f64::from(day) / 7.0, (day + 3) % 7 >= 5);
        let weekend = |part: f64| if is_weekend { part } else { 1.0 };
        // Of a year of 365 days from 1 June on.
        let of_year = day % 365;
        let (mean, noise) = match name {
            "growth" => (weekend(0.25) * (0.012 * weeks).exp(), 0.12),
            "decline" => (weekend(0.3) * (-0.02 * weeks).exp(), 0.12),
            "holidays" if (205..217).contains(&of_year) => (weekend(0.2) * 0.25, 0.1),
            "holidays" if (61..92).contains(&of_year) => (weekend(0.2) * 0.75, 0.1),
            "holidays" => (weekend(0.2), 0.1),
            "bursts" => {
                let burst = if dice.next() < 0.03 { 4.0 + 8.0 * dice.next() } else { 1.0 };
                (weekend(0.8) * burst, 0.25)
            }
            "new" if day < 300 => (0.0, 0.0),
            "new" => (weekend(0.5) * (1.0 + f64::from(day - 300) / 60.0).min(8.0), 0.2),
            "steps" => {
                let steps = [(250, 2.0), (480, 0.6), (700, 2.0)].into_iter();
                let level: f64 = steps.filter(|(from, _)| day >= *from).map(|(_, by)| by).product();
                (weekend(0.4) * level, 0.15)
            }
            "drifting" => {
                drift += 0.04 * dice.normal();
                (weekend(0.6) * f64::exp(drift), 0.15)
            }
            "sparse" if dice.next() < 0.3 => (-(1.0 - dice.next()).ln(), 0.0),
            "sparse" => (0.0, 0.0),
            // The calls of `bench/src/years/world.rs`: half as many to one and a half times, in steps of four weeks.
            "years" => (weekend(0.3) * (0.5 + f64::from(day - day % 28) / 945.0), 0.01),
            _ => (weekend(0.3), 0.08),
        };
        (mean * (noise * dice.normal()).exp() * 1e14).round() as i128
    });
    days.collect()
}

/// The first days of the 24 months from January 2024 on, by their place, and the day behind the last.
fn months() -> Vec<usize> {
    let lengths =
        [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30];
    let mut first = 214;
    let mut all = vec![first];
    for length in lengths.into_iter().chain([31]) {
        first += length;
        all.push(first);
    }
    all
}

/// Of the months, those whose truth is inside the band on the morning after so many days; how many have one; and the median error in
/// percent.
fn replay(days: &[i128], after: usize) -> (usize, usize, f64) {
    let (mut inside, mut known, mut errors) = (0, 0, Vec::new());
    for month in months().windows(2) {
        let now = month[0] + after;
        let history = &days[now.saturating_sub(182)..now];
        let Ok(rest) = outlook(history, month[1] - now).at(1.0) else { continue };
        let band = rest.after(days[month[0]..now].iter().sum());
        let truth: i128 = days[month[0]..month[1]].iter().sum();
        known += 1;
        inside += usize::from((band.low..=band.high).contains(&truth));
        errors.push(100.0 * ((band.expected - truth).abs() as f64) / truth.max(1) as f64);
    }
    (inside, known, quantile(&sorted(errors), 0.5).unwrap())
}

/// Scenario: ten companies (growing, shrinking, with holidays, bursts, steps and drift, new, sparse, and the one of the two-year store), 24
/// months each, asked after day 10 and day 20, and after day 5 for the record.
/// Guarantees: for each company the band holds the truth of four of five months at least.
#[test]
fn the_band_holds_four_of_five_months() {
    for name in COMPANIES {
        for after in [5, 10, 20] {
            let (mut inside, mut known, mut error) = (0, 0, 0.0_f64);
            for seed in 1..=4 {
                let (held, of, median) = replay(&company(name, seed), after);
                (inside, known, error) = (inside + held, known + of, error.max(median));
            }
            println!(
                "{name:9} day {after:2}: {inside} of {known} months inside, median error at most {error:.1} %"
            );
            // After five days nobody knows of holidays that come once a year.
            assert!(known >= 4 * 17 && (after < 10 || inside * 5 >= known * 4), "{name} after {after}");
        }
    }
}

/// Of a company that spends 7 dollars on each day there is nothing to be wrong about but what the method allows for.
#[test]
fn what_never_changes_goes_on() {
    const USD: i128 = 1_000_000_000_000;
    let days = [7 * USD; 100];
    let band = outlook(&days, 10).at(0.5).unwrap();
    // Half of today, and nine days.
    assert!((band.expected - 9 * 7 * USD - 7 * USD / 2).abs() < 1000, "{band:?}");
    assert!(band.low < band.expected && band.high > band.expected && band.high < band.expected * 11 / 10);
    assert_eq!(band.after(USD).low, band.low + USD);
    // Weekends are quiet: three weeks of five days, and the next two days are a weekend.
    let week = [USD, USD, USD, USD, USD, 0, 0];
    let days: Vec<i128> = week.into_iter().cycle().take(28 + 5).collect();
    let rest = |rest| outlook(&days, rest).at(1.0).map(|band| (band.expected + USD / 2) / USD);
    assert_eq!((rest(7), rest(4)), (Ok(5), Ok(2)));
}

#[test]
fn what_cannot_be_known_is_not() {
    let days = [1_000_000_000_000; 40];
    for (days, rest, known) in [
        (&days[..20], 5, false),
        (&days[..21], 5, true),
        (&days[..21], 300, true),
        (&days[..], 0, false),
        (&[], 5, false),
        // It ended long ago.
        (&[&days[..], &[0; 60]].concat()[..], 5, false),
    ] {
        assert_eq!(outlook(days, rest).at(1.0).is_ok(), known, "{} {rest}", days.len());
    }
    let young = [&[0; 30], &days[..20]].concat();
    assert_eq!(outlook(&young, 5).at(1.0), Err(Unknown::Young));
}
