//! The places of credentials in a request, and the check of the private API's key.
//!
//! Proxies, other applications on the host and browsers add credentials of their own, under the
//! same names. So all credentials of a request are candidates, up to a bound, and the first valid
//! one counts. This file only finds and compares; `grant` decides what a token allows.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::auth::AuthReject;
use crate::auth::limits::CANDIDATES_MAX;
use crate::auth::reject::Denied;
use crate::wire::cookie;
use crate::wire::http::head::Head;

/// One token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its place.
    pub place: Place,
    /// Its text.
    pub token: &'a str,
}

/// The possible places of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer`.
    Authorization,
    /// `token` in the query.
    Query,
    /// The cookie `encke_token`.
    Cookie,
    /// `ext` of a message.
    Ext,
    /// `token` in the first message of an XMLSocket.
    FirstMessage,
    /// `X-Api-Key`.
    ApiKeyHeader,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorization => "the header Authorization",
            Self::Query => "the query (token)",
            Self::Cookie => "the cookie encke_token",
            Self::Ext => "the message's ext",
            Self::FirstMessage => "the first message",
            Self::ApiKeyHeader => "the header X-Api-Key",
        })
    }
}

/// The tokens of a request: those of `Authorization: Bearer` before the query's `token`, and those
/// before the cookies `encke_token`, because a value that a program sets on purpose precedes one
/// that a browser adds by itself. Empty ones count as missing. `query` is decoded.
pub fn tokens_of<'a>(head: &Head<'a>, query: &'a [(String, String)]) -> impl Iterator<Item = Candidate<'a>> {
    let at = |place| move |token| Candidate { place, token };
    let headers = head.header_bytes("authorization").flat_map(bearers).map(at(Place::Authorization));
    let queries = query.iter().filter(|(name, _)| name == "token");
    let queries = queries.map(|(_, token)| token.as_str()).map(at(Place::Query));
    let cookies = head.header_bytes("cookie").flat_map(|line| cookie::values(line, TOKEN_COOKIE));
    headers
        .chain(queries)
        .chain(cookies.map(at(Place::Cookie)))
        .filter(|candidate| !candidate.token.is_empty())
        .take(CANDIDATES_MAX)
}

/// The key of the private API. Its `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey(Box<[u8]>);

impl ApiKey {
    /// A key; the caller has seen to its length.
    pub fn new(key: &str) -> Self {
        Self(key.as_bytes().into())
    }

    /// Searches `Authorization: Bearer KEY` and `X-Api-Key`. A comparison takes the same time
    /// wherever the first difference is, so that a key cannot be guessed byte by byte; its length
    /// is not secret.
    ///
    /// # Errors
    /// [`AuthReject::NoApiKey`] without a key, [`AuthReject::WrongApiKey`] with wrong ones only.
    pub fn check(&self, head: &Head<'_>) -> Result<(), Denied> {
        // A key may contain a comma, so the whole text after the scheme is a candidate, too.
        let headers =
            head.header_bytes("authorization").flat_map(|line| bearer(line).into_iter().chain(bearers(line)));
        let own = head.header_bytes("x-api-key").filter_map(|line| str::from_utf8(line).ok());
        let own = own.map(str::trim).flat_map(|line| std::iter::once(line).chain(items(line)));
        let places = headers.map(|key| (Place::Authorization, key));
        let places = places.chain(own.map(|key| (Place::ApiKeyHeader, key)));
        let mut denied = Denied::nothing(AuthReject::NoApiKey, "keys");
        let mut last = None;
        for (place, key) in places.take(CANDIDATES_MAX) {
            let same: bool = self.0.ct_eq(key.as_bytes()).into();
            if same {
                return Ok(());
            }
            // A value without commas would appear twice: as a whole and as its only item.
            if last != Some((place, key)) {
                denied.also(place, AuthReject::WrongApiKey);
            }
            last = Some((place, key));
        }
        Err(denied)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// The tokens of one `Authorization` line. Some proxies join several lines with commas.
fn bearers(line: &[u8]) -> impl Iterator<Item = &str> {
    str::from_utf8(line).ok().into_iter().flat_map(items).filter_map(|item| bearer(item.as_bytes()))
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The text after the scheme `Bearer`, in any case (RFC 9110, section 11.1). Other schemes are
/// ignored: a proxy in front may use them.
fn bearer(authorization: &[u8]) -> Option<&str> {
    let (scheme, token) = str::from_utf8(authorization).ok()?.trim().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

const TOKEN_COOKIE: &str = "encke_token";
