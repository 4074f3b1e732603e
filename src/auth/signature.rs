//! The signature of a hook's call: by it a backend knows that the call is the node's, and when it
//! was made.

use jsonwebtoken::{Algorithm, EncodingKey, crypto};

/// The value of `Encke-Signature` for a call that is made at `unix`, in seconds since 1970:
/// `t=SECONDS,hs256=SIGNATURE`, the HMAC-SHA256 (RFC 2104) of `SECONDS.BODY` in base64url without
/// padding. `None`, if the library cannot sign, which it always can by a secret.
pub fn hook_signature(key: &str, unix: u64, body: &[u8]) -> Option<String> {
    let signed = [unix.to_string().as_bytes(), b".", body].concat();
    let signature = crypto::sign(&signed, &EncodingKey::from_secret(key.as_bytes()), Algorithm::HS256);
    Some(format!("t={unix},hs256={}", signature.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_time_and_body() {
        let key = "k".repeat(32);
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac kkk… -binary | basenc --base64url
        let known = "t=1700000000,hs256=Czs1UlwQs3V_-njfaQNwIfwxaNg5ClGk_LSo1WoltVc";
        let signature = hook_signature(&key, 1_700_000_000, b"{}").unwrap();
        assert_eq!(signature, known);
        assert_ne!(hook_signature(&key, 1_700_000_001, b"{}").unwrap()[14..], signature[14..]);
        assert_ne!(hook_signature(&key, 1_700_000_000, b"{ }").unwrap(), signature);
    }
}
