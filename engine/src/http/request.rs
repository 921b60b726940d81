//! What a client asks for: the URL parameters and headers of ClickHouse's HTTP interface, parsed once, at the edge.
//!
//! A parameter is part of the protocol (named here), a query parameter (`param_*`), or a ClickHouse setting, which the engine checks.

use std::time::Duration;

use http::{HeaderMap, Method, Uri, header};

use crate::compression::ContentEncoding;
use crate::errors::{Kind, QueryError};
use crate::limits;

/// One request, without its body.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The text from the URL; the body follows it after a line end.
    pub query: Vec<u8>,
    /// GET and HEAD may read only.
    pub read_only: bool,
    /// From a user who may read only, by whatever method.
    pub reader: bool,
    /// `database`, or `X-ClickHouse-Database`.
    pub database: Option<String>,
    /// `session_id` and what belongs to it.
    pub session: Option<SessionKey>,
    /// ClickHouse settings for this request, in the order given.
    pub settings: Vec<(String, String)>,
    /// `param_*`, without the prefix. Values are in TabSeparated escaping, as in ClickHouse.
    pub parameters: Vec<(String, String)>,
    /// `decompress=1`: the body is in ClickHouse's compressed framing.
    pub decompress: bool,
    /// `Content-Encoding` of the body.
    pub content_encoding: Option<ContentEncoding>,
    /// The boundary, when the body is a multipart form.
    pub boundary: Option<String>,
    pub response: ResponseOptions,
}

#[derive(Debug, Clone, Default)]
pub struct ResponseOptions {
    /// `query_id`, or a new UUID.
    pub query_id: String,
    /// `default_format`, or `X-ClickHouse-Format`.
    pub format: Option<String>,
    /// `compress=1`: in ClickHouse's compressed framing.
    pub compress: bool,
    /// `enable_http_compression=1` and an `Accept-Encoding` we can serve.
    pub encoding: Option<ContentEncoding>,
    /// Bytes buffered before its head is sent.
    pub buffer_bytes: u64,
    /// `wait_end_of_query=1`: buffer all of it, and fail rather than stream when it does not fit.
    pub buffer_all: bool,
}

#[derive(Debug, Clone, Default)]
pub struct SessionKey {
    pub id: String,
    pub timeout: Option<Duration>,
    /// `session_check=1`: fail when the session does not exist yet.
    pub must_exist: bool,
    /// Its connection may read only.
    pub read_only: bool,
}

impl Request {
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, QueryError> {
        let mut request = Self {
            read_only: matches!(*method, Method::GET | Method::HEAD),
            database: header_text(headers, "x-clickhouse-database")?,
            content_encoding: content_encoding(headers)?,
            boundary: boundary(headers)?,
            response: ResponseOptions {
                format: header_text(headers, "x-clickhouse-format")?,
                buffer_bytes: limits::RESPONSE_BUFFER_BYTES,
                ..ResponseOptions::default()
            },
            ..Self::default()
        };
        let mut compression_enabled = false;
        let mut session = SessionKey::default();
        for (name, value) in parameters(uri.query().unwrap_or_default())? {
            if name == "query" {
                request.query = value;
                continue;
            }
            let value = utf8(&name, value)?;
            match name.as_str() {
                "session_id" => session.id = value,
                "session_timeout" => session.timeout = Some(Duration::from_secs(number(&name, &value)?)),
                "session_check" => session.must_exist = flag(&name, &value)?,
                _ => {
                    compression_enabled |= name == "enable_http_compression" && flag(&name, &value)?;
                    request.take(name, value)?;
                }
            }
        }
        if request.response.query_id.is_empty() {
            request.response.query_id = uuid::Uuid::new_v4().to_string();
        }
        if compression_enabled {
            let accepted = header_text(headers, header::ACCEPT_ENCODING.as_str())?.unwrap_or_default();
            request.response.encoding = ContentEncoding::negotiate(&accepted);
        }
        request.session = (!session.id.is_empty()).then_some(session);
        request.check_session()?;
        Ok(request)
    }

    fn check_session(&self) -> Result<(), QueryError> {
        let Some(session) = &self.session else { return Ok(()) };
        if let Some(timeout) = session.timeout.filter(|timeout| *timeout > limits::SESSION_TIMEOUT_MAX) {
            let (timeout, most) = (timeout.as_secs(), limits::SESSION_TIMEOUT_MAX.as_secs());
            let message = format!("session_timeout {timeout} is larger than {most}");
            return Err(QueryError::new(Kind::INVALID_SESSION_TIMEOUT, message));
        }
        if self.settings.iter().any(|(name, _)| name == "readonly") {
            return Err(bad(
                "readonly cannot be set for one request of a session: it could not be taken back",
            ));
        }
        Ok(())
    }

    /// The same request of a user who may read only: on read-only connections, in sessions apart from the owner's.
    pub fn for_reader(mut self) -> Self {
        self.reader = true;
        // A read-only connection takes no other value, and clients set 1 or 2 as a matter of course.
        self.settings.retain(|(name, _)| name != "readonly");
        if let Some(session) = &mut self.session {
            session.id.insert_str(0, "reader/");
            session.read_only = true;
        }
        self
    }

    /// Adds a field of a multipart form: the same parameters, in the body.
    pub fn take_field(&mut self, name: String, value: Vec<u8>) -> Result<(), QueryError> {
        match name.as_str() {
            "query" => {
                self.query = value;
                Ok(())
            }
            "session_id" | "session_timeout" | "session_check" | "compress" | "decompress" => {
                Err(bad(format_args!("{name} belongs into the URL, not into the form")))
            }
            _ => utf8(&name, value).and_then(|value| self.take(name, value)),
        }
    }

