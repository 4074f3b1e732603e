//! Where a request carries its credentials, and the check of the private API's key.
//!
//! Only finds and compares: what a token allows is said by `grant`, and parsing heads and queries is
//! done by whoever calls.

use std::fmt;

use subtle::ConstantTimeEq;

use super::AuthReject;

/// The token of a request. `Authorization: Bearer` goes before the query's `token`, and that before
/// the cookie `encke_token`: what a program sets on purpose beats what a browser sends by itself.
/// `query` is percent-decoded. Empty ones count as missing.
pub fn token_of<'a>(
    authorization: Option<&'a str>,
    query: Option<&'a str>,
    cookies: Option<&'a str>,
) -> Option<&'a str> {
    let filled = |token: &&str| !token.is_empty();
    authorization
        .and_then(bearer)
        .filter(filled)
        .or_else(|| query.filter(filled))
        .or_else(|| cookies.and_then(token_cookie).filter(filled))
}

/// The key of the private API. Its `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey(Box<[u8]>);

impl ApiKey {
    /// A key; the caller has seen to its length.
    pub fn new(key: &str) -> Self {
        Self(key.as_bytes().into())
    }

    /// Checks `Authorization: Bearer KEY`, or without one `X-Api-Key`. The comparison takes the same
    /// time wherever the first difference stands, so that a key cannot be guessed byte by byte; its
    /// length is no secret.
    ///
    /// # Errors
    /// [`AuthReject::NoApiKey`] without a key, [`AuthReject::WrongApiKey`] with another.
    pub fn check(&self, authorization: Option<&str>, x_api_key: Option<&str>) -> Result<(), AuthReject> {
        let given = authorization.and_then(bearer).or(x_api_key).ok_or(AuthReject::NoApiKey)?;
        let same: bool = self.0.ct_eq(given.as_bytes()).into();
        if same { Ok(()) } else { Err(AuthReject::WrongApiKey) }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// What follows the scheme `Bearer`, which any case may spell (RFC 9110, section 11.1). Other
/// schemes are none of ours: a proxy in front may use them.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// The first `encke_token` of a `Cookie` header (RFC 6265, section 4.2.1), without the quotes that a
/// value may have.
fn token_cookie(cookies: &str) -> Option<&str> {
    let value =
        cookies.split(';').find_map(|pair| pair.trim().strip_prefix(TOKEN_COOKIE)?.strip_prefix('='))?;
    Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
}

const TOKEN_COOKIE: &str = "encke_token";
