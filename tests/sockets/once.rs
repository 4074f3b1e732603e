//! Publishes that carry a key: however often one comes, it is carried out once and answered alike.

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
        // The answer is never read.
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
    // The second may have come before the first had its answer; then it says so.
    let second = &answers[1];
    assert!(*second == answers[0] || second["error"]["code"] == "under-way", "{answers}");
    reader.assert_silent(Duration::from_millis(50));
}
