//! Publishes with a key: a repeated publish takes effect once and gets the same answer.

use std::time::Duration;

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

fn send(node: &Node, user: &str, command: &Value) -> (u16, Value) {
    let target = format!("/u/{user}/send");
    let answer = node.connect().ask("POST", &target, &[], command.to_string().as_bytes());
    (answer.status, answer.json())
}

#[test]
fn a_publish_whose_answer_was_lost_is_asked_for_again_and_delivered_once() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a,/b,/c,/d");
    reader.opened();
    for channel in ["/a", "/b", "/c", "/d"] {
        let command = json!({"publish": channel, "data": 1, "key": format!("k-{channel}")});
        // The client never reads the answer.
        let mut lost = node.connect();
        lost.request("POST", "/u/alice/send", &[], command.to_string().as_bytes());
        assert_eq!(reader.data(), 1);
        drop(lost);
        let (status, again) = send(&node, "alice", &command);
        assert_eq!((status, &again["ok"]["publish"]), (200, &json!(channel)));
        assert_eq!(send(&node, "alice", &command).1, again);
    }
    reader.assert_silent(Duration::from_millis(50));
}

#[test]
fn keys_are_each_users_own_and_refusals_are_not_remembered() {
    let node = Node::start(&[]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a");
    reader.opened();
    let publish = |user, channel: &str, key: &str| {
        send(&node, user, &json!({"publish": channel, "data": user, "key": key}))
    };
    assert_eq!(publish("alice", "/a/*", "1").1["error"]["code"], "bad-channel");
    assert_eq!(publish("alice", "/a", "1").0, 200);
    assert_eq!(publish("carol", "/a", "1").0, 200);
    assert_eq!((reader.data(), reader.data()), (json!("alice"), json!("carol")));
    for key in ["", &"x".repeat(129)] {
        assert_eq!(publish("alice", "/a", key).1["error"]["code"], "bad-key");
    }
    let twice = json!([{"publish": "/a", "data": 3, "key": "2"}, {"publish": "/a", "data": 3, "key": "2"}]);
    let (_, answers) = send(&node, "alice", &twice);
    assert_eq!(reader.data(), 3);
    assert_eq!(answers[1], answers[0]);
    reader.assert_silent(Duration::from_millis(50));
}

/// A backend's request, and its answer.
fn publish(node: &Node, target: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let answer = node.connect_api().ask("POST", target, headers, body.as_bytes());
    (answer.status, answer.json())
}

#[test]
fn a_backends_repeat_gets_the_first_answer_by_whichever_connection_and_shard() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a,/b,/c");
    reader.opened();
    let items = [
        json!({"channel": "/a", "data": 1, "key": "k"}),
        json!({"channel": "/b", "data": 1, "key": "k"}),
        json!({"user": "bob", "data": 1, "key": "k"}),
    ];
    for item in &items {
        let (status, first) = publish(&node, "/publish", &[], &item.to_string());
        assert_eq!(status, 200, "{first}");
        assert_eq!(reader.data(), 1);
        // The kernel distributes connections over the shards, so these arrive at several.
        for _ in 0..8 {
            assert_eq!(publish(&node, "/publish", &[], &item.to_string()), (200, first.clone()));
        }
    }
    let lines = items.each_ref().map(Value::to_string).join("\n");
    let again = node.connect_api().ask(
        "POST",
        "/publish",
        &[("Content-Type", "application/x-ndjson")],
        lines.as_bytes(),
    );
    assert_eq!(again.status, 200);
    reader.assert_silent(Duration::from_millis(50));
}

#[test]
fn a_repeat_that_is_sent_before_the_first_is_answered_waits_for_that_answer() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a");
    reader.opened();
    let body = json!({"channel": "/a", "data": 1, "key": "k"}).to_string();
    let mut conns: Vec<_> = (0..8).map(|_| node.connect_api()).collect();
    for conn in &mut conns {
        conn.request("POST", "/publish", &[], body.as_bytes());
    }
    let answers: Vec<_> = conns.iter_mut().map(|conn| conn.response().json()).collect();
    assert!(
        answers[0]["id"].is_string() && answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(reader.data(), 1);
    reader.assert_silent(Duration::from_millis(50));
}

