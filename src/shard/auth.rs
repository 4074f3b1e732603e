//! Who may use a user's URLs, and which channels: JSON Web Tokens (RFC 7519) in, a [`Grant`] out.
//!
//! A key decides which algorithms it is for; what the token's header says only chooses among those. So neither `none` nor a public key
//! used as an HMAC secret can pass. A key that is too short, or of a kind that we do not take, stops the start rather than fails each
//! client.
//!
//! Nothing here reads a clock (the caller passes the time), fetches keys or logs. It does not know sessions: ending one at
//! [`Grant::expires`] is theirs.

mod credentials;
mod grant;
mod header;
mod keys;
mod reject;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::crypto;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::credentials::{ApiKey, CANDIDATES_MAX, Candidate, Place, tokens_of};
pub use self::grant::{EXPIRES_MAX, Expected, Grant, RULES_MAX};
use self::header::Header;
use self::keys::Key;
pub use self::keys::{KeyFault, KeyMaterial, RSA_BITS, SECRET_BYTES_MIN};
pub use self::reject::{AuthReject, Denied};

/// Checks tokens. Made once for each key, shared by all shards.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: Key,
    expected: Expected,
}

impl Verifier {
    /// A verifier for one key: HS256, HS384 and HS512 for a secret; RS, PS, ES or `EdDSA` for a public key, by its kind.
    ///
    /// # Errors
    /// [`KeyFault`], whose text says what is wrong with the key and what is allowed.
    pub fn new(material: &KeyMaterial, expected: Expected) -> Result<Self, KeyFault> {
        Ok(Self { key: Key::load(material)?, expected })
    }

    /// The algorithms that tokens may be signed with, as in a JWT's `alg`.
    pub fn algorithms(&self) -> Box<str> {
        keys::listed(self.key.algorithms())
    }

    /// Checks the tokens of a request one after the other. The first good one counts.
    ///
    /// # Errors
    /// [`Denied`], about the token that came nearest.
    pub fn verify_any<'a>(
        &self,
        candidates: impl IntoIterator<Item = Candidate<'a>>,
        user: Option<&str>,
        unix_now: u64,
    ) -> Result<Grant, Denied> {
        let mut denied = Denied::nothing(AuthReject::NoToken, "tokens");
        for Candidate { place, token } in candidates {
            match self.verify(token, user, unix_now) {
                Ok(grant) => return Ok(grant),
                Err(reject) => denied.also(place, reject),
            }
        }
        Err(denied)
    }

    /// Checks `token` and says what its bearer may do. With a `user` (percent-decoded, from the URL),
    /// `sub` must be that user; without one the grant names the token's own user. `unix_now` is in
    /// whole seconds since 1970.
    ///
    /// # Errors
    /// [`AuthReject`]: 403 for another user's token, 401 for anything else.
    pub fn verify(&self, token: &str, user: Option<&str>, unix_now: u64) -> Result<Grant, AuthReject> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthReject::TokenTooLong { bytes: token.len() });
        }
        let allowed = || self.algorithms();
        let bad = || AuthReject::BadHeader { allowed: allowed() };
        let (message, signature) = token.rsplit_once('.').ok_or_else(bad)?;
        let (header, claims) = message.split_once('.').ok_or_else(bad)?;
        let header = header::read(header, allowed)?;
        self.check_signature(&header, message, signature)?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).map_err(|_| AuthReject::Malformed)?;
        let claims = String::from_utf8(claims).map_err(|_| AuthReject::Malformed)?;
        grant::read(&claims, &self.expected, user, unix_now)
    }

    /// The crate's `decode` would do this too, but takes the algorithm from the token, reads the system clock, and reads the claims in a
    /// way that cannot say which of them is wrong.
    fn check_signature(&self, header: &Header, message: &str, signature: &str) -> Result<(), AuthReject> {
        let algorithm = header.algorithm;
        if !self.key.algorithms().contains(&algorithm) {
            let named = keys::name(algorithm).into();
            return Err(AuthReject::WrongAlgorithm { named, allowed: self.algorithms() });
        }
        match crypto::verify(signature, message.as_bytes(), self.key.decoding(), algorithm) {
            Ok(true) => Ok(()),
            // An error is a signature that is not even base64url.
            Ok(false) | Err(_) => Err(AuthReject::BadSignature { algorithm: keys::name(algorithm) }),
        }
    }
}

/// For members of which `null` is a value like any other: `"exp":null` must not pass for a token without `exp`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

/// Bytes of a token. It has to fit into a request head beside everything else, and 256 rules of an
/// ordinary length fit into it. A longer one is refused before any decoding.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
