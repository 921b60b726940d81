//! The section `ingest` of the configuration.

use http::{HeaderValue, Uri};
use ledgerline_process::config::Problems;
use ledgerline_proto::otlp::{AllowList, Pattern, PatternError};
use serde::Deserialize;

use crate::limits;

/// What is taken in, and of it kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngestConfig {
    /// Which attributes are kept.
    pub attributes: Attributes,
    /// How many values each of service, environment, team, feature, provider, model and error type may have, for each tenant.
    /// These are labels: with more, no dashboard answers. What comes beyond is counted as `other` and in
    /// `ledgerline_collector_dimension_overflows_total`; the span keeps its own value as the attribute `ledgerline.other.<name>`.
    /// 10,000 by default.
    pub dimension_values_max: Option<usize>,
    /// Web pages that may send over OTLP/HTTP.
    pub cors: Cors,
}

/// Which attributes of spans are kept. The list that everybody has (`proto/src/otlp/allow_list.rs`) holds counts, money,
/// identifiers, versions and words of the GenAI, HTTP and RPC conventions, and none that may carry prompts, answers, URLs or
/// headers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attributes {
    /// Names that are kept as well, of spans and of resources: `app.route`, or `acme.*` for all names that begin so. Message
    /// content and credentials cannot be named, and a beginning does not include them. Every other attribute is dropped and
    /// counted in `ledgerline_collector_attributes_dropped_total`.
    pub keep: Vec<String>,
}

/// Web pages that may send over OTLP/HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Origins as browsers write them: `https://app.example.com`. None by default: then no page may send, also none of this
    /// machine. There is no wildcard; a page of an origin that is not named could be anybody's.
    pub allowed_origins: Vec<String>,
}

impl IngestConfig {
    /// Reads names and origins.
    pub fn resolve(&self, problems: &mut Problems) -> IngestSettings {
        let mut additions: Vec<Pattern> = Vec::new();
        for (index, text) in self.attributes.keep.iter().enumerate() {
            let pattern = text.parse().map_err(|error: PatternError| format!("{text:?} {error}"));
            additions.extend(problems.take(&format!("ingest.attributes.keep[{index}]"), pattern));
        }
        let dimension_values_max = self.dimension_values_max.unwrap_or(limits::DIMENSION_VALUES);
        if !(1..=limits::DIMENSION_VALUES_MAX).contains(&dimension_values_max) {
            let wrong = format!("{dimension_values_max} is not from 1 to {}", limits::DIMENSION_VALUES_MAX);
            problems.push("ingest.dimension_values_max", wrong);
        }
        let mut origins = Vec::new();
        for (index, origin) in self.cors.allowed_origins.iter().enumerate() {
            let wrong =
                || format!("{origin:?} is not an origin: write scheme://host or scheme://host:port, no more");
            let path = format!("ingest.cors.allowed_origins[{index}]");
            origins.extend(problems.take(&path, parse_origin(origin).ok_or_else(wrong)));
        }
        IngestSettings { allowed: AllowList::new(&additions), dimension_values_max, origins }
    }
}

/// What ingest is built from.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    pub allowed: AllowList,
    pub dimension_values_max: usize,
    /// Origins whose pages may send, as browsers send them.
    pub origins: Vec<HeaderValue>,
}

fn parse_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    // Whatever is more than scheme, host and port, or is spelt in another way, would match no browser.
    let is_origin = matches!(scheme, "http" | "https") && text == format!("{scheme}://{authority}");
    let is_lower_case = !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'@' || byte == b'*');
    if is_origin && is_lower_case { HeaderValue::from_str(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_no_wildcard() {
        for (text, is_origin) in [
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("https://app.example.com/", false),
            ("https://app.example.com/page", false),
            ("https://App.example.com", false),
            ("https://user@example.com", false),
            ("https://*.example.com", false),
            ("app.example.com", false),
            ("ftp://example.com", false),
            ("null", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(parse_origin(text).is_some(), is_origin, "{text}");
        }
    }
}
