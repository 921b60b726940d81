//! Whether all accounts of the same money say the same: bills with their corrections, minutes, quarters of an hour, days, PromQL over HTTP,
//! and plain arithmetic over the numbers that the calls were made of.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use ledgerline_testkit::http::percent_encoded;

use super::store::Opened;
use super::windows::{QUARTER_US, Random, Window, windows};
use super::world::{DAY_US, Measure, Sums, World};
use super::{TENANT, now_us};

/// The metric of each of [`Measure::ALL`].
const METRICS: [&str; 5] = [
    "llm_calls_total",
    "llm_unpriced_calls_total",
    "llm_tokens_total",
    "llm_cost_usd_total",
    "llm_corrected_cost_usd_total",
];
/// Corrections have no rollups.
const IN_ROLLUPS: usize = 4;
/// Days that the record and the minutes are kept.
const RECORD_DAYS: i64 = 90;
const MINUTE_DAYS: i64 = 35;

/// A table of sums by bucket, added up from its beginning.
struct Rollup {
    name: &'static str,
    bucket_us: i64,
    from_us: i64,
    totals: BTreeMap<i64, Sums>,
}

impl Rollup {
    async fn read(store: &Opened, name: &'static str, bucket_us: i64, from_us: i64) -> anyhow::Result<Self> {
        let statement = format!(
            "SELECT at, sum(made), sum(unknown), sum(tokens), sum(cost) FROM (\
             SELECT toUnixTimestamp(bucket) AS at, sum(calls) AS made, sumIf(calls, unpriced_reason != '') AS unknown, \
             toInt64(0) AS tokens, toInt128(0) AS cost FROM calls_{name} WHERE tenant = '{TENANT}' GROUP BY at UNION ALL \
             SELECT toUnixTimestamp(bucket) AS at, 0, 0, sumIf(quantity, unit != 'web_search'), toInt128(sum(amount) * 1000000000000) \
             FROM spend_{name} WHERE tenant = '{TENANT}' GROUP BY at) GROUP BY at ORDER BY at"
        );
        let mut sum = Sums::default();
        let mut totals = BTreeMap::new();
        for row in store.numbers(&statement).await? {
            sum.iter_mut().zip(&row[1..]).for_each(|(sum, value)| *sum += value);
            totals.insert(i64::try_from(row[0])? * 1_000_000, sum);
        }
        Ok(Self { name, bucket_us, from_us, totals })
    }

    /// Compares every bucket that it keeps.
    fn compare_buckets(&self, world: &World) -> anyhow::Result<()> {
        let step = usize::try_from(self.bucket_us)?;
        let times: Vec<i64> = (self.from_us..=world.end_us()).step_by(step).collect();
        for (wanted, low_us) in world.sums(true, &times).iter().zip(&times) {
            let found = self.sums((*low_us, low_us + self.bucket_us)).context("no bucket")?;
            let wanted = &wanted[..IN_ROLLUPS];
            ensure!(
                found[..IN_ROLLUPS] == *wanted,
                "{}, bucket {low_us}: {found:?} and not {wanted:?}",
                self.name
            );
        }
        Ok(())
    }

    /// Of a window that it can answer, the sums.
    fn sums(&self, (low_us, high_us): (i64, i64)) -> Option<Sums> {
        if low_us % self.bucket_us != 0 || high_us % self.bucket_us != 0 || low_us < self.from_us {
            return None;
        }
        let before =
            |time: i64| self.totals.range(..time).next_back().map_or(Sums::default(), |(_, sum)| *sum);
        let (low, high) = (before(low_us), before(high_us));
        Some(std::array::from_fn(|at| high[at] - low[at]))
    }
}

/// Of bills and corrections.
async fn record(store: &Opened, (low_us, high_us): (i64, i64)) -> anyhow::Result<Sums> {
    let within = format!(
        "tenant = '{TENANT}' AND end_time > fromUnixTimestamp64Micro({low_us}) AND end_time <= fromUnixTimestamp64Micro({high_us})"
    );
    let statement = format!(
        "SELECT made, unknown, tokens, cost FROM (SELECT sum(calls) AS made, sumIf(calls, unpriced_reason != '') AS unknown \
         FROM calls_record WHERE {within}) AS calls, (SELECT sumIf(quantity, unit != 'web_search') AS tokens, \
         toInt128(sum(amount) * 1000000000000) AS cost FROM spend_record WHERE {within}) AS lines"
    );
    let rows = store.numbers(&statement).await?;
    let row = rows.first().context("no row")?;
    Ok([row[0], row[1], row[2], row[3], 0])
}

