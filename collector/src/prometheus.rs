//! What all of Prometheus's HTTP API shares: parameters from URL and form, and the two shapes of a response. Grafana reads the
//! body of 400, 422 and 503 only.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Bytes of a form-encoded request body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A response that succeeded: what was asked for, and notices beside it.
#[derive(Debug, Serialize)]
pub struct Success<T> {
    pub status: &'static str,
    pub data: T,
    /// What is probably wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub infos: Vec<String>,
}

impl<T: Serialize> Success<T> {
    pub fn new(data: T) -> Self {
        Self { status: "success", data, warnings: Vec::new(), infos: Vec::new() }
    }
}

/// An error in Prometheus's shape.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    /// The `errorType`.
    pub kind: &'static str,
    pub message: String,
}

impl ApiError {
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    /// Says what is wrong with a parameter.
    pub fn parameter(name: &str, wrong: &str) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {wrong}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            status: &'a str,
            error_type: &'a str,
            error: &'a str,
        }
        let body = Body { status: "error", error_type: self.kind, error: &self.message };
        (self.status, axum::Json(body)).into_response()
    }
}

/// Why there is no answer.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what ApiError writes")]
pub struct ProblemBody {
    /// `error`.
    status: String,
    /// A word for programs.
    #[schema(rename = "errorType")]
    error_type: String,
    /// A sentence for people.
    error: String,
}

/// Names and values in order: those of the body before those of the URL, so that the body wins where one value is wanted.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

/// Reads both sources. A body that is no form is ignored: some clients label an empty body as JSON.
impl<S: Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut params = Self::default();
        if kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            let unreadable =
                || format!("the request body cannot be read or is longer than {BODY_BYTES_MAX} bytes");
            let bytes = to_bytes(body, BODY_BYTES_MAX).await;
            params.add(&bytes.map_err(|_| ApiError::bad_data(unreadable()))?)?;
        }
        params.add(parts.uri.query().unwrap_or_default().as_bytes())?;
        Ok(params)
    }
}

impl Params {
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

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A parameter that is not known, or one that is there twice and not `repeated`, would be a filter that does not filter.
    pub fn only(&self, known: &[&str], repeated: &[&str]) -> Result<(), ApiError> {
        for (name, _) in self.iter() {
            if !known.contains(&name) {
                let wrong = format!("there is none of that name; there are {}", known.join(", "));
                return Err(ApiError::parameter(name, &wrong));
            }
            if !repeated.contains(&name) && self.all(name).count() > 1 {
                return Err(ApiError::parameter(name, "it is there twice"));
            }
        }
        Ok(())
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a name; empty where there is none.
    pub fn first<'a>(&'a self, name: &'a str) -> &'a str {
        self.all(name).next().unwrap_or_default()
    }

    /// The first value of a name as `parse` reads it; `None` where there is none. `what` says what it should be.
    pub fn parsed<T>(
        &self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.first(name) {
            "" => Ok(None),
            text => parse(text).map(Some).ok_or_else(|| Self::unreadable(name, text, what)),
        }
    }

    /// As [`Params::parsed`], for a value that must be there.
    pub fn required<T>(
        &self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ApiError> {
        self.parsed(name, what, parse)?.ok_or_else(|| Self::unreadable(name, "", what))
    }

    fn unreadable(name: &str, text: &str, what: &str) -> ApiError {
        ApiError::parameter(name, &format!("cannot parse \"{text}\" to a valid {what}"))
    }
}
