//! Authorisation: tokens of every kind and place, what their rules allow, and their expiry.

use std::process::{Command, Stdio};

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::client::Response;
use crate::down::Down;
use crate::node::{Node, await_that};
use crate::tokens::{SECRET, fixture, now, token, token_by};

fn secured() -> Node {
    Node::start(&[("ENCKE_TOKEN_KEY", SECRET)])
}

#[test]
fn without_a_valid_token_no_client_is_accepted() {
    let node = secured();
    let good = token(&json!({"sub": "alice"}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.";
    let mut conn = node.connect();
    let cases = [
        (String::new(), "no-token"),
        ("nonsense".into(), "bad-token"),
        (format!("{head}.{flipped}"), "bad-token"),
        (format!("{head}."), "bad-token"),
        (unsigned.into(), "bad-token"),
        (token(&json!({"sub": 7})), "bad-token"),
        (token(&json!({"name": "alice"})), "bad-token"),
        (token(&json!({"sub": "alice", "exp": now() - 1})), "token-expired"),
        (token(&json!({"sub": "alice", "nbf": now() + 1000})), "bad-token"),
    ];
    for (token, code) in cases {
        for transport in ["sse", "poll", "longpoll", "stream"] {
            let refused = conn.ask("GET", &format!("/u/alice/{transport}?token={token}"), &[], b"");
            assert_eq!((refused.status, refused.error().as_str()), (401, code), "{token}");
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer realm=\"encke\""), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), code != "no-token", "{challenge}");
        }
        let refused = conn.ask("POST", &format!("/u/alice/send?token={token}"), &[], b"{\"ping\":1}");
        assert_eq!((refused.status, refused.error().as_str()), (401, code));
    }
    assert_eq!(conn.ask("GET", &format!("/u/alice/poll?token={good}"), &[], b"").status, 200);
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200, "needs none");
}

#[test]
fn a_token_is_good_for_its_own_user_alone() {
    let node = secured();
    let token = token(&json!({"sub": "alice"}));
    let mut conn = node.connect();
    for user in ["bob", "Alice", "alice%20"] {
        for (method, call) in [("GET", "sse"), ("GET", "poll"), ("POST", "longpoll"), ("POST", "send")] {
            let refused = conn.ask(method, &format!("/u/{user}/{call}?token={token}"), &[], b"");
            assert_eq!((refused.status, refused.error()), (403, "foreign-user".into()), "{user} {call}");
        }
    }
}

#[test]
fn a_token_may_come_in_three_ways() {
    let node = secured();
    let good = token(&json!({"sub": "alice"}));
    let bad = token(&json!({"sub": "bob"}));
    let mut conn = node.connect();
    let mut ask = |query: &str, headers: &[(&str, &str)]| -> Response {
        conn.ask("GET", &format!("/u/alice/poll?{query}"), headers, b"")
    };
    let bearer = format!("Bearer {good}");
    let cookie = format!("a=b; encke_token={good}; c=d");
    assert_eq!(ask("", &[("Authorization", &bearer)]).status, 200);
    assert_eq!(ask("", &[("authorization", &format!("bearer {good}"))]).status, 200);
    assert_eq!(ask(&format!("token={good}"), &[]).status, 200);
    assert_eq!(ask("", &[("Cookie", &cookie)]).status, 200);
    // The first valid token counts.
    assert_eq!(ask(&format!("token={bad}"), &[("Authorization", &bearer)]).status, 200);
    assert_eq!(ask(&format!("token={bad}"), &[("Cookie", &cookie)]).status, 200);
    assert_eq!(ask(&format!("token={bad}"), &[]).status, 403);
    assert_eq!(ask("", &[("Cookie", "encke_token=")]).status, 401);
}

#[test]
fn every_kind_of_key_is_understood_and_no_other() {
    let kinds = [
        (Algorithm::RS256, "test-only-rsa-public.pem"),
        (Algorithm::PS512, "test-only-rsa-public.pem"),
        (Algorithm::ES256, "test-only-ec-public.pem"),
        (Algorithm::ES384, "test-only-p384-public.pem"),
        (Algorithm::EdDSA, "test-only-ed25519-public.pem"),
    ];
    let claims = json!({"sub": "alice", "exp": now() + 600});
    for (algorithm, file) in kinds {
        let path = fixture(file);
        let node = Node::start(&[("ENCKE_TOKEN_KEY", path.to_str().unwrap())]);
        let mut down = Down::open(&node, &format!("/u/alice/sse?token={}", token_by(algorithm, &claims)));
        down.opened();
        for (other, _) in kinds.iter().filter(|(_, other)| *other != file) {
            let refused = node.get(&format!("/u/alice/poll?token={}", token_by(*other, &claims)));
            assert_eq!((refused.status, refused.error()), (401, "bad-token".into()));
        }
        // The public key used as an HMAC secret: the classic attack.
        assert_eq!(node.get(&format!("/u/alice/poll?token={}", token(&claims))).status, 401);
    }
}

#[test]
fn a_live_stream_ends_with_its_token_and_says_so() {
    let node = secured();
    let token = token(&json!({"sub": "alice", "exp": now() + 2}));
    let mut down = Down::open(&node, &format!("/u/alice/sse?token={token}"));
    down.opened();
    let first = node.get(&format!("/u/alice/longpoll?token={token}"));
    let session = first.header("encke-session").unwrap();
    let mut parked = node.connect();
    parked.request("GET", &format!("/u/alice/longpoll?token={token}&session={session}"), &[], b"");
    assert_eq!(down.closed()["code"], "expired");
    assert!(now() >= claims_exp(&token), "not before its time");
    assert_eq!(parked.response().envelopes().last().unwrap()["close"]["code"], "expired");
    assert_eq!(node.sessions("alice").len(), 0);
    let refused = node.get(&format!("/u/alice/sse?token={token}&session={session}"));
    assert_eq!((refused.status, refused.error()), (401, "token-expired".into()));
}

