//! Every reason to refuse a request because of its credentials, and how it is encoded on the wire.
//!
//! No reason repeats the token: refusals end up in logs and on screens, and a token that one server
//! refuses may be valid at another. The keys, algorithms, audience and issuer that it names are
//! repeated, cut short, because the operator of the issuer needs to see them.

use std::fmt;

use crate::auth::credentials::Place;
use crate::auth::limits::{RULES_MAX, SHOWN_CHARS_MAX, TOKEN_BYTES_MAX};
use crate::wire::channel_name::BadName;
use crate::wire::refusal::{ErrorCode, Refusal};

/// Why credentials were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthReject {
    /// No token where one is obligatory.
    NoToken,
    /// More than [`TOKEN_BYTES_MAX`] bytes.
    TokenTooLong {
        /// Bytes in the token.
        bytes: usize,
    },
    /// The header is no JWT header.
    BadHeader {
        /// The algorithms that the server's keys are for.
        allowed: Box<str>,
    },
    /// Signed with an algorithm that no key of the server is for.
    WrongAlgorithm {
        /// The token's value.
        named: Box<str>,
        /// The algorithms that the server's keys are for.
        allowed: Box<str>,
    },
    /// The header demands extensions (`crit`).
    CriticalExtension {
        /// Their names.
        names: Box<str>,
    },
    /// The header has `b64` with another value than `true`.
    NotBase64,
    /// The signature is not by the server's key.
    BadSignature {
        /// The algorithm that it was checked with.
        algorithm: &'static str,
    },
    /// The header's `kid` names none of the keys that were fetched.
    UnknownKey {
        /// The token's key id.
        named: Box<str>,
    },
    /// Keys are fetched, and none has come yet.
    KeysAwaited {
        /// The reason.
        why: Box<str>,
    },
    /// The claims are not base64url, not JSON, or name one of the registered claims twice.
    Malformed,
    /// A claim has the wrong type.
    BadClaim {
        /// The claim's name.
        claim: &'static str,
        /// The allowed values.
        expected: &'static str,
    },
    /// No `sub`.
    NoSubject,
    /// More than [`RULES_MAX`] rules in `channels`.
    TooManyRules,
    /// A rule's pattern is no channel name.
    BadRule {
        /// Which rule, counted from 1.
        rule: usize,
        /// The fault of its pattern.
        why: BadName,
    },
    /// A rule's value is not `r`, `w` or `rw`.
    BadAccess {
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A rule for reserved channels, which no token can grant.
    ReservedRule {
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// Two rules for one pattern.
    RepeatedRule,
    /// `exp` has passed.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `aud` is there and names none of the audiences that are wanted.
    ForeignAudience {
        /// The token's audiences.
        named: Box<str>,
        /// The accepted ones.
        wanted: Box<str>,
    },
    /// `iss` is not the issuer that is wanted.
    ForeignIssuer {
        /// The token's issuer; empty if there is none.
        named: Box<str>,
        /// The accepted one.
        wanted: Box<str>,
    },
    /// `sub` is another user than the URL's.
    ForeignUser,
    /// No key where the private API demands one.
    NoApiKey,
    /// Not the private API's key.
    WrongApiKey,
}

impl AuthReject {
    /// The error code, which has the status: 403 if other credentials are of no use for this URL,
    /// else 401. An expired token has its own, so that a program knows to fetch a new one.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoToken => ErrorCode::NoToken,
            Self::Expired => ErrorCode::TokenExpired,
            Self::KeysAwaited { .. } => ErrorCode::NoTokenKeys,
            Self::ForeignUser => ErrorCode::ForeignUser,
            Self::NoApiKey => ErrorCode::NoApiKey,
            Self::WrongApiKey => ErrorCode::BadApiKey,
            Self::TokenTooLong { .. }
            | Self::BadHeader { .. }
            | Self::WrongAlgorithm { .. }
            | Self::CriticalExtension { .. }
            | Self::NotBase64
            | Self::BadSignature { .. }
            | Self::UnknownKey { .. }
            | Self::Malformed
            | Self::BadClaim { .. }
            | Self::NoSubject
            | Self::TooManyRules
            | Self::BadRule { .. }
            | Self::BadAccess { .. }
            | Self::ReservedRule { .. }
            | Self::RepeatedRule
            | Self::NotYetValid
            | Self::ForeignAudience { .. }
            | Self::ForeignIssuer { .. } => ErrorCode::BadToken,
        }
    }

    /// The value of `WWW-Authenticate`, which a 401 must carry (RFC 9110, section 11.6.1). The
    /// error is left out when there were no credentials at all (RFC 6750, section 3.1).
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::ForeignUser | Self::KeysAwaited { .. } => None,
            Self::NoToken => Some("Bearer realm=\"encke\""),
            Self::NoApiKey => Some("Bearer realm=\"encke-api\""),
            Self::WrongApiKey => Some("Bearer realm=\"encke-api\", error=\"invalid_token\""),
            Self::TokenTooLong { .. }
            | Self::BadHeader { .. }
            | Self::WrongAlgorithm { .. }
            | Self::CriticalExtension { .. }
            | Self::NotBase64
            | Self::BadSignature { .. }
            | Self::UnknownKey { .. }
            | Self::Malformed
            | Self::BadClaim { .. }
            | Self::NoSubject
            | Self::TooManyRules
            | Self::BadRule { .. }
            | Self::BadAccess { .. }
            | Self::ReservedRule { .. }
            | Self::RepeatedRule
            | Self::Expired
            | Self::NotYetValid
            | Self::ForeignAudience { .. }
            | Self::ForeignIssuer { .. } => Some("Bearer realm=\"encke\", error=\"invalid_token\""),
        }
    }
}

