//! Pure. The response headers of each API, in the order they are sent; `x-mock-call-id` is ours and names the call in
//! the oracle. A client sees duplicates, so a proxy that joins or drops them is found out.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::Answer;
use crate::request::Api;
use crate::text::{BASE62, Chance};

/// Headers that do not depend on the body.
pub fn common(api: Api, answer: &Answer, is_exhausted: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut chance = answer.chance.clone();
    let ray = format!("{:016x}-FRA", chance.next_u64());
    match api {
        Api::OpenAi | Api::Responses => openai(&mut headers, answer, is_exhausted, &mut chance),
        Api::Anthropic => anthropic(&mut headers, answer, is_exhausted, &mut chance),
    }
    add(&mut headers, "cf-cache-status", "DYNAMIC");
    add(&mut headers, "server", "cloudflare");
    add(&mut headers, "cf-ray", &ray);
    add(&mut headers, "x-mock-call-id", &answer.id);
    headers
}

fn openai(headers: &mut HeaderMap, answer: &Answer, is_exhausted: bool, chance: &mut Chance) {
    let processing_ms = 80 + chance.below(900);
    let remaining = if is_exhausted { 0 } else { 1 + chance.below(29_000) };
    add(headers, "access-control-expose-headers", "X-Request-ID");
    add(headers, "openai-organization", "org-mock");
    add(headers, "openai-processing-ms", &processing_ms.to_string());
    add(headers, "openai-project", "proj_mock");
    add(headers, "openai-version", "2020-10-01");
    add(headers, "x-envoy-upstream-service-time", &(processing_ms + 12).to_string());
    add(headers, "x-ratelimit-limit-requests", "500");
    add(headers, "x-ratelimit-limit-tokens", "30000");
    add(headers, "x-ratelimit-remaining-requests", if is_exhausted { "0" } else { "499" });
    add(headers, "x-ratelimit-remaining-tokens", &remaining.to_string());
    add(headers, "x-ratelimit-reset-requests", "120ms");
    add(headers, "x-ratelimit-reset-tokens", if is_exhausted { "6m0s" } else { "1.248s" });
    add(headers, "x-request-id", &answer.request_id);
    for cookie in ["__cf_bm", "_cfuvid"] {
        let value = chance.letters(BASE62, 12);
        add(headers, "set-cookie", &format!("{cookie}={value}; path=/; HttpOnly; Secure; SameSite=None"));
    }
}

fn anthropic(headers: &mut HeaderMap, answer: &Answer, is_exhausted: bool, chance: &mut Chance) {
    for (kind, limit) in [("requests", 4_000_u64), ("input-tokens", 30_000), ("output-tokens", 8_000)] {
        let left = if is_exhausted { 0 } else { limit - 1 - chance.below(limit / 2) };
        let fields =
            [("limit", limit.to_string()), ("remaining", left.to_string()), ("reset", RESET_AT.to_owned())];
        for (field, value) in fields {
            add(headers, &format!("anthropic-ratelimit-{kind}-{field}"), &value);
        }
    }
    add(headers, "anthropic-organization-id", "0e5e9d54-0000-4000-8000-6c6564676572");
    add(headers, "request-id", &answer.request_id);
    add(headers, "strict-transport-security", "max-age=31536000; includeSubDomains; preload");
    add(headers, "x-robots-tag", "none");
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("the name is a valid header name");
    headers.append(name, HeaderValue::from_str(value).expect("header values are ASCII"));
}

const RESET_AT: &str = "2026-11-01T00:00:00Z";

/// The additional headers of the rate limit.
pub fn add_retry_after(headers: &mut HeaderMap, api: Api) {
    add(headers, "retry-after", "1");
    match api {
        Api::OpenAi | Api::Responses => add(headers, "retry-after-ms", "120"),
        Api::Anthropic => add(headers, "x-should-retry", "true"),
    }
}
