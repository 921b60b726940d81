//! Who calls: configured request headers, else the agent's defaults. Pure.
//!
//! The headers are taken out of the request, so that a provider never learns a user or session id.

use http::header::{HeaderMap, HeaderName};
use ledgerline_proto::Identity;

use crate::limits::IDENTITY_VALUE_BYTES_MAX;

pub(crate) struct IdentityReader {
    /// For service, environment, team, feature, user and session.
    pub(crate) headers: [HeaderName; 6],
    /// What holds where a request does not say.
    pub(crate) defaults: Identity,
}

impl IdentityReader {
    pub(crate) fn take(&self, headers: &mut HeaderMap) -> Identity {
        let [service, environment, team, feature, user, session] = &self.headers;
        let mut take = |name, default: &str| take(headers, name, default);
        Identity {
            service: take(service, &self.defaults.service),
            environment: take(environment, &self.defaults.environment),
            team: take(team, &self.defaults.team),
            feature: take(feature, &self.defaults.feature),
            user: take(user, ""),
            session: take(session, ""),
        }
    }
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
        let names = ["service", "environment", "team", "feature", "user", "session"]
            .map(|part| format!("x-ledgerline-{part}").parse().unwrap());
        let defaults = Identity { service: "shop".into(), team: "payments".into(), ..Identity::default() };
        let reader = IdentityReader { headers: names, defaults };
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
        // A long value is cut at a character.
        let long = format!("a{}", "\u{e9}".repeat(300));
        headers.insert("x-ledgerline-user", HeaderValue::from_bytes(long.as_bytes()).unwrap());
        assert_eq!(reader.take(&mut headers).user.len(), IDENTITY_VALUE_BYTES_MAX - 1);
    }
}
