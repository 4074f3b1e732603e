//! Messages that the backend sends to one session through the private API.

use serde_json::{Value, json};

use super::{Client, handshake};
use crate::down::Down;
use crate::node::Node;
use crate::socket::Socket;

fn tell(node: &Node, session: &str, data: &Value) -> Value {
    let message = json!({"session": session, "channel": "/service/s", "data": data});
    let answer = node.api("POST", "/publish", &message.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn a_message_for_one_session_reaches_it_whatever_shard_it_lives_on_and_no_other() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut clients: Vec<_> = (0..12).map(|_| Client::begin(&node, "/bayeux", &json!({}))).collect();
    for (n, client) in clients.iter().enumerate() {
        let answer = tell(&node, &client.id, &json!(n));
        assert_eq!(answer["sessions"], 1, "{answer}");
        assert!(answer["id"].is_string());
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let events = client.connect(&json!({"advice": {"timeout": 0}}));
        assert_eq!(super::events(&events), [json!({"channel": "/service/s", "data": n})]);
    }
}

#[test]
fn it_comes_in_order_with_all_else() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let lines: Vec<_> = (0..20)
        .map(|n| match n % 2 {
            0 => json!({"user": "alice", "data": n}),
            _ => json!({"session": client.id, "channel": "/service/s", "data": n}),
        })
        .collect();
    let answers = node.api("POST", "/publish", &json!(lines).to_string()).json();
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["id"].is_string()), "{answers}");
    let events = client.connect(&json!({}));
    let data: Vec<_> = super::events(&events).iter().map(|event| event["data"].as_u64().unwrap()).collect();
    assert_eq!(data, (0..20).collect::<Vec<_>>());
}

#[test]
fn it_wakes_a_held_connect_and_comes_again_until_it_is_acknowledged() {
    let node = Node::start(&[]);
    let mut client = Client::handshake(&node, "/bayeux", &json!({"ack": true}));
    let ack = |answers: &[Value]| super::own(answers)["ext"]["ack"].as_u64().unwrap();
    let first = ack(&client.connect(&json!({"ext": {"ack": 0}})));
    client.request_connect(&json!({"ext": {"ack": first}}));
    tell(&node, &client.id, &json!("one"));
    let lost = client.connected();
    assert_eq!((lost.len(), &lost[1]["data"]), (2, &json!("one")));
    tell(&node, &client.id, &json!("two"));
    let again = client.connect(&json!({"ext": {"ack": first}}));
    assert_eq!((&again[1]["data"], &again[2]["data"]), (&json!("one"), &json!("two")));
    let level = client.connect(&json!({"ext": {"ack": ack(&again)}, "advice": {"timeout": 0}}));
    assert_eq!(level.len(), 1);
}

#[test]
fn it_goes_down_a_socket_by_itself() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/bayeux");
    let id = socket.ask(&handshake(&json!({}))).json()[0]["clientId"].as_str().unwrap().to_owned();
    // Before the first connect it waits.
    tell(&node, &id, &json!("early"));
    let connect = json!({"id": "1", "channel": "/meta/connect", "clientId": id});
    socket.ask(&connect);
    let two = [socket.json(), socket.json()];
    assert!(two.contains(&json!([{"channel": "/service/s", "data": "early"}])), "{two:?}");
    socket.ask(&connect);
    tell(&node, &id, &json!("now"));
    assert_eq!(socket.json(), json!([{"channel": "/service/s", "data": "now"}]));
}

#[test]
fn a_native_session_gets_it_too_and_gets_it_again_when_it_resumes() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/stream?channels=/c");
    let opened = down.opened();
    let session = opened["session"].as_str().unwrap().to_owned();
    node.publish("/c", &json!("before"));
    assert_eq!(down.data(), "before");
    let since = down.last_id();
    tell(&node, &session, &json!("one"));
    let envelope = down.expect();
    assert_eq!((&envelope["channel"], &envelope["data"]), (&json!("/service/s"), &json!("one")));
    drop(down);
    tell(&node, &session, &json!("two"));
    let mut again = Down::open(&node, &format!("/u/alice/stream?session={session}&since={since}"));
    assert_eq!(again.opened()["resumed"], true);
    assert_eq!((again.data(), again.data()), (json!("one"), json!("two")));
}

#[test]
fn an_item_that_cannot_be_is_refused_by_name_and_the_others_are_not() {
    let node = Node::start(&[("ENCKE_MESSAGE_BYTES", "1KiB")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let id = client.id.clone();
    let mut other = id.clone();
    other.replace_range(39..40, if id.ends_with('0') { "1" } else { "0" });
    let (shown, large) = (json!("/service/s"), json!("x".repeat(2000)));
    for (item, status, code) in [
        (json!({"session": "zork", "channel": shown, "data": 1}), 404, "unknown-session"),
        (json!({"session": other, "channel": shown, "data": 1}), 404, "unknown-session"),
        (json!({"session": id, "channel": "/c", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": "/u/alice", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": "/service/*", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": "/service", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": "/meta/connect", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": "service/x", "data": 1}), 400, "bad-channel"),
        (json!({"session": id, "channel": shown, "data": large}), 413, "message-too-large"),
        (json!({"session": id, "data": 1}), 400, "bad-message"),
        (json!({"session": id, "user": "alice", "data": 1}), 400, "bad-message"),
        (json!({"session": id, "channel": shown}), 400, "bad-message"),
        (json!({"channel": shown, "data": 1}), 403, "reserved"),
    ] {
        let answer = node.api("POST", "/publish", &item.to_string());
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{item}");
        let good = json!({"session": id, "channel": shown, "data": "good"});
        let both = node.api("POST", "/publish", &json!([item, good]).to_string()).json();
        assert_eq!((&both[0]["error"]["code"], &both[1]["sessions"]), (&json!(code), &json!(1)));
    }
    let events = client.connect(&json!({"advice": {"timeout": 0}}));
    assert!(super::events(&events).iter().all(|event| event["data"] == "good"), "{events:?}");
    client.ask("/meta/disconnect", &json!({}));
    let gone = node.api("POST", "/publish", &json!({"session": id, "channel": shown, "data": 1}).to_string());
    assert_eq!((gone.status, gone.error().as_str()), (404, "unknown-session"));
}
