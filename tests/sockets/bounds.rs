//! The answer at each bound that docs/CONFIG.md describes.

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::down::Down;
use crate::node::{Node, await_that};

/// A node with one shard, so that a bound of the node is the shard's.
fn one_shard(name: &str, value: &str) -> Node {
    Node::start(&[("ENCKE_SHARDS", "1"), (name, value)])
}

#[track_caller]
fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, code));
}

#[test]
fn one_session_too_many_is_503_and_the_others_go_on() {
    let node = one_shard("ENCKE_SESSIONS", "2");
    let mut downs: Vec<Down> =
        ["alice", "bob"].map(|user| Down::open(&node, &format!("/u/{user}/sse"))).into_iter().collect();
    for down in &mut downs {
        down.opened();
    }
    for transport in ["sse", "poll", "longpoll", "stream"] {
        let refused = node.get(&format!("/u/carol/{transport}"));
        assert_refused(&refused, 503, "too-many-sessions");
        assert!(refused.header("retry-after").is_some());
    }
    let session = downs[0].session();
    let mut again = Down::open(&node, &format!("/u/alice/sse?session={session}"));
    again.opened();
    node.tell("alice", &json!(1));
    assert_eq!(again.data(), 1);
    assert_eq!(node.api("DELETE", "/u/bob", "").json(), json!({"ended": 1}));
    assert_eq!(node.get("/u/carol/poll").status, 200);
}

#[test]
fn one_session_too_many_of_a_user_ends_the_one_unused_for_longest() {
    let node = Node::start(&[("ENCKE_SESSIONS_PER_USER", "3")]);
    let mut oldest = Down::open(&node, "/u/alice/sse");
    oldest.opened();
    let poll = node.get("/u/alice/poll").header("encke-session").unwrap().to_owned();
    let mut newer = Down::open(&node, "/u/alice/stream");
    newer.opened();
    // The detached session ends first, then the oldest attached one, whose client is notified.
    let mut fourth = Down::open(&node, "/u/alice/sse");
    fourth.opened();
    assert!(node.sessions("alice").iter().all(|one| one["session"] != poll));
    let mut fifth = Down::open(&node, "/u/alice/sse");
    fifth.opened();
    let close = oldest.closed();
    assert_eq!((&close["code"], &close["reconnect"]), (&json!("too-many-sessions"), &json!(false)));
    node.tell("alice", &json!(1));
    assert_eq!([newer.data(), fourth.data(), fifth.data()], [1, 1, 1]);
    assert_eq!(node.sessions("alice").len(), 3);
    // Other users are not affected.
    assert_eq!(node.get("/u/bob/poll").status, 200);
}

