//! Pure: which calls there are, from their numbers alone, and what they add up to. `calls.sql` and its siblings make the same calls in
//! the engine; nothing here asks it, so this is what the engine's answers are held against.

use std::ops::Range;

/// A day in microseconds.
pub const DAY_US: i64 = 86_400_000_000;
/// Days at the end that have more calls, and minutes.
const RECENT_DAYS: i64 = 37;
/// Days that share a count at most, before the load has grown.
const GROWTH_DAYS: i64 = 28;
/// Pico-dollars a token of uncached input, by model: 2.00, 0.40, 2.50 and 0.15 USD a million.
const PRICES: [i64; 4] = [2_000_000, 400_000, 2_500_000, 150_000];
/// Pico-dollars a search: one cent.
const SEARCH_PRICE: i64 = 10_000_000_000;

/// What is counted of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Calls that are booked.
    Calls,
    /// Those whose cost is unknown.
    Unpriced,
    /// Tokens of all classes.
    Tokens,
    /// Pico-dollars.
    Cost,
    /// Pico-dollars that corrections added or took back.
    Corrected,
}

impl Measure {
    /// All of them, in the order of [`Sums`].
    pub const ALL: [Self; 5] = [Self::Calls, Self::Unpriced, Self::Tokens, Self::Cost, Self::Corrected];
}

/// One value for each of [`Measure::ALL`].
pub type Sums = [i128; 5];

/// How many calls there are on which days.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The first day, counted from 1970.
    pub first_day: i64,
    /// How many there are.
    pub days: i64,
    /// Calls on a working day in the middle.
    pub calls_a_day: u64,
    /// How many times as many there are on the last days.
    pub recent: u64,
    /// Calls on Saturday and Sunday, of a hundred.
    pub weekend_percent: u64,
}

/// Days in a row with as many calls each.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The place of the first in the world.
    pub day: i64,
    /// How many days.
    pub days: i64,
    /// Calls on each.
    pub calls_a_day: u64,
    /// The number of the first call.
    pub first: u64,
}

impl Run {
    /// The numbers of its calls.
    #[must_use]
    pub fn calls(&self) -> Range<u64> {
        self.first..self.first + self.days.unsigned_abs() * self.calls_a_day
    }
}

impl World {
    /// Two years before a day, and the day after it, so that there are calls up to any time of today.
    #[must_use]
    pub fn until(today: i64, calls_a_day: u64, recent: u64, weekend_percent: u64) -> Self {
        Self { first_day: today - 730, days: 732, calls_a_day, recent, weekend_percent }
    }

    /// When it begins, microseconds since 1970.
    #[must_use]
    pub fn begin_us(&self) -> i64 {
        self.first_day * DAY_US
    }

    /// When it ends, likewise.
    #[must_use]
    pub fn end_us(&self) -> i64 {
        self.begin_us() + self.days * DAY_US
    }

    fn calls_on(&self, day: i64) -> u64 {
        // It grows from half to one and a half times.
        let grown = 50 + 100 * (day - day % GROWTH_DAYS) / self.days;
        let calls = self.calls_a_day * grown.unsigned_abs() / 100;
        // 1970 began on a Thursday.
        let is_weekend = (self.first_day + day + 3) % 7 >= 5;
        let calls = if is_weekend { calls * self.weekend_percent / 100 } else { calls };
        if day >= self.days - RECENT_DAYS { calls * self.recent } else { calls }
    }

    /// All of its days.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut first = 0;
        for day in 0..self.days {
            let calls_a_day = self.calls_on(day);
            match runs.last_mut() {
                Some(run) if run.calls_a_day == calls_a_day && run.days < GROWTH_DAYS => run.days += 1,
                _ => runs.push(Run { day, days: 1, calls_a_day, first }),
            }
            first += calls_a_day;
        }
        runs
    }

    /// What is booked for one tenant between these times, microseconds in rising order: one value less than there are times; of an
    /// interval its end belongs to it and its start does not.
    #[must_use]
    pub fn sums(&self, is_first_tenant: bool, times_us: &[i64]) -> Vec<Sums> {
        let mut sums = vec![Sums::default(); times_us.len().saturating_sub(1)];
        for run in self.runs() {
            for id in run.calls() {
                let day = run.day + ((id - run.first) / run.calls_a_day).cast_signed();
                let call = Call::of(self, day, id);
                let after = times_us.partition_point(|time| *time < call.end_us);
                if call.is_first_tenant != is_first_tenant || after == 0 || after == times_us.len() {
                    continue;
                }
                call.add_to(&mut sums[after - 1]);
            }
        }
        sums
    }
}

/// As much of a call as is counted.
#[derive(Debug, Clone, Copy)]
struct Call {
    end_us: i64,
    is_first_tenant: bool,
    price: i64,
    is_unpriced: bool,
    /// Of uncached input, cached input, output.
    tokens: [i64; 3],
    searches: i64,
    fate: u64,
}

/// A number for a field of a call: the last steps of SplitMix64.
fn draw(id: u64, field: u64) -> u64 {
    let z = (id.wrapping_mul(8).wrapping_add(field)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Call {
    fn of(world: &World, day: i64, id: u64) -> Self {
        let field = |at| draw(id, at);
        let below = |value: u64, bound: u64| (value % bound).cast_signed();
        let any_us = world.begin_us()
            + day * DAY_US
            + below(field(0), 43_200_000_000)
            + below(field(1), 43_200_000_000)
            + 1;
        let edge_us = match field(2) % 64 {
            0 => 60_000_000,
            1 => 900_000_000,
            _ => 1,
        };
        let one = below(field(3), 480);
        let birth = one * 7919 % world.days - 60;
        let is_alive = one < 160 || (birth <= day && day < birth + 120 + one % 300);
        let series = if is_alive { one } else { one % 160 };
        let (counts, kinds) = (field(4), field(5));
        let has_search = (kinds >> 16).is_multiple_of(16);
        Self {
            end_us: any_us - any_us % edge_us,
            is_first_tenant: !(kinds >> 32).is_multiple_of(10),
            price: PRICES[(series % 4).unsigned_abs() as usize],
            is_unpriced: (kinds >> 8).is_multiple_of(50),
            tokens: [
                1 + below(counts, 20_000),
                1 + below(counts >> 20, 8_000),
                1 + below(counts >> 40, 2_000),
            ],
            searches: if has_search { 1 + below(kinds >> 24, 3) } else { 0 },
            fate: (kinds >> 40) % 64,
        }
    }

    /// Its cost in pico-dollars at a price of uncached input.
    fn cost(&self, price: i64) -> i128 {
        let [input, cached, output] = self.tokens;
        let cost = input * price + cached * (price / 4) + output * price * 4 + self.searches * SEARCH_PRICE;
        cost.into()
    }

    fn add_to(&self, sums: &mut Sums) {
        let tokens: i64 = self.tokens.iter().sum();
        let mut book = |sign: i128, price: Option<i64>, is_correction: bool| {
            let cost = price.map_or(0, |price| self.cost(price));
            let values =
                [1, i128::from(price.is_none()), tokens.into(), cost, if is_correction { cost } else { 0 }];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += sign * value);
        };
        let price = (!self.is_unpriced).then_some(self.price);
        book(1, price, false);
        if self.fate < 2 {
            book(-1, price, true);
        }
        if self.fate == 1 {
            book(1, Some(self.price / 10 * 9), true);
        }
    }
}
