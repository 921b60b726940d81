//! Failed calls without usage: which of them provably cost nothing. Pure.
//!
//! No price cures these, so they must not stand among the calls whose price somebody has to add. A stream that broke after it began
//! is another matter: the provider bills what it made, we do not know how much.

use ledgerline_proto::{Call, EndOfStream, NotBilled, UnpricedReason};

use crate::model::Settings;

/// Our own classes of a request that never reached the provider whole.
const NEVER_SENT: [&str; 2] = ["connect", "incomplete_request"];

/// How providers, and their client libraries, name a refusal: the last part of the name counts (`openai.RateLimitError`).
const REFUSALS: &str = "AuthenticationError BadRequestError ConflictError InternalServerError NotFoundError \
    OverloadedError PermissionDeniedError RateLimitError RequestTooLargeError \
    ServiceUnavailableError UnprocessableEntityError api_error authentication_error \
    insufficient_quota invalid_api_key invalid_request_error not_found_error overloaded_error \
    permission_error rate_limit_error rate_limit_exceeded request_too_large \
    FAILED_PRECONDITION INVALID_ARGUMENT NOT_FOUND PERMISSION_DENIED RESOURCE_EXHAUSTED UNAUTHENTICATED \
    PermissionDenied ResourceExhausted TooManyRequests Unauthenticated";

/// Why a call without usage cost nothing, or why its cost is not known.
pub(crate) fn without_usage(settings: Option<&Settings>, call: &Call) -> Result<NotBilled, UnpricedReason> {
    let free = settings.is_some_and(|settings| settings.failed_requests_free == Some(true));
    let error = call.error_type.as_deref();
    match (call.http_status, call.end) {
        (Some(300..=399), _) => Ok(NotBilled::Redirect),
        (Some(400..), EndOfStream::ProviderError) if free => Ok(NotBilled::HttpError),
        (Some(400..), EndOfStream::ProviderError) => Err(UnpricedReason::FailedWithoutUsage),
        (None, EndOfStream::ProviderError) => match error {
            Some(class) if NEVER_SENT.contains(&class) => Ok(NotBilled::NeverSent),
            Some(class) if free && is_error_status(class) => Ok(NotBilled::HttpError),
            Some(class) if free && is_refusal(class) => Ok(NotBilled::Refused),
            // An exception's name tells nothing: the answer may have come, been billed, and not been understood.
            _ => Err(UnpricedReason::FailedWithoutUsage),
        },
        _ => Err(UnpricedReason::UsageMissing),
    }
}

/// OpenTelemetry lets `error.type` be the status.
fn is_error_status(class: &str) -> bool {
    class.parse::<u16>().is_ok_and(|status| (400..=599).contains(&status))
}

fn is_refusal(class: &str) -> bool {
    class
        .rsplit(['.', ':', '/'])
        .next()
        .is_some_and(|last| REFUSALS.split(' ').any(|refusal| refusal == last))
}
