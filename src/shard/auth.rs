//! Who may use a user's URLs, and which channels: JSON Web Tokens (RFC 7519) in, a [`Grant`] out.
//!
//! The key alone decides the algorithm; what the token's header says is only compared with it. So
//! neither `none` nor a public key used as an HMAC secret can pass. A key that is too short, or of a
//! kind that we do not take, stops the start rather than fails each client.
//!
//! Nothing here reads a clock (the caller passes the time), fetches keys or logs; no refusal repeats
//! any part of the token. It does not know sessions: ending one at [`Grant::expires`] is theirs.

mod credentials;
mod grant;
mod keys;
mod reject;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, decode_header};

pub use self::credentials::{ApiKey, token_of};
pub use self::grant::{EXPIRES_MAX, Grant, RULES_MAX};
pub use self::keys::{KeyFault, KeyMaterial, RSA_BITS, SECRET_BYTES_MIN};
pub use self::reject::AuthReject;

/// Checks tokens against one key. Made once for each key, shared by all shards.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: DecodingKey,
    algorithm: Algorithm,
}

impl Verifier {
    /// A verifier for one key: HS256 for a secret; RS256, ES256 or `EdDSA` for a public key, by its kind.
    ///
    /// # Errors
    /// [`KeyFault`], whose text says what is wrong with the key and what is allowed.
    pub fn new(material: &KeyMaterial) -> Result<Self, KeyFault> {
        let (algorithm, key) = keys::load(material)?;
        Ok(Self { key, algorithm })
    }

    /// The name of the one algorithm that tokens must be signed with, as in a JWT's `alg`.
    pub fn algorithm(&self) -> &'static str {
        keys::name(self.algorithm)
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
        self.check_header(token)?;
        let claims = self.signed_claims(token)?;
        grant::read(&claims, user, unix_now)
    }

    /// Refuses tokens that are not for this key with a better reason than "bad signature". The
    /// algorithm that the signature is checked with is the key's all the same.
    fn check_header(&self, token: &str) -> Result<(), AuthReject> {
        // An `alg` that the crate does not know, `none` among them, fails to parse.
        let header =
            decode_header(token).map_err(|_| AuthReject::BadHeader { expected: self.algorithm() })?;
        if header.alg != self.algorithm {
            return Err(AuthReject::WrongAlgorithm { expected: self.algorithm() });
        }
        // RFC 7515, section 4.1.11: extensions marked critical must be understood; we know none.
        if header.crit.is_some() {
            return Err(AuthReject::CriticalExtension);
        }
        Ok(())
    }

    /// The token's claims as JSON text, if the signature is by our key. The crate's `decode` would do
    /// this too, but takes the algorithm from the token, reads the system clock, and reads the claims
    /// in a way that cannot say which of them is wrong.
    fn signed_claims(&self, token: &str) -> Result<String, AuthReject> {
        let bad_signature = AuthReject::BadSignature { expected: self.algorithm() };
        let (message, signature) = token.rsplit_once('.').ok_or(AuthReject::Malformed)?;
        let (_, claims) = message.split_once('.').ok_or(AuthReject::Malformed)?;
        match crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm) {
            Ok(true) => {}
            // An error is a signature that is not even base64url.
            Ok(false) | Err(_) => return Err(bad_signature),
        }
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).map_err(|_| AuthReject::Malformed)?;
        String::from_utf8(claims).map_err(|_| AuthReject::Malformed)
    }
}

/// Bytes of a token. It has to fit into a request head beside everything else, and 256 rules of an
/// ordinary length fit into it. A longer one is refused before any decoding.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