/// The sum of an increase, in whole units or pico-dollars, and whether the answer says that times were moved.
async fn promql(store: &Opened, measure: usize, window: &Window) -> anyhow::Result<(i128, bool)> {
    let (length_ms, end_ms) = ((window.high_us - window.low_us) / 1000, window.high_us / 1000);
    let query = format!(
        "sum(increase({}[{length_ms}ms] @ {}.{:03}))",
        METRICS[measure],
        end_ms / 1000,
        end_ms % 1000
    );
    let (data, is_moved) = store.ask(&format!("query?query={}", percent_encoded(&query))).await?;
    let result = data["result"].as_array().context("no result")?;
    let Some(sample) = result.first() else { return Ok((0, is_moved)) };
    let text = sample["value"][1].as_str().context("no value")?;
    let is_money = matches!(Measure::ALL[measure], Measure::Cost | Measure::Corrected);
    let value = decimal(text, if is_money { 12 } else { 0 });
    Ok((value.with_context(|| format!("{query} is {text}"))?, is_moved))
}

/// A decimal without its point; nothing if it has more digits behind that.
fn decimal(text: &str, digits: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    (fraction.len() <= digits).then(|| format!("{whole}{fraction:0<digits$}").parse().ok()).flatten()
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Report {
    /// Windows.
    pub windows: usize,
    /// Windows by what they are.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Sums by who gave them.
    pub sums: BTreeMap<&'static str, usize>,
    /// Windows of which a time was moved.
    pub moved: usize,
}

/// Compares every bucket of every rollup, and every account over that many random windows.
///
/// # Errors
/// Names the first sum that is apart, and its bucket or its window and the seed.
pub async fn check(store: &Opened, world: &World, count: usize, seed: u64) -> anyhow::Result<Report> {
    let now_us = now_us();
    let windows = windows(store, world, &mut Random(seed), count, now_us).await?;
    let kept_from = |days: i64| (now_us - days * DAY_US).div_euclid(DAY_US) * DAY_US + DAY_US;
    // Times of which the record is gone move to the end of their quarter of an hour.
    let moved = |time: i64| match time < kept_from(RECORD_DAYS) {
        true => -(-time).div_euclid(QUARTER_US) * QUARTER_US,
        false => time,
    };
    let ends = |window: &Window| (moved(window.low_us), moved(window.high_us));
    let mut times: Vec<i64> = windows.iter().flat_map(|window| <[i64; 2]>::from(ends(window))).collect();
    times.sort_unstable();
    times.dedup();
    let between = world.sums(true, &times);
    let expected = |(low_us, high_us): (i64, i64)| {
        let (low, high) =
            (times.partition_point(|at| *at < low_us), times.partition_point(|at| *at < high_us));
        between[low..high]
            .iter()
            .fold(Sums::default(), |sum, more| std::array::from_fn(|at| sum[at] + more[at]))
    };
    let rollups = [
        Rollup::read(store, "day", DAY_US, world.begin_us()).await?,
        Rollup::read(store, "quarter", QUARTER_US, world.begin_us()).await?,
        Rollup::read(store, "minute", 60_000_000, kept_from(MINUTE_DAYS)).await?,
    ];
    for rollup in &rollups {
        rollup.compare_buckets(world)?;
    }
    let mut report = Report { windows: windows.len(), ..Report::default() };
    let mut compare = |who: &'static str, window: &Window, found: &[i128], wanted: &[i128]| {
        *report.sums.entry(who).or_default() += found.len();
        ensure!(found == wanted, "seed {seed}, {who}, {window:?}: {found:?} and not {wanted:?}");
        Ok(())
    };
    let mut moved_windows = 0;
    for window in &windows {
        let wanted = expected(ends(window));
        for rollup in &rollups {
            if let Some(found) = rollup.sums(ends(window)) {
                compare(rollup.name, window, &found[..IN_ROLLUPS], &wanted[..IN_ROLLUPS])?;
            }
        }
        if window.low_us >= kept_from(RECORD_DAYS) {
            compare(
                "record",
                window,
                &record(store, ends(window)).await?[..IN_ROLLUPS],
                &wanted[..IN_ROLLUPS],
            )?;
        }
        let moves = ends(window) != (window.low_us, window.high_us);
        moved_windows += usize::from(moves);
        for measure in 0..METRICS.len() {
            let of_corrections = Measure::ALL[measure] == Measure::Corrected;
            if of_corrections && moves {
                // They are kept as they are, and their times are not moved: another window.
                continue;
            }
            let (found, is_moved) = promql(store, measure, window).await?;
            compare("PromQL", window, &[found], &wanted[measure..=measure])?;
            if is_moved != (moves && !of_corrections) {
                bail!("seed {seed}, {window:?}: whether times were moved is said wrongly ({is_moved})");
            }
        }
    }
    report.moved = moved_windows;
    windows.iter().for_each(|window| *report.kinds.entry(window.kind).or_default() += 1);
    Ok(report)
}
