//! Key sets of an issuer: which keys are used, and which one verifies a token.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::auth::tests::*;

const SET: &str = include_str!("../../../tests/fixtures/test-only-jwks.json");
const RSA_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-rsa-private.pem");
const EC_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-ec-private.pem");
const P384_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-p384-private.pem");
const ED_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-ed25519-private.pem");

fn set() -> Value {
    serde_json::from_str(SET).unwrap()
}

/// The set's key of this place.
fn key(index: usize) -> Value {
    set()["keys"][index].clone()
}

/// The same with other members.
fn changed(index: usize, changes: &[(&str, Value)]) -> Value {
    let mut key = key(index);
    for (name, value) in changes {
        key[*name] = value.clone();
    }
    key
}

fn with_keys(keys: &[Value]) -> Verifier {
    let set = KeySet::read(json!({"keys": keys}).to_string().as_bytes()).unwrap();
    Verifier::fetched(Ok(Arc::new(set)), expected())
}

fn signed(algorithm: Algorithm, kid: Option<&str>) -> String {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()),
        Algorithm::ES384 => EncodingKey::from_ec_pem(P384_PRIVATE.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Ok(EncodingKey::from_secret(SECRET)),
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()),
    };
    let header = Header { kid: kid.map(Into::into), ..Header::new(algorithm) };
    encode(&header, &json!({"sub": "alice"}), &key.unwrap()).unwrap()
}

const SIGNERS: [(Algorithm, &str); 6] = [
    (Algorithm::RS256, "rsa-1"),
    (Algorithm::RS512, "rsa-1"),
    (Algorithm::PS256, "rsa-1"),
    (Algorithm::ES256, "ec-1"),
    (Algorithm::ES384, "p384-1"),
    (Algorithm::EdDSA, "ed-1"),
];

#[test]
fn every_kind_of_key_checks_its_tokens_by_name_and_without() {
    let keys: Vec<_> = (0..4).map(key).collect();
    let verifier = with_keys(&keys);
    for (algorithm, kid) in SIGNERS {
        for kid in [Some(kid), None] {
            let verdict = verifier.verify(&signed(algorithm, kid), Some("alice"), NOW);
            assert!(verdict.is_ok(), "{algorithm:?} {kid:?}: {verdict:?}");
        }
        let verdict = verifier.verify(&signed(algorithm, Some("gone")), Some("alice"), NOW);
        assert_eq!(verdict, Err(AuthReject::UnknownKey { named: "\"gone\"".into() }));
    }
    let other_kinds = verifier.verify(&signed(Algorithm::RS256, Some("ec-1")), Some("alice"), NOW);
    assert!(matches!(other_kinds, Err(AuthReject::WrongAlgorithm { .. })), "{other_kinds:?}");
}

#[test]
fn a_public_key_of_a_set_is_never_a_secret() {
    let keys: Vec<_> = (0..4).map(key).collect();
    for kid in [None, Some("rsa-1"), Some("ec-1")] {
        let verdict = with_keys(&keys).verify(&signed(Algorithm::HS256, kid), Some("alice"), NOW);
        assert!(matches!(verdict, Err(AuthReject::WrongAlgorithm { .. })), "{verdict:?}");
    }
    let secret = json!({"kty": "oct", "k": base64url("a secret of thirty-two bytes, only for tests")});
    let verdict = with_keys(&[secret, key(0)]).verify(&signed(Algorithm::HS256, None), Some("alice"), NOW);
    assert!(matches!(verdict, Err(AuthReject::WrongAlgorithm { .. })), "{verdict:?}");
}

#[test]
fn the_algorithm_of_a_key_is_kept() {
    let verifier = with_keys(&[changed(0, &[("alg", json!("RS256"))])]);
    assert!(verifier.verify(&signed(Algorithm::RS256, None), Some("alice"), NOW).is_ok());
    let verdict = verifier.verify(&signed(Algorithm::PS256, None), Some("alice"), NOW);
    assert_eq!(verdict, Err(AuthReject::WrongAlgorithm { named: "PS256".into(), allowed: "RS256".into() }));
}

#[test]
fn keys_without_a_name_serve_tokens_with_any() {
    let mut nameless = key(0);
    nameless.as_object_mut().unwrap().remove("kid");
    let verifier = with_keys(&[nameless, key(1)]);
    for kid in [None, Some("any")] {
        assert!(verifier.verify(&signed(Algorithm::RS256, kid), Some("alice"), NOW).is_ok(), "{kid:?}");
    }
    // Two of one name: both are tried.
    let twice = with_keys(&[changed(1, &[("kid", json!("k"))]), changed(0, &[("kid", json!("k"))])]);
    assert!(twice.verify(&signed(Algorithm::RS256, Some("k")), Some("alice"), NOW).is_ok());
}

