//! Pure: the bounds of one query's text and evaluation, in one place. Each exists because without it a single panel could take the
//! process down; what each answer says when a bound is hit is in `error.rs`. Nothing else in this crate may invent a bound of its own.

/// Points per series in one range query. Prometheus and Grafana use the same figure; the answer is 400 `bad_data`.
pub const POINTS_PER_SERIES_MAX: i64 = 11_000;
/// Series one selector may bring in, and series one result may hold.
pub const SERIES_MAX: usize = 50_000;
/// Bytes that all queries of a process hold at once unless configured otherwise.
pub const MEMORY_BYTES_DEFAULT: usize = 512 << 20;
/// One query may hold this part of the whole at most: eight of the largest run side by side.
pub const QUERY_SHARES: usize = 8;
/// What one query may hold of the default.
pub const QUERY_MEMORY_BYTES_MAX: usize = MEMORY_BYTES_DEFAULT / QUERY_SHARES;
/// Cells one query may read or write in all. The largest usual panel (1,000 series, 1,500 steps, windows of 60 cells) takes 90
/// million.
pub const WORK_CELLS_MAX: u64 = 200_000_000;
/// Cells between two questions whether to go on.
pub const CELLS_PER_CHECK: usize = 4096;
/// Bytes of a label's value that a function builds. Longer than any name or model; below it nesting cannot double for long.
pub const LABEL_VALUE_BYTES_MAX: usize = 16 << 10;
/// Warnings, and infos, in one answer; as many as Prometheus returns.
pub const NOTICES_MAX: usize = 10;
/// Bytes of query text.
pub const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one regular expression.
pub const REGEX_BYTES_MAX: usize = 1024;
/// Bytes a compiled regular expression may take, and what it may cache while it runs.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Bytes of all regular expressions of one query together, those of `label_replace` among them.
pub const REGEXES_BYTES_MAX: usize = 8 * 1024;
/// Bytes that all compiled regular expressions of one query may take together.
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
pub const SUBQUERY_STEPS_MAX: usize = 1_000_000;
/// How far back an instant selector looks for the last sample of a stored series, as Prometheus does.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1000;
/// The widest range, offset or subquery, and the farthest time from 1970, in milliseconds (about 3,000 years). Sums of a few
/// such figures cannot overflow 64 bits.
pub const TIME_MS_MAX: i64 = 100_000_000_000_000;
