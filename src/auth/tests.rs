//! Tokens as a whole, and where they are found.

mod grants;
mod jwks;
mod keys;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::auth::*;
use crate::wire::http::head::{Head, Parsed};
use crate::wire::http::{HeadLimits, Scanned, head};

const SECRET: &[u8] = b"a secret of thirty-two bytes, only for tests";

const NOW: u64 = 1_700_000_000;

fn with_secret() -> Verifier {
    Verifier::new(&KeyMaterial::Secret(SECRET.to_vec()), expected()).unwrap()
}

/// The values that a token must name by default.
fn expected() -> Expected {
    Expected { audiences: Some(vec!["encke".to_owned()]), issuer: None }
}

/// Checks claims against other audiences and issuers.
fn verify_for(expected: Expected, claims: &Value) -> Result<Grant, AuthReject> {
    let verifier = Verifier::new(&KeyMaterial::Secret(SECRET.to_vec()), expected).unwrap();
    verifier.verify(&sign(claims), Some("alice"), NOW)
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
        assert_eq!(
            (&reject, reject.code().status(), reject.challenge()),
            (&AuthReject::ForeignUser, 403, None)
        );
    }
    assert_eq!(verify(&json!({})), Err(AuthReject::NoSubject));
    for sub in [
        json!(null),
        json!(5),
        json!(1.5),
        json!(true),
        json!({}),
        json!(""),
        json!("a\0b"),
        json!("x".repeat(129)),
        json!(["alice"]),
    ] {
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
    for exp in [json!(NOW), json!(NOW - 1), json!(1_700_000_000.9), json!(0)] {
        let reject = verify(&json!({"sub": "alice", "exp": exp})).unwrap_err();
        assert_eq!((&reject, reject.code().text()), (&AuthReject::Expired, "token-expired"), "{exp}");
    }
    let latest = verify(&json!({"sub": "alice", "exp": EXPIRES_UNIX_MAX})).unwrap();
    assert_eq!(latest.expires(), Some(EXPIRES_UNIX_MAX));
}

