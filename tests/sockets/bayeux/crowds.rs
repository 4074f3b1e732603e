//! The bounds on Bayeux sessions of one browser and one address, and the answer at the bound.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, array, handshake, only, post, request};
use crate::client::Response;
use crate::node::Node;
use crate::socket::Socket;

fn try_handshake(node: &Node, cookie: &str) -> Response {
    post(&mut node.connect(), "/bayeux", cookie, &handshake(&json!({})))
}

/// A handshake fails for now: the error names the setting, and the advice is to retry, not at once.
fn is_full(answer: &Value, setting: &str) {
    let error = answer["error"].as_str().expect("an error");
    assert!(error.starts_with("429::") && error.contains(setting), "{error}");
    assert_eq!(answer["advice"], json!({"reconnect": "handshake", "interval": 5000}));
    assert!(answer.get("clientId").is_none(), "{answer}");
}

fn end(node: &Node, cookie: &str, id: &Value) {
    let end = json!({"channel": "/meta/disconnect", "clientId": id});
    assert_eq!(only(&post(&mut node.connect(), "/bayeux", cookie, &end))["successful"], true);
}

#[test]
fn a_browser_has_as_many_sessions_as_is_set_and_the_next_handshake_says_so() {
    let node = Node::start(&[("ENCKE_SESSIONS_PER_BROWSER", "3")]);
    let first = try_handshake(&node, "");
    let cookie = first.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(only(&try_handshake(&node, &cookie))["successful"], true);
    }
    is_full(&only(&try_handshake(&node, &cookie)), "ENCKE_SESSIONS_PER_BROWSER");
    assert_eq!(only(&try_handshake(&node, ""))["successful"], true, "another browser is another");
    end(&node, &cookie, &only(&first)["clientId"]);
    assert_eq!(only(&try_handshake(&node, &cookie))["successful"], true);
}

#[test]
fn an_address_has_as_many_sessions_as_is_set_in_all_protocols_together() {
    let node = Node::start(&[("ENCKE_SESSIONS_PER_ADDRESS", "3"), ("ENCKE_SHARDS", "1")]);
    let first = try_handshake(&node, "");
    let cookie = first.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(only(&try_handshake(&node, ""))["successful"], true);
    assert_eq!(node.get("/u/carol/poll").status, 200);
    is_full(&only(&try_handshake(&node, "")), "ENCKE_SESSIONS_PER_ADDRESS");
    for path in ["/u/dave/poll", "/u/dave/longpoll", "/u/dave/sse", "/u/dave/stream"] {
        let refused = node.get(path);
        assert_eq!(refused.status, 429, "{path}");
        assert_eq!(refused.json()["error"]["code"], "too-many-from-address");
        assert_eq!(refused.head.header("retry-after"), Some("5"));
    }
    end(&node, &cookie, &only(&first)["clientId"]);
    assert_eq!(node.get("/u/dave/poll").status, 200);
}

#[test]
fn behind_a_balancer_without_a_setting_nobody_is_counted_and_public_addresses_are_told_apart() {
    // As a balancer sends it: the client's address precedes its requests.
    let node = Node::start(&[
        ("ENCKE_SESSIONS_PER_ADDRESS", "2"),
        ("ENCKE_SHARDS", "1"),
        ("ENCKE_PROXY_PROTOCOL", "1"),
    ]);
    let from = |address: &str, user: &str| {
        let mut conn = node.connect();
        conn.send(format!("PROXY TCP4 {address} 10.0.0.1 4321 80\r\n"));
        conn.ask("GET", &format!("/u/{user}/poll"), &[], b"").status
    };
    let statuses = ["a", "b", "c"].map(|user| from("192.0.2.1", user));
    assert_eq!((statuses, from("192.0.2.2", "d")), ([200, 200, 429], 200));
}

/// A duplicated tab has the client id of the first one. Each connect takes the other's place, and
/// the other client connects again at once.
#[test]
fn of_two_clients_with_one_id_the_later_one_gets_the_advice_to_handshake() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let path = "/u/alice/bayeux";
    let mut client = Client::begin(&node, path, &json!({}));
    let mut other = node.connect();
    let connect = client.message("/meta/connect", &json!({}));
    client.request_connect(&json!({}));
    node.await_sessions("alice", |all| all[0]["attached"] == true);
    for _ in 0..2 {
        request(&mut other, path, &client.cookie, &connect);
        assert_eq!(client.connected()[0]["successful"], true);
        client.request_connect(&json!({}));
        assert_eq!(array(&other.response())[0]["successful"], true);
    }
    request(&mut other, path, &client.cookie, &connect);
    let answer = array(&other.response())[0].clone();
    let error = answer["error"].as_str().unwrap();
    assert!(error.starts_with("402::session_unknown") && error.contains("another client"), "{answer}");
    assert_eq!((&answer["successful"], &answer["advice"]["reconnect"]), (&json!(false), &json!("handshake")));
    // The same on a socket.
    let mut socket = Socket::open(&node, path);
    socket.ask(&connect);
    let answer = socket.json()[0].clone();
    assert!(answer["error"].as_str().unwrap().contains("another client"), "{answer}");
    // The earlier client's connect is held throughout.
    client.connects.assert_silent(Duration::from_millis(20));
}

/// A client that connects repeatedly keeps its session on every transport.
#[test]
fn one_client_that_connects_often_keeps_its_session() {
    let node = Node::start(&[("ENCKE_BAYEUX_TRUST", "1")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for _ in 0..10 {
        assert_eq!(client.connect(&json!({"advice": {"timeout": 0}}))[0]["successful"], true);
    }
    let mut socket = Socket::open(&node, "/bayeux");
    let connect = client.message("/meta/connect", &json!({}));
    socket.ask(&connect);
    for _ in 0..10 {
        socket.ask(&connect);
        assert_eq!(socket.json()[0]["successful"], true);
    }
}
