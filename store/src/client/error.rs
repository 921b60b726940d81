//! How the store fails, and which failures a repeat can heal.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ledgerline_process::error;
use ledgerline_process::tls::TlsError;
use ledgerline_promql::MemoryError;

/// The header ClickHouse puts on a response that is an error, even under status 200.
const EXCEPTION_CODE: &str = "X-ClickHouse-Exception-Code";

const MESSAGE_BYTES_MAX: usize = 2_000;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum ConnectError {
    #[error("`{0}` is not a URL such as http://127.0.0.1:8123")]
    Url(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what happened, with which values")]
pub enum StoreError {
    #[error("cannot build the request")]
    Request(#[from] http::Error),
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    #[error("the store did not answer within {0:?}")]
    Late(Duration),
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// ClickHouse says why not; the code is 0 when it names none.
    #[error("ClickHouse error {code}: {message}")]
    Exception { code: i32, message: String },
    /// The store counts the rows of views too.
    #[error("{written} of {rows} rows were written")]
    Partial { written: usize, rows: usize },
    #[error("unexpected response: {0}")]
    Response(String),
}

impl From<clickhouse::error::Error> for StoreError {
    /// The crate gives an exception as its text alone.
    fn from(error: clickhouse::error::Error) -> Self {
        match error {
            clickhouse::error::Error::BadResponse(text) => {
                let message = shortened(text);
                Self::Exception { code: code_in(&message).unwrap_or(0), message }
            }
            clickhouse::error::Error::Network(cause) => Self::unreachable(&*cause),
            other => Self::Response(other.to_string()),
        }
    }
}

impl StoreError {
    /// hyper's own text is only "client error", so the causes are said too.
    pub(super) fn unreachable(cause: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreachable(error::text(cause))
    }

    /// Whether the rows themselves are at fault, so that the same bytes will fail for ever. Everything not known to be
    /// of this kind is taken for transient: a repeat costs time, a wrong verdict would cost data. So is whatever failed in a
    /// view: by then the rows and the views beside it may be written, and cut into parts they would be written again.
    pub fn blames_data(&self) -> bool {
        match self {
            Self::Exception { message, .. } if message.contains(IN_A_VIEW) => false,
            Self::Exception { code, message } => {
                DATA_ERRORS.contains(code)
                    // One code for two things: too many parts in the table (wait), in this very block (never fits).
                    || (*code == TOO_MANY_PARTS && message.contains("partitions for single INSERT block"))
            }
            _ => false,
        }
    }
}

const TOO_MANY_PARTS: i32 = 252;

/// What ClickHouse adds to the end of an error that came from a materialized view.
const IN_A_VIEW: &str = "while pushing to view";

/// ClickHouse's codes for data that cannot be converted or accepted (`src/Common/ErrorCodes.cpp`). Not those for data that
/// ends too early (32, 33): that is a transfer cut short.
const DATA_ERRORS: [i32; 20] = [
    // CANNOT_PARSE_ TEXT, QUOTED_STRING, INPUT_ASSERTION_FAILED, DATE, DATETIME, NUMBER
    6, 26, 27, 38, 41, 72,
    // TYPE_MISMATCH, ARGUMENT_OUT_OF_BOUND, CANNOT_CONVERT_TYPE, INCORRECT_DATA, ILLEGAL_DIVISION, DECIMAL_OVERFLOW
    53, 69, 70, 117, 153, 407,
    // TOO_LARGE_ARRAY_SIZE, TOO_LARGE_STRING_SIZE, SIZES_OF_ARRAYS_DONT_MATCH, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    128, 131, 190, 321,
    // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, VIOLATED_CONSTRAINT, UNKNOWN_ELEMENT_OF_ENUM
    349, 395, 469, 691,
];

/// The error in a response, if it is one. A 200 with the exception header is: ClickHouse/ClickHouse#65117.
pub(super) fn exception(response: &Response<Bytes>) -> Option<StoreError> {
    let header = response.headers().get(EXCEPTION_CODE).and_then(|value| value.to_str().ok());
    if header.is_none() && response.status().is_success() {
        return None;
    }
    let text = String::from_utf8_lossy(response.body()).trim().to_owned();
    let message = if text.is_empty() { response.status().to_string() } else { shortened(text) };
    let code = header.and_then(|code| code.parse().ok()).or_else(|| code_in(&message)).unwrap_or(0);
    Some(StoreError::Exception { code, message })
}

/// Without its middle when it is long: the code is at the start, the view that failed at the end.
fn shortened(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let head = message.floor_char_boundary(MESSAGE_BYTES_MAX / 2);
    let tail = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX / 2);
    format!("{} ... {}", &message[..head], &message[tail..])
}

/// `Code: 60. DB::Exception: ...`
fn code_in(message: &str) -> Option<i32> {
    message.strip_prefix("Code: ")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, code: Option<&str>, body: &str) -> Response<Bytes> {
        let builder = Response::builder().status(status);
        let builder = code.iter().fold(builder, |builder, code| builder.header(EXCEPTION_CODE, *code));
        builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn an_exception_is_found_by_header_by_text_and_by_status() {
        assert!(exception(&response(200, None, "1\n")).is_none());
        for (given, expected) in [
            (response(200, Some("60"), "Code: 60. DB::Exception: no table"), 60),
            (response(500, None, "Code: 241. DB::Exception: memory"), 241),
            (response(502, None, ""), 0),
        ] {
            let error = exception(&given).unwrap();
            assert!(matches!(error, StoreError::Exception { code, .. } if code == expected), "{error}");
        }
        let text = "Code: 60. DB::Exception: no table".to_owned();
        let error = StoreError::from(clickhouse::error::Error::BadResponse(text));
        assert!(matches!(error, StoreError::Exception { code: 60, .. }), "{error}");
    }

    #[test]
    fn only_errors_of_the_data_are_poison() {
        let of = |code, message: &str| StoreError::Exception { code, message: message.into() }.blames_data();
        assert!(of(469, "") && of(321, "") && of(252, "Too many partitions for single INSERT block"));
        // No table, no memory, too many parts, wrong password, read only, no such column: ours or the store's to mend.
        for code in [60, 241, 252, 516, 164, 16, 0] {
            assert!(!of(code, "Too many parts (3000)"), "{code}");
        }
        // What the sender wrote was cut short on its way.
        assert!(!of(32, "Attempt to read after eof") && !of(33, "Cannot read all data"));
        // The spans, and views beside the one that failed, may be written already.
        assert!(!of(395, "Code: 395. DB::Exception: no: while pushing to view db.v"));
        assert!(!of(252, "Too many partitions for single INSERT block: while pushing to view db.v"));
        assert!(!StoreError::Late(Duration::ZERO).blames_data());
    }

    #[test]
    fn a_long_message_keeps_its_end_where_the_view_is_named() {
        let body =
            format!("Code: 395. DB::Exception: {}: while pushing to view db.v (1)", "\u{e9}".repeat(4_000));
        let error = exception(&response(500, None, &body)).unwrap();
        assert!(!error.blames_data());
        assert!(error.to_string().len() < MESSAGE_BYTES_MAX + 100, "{}", error.to_string().len());
    }
}
