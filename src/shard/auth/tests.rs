//! Tokens as a whole, and where they are found.

mod grants;
mod keys;

use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes, only for tests";

const NOW: u64 = 1_700_000_000;

fn with_secret() -> Verifier {
    Verifier::new(&KeyMaterial::Secret(SECRET.to_vec())).unwrap()
}

fn sign(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// A token of these very texts, signed as it should be.
fn sign_text(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn base64url(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn verify(claims: &Value) -> Result<Grant, AuthReject> {
    with_secret().verify(&sign(claims), Some("alice"), NOW)
}

#[test]
fn only_the_users_own_token_opens_their_url() {
    assert!(verify(&json!({"sub": "alice"})).is_ok());
    for foreign in ["bob", "Alice", "alice ", "al"] {
        let reject = verify(&json!({"sub": foreign})).unwrap_err();
        assert_eq!((reject, reject.status(), reject.challenge()), (AuthReject::ForeignUser, 403, None));
    }
    assert_eq!(verify(&json!({})), Err(AuthReject::NoSubject));
    assert_eq!(verify(&json!({"sub": null})), Err(AuthReject::NoSubject));
    for sub in [json!(5), json!(""), json!("a\0b"), json!("x".repeat(129)), json!(["alice"])] {
        assert!(matches!(verify(&json!({"sub": sub})), Err(AuthReject::BadClaim { claim: "sub", .. })));
    }
}

#[test]
fn a_url_without_a_user_takes_the_tokens() {
    let token = sign(&json!({"sub": "bób"}));
    assert_eq!(with_secret().verify(&token, None, NOW).unwrap().subject(), Some("bób"));
    assert_eq!(with_secret().verify(&token, Some("bób"), NOW).unwrap().subject(), None);
}

#[test]
fn a_token_ends_at_its_exp_to_the_second() {
    assert_eq!(verify(&json!({"sub": "alice"})).unwrap().expires(), None);
    assert_eq!(verify(&json!({"sub": "alice", "exp": NOW + 1})).unwrap().expires(), Some(NOW + 1));
    assert_eq!(verify(&json!({"sub": "alice", "exp": 1_700_000_001.9})).unwrap().expires(), Some(NOW + 1));
    for exp in [json!(NOW), json!(NOW - 1), json!(1_700_000_000.9), json!(0), json!(-5)] {
        let reject = verify(&json!({"sub": "alice", "exp": exp})).unwrap_err();
        assert_eq!((reject, reject.code()), (AuthReject::Expired, "token-expired"), "{exp}");
    }
    assert_eq!(verify(&json!({"sub": "alice", "exp": 1e300})).unwrap().expires(), Some(grant::EXPIRES_MAX));
    assert_eq!(
        verify(&json!({"sub": "alice", "exp": u64::MAX})).unwrap().expires(),
        Some(grant::EXPIRES_MAX)
    );
    for exp in [json!("1800000000"), json!(true), json!([]), json!({})] {
        assert!(matches!(
            verify(&json!({"sub": "alice", "exp": exp})),
            Err(AuthReject::BadClaim { claim: "exp", .. })
        ));
    }
}

#[test]
fn a_stale_token_of_anybody_is_stale_first() {
    assert_eq!(verify(&json!({"sub": "bob", "exp": NOW - 1})), Err(AuthReject::Expired));
}

#[test]
fn nbf_is_kept_with_ten_seconds_of_leeway() {
    assert!(verify(&json!({"sub": "alice", "nbf": NOW + 10})).is_ok());
    assert_eq!(verify(&json!({"sub": "alice", "nbf": NOW + 11})), Err(AuthReject::NotYetValid));
    assert_eq!(verify(&json!({"sub": "alice", "nbf": 1_700_000_010.5})), Err(AuthReject::NotYetValid));
    assert!(matches!(
        verify(&json!({"sub": "alice", "nbf": "soon"})),
        Err(AuthReject::BadClaim { claim: "nbf", .. })
    ));
}

#[test]
fn a_named_audience_must_be_this_service() {
    assert!(verify(&json!({"sub": "alice", "aud": "encke"})).is_ok());
    assert!(verify(&json!({"sub": "alice", "aud": ["shop", "encke"]})).is_ok());
    for aud in [json!("shop"), json!(["shop"]), json!([]), json!("Encke")] {
        assert_eq!(verify(&json!({"sub": "alice", "aud": aud})), Err(AuthReject::ForeignAudience), "{aud}");
    }
    assert!(matches!(
        verify(&json!({"sub": "alice", "aud": 5})),
        Err(AuthReject::BadClaim { claim: "aud", .. })
    ));
}

#[test]
fn critical_extensions_are_not_passed_over() {
    let token = sign_text(r#"{"alg":"HS256","crit":["b64"],"b64":"x"}"#, r#"{"sub":"alice"}"#);
    assert_eq!(with_secret().verify(&token, Some("alice"), NOW), Err(AuthReject::CriticalExtension));
}

#[test]
fn an_over_long_token_is_not_even_decoded() {
    let token = "x".repeat(TOKEN_BYTES_MAX + 1);
    let reject = with_secret().verify(&token, None, NOW).unwrap_err();
    assert_eq!(reject, AuthReject::TokenTooLong { bytes: 8193 });
    assert!(matches!(with_secret().verify(&token[1..], None, NOW), Err(AuthReject::BadHeader { .. })));
}

#[test]
fn any_change_to_a_token_breaks_it() {
    let token = sign(&json!({"sub": "alice", "channels": {"/chat/*": "r"}}));
    let verifier = with_secret();
    assert!(verifier.verify(&token, Some("alice"), NOW).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verifier.verify(&changed, Some("alice"), NOW).is_err(), "byte {at}");
        assert!(verifier.verify(&token[..at], Some("alice"), NOW).is_err(), "cut at {at}");
    }
    assert!(verifier.verify(&format!("{token}A"), Some("alice"), NOW).is_err());
    assert!(verifier.verify(&format!("{token}.x"), Some("alice"), NOW).is_err());
}

#[test]
fn claims_that_mean_two_things_are_refused() {
    let header = r#"{"alg":"HS256"}"#;
    for claims in [
        r#"{"sub":"alice","sub":"bob"}"#,
        r#"{"sub":"alice","exp":1,"exp":1800000000}"#,
        r#"{"sub":"alice","channels":{},"channels":{"/a":"r"}}"#,
        r#"["alice"]"#,
        r#""alice""#,
        "null",
        "",
        "{",
        "\u{feff}{}",
    ] {
        let verdict = with_secret().verify(&sign_text(header, claims), Some("alice"), NOW);
        assert_eq!(verdict, Err(AuthReject::Malformed), "{claims}");
    }
}

#[test]
fn no_reason_repeats_the_token() {
    let secret = "xyzzy";
    for claims in [
        json!({"sub": secret}),
        json!({"sub": {"a": secret}}),
        json!({"sub": "alice", "exp": secret}),
        json!({"sub": "alice", "aud": secret}),
        json!({"sub": "alice", "channels": secret}),
        json!({"sub": "alice", "channels": {"xyzzy": "r"}}),
        json!({"sub": "alice", "channels": {"/xyzzy": "xyzzy"}}),
        json!({"sub": "alice", "channels": {"/meta/xyzzy": "r"}}),
    ] {
        let reject = verify(&claims).unwrap_err();
        let shown = format!("{reject} {reject:?} {}", reject.code());
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn every_401_carries_a_challenge_and_no_403_does() {
    let rejects = [
        AuthReject::NoToken,
        AuthReject::Malformed,
        AuthReject::Expired,
        AuthReject::ForeignUser,
        AuthReject::NoApiKey,
        AuthReject::WrongApiKey,
        AuthReject::TooManyRules,
    ];
    for reject in rejects {
        assert_eq!(reject.challenge().is_some(), reject.status() == 401, "{reject:?}");
    }
    assert_eq!(AuthReject::NoToken.challenge(), Some("Bearer realm=\"encke\""));
    assert_eq!(AuthReject::Expired.challenge(), Some("Bearer realm=\"encke\", error=\"invalid_token\""));
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(token in "\\PC{0,60}|[A-Za-z0-9_.-]{0,80}") {
        prop_assert!(with_secret().verify(&token, Some("alice"), NOW).is_err());
    }

    #[test]
    fn no_signed_claims_make_the_verifier_panic(
        claim in prop::sample::select(vec!["sub", "exp", "nbf", "aud", "channels"]),
        value in "\\PC{0,30}|[0-9eE.+-]{1,12}|\\{\"[/a-z*]{1,6}\":\"[rwx]{1,3}\"\\}",
    ) {
        let claims = format!(r#"{{"{claim}":{value}}}"#);
        let _ = with_secret().verify(&sign_text(r#"{"alg":"HS256"}"#, &claims), None, NOW);
    }
}

#[test]
fn what_was_set_on_purpose_beats_the_cookie() {
    let cookies = Some("a=1; encke_token=cookie; b=2");
    assert_eq!(token_of(Some("Bearer head"), Some("query"), cookies), Some("head"));
    assert_eq!(token_of(Some("bearer  head"), None, None), Some("head"));
    assert_eq!(token_of(Some("Basic YTpi"), Some("query"), cookies), Some("query"));
    assert_eq!(token_of(Some("Bearer "), Some(""), cookies), Some("cookie"));
    assert_eq!(token_of(None, None, Some("encke_token=\"quoted\"")), Some("quoted"));
    assert_eq!(token_of(None, None, Some("encke_token_x=a; xencke_token=b; encke_token=")), None);
    assert_eq!(token_of(None, None, None), None);
}

#[test]
fn the_api_key_is_taken_from_either_header() {
    let key = ApiKey::new("0123456789abcdef");
    assert_eq!(key.check(Some("Bearer 0123456789abcdef"), None), Ok(()));
    assert_eq!(key.check(None, Some("0123456789abcdef")), Ok(()));
    assert_eq!(key.check(Some("Basic x"), Some("0123456789abcdef")), Ok(()));
    assert_eq!(key.check(Some("Bearer wrong"), Some("0123456789abcdef")), Err(AuthReject::WrongApiKey));
    for wrong in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDEF"] {
        assert_eq!(key.check(None, Some(wrong)), Err(AuthReject::WrongApiKey), "{wrong}");
    }
    assert_eq!(key.check(None, None), Err(AuthReject::NoApiKey));
}
