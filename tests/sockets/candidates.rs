//! Credentials after others of the same kind: a proxy's, another application's, or an old one. The
//! first valid one counts.

use serde_json::json;

use crate::client::Response;
use crate::node::Node;
use crate::tokens::{SECRET, now, token};

const HANDSHAKE: &str =
    r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;

/// Tokens that are refused, followed by one that is valid for alice.
fn refused_and_good() -> (Vec<String>, String) {
    let foreign_aud = token(&json!({"sub": "alice", "aud": "another"}));
    let bad = [
        token(&json!({"sub": "alice", "exp": now() - 1})),
        token(&json!({"sub": "bob"})),
        foreign_aud,
        format!("{}A", token(&json!({"sub": "alice"}))),
        "opaque-token-of-a-proxy".to_owned(),
        "x".repeat(9000),
    ];
    (bad.into(), token(&json!({"sub": "alice"})))
}

#[test]
fn a_good_token_counts_wherever_it_stands_on_every_transport() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET), ("ENCKE_SHARDS", "2")]);
    let (bad, good) = refused_and_good();
    for bad in &bad {
        let (bearer, good_bearer) = (format!("Bearer {bad}"), format!("Bearer {good}"));
        let (cookie, good_cookie) = (format!("a=1; encke_token={bad}"), format!("encke_token={good}; b=2"));
        let both = format!("encke_token={bad}; encke_token=; encke_token={good}");
        let list = format!("Basic dXNlcjpw, {bearer}, {good_bearer}");
        let requests: [(String, Vec<(&str, &str)>); 8] = [
            (String::new(), vec![("Cookie", &cookie), ("Cookie", ""), ("Cookie", &good_cookie)]),
            (String::new(), vec![("Cookie", &good_cookie), ("Cookie", &cookie)]),
            (String::new(), vec![("Cookie", &both)]),
            (String::new(), vec![("Authorization", &bearer), ("Cookie", &good_cookie)]),
            (String::new(), vec![("Authorization", &bearer), ("Authorization", &good_bearer)]),
            (String::new(), vec![("Authorization", &list)]),
            (format!("token={bad}&token={good}"), vec![]),
            (format!("token={bad}"), vec![("Authorization", "Basic dXNlcjpw"), ("Cookie", &good_cookie)]),
        ];
        for (query, headers) in &requests {
            // Over-long tokens do not fit into every head.
            for transport in ["poll", "jsonp", "longpoll"] {
                let target = format!("/u/alice/{transport}?callback=f&{query}");
                let answer = node.connect().ask("GET", &target, headers, b"");
                assert!(answer.status == 200 || answer.status == 431, "{}", answer.text());
                assert!(
                    bad.len() > 8192 || answer.status == 200,
                    "{transport} {headers:?}: {}",
                    answer.text()
                );
            }
            let send =
                node.connect().ask("POST", &format!("/u/alice/send?{query}"), headers, b"{\"ping\":1}");
            assert!(bad.len() > 8192 || send.status == 200, "{}", send.text());
            let headers = [&headers[..], &[("Content-Type", "application/json")]].concat();
            let handshake_answer =
                node.connect().ask("POST", &format!("/bayeux?{query}"), &headers, HANDSHAKE.as_bytes());
            assert!(
                bad.len() > 8192 || handshake_answer.json()[0]["successful"] == true,
                "{}",
                handshake_answer.text()
            );
        }
    }
}

#[test]
fn streams_and_sockets_look_at_all_tokens_too() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET)]);
    let good = token(&json!({"sub": "alice"}));
    let cookie = format!("Cookie: encke_token=old\r\nCookie: encke_token={good}\r\n");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (target, more, status) in
        [("/u/alice/sse", "", 200), ("/u/alice/stream", "", 200), ("/u/alice/ws", upgrade, 101)]
    {
        let mut conn = node.connect();
        conn.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{cookie}{more}\r\n").into_bytes());
        assert_eq!(conn.head().status, status, "{target}");
    }
}

#[test]
fn a_refusal_says_where_the_token_stood_and_how_many_were_tried() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET)]);
    let expired = token(&json!({"sub": "alice", "exp": now() - 1}));
    let ask = |query: &str, headers: &[(&str, &str)]| -> (u16, String, String) {
        let answer: Response = node.connect().ask("GET", &format!("/u/alice/poll?{query}"), headers, b"");
        let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
        (answer.status, answer.error(), reason)
    };
    let cookie = format!("encke_token={expired}");
    // The reason is that of the token that came nearest: a client with an expired one can get
    // another.
    let (status, code, reason) = ask("token=x", &[("Authorization", "Bearer y"), ("Cookie", &cookie)]);
    assert_eq!((status, code.as_str()), (401, "token-expired"));
    assert!(reason.contains("the cookie encke_token") && reason.contains("3 tokens were tried"), "{reason}");
    for (query, headers, place) in [
        ("token=x", &[][..], "the query (token)"),
        ("", &[("Authorization", "Bearer x")], "the header Authorization"),
        ("", &[("Cookie", "encke_token=x")], "the cookie encke_token"),
    ] {
        let (status, code, reason) = ask(query, headers);
        assert_eq!((status, code.as_str()), (401, "bad-token"));
        assert!(reason.contains(place), "{reason}");
    }
    let (_, code, reason) = ask("", &[("Authorization", "Basic dXNlcjpw"), ("Cookie", "encke_token=")]);
    assert_eq!(code, "no-token");
    assert!(!reason.contains("it came in"), "{reason}");
    // The server tries this many and no more.
    let many = format!("{}encke_token={}", "encke_token=x; ".repeat(8), token(&json!({"sub": "alice"})));
    let (status, _, reason) = ask("", &[("Cookie", &many)]);
    assert_eq!(status, 401);
    assert!(reason.contains("8 tokens were tried"), "{reason}");
}

