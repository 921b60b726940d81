//! Answers of our own, in the shape of the provider's errors, so that its client library reports them well.
//!
//! Each carries `x-ledgerline-error` with our error class: whoever debugs sees that the agent answered, not the
//! provider.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::body::ResponseBody;
use crate::config::Dialect;

/// Header that marks an answer of the agent.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-ledgerline-error");

/// An answer of our own.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// HTTP status.
    pub status: StatusCode,
    /// Our error class, for programs.
    pub class: &'static str,
    /// For people: what happened and what to do.
    pub message: &'a str,
}

impl Refusal<'_> {
    /// The answer in the shape of a dialect; without one in `OpenAI`'s, which most clients read.
    #[must_use]
    pub fn into_response(self, dialect: Dialect) -> Response<ResponseBody> {
        let body = match dialect {
            Dialect::Anthropic => serde_json::json!({
                "type": "error",
                "error": {"type": "api_error", "message": self.message},
            }),
            Dialect::Openai | Dialect::None => serde_json::json!({
                "error": {
                    "message": self.message,
                    "type": "ledgerline_agent_error",
                    "param": null,
                    "code": self.class,
                },
            }),
        };
        let mut response = Response::new(ResponseBody::whole(Bytes::from(body.to_string())));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(self.class));
        response
    }
}
