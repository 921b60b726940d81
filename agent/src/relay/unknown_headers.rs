//! Headers with our prefix that nothing reads: taken away, counted, and each name reported once.
//!
//! A misspelled `x-ledgerline-team` would otherwise reach the provider, and leave a team without its spend. Names come from
//! clients, so what is remembered and printed of them is bounded.

use std::collections::HashSet;
use std::sync::Mutex;

use http::header::{HeaderMap, HeaderName};
use ledgerline_process::locked;

use crate::limits::{UNKNOWN_HEADER_BYTES_MAX, UNKNOWN_HEADERS_NAMED_MAX};
use crate::metrics::Metrics;

/// Header names that begin so are for the agent, whether it knows them or not.
const RESERVED_PREFIX: &str = "x-ledgerline-";

/// The names reported so far, at most [`UNKNOWN_HEADERS_NAMED_MAX`].
#[derive(Debug, Default)]
pub struct UnknownHeaders(Mutex<HashSet<HeaderName>>);

impl UnknownHeaders {
    /// Takes away what is left with our prefix when the identity was taken, and warns of names that are new.
    pub fn take(&self, headers: &mut HeaderMap, metrics: &Metrics) {
        let is_reserved = |name: &&HeaderName| name.as_str().starts_with(RESERVED_PREFIX);
        let names: Vec<HeaderName> = headers.keys().filter(is_reserved).cloned().collect();
        for name in names {
            headers.remove(&name);
            metrics.unknown_headers.inc();
            if self.is_new(&name) {
                let shown = &name.as_str()[..name.as_str().len().min(UNKNOWN_HEADER_BYTES_MAX)];
                tracing::warn!(
                    header = shown,
                    "a request has a header with our prefix that nothing reads; it was not forwarded. The names that are \
                     read stand under identity_headers"
                );
            }
        }
    }

    fn is_new(&self, name: &HeaderName) -> bool {
        let mut known = locked(&self.0);
        known.len() < UNKNOWN_HEADERS_NAMED_MAX && known.insert(name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_reported_once_and_not_without_end() {
        let headers = UnknownHeaders::default();
        let name = |number: usize| HeaderName::try_from(format!("x-ledgerline-{number}")).unwrap();
        assert!(headers.is_new(&name(0)));
        assert!(!headers.is_new(&name(0)));
        let reported = (1..1_000).filter(|number| headers.is_new(&name(*number))).count();
        assert_eq!(reported, UNKNOWN_HEADERS_NAMED_MAX - 1);
    }
}
