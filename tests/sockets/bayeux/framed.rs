//! Differences on a WebSocket.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, handshake, unknown};
use crate::node::Node;
use crate::socket::{BINARY, PING, PONG, Socket, TEXT};

const NOW: Duration = Duration::from_millis(60);

fn message(id: &Value, channel: &str, more: &Value) -> Value {
    let mut message = json!({"id": "1", "channel": channel, "clientId": id});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// A socket, and a session that was created on it and has connected once.
fn begun(node: &Node, path: &str) -> (Socket, Value) {
    let mut socket = Socket::open(node, path);
    let id = session_on(&mut socket);
    (socket, id)
}

fn session_on(socket: &mut Socket) -> Value {
    let id = socket.ask(&handshake(&json!({}))).json()[0]["clientId"].clone();
    assert_eq!(socket.ask(&message(&id, "/meta/connect", &json!({}))).json()[0]["successful"], true);
    id
}

#[test]
fn a_subprotocol_that_is_offered_is_not_chosen() {
    let node = Node::start(&[]);
    let mut socket =
        Socket::open_with(&node, "/cometd/any/thing", &[("Sec-WebSocket-Protocol", "bayeux, x")]);
    assert!(socket.head.header("sec-websocket-protocol").is_none());
    session_on(&mut socket);
}

#[test]
fn an_object_and_a_list_are_answered_by_a_list_and_pings_by_pongs() {
    let node = Node::start(&[]);
    let (mut socket, id) = begun(&node, "/bayeux");
    let publish = message(&id, "/c", &json!({"data": 1}));
    assert_eq!(socket.ask(&publish).json().as_array().unwrap().len(), 1);
    assert_eq!(socket.ask(&json!([publish, publish])).json().as_array().unwrap().len(), 2);
    socket.send(PING, b"?");
    let pong = socket.frame();
    assert_eq!((pong.first, &*pong.payload), (PONG, &b"?"[..]));
}

#[test]
fn what_is_no_message_closes_the_socket_and_the_session_lives_on() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1"), ("ENCKE_BATCH", "2")]);
    for (first, text, code) in
        [(TEXT, "zork", 1008), (TEXT, "[{}", 1008), (TEXT, "[{},{},{}]", 1008), (BINARY, "[]", 1003)]
    {
        let (mut socket, id) = begun(&node, "/u/alice/bayeux");
        socket.send(first, text.as_bytes());
        assert_eq!(socket.closed().0, code, "{text}");
        let mut again = Socket::open(&node, "/u/alice/bayeux");
        let connect = message(&id, "/meta/connect", &json!({"advice": {"timeout": 0}}));
        assert_eq!(again.ask(&connect).json()[0]["successful"], true);
    }
}

#[test]
fn each_message_is_answered_by_its_id_while_a_connect_is_held_and_a_second_connect_ends_it() {
    let node = Node::start(&[]);
    let (mut socket, id) = begun(&node, "/bayeux");
    socket.ask(&message(&id, "/meta/connect", &json!({"id": "held"})));
    for n in 0..5 {
        let answer = socket.ask(&message(&id, "/c", &json!({"id": n, "data": n}))).json();
        assert_eq!(answer, json!([{"id": n, "channel": "/c", "successful": true}]));
    }
    socket.ask(&message(&id, "/meta/connect", &json!({"id": "next"})));
    let first = socket.json();
    assert_eq!((&first[0]["id"], &first[0]["successful"]), (&json!("held"), &json!(true)));
    socket.conn.assert_silent(NOW);
}

#[test]
fn a_connect_is_held_beside_what_came_with_it_only_if_it_is_alone() {
    let node = Node::start(&[]);
    let (mut socket, id) = begun(&node, "/bayeux");
    let both = json!([
        message(&id, "/meta/connect", &json!({"id": "c"})),
        message(&id, "/meta/subscribe", &json!({"id": "s", "subscription": "/c"})),
    ]);
    socket.ask(&both);
    let mut ids = Vec::new();
    while ids.len() < 2 {
        ids.extend(socket.json().as_array().unwrap().iter().map(|answer| answer["id"].clone()));
    }
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["c", "s"]);
}

