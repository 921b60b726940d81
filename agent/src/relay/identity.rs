//! Who calls: configured request headers, else the agent's defaults. Pure.
//!
//! The headers are for us: they are taken out of the request, so that a provider never learns a user or session id
//! that it was not meant to see.

use http::header::{HeaderMap, HeaderName, InvalidHeaderName};
use ledgerline_proto::Identity;

use crate::config::{IdentityConfig, IdentityHeaders};
use crate::limits::IDENTITY_VALUE_BYTES_MAX;

/// Reads who calls.
#[derive(Clone, Debug)]
pub struct IdentityReader {
    service: HeaderName,
    environment: HeaderName,
    team: HeaderName,
    feature: HeaderName,
    user: HeaderName,
    session: HeaderName,
    defaults: IdentityConfig,
}

impl IdentityReader {
    /// A reader for these header names and defaults.
    ///
    /// # Errors
    /// When a name is not a header name, which validation of the configuration has excluded.
    pub fn new(names: &IdentityHeaders, defaults: &IdentityConfig) -> Result<Self, InvalidHeaderName> {
        let name = |text: &str| HeaderName::try_from(text);
        Ok(Self {
            service: name(&names.service)?,
            environment: name(&names.environment)?,
            team: name(&names.team)?,
            feature: name(&names.feature)?,
            user: name(&names.user)?,
            session: name(&names.session)?,
            defaults: defaults.clone(),
        })
    }

    /// Takes the identity out of a request's headers. What else has our prefix is left for [`take_reserved`].
    pub fn take(&self, headers: &mut HeaderMap) -> Identity {
        Identity {
            service: take(headers, &self.service, &self.defaults.service),
            environment: take(headers, &self.environment, &self.defaults.environment),
            team: take(headers, &self.team, &self.defaults.team),
            feature: take(headers, &self.feature, &self.defaults.feature),
            user: take(headers, &self.user, ""),
            session: take(headers, &self.session, ""),
        }
    }
}

/// Header names that begin so are for the agent, whether it knows them or not: a typo must not reach a provider.
pub const RESERVED_PREFIX: &str = "x-ledgerline-";

/// Takes away all headers with our prefix and returns their names. After [`IdentityReader::take`] those are names that
/// nothing reads, misspelled ones most likely.
pub fn take_reserved(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let is_reserved = |name: &&HeaderName| name.as_str().starts_with(RESERVED_PREFIX);
    let names: Vec<HeaderName> = headers.keys().filter(is_reserved).cloned().collect();
    for name in &names {
        headers.remove(name);
    }
    names
}

/// The first value of the header, which is removed; the default where it is absent, empty or not UTF-8.
fn take(headers: &mut HeaderMap, name: &HeaderName, default: &str) -> String {
    let value = headers.remove(name);
    let text =
        value.as_ref().and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default();
    let text = text.trim();
    let text = &text[..text.floor_char_boundary(IDENTITY_VALUE_BYTES_MAX)];
    if text.is_empty() { default.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn headers_win_over_defaults_and_are_taken_away() {
        let defaults =
            IdentityConfig { service: "shop".into(), team: "payments".into(), ..Default::default() };
        let reader = IdentityReader::new(&IdentityHeaders::default(), &defaults).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-ledgerline-team", HeaderValue::from_static(" search "));
        headers.insert("x-ledgerline-feature", HeaderValue::from_static(""));
        headers.insert("x-ledgerline-user", HeaderValue::from_bytes("Zo\u{eb}".as_bytes()).unwrap());
        headers.insert("x-ledgerline-session", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        headers.insert("x-other", HeaderValue::from_static("stays"));
        let identity = reader.take(&mut headers);
        assert_eq!(identity.service, "shop");
        assert_eq!(identity.team, "search");
        assert_eq!(identity.feature, "");
        assert_eq!(identity.user, "Zo\u{eb}");
        assert_eq!(identity.session, "");
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn no_name_with_our_prefix_passes() {
        let mut headers = HeaderMap::new();
        for name in ["x-ledgerline-teem", "x-ledgerline-", "x-ledgerline", "x-ledgerliner"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        headers.append("x-ledgerline-teem", HeaderValue::from_static("2"));
        let mut taken = take_reserved(&mut headers);
        taken.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        assert_eq!(taken, ["x-ledgerline-", "x-ledgerline-teem"]);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-ledgerline", "x-ledgerliner"]);
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let reader = IdentityReader::new(&IdentityHeaders::default(), &IdentityConfig::default()).unwrap();
        let mut headers = HeaderMap::new();
        let long = format!("a{}", "\u{e9}".repeat(300));
        headers.insert("x-ledgerline-user", HeaderValue::from_bytes(long.as_bytes()).unwrap());
        assert_eq!(reader.take(&mut headers).user.len(), IDENTITY_VALUE_BYTES_MAX - 1);
    }
}