#[test]
fn the_key_of_a_request_comes_in_a_header_or_the_query() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let first = publish(&node, "/u/bob/publish", &[("Idempotency-Key", "\"k1\"")], "1");
    assert_eq!(first.0, 200);
    for (target, headers) in [
        ("/u/bob/publish", &[("Idempotency-Key", "k1")][..]),
        ("/u/bob/publish?key=k1", &[]),
        ("/u/bob/publish?key=k1", &[("idempotency-key", "k1")]),
    ] {
        assert_eq!(publish(&node, target, headers, "1"), first, "{target}");
    }
    let of_item = publish(&node, "/publish", &[], r#"{"user":"bob","data":1,"key":"k1"}"#);
    assert_eq!(of_item, first, "a request with one message and its item have the same keys");
    assert_ne!(publish(&node, "/u/bob/publish?key=k2", &[], "1").1["id"], first.1["id"]);
    assert_ne!(publish(&node, "/u/carol/publish?key=k1", &[], "1").1["id"], first.1["id"]);

    let batch =
        r#"[{"channel":"/a","data":1},{"channel":"/a","data":2},{"channel":"/a","data":3,"key":"own"}]"#;
    let all = publish(&node, "/publish", &[("Idempotency-Key", "batch")], batch);
    assert_eq!(publish(&node, "/publish?key=batch", &[], batch), all);
    assert_ne!(all.1[0]["id"], all.1[1]["id"]);
    let own = publish(&node, "/publish", &[], r#"{"channel":"/a","data":3,"key":"own"}"#);
    assert_eq!(own.1["id"], all.1[2]["id"]);

    let long = "x".repeat(129);
    for (target, headers) in [
        ("/u/bob/publish?key=", &[][..]),
        ("/u/bob/publish", &[("Idempotency-Key", "")]),
        ("/u/bob/publish", &[("Idempotency-Key", &*long)]),
        ("/u/bob/publish", &[("Idempotency-Key", "\"k")]),
        ("/u/bob/publish?key=a", &[("Idempotency-Key", "b")]),
        ("/u/bob/publish", &[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]),
    ] {
        let (status, answer) = publish(&node, target, headers, "1");
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad-key")), "{target} {headers:?}");
    }
}

#[test]
fn a_key_with_other_data_is_refused_and_named() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let first = publish(&node, "/publish", &[], r#"{"channel":"/a","data":1,"key":"k1"}"#);
    let refused = |(status, answer): (u16, Value)| {
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (422, &json!("key-reused")), "{answer}");
        assert!(error["reason"].as_str().unwrap().contains("k1"), "{answer}");
    };
    refused(publish(&node, "/publish", &[], r#"{"channel":"/a","data":2,"key":"k1"}"#));
    refused(publish(&node, "/publish?key=k1", &[], r#"{"channel":"/a","data":"1"}"#));
    let items = publish(
        &node,
        "/publish",
        &[],
        r#"[{"channel":"/a","data":2,"key":"k1"},{"channel":"/a","data":1,"key":"k1"}]"#,
    );
    assert_eq!(items.1[0]["error"]["code"], "key-reused");
    assert_eq!(items.1[1], first.1);

    publish(&node, "/u/bob/publish?key=k1", &[("Content-Type", "text/plain")], "text");
    refused(publish(&node, "/u/bob/publish?key=k1", &[("Content-Type", "application/octet-stream")], "text"));

    let command = |data: i32| send(&node, "alice", &json!({"publish": "/a", "data": data, "key": "k1"}));
    assert_eq!(command(1).0, 200);
    refused(command(2));
    assert_eq!(command(1).0, 200);
}
