//! Pure: what will be spent in the rest of a period, from what was spent on the days before.
//!
//! The expected spend is a level (the last six weeks, the latest counting most), with half of the trend that the median of all pairs of those
//! weeks shows (Theil and Sen), by a profile of weekdays (medians). How far that is off is not assumed but looked up: the same method is
//! replayed at each earlier day for as long a stretch, and the quantiles of truth to forecast make the band (conformal prediction; Vovk,
//! Gammerman and Shafer 2005). Few stretches that do not overlap make it wider. docs/budgets.md says what that is worth.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use ledgerline_promql::Number;

/// Weeks that make the level.
const WEEKS: usize = 6;
/// Days before the first forecast.
const DAYS_MIN: usize = 21;
/// Days that the first replay learns from.
const REPLAY_DAYS_MIN: usize = 14;
/// How much less a week counts than the one after it.
const FADING: f64 = 0.6;
/// The most that a week may grow or shrink, as a logarithm, and how much of the trend is believed.
const TREND_MAX: f64 = 0.1;
const TREND_BELIEVED: f64 = 0.5;
/// Weeks for which a trend goes on.
const TREND_WEEKS: f64 = 4.0;
/// Of the replays: nine of ten are inside. The band promises four of five, because the next period is not one of them.
const QUANTILES: [f64; 2] = [0.05, 0.95];
/// No forecast is surer than this, as logarithms of truth to forecast, and none is vaguer.
const CLOSEST: f64 = 0.02;
const LOWEST: f64 = -5.0;
const HIGHEST: f64 = 2.5;

/// What will have been spent, pico-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Less is spent in one of ten periods.
    pub low: i128,
    /// As likely more as less.
    pub expected: i128,
    /// More is spent in one of ten periods.
    pub high: i128,
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// A window that rolls, or a day.
    #[error("only weeks, months, quarters and years have a forecast")]
    NoEnd,
    /// There is too little to learn from.
    #[error("a forecast needs {DAYS_MIN} whole days since the first spend, and spend in the last weeks")]
    Young,
    /// The moment has not come.
    #[error("it has not come yet")]
    Future,
}

impl Band {
    /// With what was spent before.
    #[must_use]
    pub fn after(self, spent: i128) -> Self {
        let with = |rest: i128| spent.saturating_add(rest);
        Self { low: with(self.low), expected: with(self.expected), high: with(self.high) }
    }
}

/// What the days that are over say of those that are left.
#[derive(Clone, Debug)]
pub struct Outlook(Option<Known>);

#[derive(Clone, Debug)]
struct Known {
    /// Today, and the days after it, US dollars.
    today: f64,
    later: f64,
    /// Truth to forecast, low and high.
    factors: [f64; 2],
}

/// `daily` are days that are over, pico-dollars, the latest last; `rest` days are left, today among them.
pub fn outlook(daily: &[i128], rest: usize) -> Outlook {
    let begun = daily.iter().position(|picos| *picos != 0).unwrap_or(daily.len());
    let days: Vec<f64> = daily[begun..].iter().map(|picos| Number::Exact(*picos).to_f64()).collect();
    Outlook(known(&days, rest))
}

impl Outlook {
    /// The rest, when so much of today is left.
    pub fn at(&self, left: f64) -> Result<Band, Unknown> {
        let Some(Known { today, later, factors: [low, high] }) = &self.0 else { return Err(Unknown::Young) };
        let expected = today * left + later;
        let picos = |usd: f64| (usd * 1e12).round() as i128;
        Ok(Band { low: picos(expected * low), expected: picos(expected), high: picos(expected * high) })
    }
}

fn known(days: &[f64], rest: usize) -> Option<Known> {
    if days.len() < DAYS_MIN || rest == 0 {
        return None;
    }
    let ahead = forecast(days, rest);
    let replayed = rest.min((days.len() - REPLAY_DAYS_MIN) / 2);
    let replay = |at: usize| {
        let expected: f64 = forecast(&days[..at], replayed).iter().sum();
        let truth: f64 = days[at..at + replayed].iter().sum();
        (expected > 0.0).then(|| truth / expected)
    };
    let ratios = (REPLAY_DAYS_MIN..=days.len() - replayed).filter_map(replay);
    let ratios = sorted(ratios.collect());
    let apart = (number(ratios.len()) / number(replayed)).max(1.0);
    // Of a longer stretch than could be replayed nobody knows as much.
    let wider = (number(rest) / number(replayed)).sqrt() * (1.0 + 1.5 / apart);
    let [low, high] = QUANTILES.map(|part| quantile(&ratios, part));
    let low = (low?.max(f64::MIN_POSITIVE).ln().min(-CLOSEST) * wider).max(LOWEST);
    let high = (high?.max(f64::MIN_POSITIVE).ln().max(CLOSEST) * wider).min(HIGHEST);
    let (today, later) = ahead.split_first()?;
    (ahead.iter().sum::<f64>() > 0.0).then(|| Known {
        today: *today,
        later: later.iter().sum(),
        factors: [low.exp(), high.exp()],
    })
}

/// What is expected on each of so many days after those that are over, of which there are two weeks or more.
fn forecast(days: &[f64], rest: usize) -> Vec<f64> {
    let newest_first: Vec<&[f64]> = days.rchunks_exact(7).take(WEEKS).collect();
    let profile = profile(&newest_first);
    let means: Vec<f64> = newest_first.iter().map(|week| week.iter().sum::<f64>() / 7.0).collect();
    let weights: Vec<f64> = (0..means.len()).map(|age| FADING.powf(number(age))).collect();
    let all: f64 = weights.iter().sum();
    let level = means.iter().zip(&weights).map(|(mean, weight)| mean * weight).sum::<f64>() / all;
    let age = weights.iter().enumerate().map(|(at, weight)| weight * (number(at) + 0.5)).sum::<f64>() / all;
    let trend = trend(&means);
    let on = |day: usize| {
        let weeks = age + ((number(day) + 0.5) / 7.0).min(TREND_WEEKS);
        profile[day % 7] * level * (trend * weeks).exp()
    };
    (0..rest).map(on).collect()
}

/// How much of a mean day each of the seven days after the last week has.
fn profile(weeks: &[&[f64]]) -> [f64; 7] {
    let mut profile = [1.0; 7];
    for (day, part) in profile.iter_mut().enumerate() {
        let shares = weeks.iter().filter_map(|week| {
            let mean = week.iter().sum::<f64>() / 7.0;
            (mean > 0.0).then(|| week[day] / mean)
        });
        *part = quantile(&sorted(shares.collect()), 0.5).unwrap_or(1.0);
    }
    let mean = profile.iter().sum::<f64>() / 7.0;
    if mean > 0.0 { profile.map(|part| part / mean) } else { [1.0; 7] }
}

/// What a week is more than the one before, as a logarithm; of weeks the latest of which is first.
fn trend(means: &[f64]) -> f64 {
    if means.len() < 4 || means.iter().any(|mean| *mean <= 0.0) {
        return 0.0;
    }
    let mut slopes = Vec::new();
    for (newer, later) in means.iter().enumerate() {
        for (older, earlier) in means.iter().enumerate().skip(newer + 1) {
            slopes.push((later.ln() - earlier.ln()) / number(older - newer));
        }
    }
    let slope = quantile(&sorted(slopes), 0.5).unwrap_or(0.0);
    slope.clamp(-TREND_MAX, TREND_MAX) * TREND_BELIEVED
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values
}

/// Between the two values around that part of them; none of nothing.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * number(sorted.len().checked_sub(1)?);
    let below = place as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * (place - number(below)))
}

/// Of a few hundred.
fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