#[test]
fn one_channel_too_many_is_503_and_the_others_go_on() {
    let node = one_shard("ENCKE_CHANNELS", "3");
    let mut down = Down::open(&node, "/u/alice/sse?channels=/a,/b");
    down.opened();
    let refused = node.api("POST", "/publish", r#"{"channel":"/c","data":1}"#);
    assert_refused(&refused, 503, "too-many-channels");
    assert_refused(&node.api("POST", "/u/bob/publish", "1"), 503, "too-many-channels");
    assert_refused(&node.get("/u/bob/sse"), 503, "too-many-channels");
    assert_refused(&node.get("/u/alice/sse?channels=/c"), 503, "too-many-channels");
    let answer = node.connect().ask(
        "POST",
        &format!("/u/alice/send?session={}", down.session()),
        &[],
        br#"{"subscribe":"/c"}"#,
    );
    assert_refused(&answer, 503, "too-many-channels");
    node.publish("/a", &json!(1));
    node.publish("/b", &json!(2));
    assert_eq!([down.data(), down.data()], [1, 2]);
    assert_eq!(node.sessions("alice").len(), 1, "what could not be made whole is not left over");
}

#[test]
fn one_connection_too_many_is_503_and_closed() {
    let node = one_shard("ENCKE_CONNECTIONS", "3");
    let mut held: Vec<Conn> = (0..2).map(|_| node.connect()).collect();
    for conn in &mut held {
        assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
    }
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    for _ in 0..3 {
        let mut conn = node.connect();
        // A client that sends its request at once still gets the answer.
        let refused = conn.request("GET", "/health", &[], b"").response();
        assert_refused(&refused, 503, "full");
        assert!(refused.header("retry-after").is_some() && refused.head.closes());
        conn.assert_closed();
    }
    assert_eq!(held[0].ask("GET", "/health", &[], b"").status, 200);
    held.pop();
    crate::node::await_that(|| {
        let mut conn = node.connect();
        conn.request("GET", "/health", &[], b"");
        (conn.response().status == 200).then_some(())
    });
}

#[test]
fn a_batch_that_is_too_long_is_413_and_nothing_of_it_is_done() {
    let node = Node::start(&[("ENCKE_BATCH", "3")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let item = r#"{"user":"alice","data":1}"#;
    let array = format!("[{}]", [item; 4].join(","));
    assert_refused(&node.api("POST", "/publish", &array), 413, "too-many-messages");
    let headers = [("Content-Type", "application/x-ndjson")];
    let lines = [item; 4].join("\n");
    let answer = node.connect_api().ask("POST", "/publish", &headers, lines.as_bytes());
    assert_refused(&answer, 413, "too-many-messages");
    let commands = format!("[{}]", [r#"{"publish":"/u/alice","data":1}"#; 4].join(","));
    let target = format!("/u/alice/send?session={}", down.session());
    let answer = node.connect().ask("POST", &target, &[], commands.as_bytes());
    assert_refused(&answer, 413, "too-many-commands");
    assert_eq!(node.metric("encke_messages_in_total"), 0);
    let array = format!("[{}]", [item; 3].join(","));
    assert_eq!(node.api("POST", "/publish", &array).status, 200);
    assert_eq!([down.data(), down.data(), down.data()], [1, 1, 1]);
}

#[test]
fn a_message_that_is_too_large_is_413_and_others_are_accepted() {
    let node = Node::start(&[("ENCKE_MESSAGE_BYTES", "64B")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let of = |bytes: usize| Value::from("x".repeat(bytes - 2));
    let large = node.api("POST", "/u/alice/publish", &of(65).to_string());
    assert_refused(&large, 413, "message-too-large");
    node.tell("alice", &of(64));
    assert_eq!(down.data(), of(64));
    let items: Vec<Value> = [64, 65, 64].map(|bytes| json!({"user": "alice", "data": of(bytes)})).into();
    let answers = node.api("POST", "/publish", &Value::from(items).to_string()).json();
    assert_eq!(answers[1]["error"]["code"], "message-too-large");
    assert!(answers[0]["id"].is_string() && answers[2]["id"].is_string());
    let command = json!({"publish": "/u/alice", "data": of(65)}).to_string();
    let answer = node.connect().ask("POST", "/u/bob/send", &[], command.as_bytes());
    assert_refused(&answer, 413, "message-too-large");
    // Text and bytes count by the length of their JSON.
    let mut api = node.connect_api();
    for (content_type, most) in [("text/plain", 62), ("application/octet-stream", 45)] {
        let headers = [("Content-Type", content_type)];
        let mut status =
            |bytes: usize| api.ask("POST", "/u/alice/publish", &headers, "x".repeat(bytes).as_bytes()).status;
        assert_eq!([status(most), status(most + 3)], [200, 413], "{content_type}");
    }
}

#[test]
fn json_that_nests_too_deep_is_400() {
    let node = Node::start(&[("ENCKE_JSON_DEPTH", "4")]);
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(node.api("POST", "/u/alice/publish", &nested(4)).status, 200);
    let refused = node.api("POST", "/u/alice/publish", &nested(5));
    assert_refused(&refused, 400, "bad-json");
    let reason = refused.json()["error"]["reason"].to_string();
    assert!(reason.contains("at byte 4"), "{reason}");
    // As deep as a body can be.
    let bomb = "[".repeat(1_000_000);
    assert_refused(&node.api("POST", "/u/alice/publish", &bomb), 400, "bad-json");
    let answer = node.connect().ask("POST", "/u/alice/send", &[], bomb.as_bytes());
    assert_refused(&answer, 400, "bad-json");
}

#[test]
fn one_subscription_too_many_is_429_and_the_session_goes_on() {
    let node = Node::start(&[("ENCKE_SUBSCRIPTIONS", "2")]);
    assert_refused(&node.get("/u/alice/sse?channels=/a,/b,/c"), 429, "too-many-subscriptions");
    assert_eq!(node.sessions("alice").len(), 0);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/a,/b/*");
    down.opened();
    let target = format!("/u/alice/send?session={}", down.session());
    let answer = node.connect().ask("POST", &target, &[], br#"{"subscribe":"/c"}"#);
    assert_refused(&answer, 429, "too-many-subscriptions");
    let commands =
        json!([{"subscribe": "/a"}, {"unsubscribe": "/a"}, {"subscribe": "/c"}, {"subscribe": "/d"}]);
    let answers = node.send("alice", &down.session(), &commands);
    assert!((0..3).all(|n| answers[n]["ok"].is_object()), "{answers}");
    assert_eq!(answers[3]["error"]["code"], "too-many-subscriptions");
    node.publish("/c", &json!(1));
    assert_eq!(down.data(), 1);
}

#[test]
fn heads_and_bodies_have_their_bounds() {
    let node = Node::start(&[
        ("ENCKE_HEAD_BYTES", "1KiB"),
        ("ENCKE_HEADERS", "8"),
        ("ENCKE_BODY_BYTES", "1KiB"),
        ("ENCKE_MESSAGE_BYTES", "1KiB"),
    ]);
    let padded = |bytes: usize| {
        let head = "GET /health HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n";
        head.replace("X: ", &format!("X: {}", "x".repeat(bytes - head.len())))
    };
    assert_eq!(node.connect().send(padded(1024)).response().status, 200);
    assert_refused(&node.connect().send(padded(1025)).response(), 431, "head-too-large");
    let many =
        |count: usize| format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: 1\r\n".repeat(count - 1));
    assert_eq!(node.connect().send(many(8)).response().status, 200);
    assert_refused(&node.connect().send(many(9)).response(), 431, "too-many-headers");
    let publish =
        |bytes: usize| node.api("POST", "/u/alice/publish", &format!("\"{}\"", "x".repeat(bytes - 2)));
    assert_eq!(publish(1024).status, 200);
    assert_refused(&publish(1025), 413, "body-too-large");
    let target = format!("/{}", "x".repeat(1100));
    let refused = node.connect().ask("GET", &target, &[], b"");
    assert_refused(&refused, 414, "request-line-too-long");
}

#[test]
fn memory_of_logs_is_bounded_and_dropped_messages_are_reported_as_a_gap() {
    let node = Node::start(&[
        ("ENCKE_SHARDS", "1"),
        ("ENCKE_MEMORY", "64KiB"),
        ("ENCKE_CHANNEL_BYTES", "32KiB"),
        ("ENCKE_MESSAGE_BYTES", "4KiB"),
    ]);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/c/1");
    down.opened();
    node.publish("/c/1", &json!("first"));
    assert_eq!(down.data(), "first");
    let (session, id) = (down.session(), down.last_id());
    drop(down);
    node.await_sessions("alice", |all| all[0]["attached"] == false);
    let text = "x".repeat(2000);
    for n in 0..100 {
        node.publish(&format!("/c/{}", n % 10), &json!([n, text]));
    }
    let held = node.metric("encke_log_bytes");
    assert!(held <= 64 * 1024 && held > 16 * 1024, "{held}");
    let mut down = Down::open(&node, &format!("/u/alice/sse?session={session}&since={id}"));
    assert_eq!(down.opened()["resumed"], false);
    assert_eq!(down.expect()["gap"]["from"], id);
    assert_eq!(down.data()[0].as_u64().unwrap() % 10, 1);
}

#[test]
fn clients_that_take_all_connections_leave_the_operators_theirs() {
    let node = one_shard("ENCKE_CONNECTIONS", "6");
    let held: Vec<Conn> = (0..7).map(|_| node.connect()).collect();
    node.log_line(|line| {
        line.contains("WARN") && line.contains("all 6 connections") && line.contains("ENCKE_API_RESERVE")
    });
    let mut backend = node.connect_api();
    assert_eq!(backend.ask("GET", "/health", &[], b"").status, 200);
    assert_eq!(node.api("GET", "/ready", "").status, 200);
    assert_eq!(backend.ask("POST", "/u/alice/publish", &[], b"1").status, 200);
    assert_eq!(node.metric("encke_connections_refused_total{door=\"public\"}"), 1);
    assert_eq!(node.metric("encke_connections_refused_total{door=\"private\"}"), 0);
    drop((held, backend));
    await_that(|| (node.get("/health").status == 200).then_some(()));
}

#[test]
fn the_reserve_is_the_private_listeners_bound() {
    let node = Node::start(&[("ENCKE_SHARDS", "1"), ("ENCKE_CONNECTIONS", "2"), ("ENCKE_API_RESERVE", "2")]);
    let mut backends: Vec<Conn> = (0..4).map(|_| node.connect_api()).collect();
    for backend in &mut backends {
        assert_eq!(backend.ask("GET", "/health", &[], b"").status, 200);
    }
    assert_refused(&node.connect_api().response(), 503, "full");
    assert_refused(&node.connect().response(), 503, "full");
}

#[test]
fn a_refused_connection_gets_its_whole_answer_even_after_a_request() {
    let node = one_shard("ENCKE_CONNECTIONS", "1");
    let mut first = node.connect();
    assert_eq!(first.ask("GET", "/health", &[], b"").status, 200);
    for _ in 0..20 {
        let answer = node.get("/u/alice/poll");
        assert_refused(&answer, 503, "full");
        assert_eq!(answer.header("retry-after"), Some("5"));
        let reason = answer.json()["error"]["reason"].as_str().unwrap().to_owned();
        assert_eq!(reason, "the node has all the connections that ENCKE_CONNECTIONS allows; come back later");
    }
}

/// A silent connection through a balancer, for a client with this address.
fn silent(node: &Node, address: &str) -> Conn {
    let mut conn = node.connect();
    conn.send(format!("PROXY TCP{} {address} 10.0.0.1 1 1\r\n", if address.contains(':') { 6 } else { 4 }));
    // The server reads what is answered after it, later.
    let mut after = node.connect();
    after.send("PROXY TCP4 198.51.100.1 10.0.0.1 1 1\r\n");
    assert_eq!(after.ask("GET", "/health", &[], b"").status, 200);
    conn
}

#[test]
fn an_address_has_so_many_silent_connections_and_the_oldest_go() {
    let vars =
        [("ENCKE_SHARDS", "1"), ("ENCKE_PROXY_PROTOCOL", "127.0.0.1"), ("ENCKE_SILENT_PER_ADDRESS", "2")];
    for (own, same, other) in [
        ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("2001:db8::7", "2001:db8::8", "2001:db8:0:1::7"),
    ] {
        let node = Node::start(&vars);
        let mut first = silent(&node, own);
        let mut spoken = silent(&node, own);
        assert_eq!(spoken.ask("GET", "/health", &[], b"").status, 200);
        let mut second = silent(&node, same);
        let mut elsewhere = silent(&node, other);
        let mut third = silent(&node, own);
        first.assert_closed();
        node.log_line(|line| line.contains("ENCKE_SILENT_PER_ADDRESS") && line.contains(own));
        assert_eq!(node.metric("encke_connections_unheard_total"), 1);
        for conn in [&mut spoken, &mut second, &mut elsewhere, &mut third] {
            assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
        }
    }
}

#[test]
fn balancers_and_loopback_may_open_as_many_ahead_of_need_as_they_like() {
    for proxy in ["0", "127.0.0.1", "192.0.2.0/24"] {
        let node = Node::start(&[
            ("ENCKE_SHARDS", "1"),
            ("ENCKE_PROXY_PROTOCOL", proxy),
            ("ENCKE_SILENT_PER_ADDRESS", "1"),
        ]);
        let mut held: Vec<Conn> = (0..10).map(|_| node.connect()).collect();
        node.await_metric("encke_connections{door=\"public\"}", 10);
        for conn in &mut held {
            if proxy == "127.0.0.1" {
                conn.send("PROXY UNKNOWN\r\n");
            }
            assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
        }
        assert_eq!(node.metric("encke_connections_unheard_total"), 0);
    }
}

#[test]
fn one_channel_too_many_of_a_user_is_429_and_backends_and_others_go_on() {
    let node = one_shard("ENCKE_USER_CHANNELS", "3");
    let mut down = Down::open(&node, "/u/eve/sse?channels=/1,/2");
    down.opened();
    let session = down.session();
    let refused = |answer: &Value| {
        assert_eq!(answer["error"]["code"], "too-many-user-channels", "{answer}");
        assert!(answer["error"]["reason"].as_str().unwrap().contains("ENCKE_USER_CHANNELS"));
    };
    let answers =
        node.send("eve", &session, &json!([{"subscribe": "/3"}, {"subscribe": "/4"}, {"subscribe": "/1"}]));
    assert!(answers[0]["ok"].is_object() && answers[2]["ok"].is_object(), "{answers}");
    refused(&answers[1]);
    assert_refused(&node.get("/u/eve/poll?channels=/4"), 429, "too-many-user-channels");
    // Publishes have a count of their own.
    let publish = |n: u64| json!({"publish": format!("/p/{n}"), "data": n});
    let answers =
        node.send("eve", &session, &json!([publish(1), publish(2), publish(3), publish(4), publish(1)]));
    assert!([0, 1, 2, 4].iter().all(|&at| answers[at]["ok"].is_object()), "{answers}");
    refused(&answers[3]);
    // Other users are not affected.
    let mut other = Down::open(&node, "/u/bob/sse?channels=/4,/p/5");
    other.opened();
    node.publish("/6", &json!(6));
    node.tell("eve", &json!("well"));
    assert_eq!(down.data(), "well");
    // A channel that its creator leaves counts for another subscriber.
    let answers = node.send("bob", &other.session(), &json!([{"subscribe": "/1"}]));
    assert!(answers[0]["ok"].is_object(), "{answers}");
    let answers =
        node.send("eve", &session, &json!([{"unsubscribe": "/1"}, {"subscribe": "/7"}, {"subscribe": "/8"}]));
    assert!(answers[0]["ok"].is_object() && answers[1]["ok"].is_object(), "{answers}");
    refused(&answers[2]);
}

#[test]
fn when_clients_have_all_channels_that_they_may_backends_still_publish() {
    let node = one_shard("ENCKE_CHANNELS", "64");
    let mut down = Down::open(&node, "/u/eve/sse");
    down.opened();
    let commands: Vec<_> = (0..100).map(|n| json!({"publish": format!("/{n}"), "data": n})).collect();
    let answers = node.send("eve", &down.session(), &json!(commands));
    let answers = answers.as_array().unwrap();
    let refused: Vec<_> = answers.iter().filter(|answer| answer["ok"].is_null()).collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer["error"]["code"], "too-many-channels", "{answer}");
        assert!(answer["error"]["reason"].as_str().unwrap().contains("ENCKE_CHANNELS"));
    }
    for n in 0..8 {
        node.publish(&format!("/backend/{n}"), &json!(n));
    }
}

#[test]
fn channels_count_in_the_memory_and_those_that_nobody_needs_go_first() {
    let vars = [
        ("ENCKE_SHARDS", "1"),
        ("ENCKE_MEMORY", "64KiB"),
        ("ENCKE_CHANNEL_BYTES", "32KiB"),
        ("ENCKE_MESSAGE_BYTES", "8KiB"),
    ];
    let node = Node::start(&vars);
    let mut down = Down::open(&node, "/u/eve/sse?channels=/kept");
    down.opened();
    let session = down.session();
    for round in 0..10 {
        let commands: Vec<_> =
            (0..100).map(|n| json!({"publish": format!("/{round}/{n}"), "data": n})).collect();
        let answers = node.send("eve", &session, &json!(commands));
        assert!(answers.as_array().unwrap().iter().all(|answer| answer["ok"].is_object()), "{answers}");
        assert!(node.metric("encke_channel_bytes") <= 48 * 1024);
    }
    // Channels with subscribers stay: then the bound is final.
    let mut downs = Vec::new();
    let refused = loop {
        let list: Vec<_> = (0..60).map(|n| format!("/{}/held/{n}", downs.len())).collect();
        let target = format!("/u/bob{}/sse?channels={}", downs.len(), list.join(","));
        let mut conn = node.connect();
        conn.request("GET", &target, &[], b"");
        let head = conn.head();
        if head.status != 200 {
            break node.get(&target);
        }
        downs.push(conn);
        assert!(downs.len() < 10);
    };
    assert_refused(&refused, 503, "memory-full");
    assert!(refused.text().contains("ENCKE_MEMORY") && refused.header("retry-after").is_some());
    assert!(node.metric("encke_channel_bytes") <= 48 * 1024);
    node.publish("/kept", &json!("still"));
    assert_eq!(down.data(), "still");
}
