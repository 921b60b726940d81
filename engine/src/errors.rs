//! What can go wrong with a request, in ClickHouse's own words and numbers.
//!
//! A client tells errors apart by the code (`X-ClickHouse-Exception-Code`) and the text `Code: N. DB::Exception: ... (NAME)`,
//! and decides to retry by the HTTP status; so all three follow ClickHouse's `ErrorCodes` and its status table.

use http::StatusCode;

use crate::ffi::Failure;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct QueryError {
    pub code: u32,
    text: String,
}

impl From<Failure> for QueryError {
    /// `Code: 60. DB::Exception: ...`. Prefixes that libchdb wrapped round the same error are removed.
    fn from(Failure(text): Failure) -> Self {
        let mut text = text.trim_end();
        let Some(code) = code_of(text) else { return Self::new(Kind::UNKNOWN_EXCEPTION, text) };
        let prefix = format!("Code: {code}. DB::Exception: ");
        while let Some(inner) = text.strip_prefix(&prefix).filter(|inner| inner.starts_with(&prefix)) {
            text = inner;
        }
        Self { code, text: text.to_owned() }
    }
}

impl QueryError {
    /// An error of this server, under one of ClickHouse's codes.
    pub fn new(Kind(code, name): Kind, message: impl std::fmt::Display) -> Self {
        Self { code, text: format!("Code: {code}. DB::Exception: {message}. ({name})") }
    }

    pub fn status(&self) -> StatusCode {
        status_of(self.code)
    }

    /// The body, one line, with the version at the end as ClickHouse writes it.
    pub fn body(&self, version: &str) -> String {
        let suffix = format!(" (version {version})");
        format!("{}{suffix}\n", self.text.strip_suffix(&suffix).unwrap_or(&self.text))
    }
}

/// ClickHouse's number and name for what we refuse ourselves.
#[derive(Clone, Copy)]
pub struct Kind(pub u32, &'static str);

impl Kind {
    pub const BAD_ARGUMENTS: Self = Self(36, "BAD_ARGUMENTS");
    pub const SYNTAX_ERROR: Self = Self(62, "SYNTAX_ERROR");
    pub const UNKNOWN_SETTING: Self = Self(115, "UNKNOWN_SETTING");
    pub const READONLY: Self = Self(164, "READONLY");
    pub const ACCESS_DENIED: Self = Self(497, "ACCESS_DENIED");
    pub const AUTHENTICATION_FAILED: Self = Self(516, "AUTHENTICATION_FAILED");
    pub const CANNOT_DECOMPRESS: Self = Self(271, "CANNOT_DECOMPRESS");
    pub const CHECKSUM_DOESNT_MATCH: Self = Self(40, "CHECKSUM_DOESNT_MATCH");
    pub const UNKNOWN_COMPRESSION_METHOD: Self = Self(89, "UNKNOWN_COMPRESSION_METHOD");
    pub const NETWORK_ERROR: Self = Self(210, "NETWORK_ERROR");
    pub const NOT_IMPLEMENTED: Self = Self(48, "NOT_IMPLEMENTED");
    pub const INTO_OUTFILE_NOT_ALLOWED: Self = Self(358, "INTO_OUTFILE_NOT_ALLOWED");
    pub const UNKNOWN_TYPE_OF_QUERY: Self = Self(78, "UNKNOWN_TYPE_OF_QUERY");
    pub const QUERY_IS_TOO_LARGE: Self = Self(229, "QUERY_IS_TOO_LARGE");
    pub const TOO_MANY_ROWS_OR_BYTES: Self = Self(396, "TOO_MANY_ROWS_OR_BYTES");
    pub const HTTP_LENGTH_REQUIRED: Self = Self(381, "HTTP_LENGTH_REQUIRED");
    pub const SESSION_NOT_FOUND: Self = Self(372, "SESSION_NOT_FOUND");
    pub const SESSION_IS_LOCKED: Self = Self(373, "SESSION_IS_LOCKED");
    pub const INVALID_SESSION_TIMEOUT: Self = Self(374, "INVALID_SESSION_TIMEOUT");
    pub const TOO_MANY_SIMULTANEOUS_QUERIES: Self = Self(202, "TOO_MANY_SIMULTANEOUS_QUERIES");
    pub const QUERY_WAS_CANCELLED: Self = Self(394, "QUERY_WAS_CANCELLED");
    pub const UNKNOWN_EXCEPTION: Self = Self(1002, "UNKNOWN_EXCEPTION");
}

fn code_of(text: &str) -> Option<u32> {
    text.strip_prefix("Code: ")?.split_once('.')?.0.parse().ok()
}

/// ClickHouse's table from exception code to HTTP status; what it does not name is 500. Ours is 202, which clients repeat.
fn status_of(code: u32) -> StatusCode {
    match code {
        // REQUIRED_PASSWORD
        194 => StatusCode::UNAUTHORIZED,
        // UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED, SET_NON_GRANTED_ROLE, ACCESS_DENIED
        192 | 193 | 516 | 512 | 497 => StatusCode::FORBIDDEN,
        // arguments, regular expressions, every CANNOT_PARSE_*, columns, the tree, syntax, data, types, ranges
        36 | 427 | 6 | 25 | 26 | 38 | 41 | 72 | 441 | 675 | 676 | 27 | 376 | 15 | 44 | 37 | 123 | 8 | 167
        | 168 | 223 | 62 | 117 | 53 | 321 => StatusCode::BAD_REQUEST,
        // UNKNOWN_ TABLE, FUNCTION, IDENTIFIER, TYPE, STORAGE, DATABASE, SETTING, DIRECTION_OF_SORTING,
        // AGGREGATE_FUNCTION, FORMAT, DATABASE_ENGINE, TYPE_OF_QUERY, ROLE
        60 | 46 | 47 | 50 | 56 | 81 | 115 | 152 | 63 | 73 | 336 | 78 | 511 => StatusCode::NOT_FOUND,
        // QUERY_IS_TOO_LARGE
        229 => StatusCode::PAYLOAD_TOO_LARGE,
        // NOT_IMPLEMENTED
        48 => StatusCode::NOT_IMPLEMENTED,
        // TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, CANNOT_OPEN_FILE, CANNOT_SCHEDULE_TASK
        202 | 209 | 76 | 439 => StatusCode::SERVICE_UNAVAILABLE,
        // HTTP_LENGTH_REQUIRED
        381 => StatusCode::LENGTH_REQUIRED,
        // TIMEOUT_EXCEEDED
        159 => StatusCode::REQUEST_TIMEOUT,
        // UNSUPPORTED_MEDIA_TYPE
        779 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_text_gives_code_status_and_one_prefix() {
        for (text, code, status, body) in [
            ("Code: 60. DB::Exception: No t. (X)", 60, 404, "Code: 60. DB::Exception: No t. (X)"),
            ("Code: 6. DB::Exception: Code: 6. DB::Exception: M.\n", 6, 400, "Code: 6. DB::Exception: M."),
            ("Code: 27. DB::Exception: Bad. (version 26.7)", 27, 400, "Code: 27. DB::Exception: Bad."),
            ("broken pipe", 1002, 500, "Code: 1002. DB::Exception: broken pipe. (UNKNOWN_EXCEPTION)"),
            ("Code: 202. DB::Exception: Busy.", 202, 503, "Code: 202. DB::Exception: Busy."),
        ] {
            let error = QueryError::from(Failure(text.to_owned()));
            assert_eq!((error.code, error.status().as_u16()), (code, status), "{text}");
            assert_eq!(error.body("26.7"), format!("{body} (version 26.7)\n"));
        }
    }
}
