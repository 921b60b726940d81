//! The bounds of one query, in one place. Each exists because without it a single panel could take the process down; what each
//! answer says when a bound is hit is in `promql/error.rs`. Nothing else in this module may invent a bound of its own.

/// Points per series in one range query. Prometheus and Grafana use the same figure; the answer is 400 `bad_data`.
pub const POINTS_PER_SERIES_MAX: u64 = 11_000;
/// Series one selector may bring in, and series one result may hold.
pub const SERIES_MAX: usize = 50_000;
/// Samples held at once while a query is evaluated: fetched points and result cells together (32 to 48 bytes each).
pub const SAMPLES_MAX: usize = 8_000_000;
/// Bytes of query text.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one regular expression.
pub const REGEX_BYTES_MAX: usize = 1024;
/// Bytes a compiled regular expression may take.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Nested brackets of any kind.
pub const NESTING_MAX: usize = 64;
/// Operators in one query: a chain of operators is a tree as deep as the chain is long.
pub const OPERATORS_MAX: usize = 500;
/// Steps one subquery may have for each evaluation of the whole.
pub const SUBQUERY_STEPS_MAX: i64 = 1_000_000;
/// Bytes of a form-encoded request body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The time a query may take when the client names none, and the most it may name.
pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;
/// How far back an instant selector looks for the last sample of a stored series, as Prometheus does.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1000;
/// The widest range, offset or subquery, and the farthest time from 1970, in milliseconds (about 3,000 years). Sums of a few
/// such figures cannot overflow 64 bits.
pub const TIME_MS_MAX: i64 = 100_000_000_000_000;
/// Queries evaluated at once; more wait within their own deadline.
pub const CONCURRENT_QUERIES_MAX: usize = 16;
/// Selectors in one query; each is a statement.
pub const SELECTORS_MAX: usize = 64;
/// Rows one statement may return.
pub const ROWS_MAX: usize = 2_000_000;
/// Bytes one statement may use in the store.
pub const STATEMENT_MEMORY_BYTES_MAX: u64 = 2 << 30;
/// Bytes that the answers of all statements may fill at once, whatever queries they belong to; more statements wait within
/// their own deadline. Without it 16 queries of 64 selectors could hold 256 GiB.
pub const ANSWERS_BYTES_MAX: u32 = 512 << 20;
/// Bytes of that total a statement takes at first. Nearly every answer is smaller; one that is not is read again with
/// [`ANSWER_BYTES_MAX`], so that a statement need not reserve the worst case.
pub const ANSWER_BYTES_FIRST: u32 = 16 << 20;
/// Bytes one statement's answer may have. [`ROWS_MAX`] rows of a bucket and a sum are about 60 MB; labels are the rest.
pub const ANSWER_BYTES_MAX: u32 = 256 << 20;