fn claims_exp(token: &str) -> u64 {
    use base64::Engine as _;
    let claims = token.split('.').nth(1).unwrap();
    let json = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<serde_json::Value>(&json).unwrap()["exp"].as_u64().unwrap()
}

#[test]
fn a_newer_token_lengthens_the_session() {
    let node = secured();
    let old = token(&json!({"sub": "alice", "exp": now() + 2}));
    let new = token(&json!({"sub": "alice", "exp": now() + 600}));
    let first = node.get(&format!("/u/alice/poll?token={old}"));
    let session = first.header("encke-session").unwrap();
    let mut down = Down::open(&node, &format!("/u/alice/sse?token={new}&session={session}"));
    down.opened();
    // A session that only has the old token, to see when it expires.
    let mut other = Down::open(&node, &format!("/u/alice/stream?token={old}"));
    other.opened();
    assert_eq!(other.closed()["code"], "expired");
    node.tell("alice", &json!("still here"));
    assert_eq!(down.data(), "still here");
}

#[test]
fn rules_say_what_may_be_read_and_written() {
    let node = secured();
    let rules = json!({"/read/*": "r", "/write/**": "w", "/both/a": "rw"});
    let token = token(&json!({"sub": "alice", "channels": rules}));
    let mut conn = node.connect();
    let mut status = |channels: &str| {
        let answer = conn.ask("GET", &format!("/u/alice/poll?token={token}&channels={channels}"), &[], b"");
        answer.status
    };
    for allowed in ["/read/a", "/read/*", "/both/a", "/read/b,/both/a", "/u/alice"] {
        assert_eq!(status(allowed), 200, "{allowed}");
    }
    for forbidden in
        ["/write/a", "/read/a/b", "/read/**", "/both/*", "/both/b", "/read/a,/other", "/**", "/u/bob"]
    {
        assert_eq!(status(forbidden), 403, "{forbidden}");
    }
    let first = node.get(&format!("/u/alice/poll?token={token}"));
    let target = format!("/u/alice/send?token={token}&session={}", first.header("encke-session").unwrap());
    let commands = json!([
        {"publish": "/write/a/b", "data": 1}, {"publish": "/both/a", "data": 1},
        {"subscribe": "/read/*"}, {"subscribe": "/both/a"},
        {"publish": "/read/a", "data": 1}, {"publish": "/other", "data": 1}, {"publish": "/u/bob", "data": 1},
        {"subscribe": "/write/a"}, {"subscribe": "/read/**"}, {"subscribe": "/u/bob"}
    ]);
    let answers = node.connect().ask("POST", &target, &[], commands.to_string().as_bytes()).json();
    for (n, answer) in answers.as_array().unwrap().iter().enumerate() {
        if n < 4 {
            assert!(answer["ok"].is_object(), "{n}: {answer}");
        } else {
            assert_eq!(answer["error"]["code"], "forbidden", "{n}: {answer}");
        }
    }
    node.tell("alice", &json!("needs no rule"));
}

#[test]
fn hup_reads_the_key_again() {
    let path = std::env::temp_dir().join(format!("encke-test-{}.pem", std::process::id()));
    let put = |name: &str| std::fs::copy(fixture(name), &path).unwrap();
    put("test-only-ec-public.pem");
    let node = Node::start(&[("ENCKE_TOKEN_KEY", path.to_str().unwrap())]);
    let claims = json!({"sub": "alice"});
    let ec = format!("/u/alice/poll?token={}", token_by(Algorithm::ES256, &claims));
    let ed = format!("/u/alice/poll?token={}", token_by(Algorithm::EdDSA, &claims));
    assert_eq!([node.get(&ec).status, node.get(&ed).status], [200, 401]);
    put("test-only-ed25519-public.pem");
    node.signal("HUP");
    await_that(|| (node.get(&ed).status == 200).then_some(()));
    await_that(|| (node.get(&ec).status == 401).then_some(()));
    // An unreadable key file leaves the old key in use.
    std::fs::write(&path, "no key").unwrap();
    node.signal("HUP");
    node.log_line(|line| line.contains("keeping the old keys"));
    assert_eq!(node.get(&ed).status, 200);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_start_is_refused_where_it_would_be_open_by_accident() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("ENCKE_LISTEN", "0.0.0.0:0")], "ENCKE_TOKEN_KEY"),
        (&[("ENCKE_LISTEN", "*:0")], "ENCKE_TOKEN_KEY"),
        (&[("ENCKE_API_LISTEN", "0.0.0.0:0")], "ENCKE_API_KEY"),
        (&[("ENCKE_AUTH", "token")], "ENCKE_TOKEN_KEY"),
        (&[("ENCKE_TOKEN_KEY", "/nowhere/key.pem")], "/nowhere/key.pem"),
    ];
    for (vars, named) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_encke"));
        command.env_clear().env("ENCKE_LISTEN", "127.0.0.1:0").env("ENCKE_API_LISTEN", "127.0.0.1:0");
        let output = command.envs(vars.iter().copied()).stdin(Stdio::null()).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && log.contains(named), "{vars:?}: {log}");
        assert!(!log.contains("listening"), "{log}");
    }
}
