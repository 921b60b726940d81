//! Which upstream a path goes to. Hosts come from the configuration only: a client cannot name one.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use ledgerline_proto::Conditions;

use crate::dialect::Spec;

/// The upstream's address and how it is entered.
#[derive(Clone, Debug)]
pub struct Route {
    /// The upstream's name.
    pub name: Arc<str>,
    /// How its calls are read; `None`: not at all.
    pub dialect: Option<&'static Spec>,
    /// Who is paid for its calls.
    pub(crate) provider: Arc<str>,
    /// What decides their price beside that.
    pub(crate) conditions: Arc<Conditions>,
    /// Without a slash at its end; empty takes every path.
    pub(crate) prefix: String,
    /// With a scheme and a host, without a query.
    pub(crate) base: Uri,
}

impl Route {
    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == Some(&Scheme::HTTPS)
    }

    /// Without a slash at its end; empty for most.
    fn base_path(&self) -> &str {
        self.base.path().trim_end_matches('/')
    }

    /// What follows the prefix, `None` when the path is not below it. The prefix ends at a slash or with the path.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        match rest.as_bytes().first() {
            None => Some("/"),
            Some(b'/') => Some(rest),
            Some(_) => None,
        }
    }

    /// Whether `path` (below the prefix) leads out of the base path. Some servers decode `%2e`, `%2f` and `%5c`, take a
    /// backslash for a slash, ignore what follows a semicolon or merge slashes before they resolve dot segments, so a way
    /// out in any of these readings counts. Without a base path there is nothing to leave.
    pub(crate) fn is_left_by(&self, path: &str) -> bool {
        !self.base_path().is_empty() && path.contains(['.', '%']) && leaves_its_root(path)
    }

    /// The address of `path` (below the prefix) at the upstream, with the query as it came.
    pub(crate) fn target(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        let mut target = self.base.clone().into_parts();
        let text = [self.base_path(), path, mark, query].concat();
        target.path_and_query = Some(PathAndQuery::try_from(text)?);
        Ok(Uri::from_parts(target)?)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (self.base.scheme_str(), self.base.authority());
        let host = authority.map_or("", |authority| authority.as_str());
        write!(f, "'{}' ({}://{host})", self.name, scheme.unwrap_or_default())
    }
}

fn leaves_its_root(path: &str) -> bool {
    let readings = [("%2e", "."), ("%2f", "/"), ("%5c", "/"), ("\\", "/")];
    let decoded = readings
        .iter()
        .fold(path.to_ascii_lowercase(), |path, (written, meant)| path.replace(written, meant));
    let mut depth = 0_usize;
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// Finds the longest prefix.
pub(crate) struct Routes<T>(Vec<(Route, T)>);

impl<T> Routes<T> {
    pub(crate) fn new(mut routes: Vec<(Route, T)>) -> Self {
        routes.sort_by_key(|(route, _)| std::cmp::Reverse(route.prefix.len()));
        Self(routes)
    }

    pub(crate) fn find<'a>(&self, path: &'a str) -> Option<(&Route, &T, &'a str)> {
        self.0.iter().find_map(|(route, value)| Some((route, value, route.below(path)?)))
    }

    pub(crate) fn prefixes(&self) -> String {
        let shown = |(route, _): &(Route, T)| match route.prefix.as_str() {
            "" => "/".to_owned(),
            prefix => prefix.to_owned(),
        };
        self.0.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[(&str, &str)]) -> Routes<()> {
        let route = |(prefix, url): &(&str, &str)| {
            let (prefix, base) = (prefix.trim_end_matches('/').into(), url.parse().unwrap());
            (
                Route {
                    name: "up".into(),
                    dialect: None,
                    provider: "".into(),
                    conditions: Arc::default(),
                    prefix,
                    base,
                },
                (),
            )
        };
        Routes::new(list.iter().map(route).collect())
    }

    #[test]
    fn the_longest_prefix_wins_and_is_cut_off() {
        let routes = routes(&[
            ("/openai", "https://api.openai.com"),
            ("/openai/eu/", "https://eu.example:8443/base/"),
            ("/", "http://rest"),
        ]);
        let check = |path: &str, query: Option<&str>, expected: &str| {
            let (route, (), below) = routes.find(path).unwrap();
            assert_eq!(route.target(below, query).unwrap().to_string(), expected, "{path}");
        };
        check("/openai/v1/chat/completions", None, "https://api.openai.com/v1/chat/completions");
        check("/openai", Some("a=b&c=%20"), "https://api.openai.com/?a=b&c=%20");
        check("/openai/eu/v1//x", Some(""), "https://eu.example:8443/base/v1//x?");
        check("/openaix/v1", None, "http://rest/openaix/v1");
        check("/openai/../etc/%2e%2e", None, "https://api.openai.com/../etc/%2e%2e");
        check("/", None, "http://rest/");
    }

    #[test]
    fn no_reading_of_a_path_leads_out_of_the_base_path() {
        let with_base = routes(&[("/", "https://gateway/tenant-a")]);
        let without = routes(&[("/", "https://gateway")]);
        let leaving = r"/.. /../tenant-b /v1/../../tenant-b /%2e%2e/tenant-b /.%2E/x /v1/..%2f..%2ftenant-b
            /v1/..%5c..%5Cx /v1/..\..\x /v1//../../x /./../x /..;a=b/x /v1/%2e%2e;/../x";
        let staying = "/v1/../v2 /v1/./chat/completions /v1/models/gpt-4.1 /v1/files/a..b /v1/... \
            /v1/files/report%2e%2epdf /v1/x/.. /v1/%252e%252e/%252e%252e/%252e%252e";
        for (paths, leaves) in [(leaving, true), (staying, false)] {
            for path in paths.split_whitespace() {
                assert_eq!(with_base.find(path).unwrap().0.is_left_by(path), leaves, "{path}");
                assert!(!without.find(path).unwrap().0.is_left_by(path), "{path}");
            }
        }
    }

    #[test]
    fn an_unknown_path_has_no_upstream() {
        let routes = routes(&[("/openai", "https://a"), ("/anthropic", "https://b")]);
        for path in ["/", "/openaix", "*", "/v1/chat/completions", "//openai"] {
            assert!(routes.find(path).is_none(), "{path}");
        }
        assert_eq!(routes.prefixes(), "/anthropic, /openai");
    }
}
