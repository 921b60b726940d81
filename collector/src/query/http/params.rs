//! The parameters of a request: those of the URL and those of a form body as one list, and the forms in which Prometheus's clients
//! write times, durations and label names.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use ledgerline_promql::limits::TIME_MS_MAX;
use ledgerline_promql::syntax::parse_duration_ms;

use super::json::ApiError;
use crate::query::limits::{BODY_BYTES_MAX, TIMEOUT_MS_DEFAULT};

/// Names and values in order: those of the body before those of the URL, so that the body wins where one value is wanted.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads both sources. A body that is no form is ignored: some clients label an empty body as JSON.
    pub async fn read(request: Request<Body>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let form =
            parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
                value.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
            });
        let mut params = Self::default();
        if form {
            let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
                ApiError::bad_data(format!(
                    "the request body cannot be read or is longer than {BODY_BYTES_MAX} bytes"
                ))
            })?;
            params.add(&bytes)?;
        }
        params.add(parts.uri.query().unwrap_or_default().as_bytes())?;
        Ok(params)
    }

    fn add(&mut self, encoded: &[u8]) -> Result<(), ApiError> {
        // The decoder passes on what it cannot read; a client that sends it should hear of it.
        let hex = |byte: &u8| byte.is_ascii_hexdigit();
        let escaped = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(hex);
        if !encoded.split(|byte| *byte == b'%').skip(1).all(escaped) {
            return Err(ApiError::bad_data("invalid URL escape in the parameters"));
        }
        self.0.extend(form_urlencoded::parse(encoded).into_owned());
        Ok(())
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The query's text.
    pub fn query(&self) -> Result<&str, ApiError> {
        match self.first("query") {
            Some(query) if !query.trim().is_empty() => Ok(query),
            _ => Err(ApiError::bad_data(
                "invalid parameter \"query\": unknown position: parse error: no expression found in input",
            )),
        }
    }

    /// A time that must be there, in milliseconds.
    pub fn time(&self, name: &str) -> Result<i64, ApiError> {
        let text = self.first(name).unwrap_or_default();
        parse_time(text).ok_or_else(|| {
            ApiError::bad_data(format!(
                "invalid parameter \"{name}\": cannot parse \"{text}\" to a valid timestamp"
            ))
        })
    }

    /// A time that may be missing or empty.
    pub fn optional_time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.first(name) {
            None | Some("") => Ok(None),
            Some(_) => self.time(name).map(Some),
        }
    }

    fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.first(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = parse_duration(text);
        parsed.map(Some).ok_or_else(|| {
            ApiError::bad_data(format!(
                "invalid parameter \"{name}\": cannot parse \"{text}\" to a valid duration"
            ))
        })
    }

    /// The step of a range query, in milliseconds.
    pub fn step_ms(&self) -> Result<i64, ApiError> {
        let missing =
            || ApiError::bad_data("invalid parameter \"step\": cannot parse \"\" to a valid duration");
        let step = self.duration("step")?.ok_or_else(missing)?;
        if step <= 0 {
            return Err(ApiError::bad_data(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        Ok(step)
    }

    /// How long the client waits, at most our own bound.
    pub fn timeout_ms(&self) -> Result<u64, ApiError> {
        let asked = self.duration("timeout")?.and_then(|asked| u64::try_from(asked).ok());
        Ok(asked.filter(|asked| *asked > 0).unwrap_or(TIMEOUT_MS_DEFAULT).min(TIMEOUT_MS_DEFAULT))
    }

    /// The most elements the client wants; none or 0 means all.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        match self.first("limit") {
            None | Some("") => Ok(None),
            Some(text) => match text.parse::<usize>() {
                Ok(limit) => Ok((limit > 0).then_some(limit)),
                Err(_) => Err(ApiError::bad_data(format!(
                    "invalid parameter \"limit\": {text:?} is not a whole number"
                ))),
            },
        }
    }
}

/// Seconds with a fraction, or RFC 3339; rounded to milliseconds.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    if let Some(ms) = seconds_to_ms(text) {
        return Some(ms);
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// Seconds with a fraction, or Prometheus's `1h30m`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    if let Some(ms) = seconds_to_ms(text) {
        return Some(ms);
    }
    parse_duration_ms(text).ok().filter(|ms| *ms <= TIME_MS_MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "bounded just before")]
#[allow(clippy::cast_precision_loss, reason = "the bound need not be exact")]
fn seconds_to_ms(text: &str) -> Option<i64> {
    let ms = (text.parse::<f64>().ok()? * 1000.0).round();
    (ms.abs() <= TIME_MS_MAX as f64).then_some(ms as i64)
}

/// A label's name from the path, where names that are no identifiers come escaped: `U__`, then `__` for an underscore and `_hex_` for
/// any other character.
pub(super) fn label_name(text: &str) -> Result<String, ApiError> {
    let invalid = || ApiError::bad_data(format!("invalid label name: {text:?}"));
    if text.is_empty() {
        return Err(invalid());
    }
    let Some(mut rest) = text.strip_prefix("U__") else { return Ok(text.to_owned()) };
    let mut name = String::new();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '_' {
            name.push(c);
        } else if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
        } else {
            let (hex, after) = rest.split_once('_').ok_or_else(invalid)?;
            let code = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).ok_or_else(invalid)?;
            name.push(code);
            rest = after;
        }
    }
    if name.is_empty() { Err(invalid()) } else { Ok(name) }
}
