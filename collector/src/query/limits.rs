//! The bounds of the query API and of what one query may ask of the store. Those of the language and its evaluation are in
//! `ledgerline_promql::limits`.

/// Bytes of a form-encoded request body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The time a query may take when the client names none, and the most it may name.
pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;
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