#[test]
fn a_claim_of_another_type_is_refused_and_named_and_never_passed_over() {
    let times = [
        json!(null),
        json!("1800000000"),
        json!("never"),
        json!(""),
        json!(true),
        json!([]),
        json!([NOW + 60]),
        json!({}),
        json!(-5),
        json!(-0.5),
        json!(1e300),
        json!(u64::MAX),
        json!(EXPIRES_UNIX_MAX + 1),
        // Milliseconds.
        json!((NOW + 60) * 1000),
    ];
    let audiences =
        [json!(null), json!(5), json!(1.5), json!(true), json!({}), json!([null]), json!(["encke", 5])];
    let rules = [
        json!(null),
        json!("rw"),
        json!(5),
        json!([]),
        json!({"/a": null}),
        json!({"/a": 7}),
        json!({"/a": ["r"]}),
    ];
    let subjects = [json!(null), json!(-1), json!(1e300), json!([]), json!(["alice"])];
    let issuers = [json!(null), json!(5), json!([]), json!({})];
    let all: [(&str, &[Value]); 6] = [
        ("exp", &times),
        ("nbf", &times),
        ("aud", &audiences),
        ("channels", &rules),
        ("sub", &subjects),
        ("iss", &issuers),
    ];
    for (name, values) in all {
        for value in values {
            let mut claims = json!({"sub": "alice"});
            claims[name] = value.clone();
            for audiences in [Some(vec!["encke".to_owned()]), None] {
                let reject = verify_for(Expected { audiences, issuer: None }, &claims).unwrap_err();
                assert!(
                    matches!(reject, AuthReject::BadClaim { claim, .. } if claim == name),
                    "{claims}: {reject:?}"
                );
                assert!(reject.to_string().contains(name), "{reject}");
            }
        }
    }
    // Spellings that JSON libraries differ about.
    for exp in ["1e400", "NaN", "0x7fffffff", "1_800_000_000", "+1800000000"] {
        let token = sign_text(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"alice","exp":{exp}}}"#));
        assert!(with_secret().verify(&token, Some("alice"), NOW).is_err(), "{exp}");
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
fn a_named_audience_must_be_one_that_is_wanted() {
    let several = || Expected { audiences: Some(vec!["account".into(), "web".into()]), issuer: None };
    for (expected, aud, is_good) in [
        (expected(), json!("encke"), true),
        (expected(), json!(["shop", "encke"]), true),
        (expected(), json!("shop"), false),
        (expected(), json!(["shop"]), false),
        (expected(), json!([]), false),
        (expected(), json!("Encke"), false),
        (several(), json!("account"), true),
        (several(), json!(["x", "web"]), true),
        (several(), json!("encke"), false),
        (Expected { audiences: None, issuer: None }, json!("anything"), true),
        (Expected { audiences: None, issuer: None }, json!([]), true),
    ] {
        let verdict = verify_for(expected.clone(), &json!({"sub": "alice", "aud": aud}));
        assert_eq!(verdict.is_ok(), is_good, "{expected:?} {aud}");
        if let Err(reject) = verdict {
            let text = reject.to_string();
            for name in expected.audiences.iter().flatten() {
                assert!(text.contains(&format!("{name:?}")), "{text}");
            }
            assert!(aud.as_str().is_none_or(|aud| text.contains(aud)), "{text}");
        }
    }
    assert!(verify_for(several(), &json!({"sub": "alice"})).is_ok());
}

#[test]
fn an_issuer_is_compared_where_one_is_wanted() {
    let wanted = || Expected { audiences: None, issuer: Some("https://id.example/".into()) };
    assert!(verify_for(wanted(), &json!({"sub": "alice", "iss": "https://id.example/"})).is_ok());
    for iss in ["https://id.example", "https://ID.example/", ""] {
        let reject = verify_for(wanted(), &json!({"sub": "alice", "iss": iss})).unwrap_err();
        let text = reject.to_string();
        assert!(text.contains("https://id.example/") && text.contains("ENCKE_TOKEN_ISSUER"), "{text}");
    }
    let text = verify_for(wanted(), &json!({"sub": "alice"})).unwrap_err().to_string();
    assert!(text.contains("no iss"), "{text}");
    assert!(verify(&json!({"sub": "alice", "iss": "anyone"})).is_ok());
}

#[test]
fn what_a_header_holds_besides_is_passed_over_whatever_its_type() {
    for members in [
        r#""kid":7"#,
        r#""kid":null"#,
        r#""kid":{"a":[1]}"#,
        r#""kid":"k1""#,
        r#""typ":5"#,
        r#""typ":null"#,
        r#""cty":[]"#,
        r#""x5c":"not a list""#,
        r#""x5t":false"#,
        r#""jku":1e300"#,
        r#""jwk":"no key""#,
        r#""eap":1"#,
        r#""nonce":"n","x":{"y":null}"#,
        r#""x":1,"x":2"#,
        r#""b64":true"#,
        r#""exp":"never""#,
    ] {
        let token = sign_text(&format!(r#"{{"alg":"HS256",{members}}}"#), r#"{"sub":"alice"}"#);
        assert!(with_secret().verify(&token, Some("alice"), NOW).is_ok(), "{members}");
    }
}

#[test]
fn critical_extensions_are_not_passed_over_but_named() {
    for (members, named) in [
        (r#""crit":["b64"],"b64":false"#, "b64"),
        (r#""crit":["exp","x-ours"],"exp":1"#, "x-ours"),
        (r#""crit":[]"#, "crit"),
        (r#""crit":null"#, "crit"),
        (r#""crit":"exp""#, "crit"),
        (r#""crit":{"a":1}"#, "crit"),
        (r#""b64":false"#, "b64"),
        (r#""b64":null"#, "b64"),
        (r#""b64":"true""#, "b64"),
    ] {
        let token = sign_text(&format!(r#"{{"alg":"HS256",{members}}}"#), r#"{"sub":"alice"}"#);
        let reject = with_secret().verify(&token, Some("alice"), NOW).unwrap_err();
        assert!(reject.to_string().contains(named), "{members}: {reject}");
    }
    let many = format!(r#"{{"alg":"HS256","crit":[{}"x"]}}"#, r#""\u0007long","#.repeat(500));
    let text = with_secret().verify(&sign_text(&many, "{}"), None, NOW).unwrap_err().to_string();
    assert!(text.len() < 400 && !text.contains('\u{7}'), "{text}");
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
        json!({"sub": "alice", "channels": secret}),
        json!({"sub": "alice", "channels": {"xyzzy": "r"}}),
        json!({"sub": "alice", "channels": {"/xyzzy": "xyzzy"}}),
        json!({"sub": "alice", "channels": {"/meta/xyzzy": "r"}}),
    ] {
        let reject = verify(&claims).unwrap_err();
        let shown = format!("{reject} {reject:?} {}", reject.code().text());
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn every_401_carries_a_challenge_and_no_403_does() {
    let rejects = [
        AuthReject::NoToken,
        AuthReject::ForeignAudience { named: "x".into(), wanted: "y".into() },
        AuthReject::Malformed,
        AuthReject::Expired,
        AuthReject::ForeignUser,
        AuthReject::NoApiKey,
        AuthReject::WrongApiKey,
        AuthReject::TooManyRules,
    ];
    for reject in rejects {
        assert_eq!(reject.challenge().is_some(), reject.code().status() == 401, "{reject:?}");
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

/// A head with these lines.
fn with_head<T>(lines: &[&str], then: impl FnOnce(&Head<'_>) -> T) -> T {
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", lines.join("\r\n"));
    let limits = HeadLimits { bytes_max: 64 * 1024, headers_max: 100 };
    match head::parse(text.trim_start().as_bytes(), Scanned::default(), &limits) {
        Ok(Parsed::Complete { head, .. }) => then(&head),
        other => panic!("{other:?}"),
    }
}

/// The tokens of a request, in the order in which they are tried.
fn tokens(lines: &[&str], query: &[&str]) -> Vec<(Place, String)> {
    let query: Vec<_> = query.iter().map(|token| ("token".to_owned(), (*token).to_owned())).collect();
    with_head(lines, |head| {
        tokens_of(head, &query).map(|found| (found.place, found.token.to_owned())).collect()
    })
}

#[test]
fn what_was_set_on_purpose_is_tried_before_the_cookie() {
    use Place::{Authorization, Cookie, Query};
    let found = tokens(&["Cookie: a=1; encke_token=c", "Authorization: Bearer h"], &["q"]);
    assert_eq!(found, [(Authorization, "h".into()), (Query, "q".into()), (Cookie, "c".into())]);
    assert_eq!(tokens(&["Authorization: bearer  head"], &[]), [(Authorization, "head".into())]);
    assert_eq!(
        tokens(&["Authorization: Basic YTpi", "Authorization: Bearer"], &["q"]),
        [(Query, "q".into())]
    );
    assert_eq!(tokens(&["Authorization: Bearer ", "Cookie: encke_token=c"], &[""]), [(Cookie, "c".into())]);
    assert_eq!(tokens(&["Cookie: encke_token=\"quoted\""], &[]), [(Cookie, "quoted".into())]);
    assert_eq!(tokens(&["Cookie: encke_token_x=a; xencke_token=b; encke_token="], &[]), []);
    assert_eq!(tokens(&[], &[]), []);
}

#[test]
fn all_credentials_of_a_request_are_candidates() {
    let texts = |lines: &[&str], query: &[&str]| -> Vec<String> {
        tokens(lines, query).into_iter().map(|(_, token)| token).collect()
    };
    assert_eq!(
        texts(&["Cookie: a=1", "Cookie: ", "Cookie: encke_token=c", "Cookie: encke_token=d; b=2"], &[]),
        ["c", "d"]
    );
    assert_eq!(texts(&["Cookie: encke_token=a; x=y; encke_token=b"], &["q", "r"]), ["q", "r", "a", "b"]);
    assert_eq!(
        texts(&["Authorization: Basic YTpi, Bearer a , bearer b", "Authorization: Bearer c"], &[]),
        ["a", "b", "c"]
    );
    assert_eq!(texts(&["Authorization: Digest a=\"b, c\"", "Authorization: Bearer\tc"], &[]), ["c"]);
    let many = format!("Cookie: {}", "encke_token=x; ".repeat(1000));
    assert_eq!(texts(&[&many], &[]).len(), CANDIDATES_MAX);
}

#[test]
fn the_first_valid_token_counts_else_the_error_of_the_best_one_is_reported() {
    let (good, expired) = (sign(&json!({"sub": "alice"})), sign(&json!({"sub": "alice", "exp": 1})));
    let (foreign, forged) = (sign(&json!({"sub": "bob"})), format!("{}A", sign(&json!({"sub": "alice"}))));
    let any = |tokens: &[(Place, &str)]| {
        let candidates = tokens.iter().map(|(place, token)| Candidate { place: *place, token });
        with_secret().verify_any(candidates, Some("alice"), NOW)
    };
    for bad in [&*expired, &foreign, &forged, "abc", "a.b.c", "\u{fffd}"] {
        assert!(any(&[(Place::Authorization, bad), (Place::Cookie, &good)]).is_ok(), "{bad}");
        assert!(any(&[(Place::Cookie, &good), (Place::Cookie, bad)]).is_ok(), "{bad}");
    }
    let denied = any(&[
        (Place::Authorization, "abc"),
        (Place::Query, &foreign),
        (Place::Cookie, &expired),
        (Place::Cookie, &forged),
    ]);
    let denied = denied.unwrap_err();
    assert_eq!((&denied.reject, denied.place, denied.tried), (&AuthReject::Expired, Some(Place::Cookie), 4));
    let text = denied.refusal().reason;
    assert!(text.contains("the cookie encke_token") && text.contains("4 tokens were tried"), "{text}");
    let text = any(&[(Place::Query, &forged)]).unwrap_err().refusal().reason;
    assert!(text.contains("the query") && !text.contains("tried"), "{text}");
    let none = any(&[]).unwrap_err();
    assert_eq!((none.reject, none.place, none.tried), (AuthReject::NoToken, None, 0));
}

#[test]
fn the_api_key_is_taken_from_either_header_wherever_it_stands() {
    let key = ApiKey::new("0123456789abcdef");
    for lines in [
        &["Authorization: Bearer 0123456789abcdef"][..],
        &["X-Api-Key: 0123456789abcdef"],
        &["Authorization: Basic x", "X-Api-Key: 0123456789abcdef"],
        &["Authorization: Bearer wrong", "X-Api-Key: 0123456789abcdef"],
        &["Authorization: Bearer wrong", "Authorization: Bearer 0123456789abcdef"],
        &["Authorization: Basic eDp5, Bearer 0123456789abcdef"],
        &["X-Api-Key: wrong", "X-Api-Key: 0123456789abcdef"],
        &["X-Api-Key: wrong, 0123456789abcdef"],
    ] {
        assert_eq!(with_head(lines, |head| key.check(head)), Ok(()), "{lines:?}");
    }
    let with_comma = ApiKey::new("0123456789,abcdef");
    for line in ["Authorization: Bearer 0123456789,abcdef", "X-Api-Key: 0123456789,abcdef"] {
        assert_eq!(with_head(&[line], |head| with_comma.check(head)), Ok(()), "{line}");
    }
    for wrong in ["0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDEF"] {
        let line = format!("X-Api-Key: {wrong}");
        let denied = with_head(&[&line, "Authorization: Bearer wrong"], |head| key.check(head)).unwrap_err();
        assert_eq!((&denied.reject, denied.tried), (&AuthReject::WrongApiKey, 2), "{wrong}");
        assert!(denied.to_string().contains("the header Authorization, and 2 keys were tried"), "{denied}");
    }
    assert_eq!(with_head(&[], |head| key.check(head)).unwrap_err().reject, AuthReject::NoApiKey);
}
