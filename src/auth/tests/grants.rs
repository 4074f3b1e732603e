//! The rights that the `channels` claim gives.

use serde_json::{Value, json};

use crate::auth::tests::*;
use crate::wire::channel_name::{BadName, ChannelName};

fn granted(channels: &Value) -> Grant {
    verify(&json!({"sub": "alice", "channels": channels})).unwrap()
}

fn verify_ok(claims: &Value) -> Grant {
    verify(claims).unwrap()
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

#[test]
fn without_channels_there_is_only_the_personal_one() {
    for claims in [json!({"sub": "alice"}), json!({"sub": "alice", "channels": {}})] {
        let grant = verify(&claims).unwrap();
        for channel in ["/chat/x", "/**", "/u/alice", "/u/bob"] {
            assert!(!grant.may_subscribe(&name(channel)), "{channel}");
            assert!(!grant.may_publish(&name(channel)), "{channel}");
        }
    }
}

#[test]
fn a_subscription_needs_one_rule_that_covers_it_wholly() {
    let grant = granted(&json!({"/chat/*": "r", "/news/**": "rw", "/one": "r", "/out/*": "w"}));
    for allowed in ["/chat/*", "/chat/x", "/news/**", "/news/*", "/news/a/**", "/news/a/b", "/one"] {
        assert!(grant.may_subscribe(&name(allowed)), "{allowed}");
    }
    for refused in
        ["/chat/**", "/chat/x/y", "/chat", "/**", "/*", "/one/*", "/two", "/out/x", "/newsy/x", "/news"]
    {
        assert!(!grant.may_subscribe(&name(refused)), "{refused}");
    }
}

#[test]
fn a_publish_needs_a_writable_rule() {
    let grant = granted(&json!({"/chat/*": "w", "/news/**": "r", "/both": "rw"}));
    for allowed in ["/chat/x", "/both"] {
        assert!(grant.may_publish(&name(allowed)), "{allowed}");
    }
    for refused in ["/chat/x/y", "/chat/*", "/news/x", "/other", "/u/bob"] {
        assert!(!grant.may_publish(&name(refused)), "{refused}");
    }
}

#[test]
fn nobody_gets_at_reserved_channels_or_reads_another_user() {
    let wide = granted(&json!({"/**": "rw", "/*": "rw", "/u/*": "rw", "/u/bob": "rw"}));
    for grant in [wide, Grant::open()] {
        for channel in ["/meta/connect", "/meta/*", "/meta/**", "/service/x", "/service/**"] {
            assert!(!grant.may_subscribe(&name(channel)), "{channel}");
            assert!(!grant.may_publish(&name(channel)), "{channel}");
        }
        for channel in ["/u/bob", "/u/alice", "/u/*", "/u/**"] {
            assert!(!grant.may_subscribe(&name(channel)), "{channel}");
        }
        assert!(grant.may_subscribe(&name("/**")));
    }
}

#[test]
fn other_users_are_written_to_only_by_a_rule_for_users() {
    let shared = granted(&json!({"/**": "rw"}));
    assert!(!shared.may_publish(&name("/u/bob")));
    let one = granted(&json!({"/u/b%6fb": "w", "/u/carol": "r"}));
    assert!(one.may_publish(&name("/u/bob")));
    assert!(!one.may_publish(&name("/u/carol")));
    assert!(!one.may_publish(&name("/u/alice")));
    for pattern in ["/u/*", "/u/**"] {
        assert!(granted(&json!({pattern: "w"})).may_publish(&name("/u/bob")), "{pattern}");
        assert!(!granted(&json!({pattern: "r"})).may_publish(&name("/u/bob")), "{pattern}");
    }
    assert!(Grant::open().may_publish(&name("/u/bob")));
    assert!(!Grant::open().may_publish(&name("/chat/*")));
}

#[test]
fn a_bad_rule_is_named_by_its_place() {
    let refused = |channels| verify(&json!({"sub": "alice", "channels": channels})).unwrap_err();
    let stray = BadName::StrayWildcard { at: 1 };
    assert_eq!(refused(json!({"/a": "r", "/*/b": "r"})), AuthReject::BadRule { rule: 1, why: stray });
    assert_eq!(refused(json!({"/a": "rx"})), AuthReject::BadAccess { rule: 1 });
    assert_eq!(refused(json!({"/a": "wr"})), AuthReject::BadAccess { rule: 1 });
    assert_eq!(refused(json!({"/meta/**": "r"})), AuthReject::ReservedRule { rule: 1 });
    for channels in [json!([]), json!("r"), json!({"/a": 1}), json!({"/a": null}), json!({"/a": ["r"]})] {
        assert!(matches!(refused(channels), AuthReject::BadClaim { claim: "channels", .. }));
    }
    let twice =
        sign_text(r#"{"alg":"HS256"}"#, r#"{"sub":"alice","channels":{"/u/b":"r","/a":"r","/u/%62":"w"}}"#);
    assert_eq!(with_secret().verify(&twice, Some("alice"), NOW), Err(AuthReject::RepeatedRule));
}

#[test]
fn a_token_holds_256_rules_and_no_more() {
    let rules = |count| Value::Object((0..count).map(|n| (format!("/{n}"), json!("r"))).collect());
    assert!(granted(&rules(256)).may_subscribe(&name("/255")));
    assert_eq!(verify(&json!({"sub": "alice", "channels": rules(257)})), Err(AuthReject::TooManyRules));
}

#[test]
fn targets_are_reached_as_the_claim_says() {
    let grant = |tcp: Value| verify_ok(&json!({"sub": "alice", "tcp": tcp}));
    assert!(grant(json!(["irc"])).may_reach("irc") && !grant(json!(["irc"])).may_reach("sql"));
    assert!(!grant(json!(["irc"])).may_name_addresses());
    assert!(grant(json!(["*"])).may_reach("sql") && grant(json!(["*"])).may_name_addresses());
    assert!(!verify_ok(&json!({"sub": "alice"})).may_reach("irc"), "without the claim");
    assert!(Grant::open().may_reach("irc") && Grant::open().may_name_addresses());
    for bad in [json!("irc"), json!({"irc": "rw"}), json!([1])] {
        let claims = json!({"sub": "alice", "tcp": bad});
        assert!(matches!(verify(&claims), Err(AuthReject::BadClaim { claim: "tcp", .. })), "{claims}");
    }
}

#[test]
fn a_grant_is_a_few_words() {
    assert!(size_of::<Grant>() <= 48, "{}", size_of::<Grant>());
}