#[test]
fn keys_that_cannot_be_used_are_passed_over_with_their_reason() {
    let short = json!({"kty": "RSA", "n": base64url("short"), "e": "AQAB"});
    for (bad, reason) in [
        (json!({"kty": "oct", "k": "c2VjcmV0"}), "symmetric"),
        (json!({"kty": "NEW", "x": 1}), "kty \"NEW\""),
        (json!({"kid": "x"}), "kty missing"),
        (json!(5), "no object"),
        (changed(0, &[("use", json!("enc"))]), "use is"),
        (changed(0, &[("use", json!(7))]), "use is"),
        (changed(0, &[("key_ops", json!(["sign"]))]), "key_ops"),
        (changed(0, &[("alg", json!("RSA-OAEP"))]), "alg"),
        (changed(0, &[("alg", json!("ES256"))]), "alg"),
        (changed(0, &[("alg", json!("HS256"))]), "alg"),
        (changed(0, &[("alg", json!("none"))]), "alg"),
        (changed(0, &[("e", json!("AA"))]), "exponent"),
        (changed(0, &[("e", json!("AQABAQABAQAB"))]), "exponent"),
        (changed(0, &[("n", json!("%%"))]), "n is not base64url"),
        (changed(0, &[("n", json!(5))]), "no n"),
        (changed(0, &[("d", json!("AQAB"))]), "private"),
        (short, "bits"),
        (changed(1, &[("x", json!(base64url("short")))]), "32 bytes"),
        (changed(1, &[("y", key(1)["x"].clone())]), "point"),
        (changed(1, &[("crv", json!("P-521"))]), "P-521"),
        (changed(1, &[("crv", json!("secp256k1"))]), "secp256k1"),
        (changed(3, &[("crv", json!("X25519"))]), "X25519"),
        (changed(3, &[("x", json!("AQ"))]), "32 bytes"),
    ] {
        let set = KeySet::read(json!({"keys": [bad, key(2)]}).to_string().as_bytes()).unwrap();
        let text = set.to_string();
        assert_eq!(set.len(), 1, "{bad}");
        assert!(text.contains("1 passed over") && text.contains(reason), "{bad}: {text}");
        let alone = KeySet::read(json!({"keys": [bad]}).to_string().as_bytes()).unwrap_err();
        assert!(alone.contains("no key that can be used") && alone.contains(reason), "{alone}");
    }
}

#[test]
fn what_is_no_set_is_refused_and_never_panics() {
    for (text, reason) in [
        ("", "not JSON"),
        ("<!DOCTYPE html><title>Sign in</title>", "not JSON"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("{}", "no JSON object"),
        (r#"{"keys":{}}"#, "no JSON object"),
        (r#"{"keys":[]}"#, "it is empty"),
        (r#"{"keys":[null,1,"x",[]]}"#, "no object"),
    ] {
        let error = KeySet::read(text.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let many = json!({"keys": vec![key(1); JWKS_KEYS_MAX + 1]}).to_string();
    assert!(KeySet::read(many.as_bytes()).unwrap_err().contains("at most 64"));
    for cut in 0..SET.len() {
        let _ = KeySet::read(&SET.as_bytes()[..cut]);
    }
}

#[test]
fn tokens_are_refused_for_now_with_the_reason_while_keys_are_awaited() {
    let verifier = Verifier::fetched(Err("no route"), expected());
    assert_eq!(verifier.awaits(), Some("no route"));
    let token = signed(Algorithm::RS256, None);
    let candidates = ["nonsense", token.as_str()].map(|token| Candidate { place: Place::Query, token });
    let refusal = verifier.verify_any(candidates, Some("alice"), NOW).unwrap_err().refusal();
    assert_eq!((refusal.status(), refusal.code.text()), (503, "no-token-keys"));
    assert_eq!(refusal.header, Some(("Retry-After", "1")));
    assert!(refusal.reason.contains("no route") && refusal.reason.contains("ENCKE_TOKEN_KEYS_URL"));
    let none = verifier.verify_any([], Some("alice"), NOW).unwrap_err();
    assert_eq!(none.reject, AuthReject::NoToken);
}