#[test]
fn a_handshake_among_others_stands_by_itself() {
    let node = Node::start(&[]);
    let mut socket = Socket::open(&node, "/bayeux");
    let both = json!([handshake(&json!({})), {"id": "2", "channel": "/c", "data": 1}]);
    let answers = socket.ask(&both).json();
    assert_eq!((answers.as_array().unwrap().len(), &answers[0]["id"]), (1, &json!("h1")));
    socket.conn.assert_silent(NOW);
}

#[test]
fn a_new_socket_takes_the_session_over_and_no_event_goes_to_the_old_one() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let (mut old, id) = begun(&node, "/u/alice/bayeux");
    old.ask(&message(&id, "/meta/connect", &json!({"id": "old"})));
    old.conn.assert_silent(NOW);
    let mut new = Socket::open(&node, "/u/alice/bayeux");
    new.ask(&message(&id, "/meta/connect", &json!({"id": "new", "advice": {"timeout": 0}})));
    assert_eq!(new.json()[0]["id"], "new");
    let dropped = old.json();
    assert_eq!((dropped.as_array().unwrap().len(), &dropped[0]["id"]), (1, &json!("old")));
    new.ask(&message(&id, "/meta/connect", &json!({})));
    node.tell("alice", &json!("to the new"));
    assert_eq!(new.json()[0]["data"], "to the new");
    old.conn.assert_silent(NOW);
}

#[test]
fn one_socket_may_bring_one_session_after_another() {
    let node = Node::start(&[]);
    let (mut socket, first) = begun(&node, "/u/alice/bayeux");
    let second = session_on(&mut socket);
    assert_ne!(first, second);
    socket.ask(&message(&second, "/meta/connect", &json!({})));
    node.tell("alice", &json!(1));
    assert_eq!(socket.json(), json!([{"channel": "/u/alice", "data": 1}]));
    socket.conn.assert_silent(NOW);
    assert_eq!(node.sessions("alice").len(), 2, "the first is left to expire");
}

#[test]
fn a_session_goes_from_request_to_socket_and_back_and_misses_nothing() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let cookie = client.cookie.clone();
    let id = json!(client.id);
    let mut data = Vec::new();
    for round in 0..3 {
        client.request_connect(&json!({}));
        client.connects.assert_silent(Duration::from_millis(20));
        node.tell("alice", &json!(round * 3));
        data.push(client.connected()[0]["data"].clone());
        node.tell("alice", &json!(round * 3 + 1));
        let mut socket = Socket::open_with(&node, "/u/alice/bayeux", &[("Cookie", &cookie)]);
        socket.ask(&message(&id, "/meta/connect", &json!({})));
        data.push(socket.json()[0]["data"].clone());
        node.tell("alice", &json!(round * 3 + 2));
        data.push(socket.json()[0]["data"].clone());
    }
    assert_eq!(data, (0..9).map(|n| json!(n)).collect::<Vec<_>>());
}

#[test]
fn a_session_whose_socket_closed_lives_on_until_it_expires() {
    let node = Node::start(&[("ENCKE_SESSION_GRACE", "500ms"), ("ENCKE_HEARTBEAT", "100ms")]);
    let (mut socket, id) = begun(&node, "/u/alice/bayeux");
    socket.ask(&message(&id, "/meta/connect", &json!({})));
    socket.send(crate::socket::CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(socket.closed().0, 1000);
    node.await_sessions("alice", <[Value]>::is_empty);
    let mut again = Socket::open(&node, "/u/alice/bayeux");
    unknown(&again.ask(&message(&id, "/meta/connect", &json!({}))).json()[0]);
}
