//! Responses of our own, in the shape of the provider's errors, so that its client library reports them well. Each carries
//! our error class in `x-ledgerline-error`: whoever debugs sees that the agent responded.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::body::ResponseBody;
use crate::dialect::{self, Spec};

const ERROR_HEADER: HeaderName = HeaderName::from_static("x-ledgerline-error");

/// A refusal in the shape of a dialect; without one in that of the first of the table, which most clients read.
pub fn refusal(
    status: StatusCode,
    class: &'static str,
    message: &str,
    dialect: Option<&Spec>,
) -> Response<ResponseBody> {
    let body = (dialect.unwrap_or(dialect::ALL[0]).error_body)(class, message);
    let mut response = Response::new(ResponseBody::whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(class));
    response
}
