//! Tokens as a backend makes them, with the keys of `tests/fixtures`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::Value;

/// The secret of HS256.
pub(crate) const SECRET: &str = "a secret of thirty-two bytes, only for tests";

/// A token with these claims, signed with the secret.
pub(crate) fn token(claims: &Value) -> String {
    sign(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()), claims)
}

/// A token signed with a fixture's private key.
pub(crate) fn token_by(algorithm: Algorithm, claims: &Value) -> String {
    let pem = |name: &str| std::fs::read(fixture(name)).expect("the fixture is there");
    let key = match algorithm {
        Algorithm::RS256 | Algorithm::PS512 => EncodingKey::from_rsa_pem(&pem("test-only-rsa-private.pem")),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("test-only-ec-private.pem")),
        Algorithm::ES384 => EncodingKey::from_ec_pem(&pem("test-only-p384-private.pem")),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("test-only-ed25519-private.pem")),
        other => panic!("no fixture for {other:?}"),
    };
    sign(algorithm, &key.expect("a key"), claims)
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).expect("it can be signed")
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}
