//! The bounds of the query API. Those of the language and its evaluation are in `ledgerline_promql::limits`, those of what one
//! selector may ask of the store in `ledgerline_store::limits`.

/// The time a query may take when the client names none, and the most it may name.
pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;
/// Queries evaluated at once; more wait within their own deadline.
pub const CONCURRENT_QUERIES_MAX: usize = 16;
/// Selectors in one query; each is a statement.
pub const SELECTORS_MAX: usize = 64;
