//! Every reason to turn a request away for want of the right credentials, and how it is spelled on
//! the wire.
//!
//! No reason repeats what the client sent: refusals end up in logs and on screens, and a token that
//! one server refuses may be good at another.

use std::fmt;

use super::TOKEN_BYTES_MAX;
use super::grant::RULES_MAX;
use crate::shard::channel_name::BadName;

/// Why credentials were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthReject {
    /// No token where one is obligatory.
    NoToken,
    /// More than [`TOKEN_BYTES_MAX`] bytes.
    TokenTooLong {
        /// Bytes in the token.
        bytes: usize,
    },
    /// The header is no JWT header, or its `alg` is none that is known, as with `none`.
    BadHeader {
        /// The algorithm that the server's key is for.
        expected: &'static str,
    },
    /// Signed with another algorithm than the key is for.
    WrongAlgorithm {
        /// The algorithm that the server's key is for.
        expected: &'static str,
    },
    /// The header demands an extension (`crit`).
    CriticalExtension,
    /// The signature is not by the server's key.
    BadSignature {
        /// The algorithm that the server's key is for.
        expected: &'static str,
    },
    /// The claims are not base64url, not JSON, or name one of the registered claims twice.
    Malformed,
    /// A claim has the wrong type.
    BadClaim {
        /// The claim's name.
        claim: &'static str,
        /// What it should be.
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
        /// What is wrong with its pattern.
        why: BadName,
    },
    /// A rule's value is not `r`, `w` or `rw`.
    BadAccess {
        /// Which rule, counted from 1.
        rule: usize,
    },
    /// A rule for reserved channels, which nobody can be granted.
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
    /// `aud` is there and does not name this service.
    ForeignAudience,
    /// `sub` is another user than the URL's.
    ForeignUser,
    /// No key where the private API demands one.
    NoApiKey,
    /// Not the private API's key.
    WrongApiKey,
}

impl AuthReject {
    /// 403 if other credentials are of no use for this URL, else 401.
    pub fn status(self) -> u16 {
        if self == Self::ForeignUser { 403 } else { 401 }
    }

    /// The error's name on the wire. `token-expired` is apart so that a program knows to fetch a new one.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::Expired => "token-expired",
            Self::ForeignUser => "foreign-user",
            Self::NoApiKey => "no-api-key",
            Self::WrongApiKey => "bad-api-key",
            Self::TokenTooLong { .. }
            | Self::BadHeader { .. }
            | Self::WrongAlgorithm { .. }
            | Self::CriticalExtension
            | Self::BadSignature { .. }
            | Self::Malformed
            | Self::BadClaim { .. }
            | Self::NoSubject
            | Self::TooManyRules
            | Self::BadRule { .. }
            | Self::BadAccess { .. }
            | Self::ReservedRule { .. }
            | Self::RepeatedRule
            | Self::NotYetValid
            | Self::ForeignAudience => "bad-token",
        }
    }

    /// The value of `WWW-Authenticate`, which a 401 must carry (RFC 9110, section 11.6.1). The error
    /// is left out when there were no credentials at all (RFC 6750, section 3.1).
    pub fn challenge(self) -> Option<&'static str> {
        match self.code() {
            "foreign-user" => None,
            "no-token" => Some("Bearer realm=\"encke\""),
            "no-api-key" => Some("Bearer realm=\"encke-api\""),
            "bad-api-key" => Some("Bearer realm=\"encke-api\", error=\"invalid_token\""),
            _ => Some("Bearer realm=\"encke\", error=\"invalid_token\""),
        }
    }
}

/// The sentence for the error's `reason`.
impl fmt::Display for AuthReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoToken => f.write_str(
                "a token is needed: Authorization: Bearer, the query's token, or the cookie encke_token",
            ),
            Self::TokenTooLong { bytes } => {
                write!(f, "the token has {bytes} bytes; at most {TOKEN_BYTES_MAX} are allowed")
            }
            Self::BadHeader { expected } => write!(f, "the token is not a JWT signed with {expected}"),
            Self::WrongAlgorithm { expected } => {
                write!(f, "the token's algorithm is not {expected}, which this server's key is for")
            }
            Self::CriticalExtension => {
                f.write_str("the token's header demands extensions (crit); none are supported")
            }
            Self::BadSignature { expected } => {
                write!(f, "the token's signature is not by this server's {expected} key")
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
            Self::Expired => f.write_str("the token has expired; get a new one"),
            Self::NotYetValid => f.write_str("the token is not valid yet (nbf)"),
            Self::ForeignAudience => f.write_str("the token's aud must name encke or be left out"),
            Self::ForeignUser => f.write_str("the token's sub is not the user of the URL"),
            Self::NoApiKey => f.write_str("the API key is needed: as Authorization: Bearer or as X-Api-Key"),
            Self::WrongApiKey => f.write_str("the API key is not this server's"),
        }
    }
}

impl std::error::Error for AuthReject {}
