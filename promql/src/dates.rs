//! Pure: calendar fields of a time in seconds since 1970, in UTC, as the PromQL functions of the same names define them.

pub const DAY: i64 = 86_400;

/// Year, month from 1, day from 1 of a time.
pub fn civil(time: i64) -> (i64, i64, i64) {
    // Howard Hinnant's days-to-civil: years that begin in March put the leap day last.
    let shifted = time.div_euclid(DAY) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is read of the time; NaN where there is none.
#[allow(clippy::cast_possible_truncation, reason = "saturates, and the caller has excluded NaN")]
#[allow(clippy::cast_precision_loss, reason = "calendar fields are small")]
pub fn field(value: f64, read: fn(i64) -> i64) -> Option<f64> {
    if !value.is_finite() || value.abs() > 1e14 {
        return Some(f64::NAN);
    }
    Some(read(value as i64) as f64)
}

/// The day of the year, from 1.
pub fn day_of_year(time: i64) -> i64 {
    let (year, month, day) = civil(time);
    (1..month).map(|month| month_length(year, month)).sum::<i64>() + day
}

pub fn days_in_month(time: i64) -> i64 {
    let (year, month, _) = civil(time);
    month_length(year, month)
}
