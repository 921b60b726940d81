//! Which headers cross the relay. Pure.
//!
//! RFC 9110 section 7.6.1: a proxy takes away what is meant for one connection, and passes the rest as it is.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::dialect;

const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Nearly no message has `Connection: some-header`; those that have pay for the copy.
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| !is_needed_upstream(name))
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

pub fn prepare_request(headers: &mut HeaderMap) {
    let trailers = text(headers, &header::TE)
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")));
    strip_hop_by_hop(headers);
    if trailers {
        // We carry trailers ourselves, so the offer holds on the next connection too.
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    // The client library sets the upstream's name, as `Host` or as `:authority`.
    headers.remove(header::HOST);
    // Whoever forwards decides who responds to it.
    headers.remove(header::EXPECT);
    join_cookies(headers);
}

pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// HTTP/2 may split `Cookie`; HTTP/1.1 must not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Headers that decide what the upstream understands. A client must not lose them by naming them in `Connection`, and
/// nobody may use them to say who calls.
pub fn is_needed_upstream(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is_secret = matches!(name, "authorization" | "proxy-authorization" | "cookie")
        || matches!(name, "api-key" | "x-api-key" | "x-goog-api-key");
    let is_of_the_body = matches!(name, "content-type" | "content-length" | "content-encoding");
    let is_of_the_client = matches!(name, "host" | "user-agent" | "accept" | "accept-encoding");
    let is_of_the_trace = matches!(name, "traceparent" | "tracestate");
    let mut of_providers = dialect::ALL.iter().flat_map(|spec| spec.header_prefixes);
    is_secret
        || is_of_the_body
        || is_of_the_client
        || is_of_the_trace
        || of_providers.any(|prefix| name.starts_with(prefix))
}

/// The value of a header, unless it is absent or no text.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
