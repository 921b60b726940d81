//! The user and the password of a request, wherever ClickHouse's clients put them: headers of ClickHouse's own, Basic
//! authentication, or the URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Uri, header};

use super::request::{header_text, parameters};
use crate::errors::{Kind, QueryError};

/// What a request says of itself; not yet believed. The user is `default` when it names none.
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl Credentials {
    /// Of the first place that has any: `X-ClickHouse-User` and `-Key`, then `Authorization: Basic`, then the URL.
    pub fn of(headers: &HeaderMap, uri: &Uri) -> Result<Self, QueryError> {
        let mut user = header_text(headers, "x-clickhouse-user")?;
        let mut password = header_text(headers, "x-clickhouse-key")?;
        if user.is_some() || password.is_some() {
            // ClickHouse's own headers decide.
        } else if let Some(given) = header_text(headers, header::AUTHORIZATION.as_str())? {
            let Some((name, secret)) = basic(&given) else {
                let message = "Only HTTP's Basic authentication is known";
                return Err(QueryError::new(Kind::AUTHENTICATION_FAILED, message));
            };
            (user, password) = (Some(name), Some(secret));
        } else {
            for (name, value) in parameters(uri.query().unwrap_or_default())? {
                match name.as_str() {
                    "user" => user = String::from_utf8(value).ok(),
                    "password" => password = String::from_utf8(value).ok(),
                    _ => {}
                }
            }
        }
        let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| "default".to_owned());
        Ok(Self { user, password: password.unwrap_or_default() })
    }
}

fn basic(given: &str) -> Option<(String, String)> {
    let (scheme, encoded) = given.trim().split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, headers: &[(&'static str, &str)]) -> Result<(String, String), QueryError> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Credentials::of(&headers, &url.parse().unwrap()).map(|found| (found.user, found.password))
    }

    #[test]
    fn they_are_found_where_clients_put_them() {
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        let own = [("x-clickhouse-user", "a"), ("x-clickhouse-key", "b")];
        let basic = ("authorization", "Basic YTpiOmM=");
        for (url, headers, expected) in [
            ("/", &[][..], pair("default", "")),
            ("/", &own[..], pair("a", "b")),
            ("/", &own[1..], pair("default", "b")),
            ("/", &[basic][..], pair("a", "b:c")),
            ("/?user=a%20&password=%26&query=SELECT+1", &[][..], pair("a ", "&")),
            // The first place decides alone.
            ("/?user=a&password=b", &[basic][..], pair("a", "b:c")),
            ("/?user=c&password=d", &own[..], pair("a", "b")),
        ] {
            assert_eq!(of(url, headers).unwrap(), expected, "{url} {headers:?}");
        }
        for given in ["Bearer abc", "Basic %", "Basic YQ==", ""] {
            assert_eq!(of("/", &[("authorization", given)]).unwrap_err().code, 516, "{given}");
        }
    }
}
