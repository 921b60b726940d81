//! Pure: the bounds of one query's text and evaluation, in one place. Each exists because without it a single panel could take the
//! process down; what each answer says when a bound is hit is in `error.rs`. Nothing else in this crate may invent a bound of its own.

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
/// Bytes of all regular expressions of one query together, those of `label_replace` among them.
pub const REGEXES_BYTES_MAX: usize = 8 * 1024;
/// Bytes that all compiled regular expressions of one query's selectors may take together.
pub const REGEXES_COMPILED_BYTES_MAX: usize = 8 << 20;
/// Label matchers in one query.
pub const MATCHERS_MAX: usize = 256;
/// Nodes in the tree of one query: operands, operators, modifiers and grouping labels.
pub const NODES_MAX: usize = 2_000;
/// Nested brackets of any kind.
pub const NESTING_MAX: usize = 64;
/// Operators in one query: a chain of operators is a tree as deep as the chain is long.
pub const OPERATORS_MAX: usize = 500;
/// Steps one subquery may have for each evaluation of the whole.
pub const SUBQUERY_STEPS_MAX: i64 = 1_000_000;
/// How far back an instant selector looks for the last sample of a stored series, as Prometheus does.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1000;
/// The widest range, offset or subquery, and the farthest time from 1970, in milliseconds (about 3,000 years). Sums of a few
/// such figures cannot overflow 64 bits.
pub const TIME_MS_MAX: i64 = 100_000_000_000_000;
