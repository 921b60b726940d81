//! Who sends and asks: credentials and what they open.
//!
//! A tenant comes from the credential, never from a payload or a query: the one way to a [`Principal`] from outside is
//! [`Access::principal`], for ingest and for the API alike.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ledgerline_process::config::SecretText;
use ledgerline_promql::source::Tenant;
use subtle::ConstantTimeEq;

/// On whose behalf something is stored or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose record it is.
    pub tenant: Tenant,
}

impl Principal {
    /// The principal of that tenant; for configuration and tests, never for what a request says.
    pub fn of(tenant: &str) -> Self {
        Self { tenant: Tenant(tenant.into()) }
    }
}

/// How a request finds its principal.
#[derive(Debug)]
pub enum Access {
    /// Nobody is asked; everything belongs to one tenant. Only behind a loopback address.
    Open(Principal),
    /// Tokens and whose they are.
    Tokens(Vec<(SecretText, Principal)>),
}

/// No token, or not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "send one of the collector's tokens as `authorization: Bearer <token>`, or as the password of Basic credentials"
)]
pub struct Unauthenticated;

impl Access {
    /// Everybody who can own a record.
    pub fn principals(&self) -> Vec<&Principal> {
        match self {
            Self::Open(principal) => vec![principal],
            Self::Tokens(tokens) => tokens.iter().map(|(_, principal)| principal).collect(),
        }
    }

    /// Who sends a request with these headers, unless tokens are asked for and none of them came.
    pub fn principal(&self, headers: &HeaderMap) -> Result<Principal, Unauthenticated> {
        match self {
            Self::Open(principal) => Ok(principal.clone()),
            Self::Tokens(tokens) => {
                let sent = headers.get(AUTHORIZATION).and_then(|value| token(value.as_bytes()));
                let sent = sent.ok_or(Unauthenticated)?;
                // Every token is compared, and whole, so that the time taken does not tell which one was nearly right.
                let found = tokens.iter().fold(None, |found, (token, principal)| {
                    if token.expose().as_bytes().ct_eq(&sent).into() { Some(principal) } else { found }
                });
                found.cloned().ok_or(Unauthenticated)
            }
        }
    }
}

/// Middleware: puts the [`Principal`] into the request's extensions, or answers 401.
pub async fn authenticate(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    match access.principal(request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], format!("{error}\n")).into_response()
        }
    }
}

/// The token, or the password of Basic credentials, whatever the user's name: Langfuse's SDKs can send nothing else.
fn token(header: &[u8]) -> Option<Vec<u8>> {
    let of_scheme = |scheme: &[u8]| {
        let (stated, rest) = header.split_at_checked(scheme.len())?;
        stated.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
    };
    if let Some(token) = of_scheme(b"Bearer ") {
        return Some(token.to_vec());
    }
    let credentials = BASE64_STANDARD.decode(of_scheme(b"Basic ")?).ok()?;
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some(credentials[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_decides_the_tenant_and_nothing_else_does() {
        let token = |text: &str, tenant| (SecretText::from(text.to_owned()), Principal::of(tenant));
        let access = Access::Tokens(vec![token("alpha", "a"), token("beta", "b")]);
        for (header, expected) in [
            (Some("Bearer alpha"), Some("a")),
            (Some("bearer beta"), Some("b")),
            (Some("Bearer alphb"), None),
            (Some("Bearer "), None),
            // pk-lf-1:beta, :alpha, alpha:, alpha, and no base64.
            (Some("Basic cGstbGYtMTpiZXRh"), Some("b")),
            (Some("basic OmFscGhh"), Some("a")),
            (Some("Basic YWxwaGE6"), None),
            (Some("Basic YWxwaGE="), None),
            (Some("Basic alpha"), None),
            (Some("alpha"), None),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-tenant", "b".parse().unwrap());
            if let Some(header) = header {
                headers.insert(AUTHORIZATION, header.parse().unwrap());
            }
            assert_eq!(access.principal(&headers).ok(), expected.map(Principal::of), "{header:?}");
        }
        assert!(!format!("{access:?}").contains("alpha"));
    }
}
