//! The accepted keys, and that a key decides its algorithm.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use crate::auth::tests::*;

const RSA_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-rsa-private.pem");
const RSA_PUBLIC: &str = include_str!("../../../tests/fixtures/test-only-rsa-public.pem");
const RSA_PKCS1_PUBLIC: &str = include_str!("../../../tests/fixtures/test-only-rsa-pkcs1-public.pem");
const RSA_1024: &str = include_str!("../../../tests/fixtures/test-only-rsa-1024-public.pem");
const EC_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-ec-private.pem");
const EC_PUBLIC: &str = include_str!("../../../tests/fixtures/test-only-ec-public.pem");
const P384_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-p384-private.pem");
const P384: &str = include_str!("../../../tests/fixtures/test-only-p384-public.pem");
const P521: &str = include_str!("../../../tests/fixtures/test-only-p521-public.pem");
const SECP256K1: &str = include_str!("../../../tests/fixtures/test-only-secp256k1-public.pem");
const ED_PRIVATE: &str = include_str!("../../../tests/fixtures/test-only-ed25519-private.pem");
const ED_PUBLIC: &str = include_str!("../../../tests/fixtures/test-only-ed25519-public.pem");
const CERTIFICATE: &str = include_str!("../../../tests/fixtures/test-only-certificate.pem");

fn with_pem(pem: &str) -> Result<Verifier, KeyFault> {
    Verifier::new(&KeyMaterial::Pem(pem.to_owned()), expected())
}

#[test]
fn each_kind_of_key_takes_its_own_algorithms_and_no_other() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
    let kinds: [(&[Algorithm], EncodingKey, Verifier); 5] = [
        (&[HS256, HS384, HS512], EncodingKey::from_secret(SECRET), with_secret()),
        (&[RS256, RS384, RS512, PS256, PS384, PS512], rsa, with_pem(RSA_PUBLIC).unwrap()),
        (&[ES256], EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(), with_pem(EC_PUBLIC).unwrap()),
        (&[ES384], EncodingKey::from_ec_pem(P384_PRIVATE.as_bytes()).unwrap(), with_pem(P384).unwrap()),
        (&[EdDSA], EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(), with_pem(ED_PUBLIC).unwrap()),
    ];
    for (signed, (algorithms, key, _)) in kinds.iter().enumerate() {
        for algorithm in *algorithms {
            let token = encode(&Header::new(*algorithm), &json!({"sub": "alice"}), key).unwrap();
            for (checked, (_, _, verifier)) in kinds.iter().enumerate() {
                let verdict = verifier.verify(&token, Some("alice"), NOW);
                if signed == checked {
                    assert!(verdict.is_ok(), "{algorithm:?}");
                } else {
                    let (named, allowed) = (format!("{algorithm:?}").into(), verifier.algorithms());
                    assert_eq!(verdict, Err(AuthReject::WrongAlgorithm { named, allowed }));
                }
            }
        }
    }
    assert_eq!(&*with_secret().algorithms(), "HS256, HS384, HS512");
}

#[test]
fn a_signature_by_another_key_of_the_kind_is_wrong() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let key = EncodingKey::from_secret(b"another secret of thirty-two bytes");
        let token = encode(&Header::new(algorithm), &json!({"sub": "alice"}), &key).unwrap();
        let verdict = with_secret().verify(&token, Some("alice"), NOW);
        assert!(matches!(verdict, Err(AuthReject::BadSignature { .. })), "{verdict:?}");
    }
}

#[test]
fn a_public_key_used_as_a_secret_signs_nothing() {
    for pem in [RSA_PUBLIC, EC_PUBLIC, P384, ED_PUBLIC] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let key = EncodingKey::from_secret(pem.as_bytes());
            let token = encode(&Header::new(algorithm), &json!({"sub": "alice"}), &key).unwrap();
            let verdict = with_pem(pem).unwrap().verify(&token, Some("alice"), NOW);
            assert!(matches!(verdict, Err(AuthReject::WrongAlgorithm { .. })), "{verdict:?}");
        }
        let as_secret = Verifier::new(&KeyMaterial::Secret(pem.into()), expected());
        assert_eq!(as_secret.unwrap_err(), KeyFault::PemAsSecret);
    }
}

