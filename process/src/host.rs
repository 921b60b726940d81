//! Who a request is addressed to, and which web page sent it: the guard against DNS rebinding and foreign pages.
//!
//! A page can make its reader's browser send requests to this machine, and after rebinding its own name to our address it can
//! read the answers. Such a request carries the page's name as host, or its origin; neither is ours. Other programs send
//! any host they were told, so names that people gave this machine have to be configured.
//!
//! Sources: RFC 9110 7.2 and 15.5.20 (421), RFC 6454 7 (Origin).

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use crate::config::Problems;

/// Which hosts and origins a port answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostGuard {
    /// The configuration key of `hosts`, for the text of a refusal.
    key: &'static str,
    hosts: Arc<[String]>,
    /// As browsers send them.
    origins: Arc<[HeaderValue]>,
}

/// Why a request is not answered; its text is what the sender reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong, with which values")]
pub enum HostError {
    #[error("the request must name one host")]
    Malformed,
    #[error(
        "this port does not answer for the host {host:?}; use an IP address or localhost, or add the name to {key}"
    )]
    UnknownHost { host: String, key: &'static str },
    #[error("pages of {origin:?} may not use this port")]
    ForeignOrigin { origin: String },
}

impl HostError {
    /// 400, 421 or 403.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignOrigin { .. } => StatusCode::FORBIDDEN,
        }
    }
}

impl HostGuard {
    /// A guard that lets IP addresses, `localhost` and these names pass (`*`: any name), and pages of the same origin
    /// and of these. `key` is the configuration key of `hosts`.
    pub fn new(key: &'static str, hosts: &[String], origins: &[HeaderValue]) -> Self {
        Self { key, hosts: hosts.iter().map(|host| plain_name(host)).collect(), origins: origins.into() }
    }

    /// The router behind this guard.
    pub fn protect(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), refuse_strangers))
    }

    /// Whether a request with this target and these headers is answered. One without a host is: browsers always send one.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HostError> {
        let host = requested_host(uri, headers)?;
        if let Some(host) = &host
            && !self.knows(host.host())
        {
            return Err(HostError::UnknownHost { host: host.host().to_owned(), key: self.key });
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let text = origin.to_str().unwrap_or("not text");
        if host.is_some_and(|host| is_same_origin(text, &host)) || self.origins.contains(origin) {
            return Ok(());
        }
        Err(HostError::ForeignOrigin { origin: text.to_owned() })
    }

    fn knows(&self, host: &str) -> bool {
        let name = plain_name(host);
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || address.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|known| known == "*" || *known == name)
    }
}

/// Adds what is wrong with configured hosts, under the key's `path`.
pub fn validate(path: &str, hosts: &[String], problems: &mut Problems) {
    for (index, host) in hosts.iter().enumerate() {
        let is_name = host == "*" || host.parse::<Authority>().is_ok_and(|name| name.host() == host);
        if !is_name {
            let message = format!("{host:?} is not a host name; write it without scheme and port");
            problems.push(format!("{path}[{index}]"), message);
        }
    }
}

/// The `:authority` of HTTP/2, or the one `Host` of HTTP/1.1.
fn requested_host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, HostError> {
    let mut named = headers.get_all(HOST).iter();
    match (uri.authority(), named.next(), named.next()) {
        (_, _, Some(_)) => Err(HostError::Malformed),
        (Some(authority), ..) => Ok(Some(authority.clone())),
        (None, None, None) => Ok(None),
        (None, Some(host), None) => {
            Authority::try_from(host.as_bytes()).map(Some).map_err(|_| HostError::Malformed)
        }
    }
}

/// Lower case, without the dot that ends a full name.
fn plain_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Host and port as the page's. The scheme is not compared: behind a proxy that ends TLS we would not know it.
fn is_same_origin(origin: &str, host: &Authority) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let default_port = if origin.scheme_str() == Some("https") { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    origin.authority().is_some_and(|authority| {
        plain_name(authority.host()) == plain_name(host.host()) && port(authority) == port(host)
    })
}

async fn refuse_strangers(State(guard): State<HostGuard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => (error.status(), format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, headers: &[(&str, &str)]) -> u16 {
        check_with("Collector.monitoring", uri, headers)
    }

    fn check_with(host: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let origins = [HeaderValue::from_static("https://app.example.com")];
        let guard = HostGuard::new("listen.hosts", &[host.to_owned()], &origins);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        guard.check(&uri.parse().unwrap(), &map).map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn addresses_localhost_and_configured_names_pass_and_other_names_do_not() {
        for (host, expected) in [
            ("127.0.0.1:4319", 200),
            ("[::1]:4319", 200),
            ("10.1.2.3", 200),
            ("localhost", 200),
            ("LOCALHOST.:4319", 200),
            ("collector.monitoring:4318", 200),
            ("collector.monitoring.", 200),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("collector.monitoring.evil.example", 421),
            ("a b", 400),
            ("", 400),
        ] {
            assert_eq!(check("/v1/traces", &[("host", host)]), expected, "{host}");
        }
        // HTTP/2 names the host in the target, and no header can say otherwise.
        assert_eq!(check("http://evil.example/", &[("host", "localhost")]), 421);
        assert_eq!(check("http://localhost/", &[]), 200);
        assert_eq!(check("/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(check("/", &[]), 200, "no browser");
    }

    #[test]
    fn pages_of_our_own_and_of_configured_origins_pass_and_others_do_not() {
        for (host, origin, expected) in [
            ("localhost:4319", "http://localhost:4319", 200),
            ("localhost:4319", "https://app.example.com", 200),
            ("localhost:443", "https://localhost", 200),
            ("localhost", "http://localhost", 200),
            ("localhost:4319", "http://localhost:3000", 403),
            ("localhost:4319", "http://evil.example", 403),
            ("localhost:4319", "https://app.example.com.evil.example", 403),
            ("localhost:4319", "null", 403),
            ("localhost:4319", "", 403),
            ("evil.example", "http://evil.example", 421),
        ] {
            assert_eq!(check("/", &[("host", host), ("origin", origin)]), expected, "{host} {origin}");
        }
        // A star lets every name pass, and no foreign page.
        let any = ("host", "any.example");
        assert_eq!(check_with("*", "/", &[any]), 200);
        assert_eq!(check_with("*", "/", &[any, ("origin", "http://evil.example")]), 403);
    }

    #[test]
    fn hosts_that_can_never_match_are_problems() {
        let hosts = ["collector", "*", "http://collector", "collector:4318", ""].map(str::to_owned);
        let mut problems = Problems::default();
        validate("listen.hosts", &hosts, &mut problems);
        let paths: Vec<_> =
            problems.into_result(Some(())).unwrap_err().into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["listen.hosts[2]", "listen.hosts[3]", "listen.hosts[4]"]);
    }
}