/// The sentence for the error's `reason`.
impl fmt::Display for AuthReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str(
                "a token is needed: Authorization: Bearer, the query's token, or the cookie encke_token",
            ),
            Self::TokenTooLong { bytes } => {
                write!(f, "the token has {bytes} bytes; at most {TOKEN_BYTES_MAX} are allowed")
            }
            Self::BadHeader { allowed } => {
                write!(f, "the token is not a JWT with a JSON header; allowed is one signed with {allowed}")
            }
            Self::WrongAlgorithm { named, allowed } => {
                write!(f, "the token's alg is {named}; this server's keys are for {allowed}")
            }
            Self::CriticalExtension { names } => {
                write!(f, "the token's header demands extensions (crit: {names}); none are supported")
            }
            Self::NotBase64 => f.write_str("the token's header has b64; a JWT is always in base64url"),
            Self::BadSignature { algorithm } => {
                write!(f, "the token's signature is not by this server's {algorithm} key")
            }
            Self::UnknownKey { named } => {
                write!(f, "the token's kid is {named}, which none of the keys has that were fetched")
            }
            Self::KeysAwaited { why } => {
                write!(f, "no keys to check tokens with have been fetched (ENCKE_TOKEN_KEYS_URL): {why}")
            }
            Self::Malformed => {
                f.write_str("the token's claims are no JSON object in base64url, or name one twice")
            }
            Self::BadClaim { claim, expected } => write!(f, "the token's {claim} must be {expected}"),
            Self::NoSubject => f.write_str("the token has no sub; it must be the user's id"),
            Self::TooManyRules => write!(f, "the token's channels has more than {RULES_MAX} rules"),
            Self::BadRule { rule, why } => write!(f, "rule {rule} of the token's channels: {why}"),
            Self::BadAccess { rule } => {
                write!(f, "rule {rule} of the token's channels does not grant \"r\", \"w\" or \"rw\"")
            }
            Self::ReservedRule { rule } => {
                write!(f, "rule {rule} of the token's channels is for a reserved channel")
            }
            Self::RepeatedRule => f.write_str("the token's channels has two rules for one pattern"),
            Self::Expired => f.write_str("the token has expired (exp); get a new one"),
            Self::NotYetValid => f.write_str("the token is not valid yet (nbf)"),
            Self::ForeignAudience { named, wanted } => write!(
                f,
                "the token's aud is {named}; wanted is {wanted} (ENCKE_TOKEN_AUDIENCE), or no aud at all"
            ),
            Self::ForeignIssuer { named, wanted } if named.is_empty() => {
                write!(f, "the token has no iss; wanted is {wanted} (ENCKE_TOKEN_ISSUER)")
            }
            Self::ForeignIssuer { named, wanted } => {
                write!(f, "the token's iss is {named}; wanted is {wanted} (ENCKE_TOKEN_ISSUER)")
            }
            Self::ForeignUser => f.write_str("the token's sub is not the user of the URL"),
            Self::NoApiKey => f.write_str("the API key is needed: as Authorization: Bearer or as X-Api-Key"),
            Self::WrongApiKey => f.write_str("the API key is not this server's"),
        }
    }
}

