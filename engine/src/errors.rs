//! What can go wrong with a request, in ClickHouse's own words and numbers.
//!
//! A client tells errors apart by the code (`X-ClickHouse-Exception-Code`) and the text `Code: N. DB::Exception: ... (NAME)`,
//! and decides to retry by the HTTP status; so all three follow ClickHouse's `ErrorCodes` and its status table. Errors from
//! libchdb pass through with their text; the few we raise ourselves use the code ClickHouse has for the case.

use http::StatusCode;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct QueryError {
    code: u32,
    status: StatusCode,
    text: String,
}

impl QueryError {
    /// From the text of libchdb: `Code: 60. DB::Exception: ...`. Prefixes that it wrapped round the same error are removed.
    pub fn from_engine(text: &str) -> Self {
        let mut text = text.trim_end();
        let code = code_of(text).unwrap_or(UNKNOWN_EXCEPTION);
        let prefix = format!("Code: {code}. DB::Exception: ");
        while let Some(inner) = text.strip_prefix(&prefix).filter(|inner| inner.starts_with(&prefix)) {
            text = inner;
        }
        let text = if code_of(text).is_some() {
            text.to_owned()
        } else {
            format!("{prefix}{text}. (UNKNOWN_EXCEPTION)")
        };
        Self { code, status: status_of(code), text }
    }

    /// An error of this server, under one of ClickHouse's codes.
    pub fn new(kind: Kind, message: impl std::fmt::Display) -> Self {
        let (code, name) = kind.code();
        let status = if kind == Kind::Overloaded { StatusCode::SERVICE_UNAVAILABLE } else { status_of(code) };
        Self { code, status, text: format!("Code: {code}. DB::Exception: {message}. ({name})") }
    }

    /// ClickHouse's number for it.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The HTTP status ClickHouse answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, one line, with the version at the end as ClickHouse writes it.
    pub fn body(&self, version: &str) -> String {
        let suffix = format!(" (version {version})");
        if self.text.ends_with(&suffix) {
            format!("{}\n", self.text)
        } else {
            format!("{}{suffix}\n", self.text)
        }
    }
}

/// The errors we raise ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A URL parameter or header has no meaning here.
    BadArguments,
    /// Not a query, several queries, or an empty one.
    Syntax,
    /// A URL parameter that is no setting.
    UnknownSetting,
    /// A write over GET.
    Readonly,
    /// A request from a browser, or for another host.
    AccessDenied,
    /// No password, or a wrong one.
    AuthenticationFailed,
    /// The body cannot be decompressed.
    CannotDecompress,
    /// A compressed block whose checksum is wrong.
    ChecksumMismatch,
    /// A content encoding that is not supported.
    UnknownCompression,
    /// The body ended or paused for too long.
    BodyLost,
    /// Something ClickHouse's server does and this one does not.
    NotImplemented,
    /// `INTO OUTFILE` over HTTP.
    IntoOutfile,
    /// `FROM INFILE` over HTTP.
    FromInfile,
    /// The statement is larger than the bound.
    QueryTooLarge,
    /// The buffered response is larger than the bound.
    ResultTooLarge,
    /// POST without a length.
    LengthRequired,
    /// `session_check=1` and no such session.
    SessionNotFound,
    /// The session runs another query.
    SessionLocked,
    /// Too many sessions, or an invalid timeout.
    InvalidSessionTimeout,
    /// All connections are busy and stay so.
    Overloaded,
    /// The query was cancelled, because its client left or the server stops.
    Cancelled,
    /// A fault of this server.
    Internal,
}

impl Kind {
    const fn code(self) -> (u32, &'static str) {
        match self {
            Self::BadArguments => (36, "BAD_ARGUMENTS"),
            Self::Syntax => (62, "SYNTAX_ERROR"),
            Self::UnknownSetting => (115, "UNKNOWN_SETTING"),
            Self::Readonly => (164, "READONLY"),
            Self::AccessDenied => (497, "ACCESS_DENIED"),
            Self::AuthenticationFailed => (516, "AUTHENTICATION_FAILED"),
            Self::CannotDecompress => (271, "CANNOT_DECOMPRESS"),
            Self::ChecksumMismatch => (40, "CHECKSUM_DOESNT_MATCH"),
            Self::UnknownCompression => (89, "UNKNOWN_COMPRESSION_METHOD"),
            Self::BodyLost => (210, "NETWORK_ERROR"),
            Self::NotImplemented => (48, "NOT_IMPLEMENTED"),
            Self::IntoOutfile => (358, "INTO_OUTFILE_NOT_ALLOWED"),
            Self::FromInfile => (78, "UNKNOWN_TYPE_OF_QUERY"),
            Self::QueryTooLarge => (229, "QUERY_IS_TOO_LARGE"),
            Self::ResultTooLarge => (396, "TOO_MANY_ROWS_OR_BYTES"),
            Self::LengthRequired => (381, "HTTP_LENGTH_REQUIRED"),
            Self::SessionNotFound => (372, "SESSION_NOT_FOUND"),
            Self::SessionLocked => (373, "SESSION_IS_LOCKED"),
            Self::InvalidSessionTimeout => (374, "INVALID_SESSION_TIMEOUT"),
            Self::Overloaded => (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
            Self::Cancelled => (394, "QUERY_WAS_CANCELLED"),
            Self::Internal => (UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION"),
        }
    }
}

const UNKNOWN_EXCEPTION: u32 = 1002;

fn code_of(text: &str) -> Option<u32> {
    text.strip_prefix("Code: ")?.split_once('.')?.0.parse().ok()
}

/// ClickHouse's table from exception code to HTTP status; what it does not name is 500.
pub fn status_of(code: u32) -> StatusCode {
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
        // SOCKET_TIMEOUT, CANNOT_OPEN_FILE, CANNOT_SCHEDULE_TASK
        209 | 76 | 439 => StatusCode::SERVICE_UNAVAILABLE,
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
        let check = |text: &str, code, status: u16, body: &str| {
            let error = QueryError::from_engine(text);
            assert_eq!((error.code(), error.status().as_u16()), (code, status), "{text}");
            assert_eq!(error.body("26.7"), body);
        };
        check(
            "Code: 60. DB::Exception: No t. (UNKNOWN_TABLE)",
            60,
            404,
            "Code: 60. DB::Exception: No t. (UNKNOWN_TABLE) (version 26.7)\n",
        );
        check(
            "Code: 241. DB::Exception: Code: 241. DB::Exception: Much. (M)\n",
            241,
            500,
            "Code: 241. DB::Exception: Much. (M) (version 26.7)\n",
        );
        check(
            "Code: 27. DB::Exception: Bad. (X) (version 26.7)",
            27,
            400,
            "Code: 27. DB::Exception: Bad. (X) (version 26.7)\n",
        );
        check(
            "broken pipe",
            1002,
            500,
            "Code: 1002. DB::Exception: broken pipe. (UNKNOWN_EXCEPTION) (version 26.7)\n",
        );
    }

    #[test]
    fn overload_is_a_503_that_clients_retry() {
        let error = QueryError::new(Kind::Overloaded, "busy");
        assert_eq!((error.code(), error.status()), (202, StatusCode::SERVICE_UNAVAILABLE));
    }
}
