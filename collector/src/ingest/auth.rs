//! Whose spans these are: from the credential, never from the payload.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ledgerline_process::config::SecretText;

use super::refusal::Refusal;

/// How a request finds its tenant.
pub enum Authentication {
    /// Nobody is asked; everything belongs to one tenant. Only behind a loopback address.
    Open(Arc<str>),
    /// A token for each tenant.
    Tokens(Vec<(SecretText, Arc<str>)>),
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(tenant) => write!(f, "Open({tenant})"),
            Self::Tokens(tokens) => write!(f, "Tokens({})", tokens.len()),
        }
    }
}

impl Authentication {
    /// The tenant of a request with these headers.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] when a token is needed and none of ours was sent.
    pub fn tenant(&self, headers: &HeaderMap) -> Result<Arc<str>, Refusal> {
        match self {
            Self::Open(tenant) => Ok(Arc::clone(tenant)),
            Self::Tokens(tokens) => {
                let sent = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes).and_then(bearer);
                let sent = sent.ok_or(Refusal::Unauthenticated)?;
                // Every token is compared, so that the time taken does not tell which one was nearly right.
                let mut found = None;
                for (token, tenant) in tokens {
                    if equal(token.expose().as_bytes(), sent) {
                        found = Some(Arc::clone(tenant));
                    }
                }
                found.ok_or(Refusal::Unauthenticated)
            }
        }
    }
}

fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Takes as long for a wrong first byte as for a wrong last one. The length is not hidden.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use ledgerline_process::config::Secret;

    use super::*;

    fn secret(text: &str) -> SecretText {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Secret::File(file.path().to_owned()).read().unwrap()
    }

    #[test]
    fn the_token_decides_the_tenant_and_nothing_else_does() {
        let tokens = vec![(secret("alpha"), "a".into()), (secret("beta"), "b".into())];
        let authentication = Authentication::Tokens(tokens);
        for (header, expected) in [
            (Some("Bearer alpha"), Some("a")),
            (Some("bearer beta"), Some("b")),
            (Some("Bearer alphb"), None),
            (Some("Bearer "), None),
            (Some("Basic alpha"), None),
            (Some("alpha"), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-tenant", "b".parse().unwrap());
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(authentication.tenant(&headers).ok().as_deref(), expected, "{header:?}");
        }
        assert!(!format!("{authentication:?}").contains("alpha"));
    }
}