#[test]
fn the_api_key_counts_wherever_it_stands() {
    let node = Node::start(&[("ENCKE_API_KEY", "0123456789abcdef")]);
    let good = "Bearer 0123456789abcdef";
    for headers in [
        &[("Authorization", "Basic dXNlcjpw"), ("Authorization", good)][..],
        &[("Authorization", "Bearer wrong"), ("X-Api-Key", "0123456789abcdef")],
        &[("Authorization", good), ("X-Api-Key", "wrong")],
        &[("X-Api-Key", "wrong"), ("X-Api-Key", "0123456789abcdef")],
        &[("Authorization", "Basic dXNlcjpw, Bearer 0123456789abcdef")],
    ] {
        let answer = node.connect_api().ask("POST", "/u/alice/publish", headers, b"1");
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
    }
    let headers = [("Authorization", "Bearer wrong"), ("X-Api-Key", "also-wrong")];
    let answer = node.connect_api().ask("POST", "/u/alice/publish", &headers, b"1");
    assert_eq!((answer.status, answer.error().as_str()), (401, "bad-api-key"));
    let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the header Authorization") && reason.contains("2 keys were tried"), "{reason}");
}

#[test]
fn a_bayeux_session_is_known_by_its_cookie_wherever_that_stands() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let json = ("Content-Type", "application/json");
    for _ in 0..4 {
        let handshake_answer = node.connect().ask("POST", "/bayeux", &[json], HANDSHAKE.as_bytes());
        let set = handshake_answer.header("set-cookie").unwrap();
        let (cookie, _) = set.split_once(';').unwrap();
        let (name, value) = cookie.split_once('=').unwrap();
        let id = handshake_answer.json()[0]["clientId"].clone();
        let connect = json!([{
            "channel": "/meta/connect", "clientId": id, "connectionType": "long-polling",
            "advice": {"timeout": 0},
        }])
        .to_string();
        let reversed: String = value.chars().rev().collect();
        let foreign = "0".repeat(26);
        for lines in [
            vec!["a=1".to_owned(), String::new(), cookie.to_owned()],
            vec![format!("{name}=; {cookie}")],
            vec![format!("{name}=not-ours; {cookie}")],
            vec![format!("{name}={reversed}; {name}={foreign}"), cookie.to_owned()],
            vec![format!("BAYEUX_SOCKET={foreign}; {name}={foreign}; {cookie}; {cookie}")],
        ] {
            let headers: Vec<_> =
                lines.iter().map(|line| ("Cookie", line.as_str())).chain(std::iter::once(json)).collect();
            let answer = node.connect().ask("POST", "/bayeux", &headers, connect.as_bytes());
            assert_eq!(answer.json()[0]["successful"], true, "{lines:?}: {}", answer.text());
        }
        let wrong = format!("{name}={foreign}");
        let answer = node.connect().ask("POST", "/bayeux", &[json, ("Cookie", &wrong)], connect.as_bytes());
        assert_eq!(answer.json()[0]["successful"], false);
    }
}

#[test]
fn a_token_in_a_bayeux_messages_ext_counts_beside_others_that_are_refused() {
    let node = Node::start(&[("ENCKE_TOKEN_KEY", SECRET)]);
    let (bad, good) = refused_and_good();
    for bad in bad.iter().filter(|bad| bad.len() < 8192) {
        let handshake = |token: &str| {
            json!([{
                "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
                "ext": {"token": token},
            }])
            .to_string()
        };
        let json = ("Content-Type", "application/json");
        let (bearer, good_bearer) = (format!("Bearer {bad}"), format!("Bearer {good}"));
        for (header, ext) in [(&bearer, &good), (&good_bearer, bad)] {
            let headers = [json, ("Authorization", header.as_str())];
            let answer = node.connect().ask("POST", "/u/alice/bayeux", &headers, handshake(ext).as_bytes());
            assert_eq!(answer.json()[0]["successful"], true, "{}", answer.text());
        }
        let answer = node.connect().ask("POST", "/u/alice/bayeux", &[json], handshake(bad).as_bytes());
        let error = answer.json()[0]["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("403::handshake_denied") && error.contains("the message's ext"), "{error}");
    }
}