#[test]
fn no_algorithm_is_no_token() {
    let claims = base64url(r#"{"sub":"alice"}"#);
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""""#,
        r#""hs256""#,
        "null",
        "5",
        "[]",
        r#"["HS256"]"#,
    ] {
        let header = base64url(&format!(r#"{{"alg":{alg},"typ":"JWT"}}"#));
        for token in [format!("{header}.{claims}."), format!("{header}.{claims}")] {
            let verdict = with_secret().verify(&token, Some("alice"), NOW);
            assert!(
                matches!(verdict, Err(AuthReject::BadHeader { .. } | AuthReject::WrongAlgorithm { .. })),
                "{alg}: {verdict:?}"
            );
        }
    }
    for header in ["{}", "[]", "null", "\"HS256\"", r#"["HS256"]"#, r#"{"alg":"HS256","alg":"HS256"}"#, ""] {
        let verdict = with_secret().verify(&sign_text(header, r#"{"sub":"alice"}"#), Some("alice"), NOW);
        assert!(matches!(verdict, Err(AuthReject::BadHeader { .. })), "{header}: {verdict:?}");
    }
    let unsigned = format!("{}.{claims}.", base64url(r#"{"alg":"HS256"}"#));
    let verdict = with_secret().verify(&unsigned, Some("alice"), NOW);
    assert_eq!(verdict, Err(AuthReject::BadSignature { algorithm: "HS256" }));
}

#[test]
fn the_older_rsa_format_is_the_same_key() {
    let key = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
    let token = encode(&Header::new(Algorithm::RS256), &json!({"sub": "alice"}), &key).unwrap();
    assert!(with_pem(RSA_PKCS1_PUBLIC).unwrap().verify(&token, Some("alice"), NOW).is_ok());
}

#[test]
fn a_useless_key_stops_the_start_and_says_why() {
    for private in [RSA_PRIVATE, EC_PRIVATE, ED_PRIVATE] {
        assert_eq!(with_pem(private).unwrap_err(), KeyFault::PrivateKey);
    }
    assert!(KeyFault::PrivateKey.to_string().contains("give the public one"));
    let both = format!("{EC_PUBLIC}{EC_PRIVATE}");
    assert_eq!(with_pem(&both).unwrap_err(), KeyFault::PrivateKey);
    assert_eq!(with_pem(&format!("{EC_PUBLIC}{ED_PUBLIC}")).unwrap_err(), KeyFault::SeveralKeys);
    assert_eq!(with_pem(CERTIFICATE).unwrap_err(), KeyFault::Certificate);
    assert_eq!(with_pem(P521).unwrap_err(), KeyFault::WrongCurve);
    assert_eq!(with_pem(SECP256K1).unwrap_err(), KeyFault::WrongCurve);
    assert_eq!(with_pem(RSA_1024).unwrap_err(), KeyFault::RsaSize { bits: 1024 });
    assert_eq!(with_pem("").unwrap_err(), KeyFault::NotPem);
    assert_eq!(with_pem("correct horse battery staple").unwrap_err(), KeyFault::NotPem);
    let short = Verifier::new(&KeyMaterial::Secret(vec![b'x'; 31]), expected()).unwrap_err();
    assert_eq!(short, KeyFault::SecretTooShort { bytes: 31 });
    assert!(Verifier::new(&KeyMaterial::Secret(vec![b'x'; 32]), expected()).is_ok());
}

#[test]
fn a_broken_pem_is_a_fault_and_no_panic() {
    for pem in [RSA_PUBLIC, RSA_PKCS1_PUBLIC, EC_PUBLIC, ED_PUBLIC] {
        for cut in 0..pem.len() {
            let _ = with_pem(&pem[..cut]);
            let mut broken = pem.as_bytes().to_vec();
            broken[cut] ^= 1;
            let _ = with_pem(&String::from_utf8(broken).unwrap());
        }
    }
    let short = "-----BEGIN PUBLIC KEY-----\nMA0wBQYDK2VwAwQAaEWC\n-----END PUBLIC KEY-----\n";
    assert_eq!(with_pem(short).unwrap_err(), KeyFault::Unsupported);
}

#[test]
fn keys_are_not_shown_by_debug() {
    let shown = format!("{:?} {:?}", KeyMaterial::Secret(SECRET.to_vec()), with_secret());
    assert!(!shown.contains("secret of") && !shown.contains("97, 32"), "{shown}");
    assert!(!format!("{:?}", ApiKey::new("hunter2")).contains("hunter"));
}

#[test]
fn a_verifier_is_shared_by_all_shards() {
    fn shared<T: Send + Sync>() {}
    shared::<Verifier>();
}