    fn take(&mut self, name: String, value: String) -> Result<(), QueryError> {
        let response = &mut self.response;
        let non_empty = |value: String| (!value.is_empty()).then_some(value);
        match name.as_str() {
            "database" => self.database = non_empty(value).or_else(|| self.database.take()),
            "default_format" => response.format = non_empty(value).or_else(|| response.format.take()),
            "query_id" => response.query_id = value,
            "compress" => response.compress = flag(&name, &value)?,
            "decompress" => self.decompress = flag(&name, &value)?,
            "wait_end_of_query" => {
                response.buffer_all = flag(&name, &value)?;
                if response.buffer_all {
                    response.buffer_bytes = limits::RESPONSE_SPILL_BYTES_MAX;
                }
            }
            "buffer_size" => {
                let bytes = number(&name, &value)?;
                response.buffer_bytes =
                    limits::RESPONSE_SPILL_BYTES_MAX.min(bytes).max(response.buffer_bytes);
            }
            // Without effect here: [`super::credentials`] reads the first two, and the Native format has one revision.
            "user" | "password" | "quota_key" | "client_protocol_version" => {}
            "stacktrace" | "close_session" => {}
            "role" => return Err(bad("roles are not supported by the embedded engine")),
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
                None => self.settings.push((name, value)),
            },
        }
        Ok(())
    }
}

fn bad(message: impl std::fmt::Display) -> QueryError {
    QueryError::new(Kind::BAD_ARGUMENTS, message)
}

fn utf8(name: &str, value: Vec<u8>) -> Result<String, QueryError> {
    String::from_utf8(value).map_err(|_| bad(format_args!("parameter {name} is not valid UTF-8")))
}

fn boundary(headers: &HeaderMap) -> Result<Option<String>, QueryError> {
    let Some(content_type) = header_text(headers, header::CONTENT_TYPE.as_str())? else { return Ok(None) };
    if !content_type.to_ascii_lowercase().starts_with("multipart/form-data") {
        return Ok(None);
    }
    let given = content_type.split(';').find_map(|item| item.trim().strip_prefix("boundary="));
    match given.map(|value| value.trim_matches('"')) {
        Some(value) if !value.is_empty() => Ok(Some(value.to_owned())),
        _ => Err(bad("the multipart form has no boundary")),
    }
}

fn flag(name: &str, value: &str) -> Result<bool, QueryError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" | "" => Ok(false),
        _ => Err(bad(format_args!("{name} is 0 or 1, not '{value}'"))),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, QueryError> {
    value.parse().map_err(|_| bad(format_args!("{name} is a number, not '{value}'")))
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Result<Option<String>, QueryError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad(format_args!("header {name} is not ASCII")))?;
    Ok(Some(text.to_owned()))
}

fn content_encoding(headers: &HeaderMap) -> Result<Option<ContentEncoding>, QueryError> {
    match header_text(headers, header::CONTENT_ENCODING.as_str())?.as_deref().map(str::trim) {
        None | Some("" | "identity") => Ok(None),
        Some(name) => ContentEncoding::named(name).map(Some).ok_or_else(|| {
            let message = format!("Unknown Content-Encoding '{name}', known are gzip, deflate, zstd, lz4");
            QueryError::new(Kind::UNKNOWN_COMPRESSION_METHOD, message)
        }),
    }
}

/// Splits and decodes a query string. Values stay bytes: a statement may hold any.
pub(super) fn parameters(query: &str) -> Result<Vec<(String, Vec<u8>)>, QueryError> {
    let decoded = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((utf8(name, decode(name)?)?, decode(value)?))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(decoded).collect()
}

/// Percent-decoding, with `+` for a space.
fn decode(text: &str) -> Result<Vec<u8>, QueryError> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().replace('+', " ").into_bytes();
    for part in parts {
        let digits = part.get(..2).filter(|digits| !digits.starts_with('+'));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.ok_or_else(|| bad("a % in the URL is not followed by two hexadecimal digits"))?);
        decoded.extend(part.bytes().skip(2).map(|byte| if byte == b'+' { b' ' } else { byte }));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, url: &str, headers: &[(&'static str, &str)]) -> Result<Request, QueryError> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Request::parse(method, &url.parse().unwrap(), &headers)
    }

    #[test]
    fn a_statement_is_bytes_and_the_url_wins_over_a_header() {
        let url = "/?query=SELECT+%27a%2Bb%27%00&default_format=CSV";
        let request = parse(&Method::GET, url, &[("x-clickhouse-format", "JSON")]).unwrap();
        assert_eq!(request.query, b"SELECT 'a+b'\0");
        assert_eq!(request.response.format.as_deref(), Some("CSV"));
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (url, part) in [
            ("/?buffer_size=x", "buffer_size"),
            ("/?a=%4", "hexadecimal"),
            ("/?role=admin", "role"),
            ("/?session_id=s&session_timeout=99999", "session_timeout"),
            ("/?session_id=s&readonly=1", "readonly"),
        ] {
            let error = parse(&Method::GET, url, &[]).unwrap_err();
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
        let error = parse(&Method::POST, "/", &[("content-encoding", "br")]).unwrap_err();
        assert_eq!(error.code, 89);
    }
}
