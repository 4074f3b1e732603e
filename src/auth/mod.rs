//! Who may use a user's URLs, and which channels: JSON Web Tokens (RFC 7519) to a [`Grant`].
//!
//! A key decides its algorithms; the token's header only chooses among those. So neither `none` nor
//! a public key used as an HMAC secret can pass. A key that is too short, or of an unsupported
//! kind, stops the start instead of failing each client.
//!
//! Nothing here reads a clock (the caller passes the time), fetches keys or logs. It does not know
//! sessions, which end themselves at [`Grant::expires`].

mod credentials;
pub mod gate;
mod grant;
mod header;
pub mod issue;
mod jwks;
pub mod key_watch;
mod keys;
mod limits;
pub mod origins;
mod reject;
pub mod signature;

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::crypto;

pub use crate::auth::credentials::{ApiKey, Candidate, Place, tokens_of};
pub use crate::auth::grant::{Expected, Grant};
use crate::auth::header::JoseHeader;
pub use crate::auth::jwks::KeySet;
use crate::auth::keys::VerificationKey;
pub use crate::auth::keys::{KeyFault, KeyMaterial, RSA_BITS};
use crate::auth::limits::KEYS_TRIED_MAX;
pub use crate::auth::limits::{CANDIDATES_MAX, EXPIRES_UNIX_MAX, JWKS_KEYS_MAX, RULES_MAX, TOKEN_BYTES_MAX};
pub use crate::auth::reject::{AuthReject, Denied};

/// Checks tokens. Made once for each key, shared by all shards.
#[derive(Clone, Debug)]
pub struct Verifier {
    keyring: Keyring,
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Keyring {
    /// The operator's key.
    Own(VerificationKey),
    /// The issuer's, which come and go.
    Fetched(Arc<KeySet>),
    /// None has come yet.
    Awaited { why: Box<str> },
}

impl Verifier {
    /// A verifier for one key: HS256, HS384 and HS512 for a secret; RS, PS, ES or `EdDSA` for a
    /// public key, by its kind.
    ///
    /// # Errors
    /// [`KeyFault`], whose text says what is wrong with the key and what is allowed.
    pub fn new(material: &KeyMaterial, expected: Expected) -> Result<Self, KeyFault> {
        Ok(Self { keyring: Keyring::Own(VerificationKey::load(material)?), expected })
    }

    /// A verifier for fetched keys; before the first fetch, one with the reason why there are none.
    pub fn fetched(keys: Result<Arc<KeySet>, &str>, expected: Expected) -> Self {
        let keyring = match keys {
            Ok(keys) => Keyring::Fetched(keys),
            Err(why) => Keyring::Awaited { why: why.into() },
        };
        Self { keyring, expected }
    }

    /// Why it cannot check any token yet; `None` if it can.
    pub fn awaits(&self) -> Option<&str> {
        match &self.keyring {
            Keyring::Awaited { why } => Some(why),
            Keyring::Own(_) | Keyring::Fetched(_) => None,
        }
    }

    /// The algorithms that tokens may be signed with, as in a JWT's `alg`.
    pub fn algorithms(&self) -> Box<str> {
        match &self.keyring {
            Keyring::Own(key) => keys::listed(key.algorithms()),
            Keyring::Fetched(set) => keys::listed(&set.algorithms()),
            Keyring::Awaited { .. } => Box::default(),
        }
    }

    /// Verifies the tokens of a request one after the other. The first valid one counts.
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

    /// Verifies `token` and returns the rights of its bearer. With a `user` (percent-decoded, from
    /// the URL), `sub` must be that user; without one the grant names the token's own user.
    /// `unix_now` is in whole seconds since 1970.
    ///
    /// # Errors
    /// [`AuthReject`]: 403 for another user's token, 503 before the keys are fetched, 401 for
    /// anything else.
    pub fn verify(&self, token: &str, user: Option<&str>, unix_now: u64) -> Result<Grant, AuthReject> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthReject::TokenTooLong { bytes: token.len() });
        }
        if let Keyring::Awaited { why } = &self.keyring {
            return Err(AuthReject::KeysAwaited { why: why.clone() });
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

    /// The crate's `decode` would do this too, but takes the algorithm from the token, reads the
    /// system clock, and cannot name the wrong claim.
    fn check_signature(&self, header: &JoseHeader, message: &str, signature: &str) -> Result<(), AuthReject> {
        let algorithm = header.algorithm;
        let keys = match &self.keyring {
            Keyring::Own(key) => vec![key],
            Keyring::Fetched(set) => {
                let kid = header.key.as_deref();
                let unknown = || AuthReject::UnknownKey { named: reject::shown(kid.unwrap_or_default()) };
                set.named(kid).ok_or_else(unknown)?
            }
            Keyring::Awaited { .. } => Vec::new(),
        };
        let mut fitting = keys.iter().filter(|key| key.algorithms().contains(&algorithm)).peekable();
        if fitting.peek().is_none() {
            let named = keys::name(algorithm).into();
            return Err(AuthReject::WrongAlgorithm { named, allowed: self.algorithms() });
        }
        // An error is a signature that is not even base64url.
        let is_by = |key: &&VerificationKey| {
            crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm).unwrap_or(false)
        };
        if fitting.take(KEYS_TRIED_MAX).any(is_by) {
            Ok(())
        } else {
            Err(AuthReject::BadSignature { algorithm: keys::name(algorithm) })
        }
    }
}

#[cfg(test)]
mod tests;
