//! Pure. How each API words its errors: status, body with the provider's own layout, and the error that can interrupt
//! a stream. One variant per kind of failure, so that a scenario names a failure once for both APIs.

use crate::json::{indent, quote, quote_or_null};
use crate::request::Api;

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404, for the model.
    NotFound,
    /// 413.
    TooLarge,
    /// 429 that passes with time.
    RateLimited,
    /// 429 that does not.
    QuotaExceeded,
    /// 500.
    Internal,
    /// 502 as HTML, from the edge.
    BadGateway,
    /// 503.
    Unavailable,
    /// 529.
    Overloaded,
}

impl Failure {
    /// The HTTP status; Anthropic's 529 is not in any RFC, and OpenAI-compatible relays pass it on.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited | Self::QuotaExceeded => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Overloaded => 529,
        }
    }

    /// `content-type` of the body.
    pub fn content_type(self) -> &'static str {
        if self == Self::BadGateway { "text/html" } else { "application/json" }
    }

    /// The body as this API sends it. `model` is quoted in some messages.
    pub fn body(self, api: Api, model: &str, request_id: &str) -> String {
        if self == Self::BadGateway {
            return "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
                    Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
                .to_owned();
        }
        match api {
            Api::OpenAi | Api::Responses => {
                let (kind, param, code, message) = self.openai(model);
                openai_body(kind, param, code, &message, if self == Self::BadRequest { 2 } else { 4 })
            }
            Api::Anthropic => {
                let (kind, message) = self.anthropic(model);
                anthropic_body(kind, &message, request_id)
            }
        }
    }

    fn openai(self, model: &str) -> (&'static str, Option<&'static str>, Option<&'static str>, String) {
        let invalid = "invalid_request_error";
        match self {
            Self::BadRequest => (
                invalid,
                Some("temperature"),
                Some("decimal_above_max_value"),
                "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 9 instead.".into(),
            ),
            Self::Unauthorized => (
                invalid,
                None,
                Some("invalid_api_key"),
                "Incorrect API key provided: sk-mock************test. You can find your API key at \
                 https://platform.openai.com/account/api-keys."
                    .into(),
            ),
            Self::Forbidden => (
                invalid,
                None,
                Some("model_not_found"),
                format!("Project `proj_mock` does not have access to model `{model}`"),
            ),
            Self::NotFound => (
                invalid,
                None,
                Some("model_not_found"),
                format!("The model `{model}` does not exist or you do not have access to it."),
            ),
            Self::TooLarge => (invalid, None, None, "Request body is too large.".into()),
            Self::RateLimited => (
                "tokens",
                None,
                Some("rate_limit_exceeded"),
                format!(
                    "Rate limit reached for {model} in organization org-mock on tokens per min (TPM): Limit 30000, \
                     Used 29876, Requested 624. Please try again in 1s. Visit \
                     https://platform.openai.com/account/rate-limits to learn more."
                ),
            ),
            Self::QuotaExceeded => (
                "insufficient_quota",
                None,
                Some("insufficient_quota"),
                "You exceeded your current quota, please check your plan and billing details.".into(),
            ),
            Self::Internal | Self::BadGateway => (
                "server_error",
                None,
                None,
                "The server had an error while processing your request. Sorry about that!".into(),
            ),
            Self::Unavailable | Self::Overloaded => (
                "service_unavailable_error",
                None,
                Some("server_is_overloaded"),
                "Our servers are currently overloaded. Please try again later.".into(),
            ),
        }
    }

    fn anthropic(self, model: &str) -> (&'static str, String) {
        match self {
            Self::BadRequest => {
                ("invalid_request_error", "max_tokens: Input should be greater than or equal to 1".into())
            }
            Self::Unauthorized => ("authentication_error", "invalid x-api-key".into()),
            Self::Forbidden => (
                "permission_error",
                "Your API key does not have permission to use the specified resource.".into(),
            ),
            Self::NotFound => ("not_found_error", format!("model: {model}")),
            Self::TooLarge => ("request_too_large", "Request exceeds the maximum size".into()),
            Self::RateLimited => (
                "rate_limit_error",
                "This request would exceed your organization's rate limit of 30,000 input tokens per minute."
                    .into(),
            ),
            Self::QuotaExceeded => {
                ("rate_limit_error", "Your credit balance is too low to access the Anthropic API.".into())
            }
            Self::Internal | Self::BadGateway => ("api_error", "Internal server error".into()),
            Self::Unavailable => ("api_error", "Service unavailable".into()),
            Self::Overloaded => ("overloaded_error", "Overloaded".into()),
        }
    }

    /// The data of the event that interrupts a stream.
    pub fn event_data(self, api: Api, model: &str, request_id: &str) -> String {
        match api {
            Api::OpenAi | Api::Responses => {
                let (kind, _, code, message) = self.openai(model);
                format!(
                    r#"{{"error":{{"message":{},"type":"{kind}","param":null,"code":{}}}}}"#,
                    quote(&message),
                    quote_or_null(code)
                )
            }
            Api::Anthropic => {
                let (kind, message) = self.anthropic(model);
                format!(
                    r#"{{"type":"error","error":{{"details":null,"type":"{kind}","message":{}}},"request_id":"{request_id}"}}"#,
                    quote(&message)
                )
            }
        }
    }
}

/// An OpenAI error body: indented, and ended by a line feed.
pub fn openai_body(
    kind: &str,
    param: Option<&str>,
    code: Option<&str>,
    message: &str,
    width: usize,
) -> String {
    let compact = format!(
        r#"{{"error":{{"message":{},"type":"{kind}","param":{},"code":{}}}}}"#,
        quote(message),
        quote_or_null(param),
        quote_or_null(code)
    );
    format!("{}\n", indent(&compact, width))
}

/// An Anthropic error body: one line.
pub fn anthropic_body(kind: &str, message: &str, request_id: &str) -> String {
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":{}}},"request_id":"{request_id}"}}"#,
        quote(message)
    )
}
