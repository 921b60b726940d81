//! Answers that a test states byte by byte, for what the scenarios do not make: other providers' bodies, and answers that somebody
//! has quoted in a bug report. A request asks for one by the header `x-mock-recorded`, on any path.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::wire::Step;

/// The header that names the answer.
pub const HEADER: &str = "x-mock-recorded";

/// What is answered, whatever the request says.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// HTTP status.
    pub status: StatusCode,
    /// The header's value.
    pub content_type: &'static str,
    /// The body.
    pub steps: Vec<Step>,
}

/// The answers that were stated, by name.
#[derive(Debug, Default)]
pub struct Recordings(Mutex<HashMap<String, Recorded>>);

impl Recordings {
    /// States an answer, in place of an earlier one of that name.
    pub(super) fn set(&self, name: &str, answer: Recorded) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), answer);
    }

    /// The answer of that name.
    pub(super) fn get(&self, name: &str) -> Option<Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
