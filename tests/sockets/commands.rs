//! Commands as clients' authors meet them: what is taken, and what a refusal names.

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

fn send(node: &Node, command: &Value) -> (u16, Value) {
    let answer = node.connect().ask("POST", "/u/alice/send", &[], command.to_string().as_bytes());
    (answer.status, answer.json())
}

#[test]
fn bytes_can_be_published_as_base64_and_what_is_none_is_refused() {
    let node = Node::start(&[]);
    let mut reader = Down::open(&node, "/u/bob/sse?channels=/a");
    reader.opened();
    for bad in [json!("AP8"), json!("-_8="), json!(7), Value::Null] {
        let (status, answer) = send(&node, &json!({"publish": "/a", "data": bad, "encoding": "base64"}));
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad-command")), "{bad}");
    }
    let (status, answer) = send(&node, &json!({"publish": "/a", "data": "AP8=", "encoding": "base64"}));
    assert_eq!(status, 200, "{answer}");
    let message = reader.expect();
    assert_eq!((&message["data"], &message["encoding"]), (&json!("AP8="), &json!("base64")));
}

#[test]
fn what_a_command_has_no_use_for_is_named() {
    let node = Node::start(&[]);
    for (command, named) in [
        (json!({"publish": "/a", "data": 1, "last": 5}), "\"last\" does not belong to publish"),
        (json!({"ping": 1, "key": "k"}), "\"key\" does not belong to ping, which takes nothing else"),
        (json!({"subscribe": "/a", "encoding": "base64"}), "which takes since, last, conflate, presence"),
    ] {
        let (status, answer) = send(&node, &command);
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad-command")), "{answer}");
        assert!(answer["error"]["reason"].as_str().unwrap().contains(named), "{answer}");
    }
}

#[test]
fn a_stream_and_a_poll_say_how_long_a_session_is_remembered() {
    let node = Node::start(&[("ENCKE_SESSION_GRACE", "7s"), ("ENCKE_HEARTBEAT", "2s")]);
    assert_eq!(Down::open(&node, "/u/bob/sse").opened()["grace"], 7000);
    assert_eq!(node.get("/u/bob/poll").envelopes()[0]["open"]["grace"], 7000);
}