impl AuthReject {
    /// How far a token got before it was refused. Of several, the one that came nearest is probably
    /// the intended one.
    fn nearness(&self) -> u8 {
        match self {
            // Whatever else was wrong: with the keys it may be good.
            Self::KeysAwaited { .. } => 7,
            Self::UnknownKey { .. } => 6,
            Self::Expired => 5,
            Self::ForeignUser => 4,
            Self::NotYetValid
            | Self::BadClaim { .. }
            | Self::NoSubject
            | Self::TooManyRules
            | Self::BadRule { .. }
            | Self::BadAccess { .. }
            | Self::ReservedRule { .. }
            | Self::RepeatedRule
            | Self::ForeignAudience { .. }
            | Self::ForeignIssuer { .. } => 3,
            Self::Malformed | Self::BadSignature { .. } => 2,
            Self::WrongAlgorithm { .. } | Self::CriticalExtension { .. } | Self::NotBase64 => 1,
            Self::NoToken
            | Self::TokenTooLong { .. }
            | Self::BadHeader { .. }
            | Self::NoApiKey
            | Self::WrongApiKey => 0,
        }
    }
}

impl std::error::Error for AuthReject {}

/// Why none of the credentials of a request was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The fault of the token that came nearest.
    pub reject: AuthReject,
    /// Where that was; `None` if there were no credentials.
    pub place: Option<Place>,
    /// How many were tried.
    pub tried: usize,
    /// Their name: tokens or keys.
    noun: &'static str,
}

impl Denied {
    /// There were no credentials.
    pub(crate) fn nothing(reject: AuthReject, noun: &'static str) -> Self {
        Self { reject, place: None, tried: 0, noun }
    }

    /// Adds another refusal. Of two that came equally near, the first stays.
    pub(crate) fn also(&mut self, place: Place, reject: AuthReject) {
        self.tried += 1;
        if self.place.is_none() || reject.nearness() > self.reject.nearness() {
            (self.reject, self.place) = (reject, Some(place));
        }
    }

    /// The refusal on the wire.
    pub fn refusal(&self) -> Refusal {
        let code = self.reject.code();
        let challenge = self.reject.challenge().map(|challenge| ("WWW-Authenticate", challenge));
        let header = challenge.or_else(|| Some(("Retry-After", code.retry_after()?)));
        Refusal { code, reason: self.to_string().into(), header, node: None, after: None }
    }
}

/// The sentence for the error's `reason`.
impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place, self.tried) {
            (None, _) => self.reject.fmt(f),
            (Some(place), 1) => write!(f, "{}; it came in {place}", self.reject),
            (Some(place), tried) => {
                write!(f, "{}; it came in {place}, and {tried} {} were tried", self.reject, self.noun)
            }
        }
    }
}

/// A text of the client's as it may be repeated: in quotes, escaped, and not longer than any that
/// is meant.
pub(super) fn shown(text: &str) -> Box<str> {
    let dots = if text.chars().nth(SHOWN_CHARS_MAX).is_some() { "…" } else { "" };
    format!("{:?}{dots}", text.chars().take(SHOWN_CHARS_MAX).collect::<String>()).into()
}
