//! Service channels and the policy hook: the calls that the backend gets, the effects of its
//! answers, and events while a call is pending.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, array, handshake, only, post, request, unknown};
use crate::backend::Backend;
use crate::down::Down;
use crate::node::{Node, await_that};
use crate::socket::Socket;
use crate::tokens::{SECRET, token};

const NOW: Duration = Duration::from_millis(60);
pub(super) const SERVICE: &str = "ENCKE_SERVICE_HOOK";
const POLICY: &str = "ENCKE_POLICY_HOOK";

fn node(hook: &str, backend: &Backend) -> Node {
    Node::start(&[(hook, &backend.url())])
}

/// Sends messages on the connection that holds no connect.
fn send(client: &mut Client, messages: &Value) {
    request(&mut client.others, &client.path, &client.cookie, messages);
}

/// The answers to them.
fn answers(client: &mut Client) -> Vec<Value> {
    array(&client.others.response())
}

fn publish(client: &Client, channel: &str, id: &str, data: &Value) -> Value {
    client.message(channel, &json!({"id": id, "data": data}))
}

fn ids(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["id"].as_str().expect("an id")).collect()
}

fn errors(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["error"].as_str().unwrap_or("-")).collect()
}

#[test]
fn a_message_to_a_service_goes_to_the_backend_alone_whose_answer_comes_to_the_session_alone() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let mut other = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    assert_eq!(
        other.ask("/meta/subscribe", &json!({"subscription": ["/**", "/service/**"]}))["successful"],
        true
    );
    client.request_connect(&json!({"id": "held"}));
    let ask = client.message("/service/ask", &json!({"data": {"b": 1.0, "a": [2]}, "ext": {"x": 1.50}}));
    send(&mut client, &ask);
    let call = backend.call();
    let expected = json!({
        "event": "service", "user": "alice", "session": client.id, "channel": "/service/ask",
        "data": {"b": 1.0, "a": [2]}, "ext": {"x": 1.5},
    });
    assert_eq!(call.asked, expected);
    call.answer(200, r#"{"data":{"answer":42}}"#);
    assert_eq!(answers(&mut client), [json!({"id": "7", "channel": "/service/ask", "successful": true})]);
    let held = client.connected();
    assert_eq!(super::own(&held)["id"], "held");
    assert_eq!(super::events(&held), [json!({"channel": "/service/ask", "data": {"answer": 42}})]);
    assert_eq!(other.connect(&json!({"advice": {"timeout": 0}})).len(), 1, "nobody else gets it");
}

#[test]
fn what_a_service_says_decides_what_its_client_is_answered() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for (status, body, error) in [
        (200, "", "-"),
        (204, "", "-"),
        (201, "ok", "-"),
        (200, r#"{"data":null}"#, "-"),
        (200, r#"{"data":"#, "502:/service/x:hook_answer_invalid"),
        (401, "", "403:/service/x:publish_denied"),
        (403, r#"{"data":1}"#, "403:/service/x:publish_denied"),
        (404, "", "503::hook_unavailable"),
        (302, "", "503::hook_unavailable"),
        (500, r#"{"data":1}"#, "503::hook_unavailable"),
    ] {
        let ask = publish(&client, "/service/x", &format!("{status} {body}"), &json!(1));
        send(&mut client, &ask);
        backend.call().answer(status, body);
        let answer = answers(&mut client).remove(0);
        assert_eq!(answer["successful"], error == "-", "{answer}");
        assert!(answer["error"].as_str().unwrap_or("-").starts_with(error), "{status} {body}: {answer}");
    }
    let events = client.connect(&json!({"advice": {"timeout": 0}}));
    assert_eq!(super::events(&events), [json!({"channel": "/service/x", "data": null})]);
}

#[test]
fn without_a_hook_no_service_is_there() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for channel in ["/service/x", "/service/a/b"] {
        assert_eq!(client.ask(channel, &json!({"data": 1}))["error"], "404::no_service_hook");
    }
    for (channel, error) in [("/service", "404:/service:"), ("/service/*", "405:"), ("/service/**", "405:")] {
        let answer = client.ask(channel, &json!({"data": 1}));
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
    }
}

#[test]
fn a_backend_that_is_away_or_hangs_up_is_unavailable_and_is_asked_once_a_request() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let messages = json!([
        publish(&client, "/service/x", "1", &json!(1)),
        publish(&client, "/service/x", "2", &json!(2)),
        publish(&client, "/c", "3", &json!(3)),
    ]);
    send(&mut client, &messages);
    drop(backend.call());
    let messages = answers(&mut client);
    assert_eq!(
        (ids(&messages), errors(&messages)),
        (vec!["1", "2", "3"], vec!["503::hook_unavailable", "503::hook_unavailable", "-"])
    );
    backend.assert_silent(NOW);
    let nowhere = Node::start(&[(SERVICE, "http://127.0.0.1:9/")]);
    let mut client = Client::begin(&nowhere, "/bayeux", &json!({}));
    assert_eq!(client.ask("/service/x", &json!({"data": 1}))["error"], "503::hook_unavailable");
}

#[test]
fn messages_behind_one_that_waits_for_a_hook_wait_too_and_all_answers_go_out_together() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let mut listener = Down::open(&node, "/u/zoe/stream?channels=/c");
    listener.opened();
    let batch = json!([
        publish(&client, "/c", "1", &json!("before")),
        publish(&client, "/service/x", "2", &json!(2)),
        publish(&client, "/c", "3", &json!("between")),
        publish(&client, "/service/x", "4", &json!(4)),
        client.message("/meta/connect", &json!({"id": "5"})),
        publish(&client, "/c", "6", &json!("after")),
    ]);
    send(&mut client, &batch);
    assert_eq!(listener.data(), "before");
    let call = backend.call();
    listener.assert_silent(NOW);
    client.others.assert_silent(NOW);
    call.answer(200, r#"{"data":"two"}"#);
    assert_eq!(listener.data(), "between");
    backend.call().answer(200, "");
    assert_eq!(listener.data(), "after");
    let messages = answers(&mut client);
    assert_eq!(messages[..1], [json!({"channel": "/service/x", "data": "two"})]);
    assert_eq!(ids(&messages[1..]), ["1", "2", "3", "4", "6", "5"]);
}

#[test]
fn other_clients_go_on_while_a_hook_is_out() {
    let backend = Backend::start();
    let node =
        Node::start(&[(SERVICE, &backend.url()), ("ENCKE_SHARDS", "1"), ("ENCKE_HOOK_CONCURRENCY", "1")]);
    let mut waiting = Client::begin(&node, "/bayeux", &json!({}));
    let ask = publish(&waiting, "/service/x", "1", &json!(1));
    send(&mut waiting, &ask);
    let call = backend.call();
    let mut other = Client::begin(&node, "/bayeux", &json!({}));
    assert_eq!(other.ask("/c", &json!({"data": 1}))["successful"], true);
    call.answer(200, "");
    assert_eq!(answers(&mut waiting)[0]["successful"], true);
}

#[test]
fn what_came_with_a_connection_that_closes_meanwhile_is_carried_out() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    let mut listener = Down::open(&node, "/u/zoe/stream?channels=/c");
    listener.opened();
    let batch =
        json!([publish(&client, "/service/x", "1", &json!(1)), publish(&client, "/c", "2", &json!("still"))]);
    // Unread bytes turn the close of a connection into a reset, which the node sees at once.
    client.others.request("GET", "/health", &[], b"");
    send(&mut client, &batch);
    let call = backend.call();
    let open = node.metric("encke_connections");
    drop(std::mem::replace(&mut client.others, node.connect()));
    await_that(|| (node.metric("encke_connections") <= open).then_some(()));
    call.answer(200, r#"{"data":"kept"}"#);
    assert_eq!(listener.data(), "still");
    assert_eq!(client.connect(&json!({}))[0]["data"], "kept");
}

#[test]
fn a_half_closed_client_gets_its_events_if_they_are_repeatable() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut client = Client::handshake(&node, "/u/alice/bayeux", &json!({"ack": true}));
    client.connect(&json!({"ext": {"ack": 0}}));
    let batch = json!([
        publish(&client, "/service/x", "1", &json!(1)),
        client.message("/meta/connect", &json!({"ext": {"ack": 1}})),
    ]);
    let body = batch.to_string();
    let mut stream = TcpStream::connect(node.public).unwrap();
    let head = format!(
        "POST /u/alice/bayeux HTTP/1.1\r\nHost: x\r\nCookie: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        client.cookie,
        body.len()
    );
    stream.write_all([head, body].concat().as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let call = backend.call();
    node.tell("alice", &json!("waiting"));
    call.answer(200, "");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("waiting"), "{answer}");
    // The answer may have been lost.
    assert_eq!(super::events(&client.connect(&json!({"ext": {"ack": 1}})))[0]["data"], "waiting");
}

#[test]
fn a_session_that_ends_meanwhile_is_unknown_by_then_and_its_message_goes_nowhere() {
    let backend = Backend::start();
    let node = Node::start(&[(SERVICE, &backend.url()), (POLICY, &backend.url())]);
    let mut client = allowed_client(&node, &backend);
    let mut listener = Down::open(&node, "/u/zoe/stream?channels=/c");
    listener.opened();
    let batch = json!([
        publish(&client, "/service/x", "1", &json!(1)),
        publish(&client, "/service/x", "2", &json!(2))
    ]);
    send(&mut client, &batch);
    let call = backend.call();
    assert_eq!(node.api("DELETE", "/u/alice", "").json()["ended"], 1);
    call.answer(200, r#"{"data":"to nobody"}"#);
    let messages = answers(&mut client);
    assert_eq!(messages[0]["successful"], true, "the backend has it");
    unknown(&messages[1]);
    for (channel, more) in [("/c", json!({"data": 1})), ("/meta/subscribe", json!({"subscription": ["/a"]}))]
    {
        let mut client = allowed_client(&node, &backend);
        let ask = client.message(channel, &more);
        send(&mut client, &ask);
        let call = backend.call();
        node.api("DELETE", "/u/alice", "");
        call.answer(200, "");
        unknown(&answers(&mut client)[0]);
    }
    listener.assert_silent(NOW);
}

/// A client of alice's whose handshake the policy hook allowed.
fn allowed_client(node: &Node, backend: &Backend) -> Client {
    let mut conn = node.connect();
    request(&mut conn, "/u/alice/bayeux", "", &handshake(&json!({})));
    backend.call().answer(200, "");
    let response = conn.response();
    let id = only(&response)["clientId"].as_str().expect("a client id").to_owned();
    let cookie = response.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let path = "/u/alice/bayeux".to_owned();
    let mut client = Client { connects: node.connect(), others: conn, path, cookie, id };
    assert_eq!(client.connect(&json!({})).len(), 1);
    client
}

#[test]
fn a_node_that_drains_waits_for_the_hook_and_answers() {
    let backend = Backend::start();
    let mut node = node(POLICY, &backend);
    let mut client = allowed_client(&node, &backend);
    let ask = publish(&client, "/c", "1", &json!(1));
    send(&mut client, &ask);
    let call = backend.call();
    let mut late = node.connect();
    request(&mut late, "/bayeux", "", &handshake(&json!({})));
    let handshake_call = backend.call();
    node.signal("TERM");
    node.log_line(|line| line.contains("draining"));
    call.answer(200, "");
    handshake_call.answer(200, "");
    assert_eq!(answers(&mut client)[0]["successful"], true);
    let refused = only(&late.response());
    assert_eq!(
        (&refused["successful"], &refused["advice"]["reconnect"]),
        (&json!(false), &json!("handshake"))
    );
    assert!(refused["error"].as_str().unwrap().starts_with("503::busy"), "{refused}");
    assert!(node.exit().success());
}

#[test]
fn on_a_socket_a_service_is_asked_and_answers_in_the_same_way() {
    let backend = Backend::start();
    let node = node(SERVICE, &backend);
    let mut socket = Socket::open(&node, "/u/alice/bayeux");
    let id = socket.ask(&handshake(&json!({}))).json()[0]["clientId"].clone();
    let message = |n: u8, channel: &str| json!({"id": n, "channel": channel, "clientId": id, "data": n});
    assert_eq!(socket.ask(&message(1, "/meta/connect")).json()[0]["successful"], true);
    socket.ask(&message(2, "/meta/connect")).ask(&message(3, "/service/x")).ask(&message(4, "/c"));
    let call = backend.call();
    socket.conn.assert_silent(NOW);
    call.answer(200, r#"{"data":"said"}"#);
    assert_eq!(socket.json(), json!([{"channel": "/service/x", "data": "said"}]));
    assert_eq!((&socket.json()[0]["id"], &socket.json()[0]["id"]), (&json!(3), &json!(4)));
    // The socket closes while its hook call is pending.
    socket.ask(&message(5, "/service/x"));
    let call = backend.call();
    drop(socket);
    call.answer(200, r#"{"data":1}"#);
    node.await_sessions("alice", |sessions| sessions[0]["attached"] == false);
}

#[test]
fn a_socket_that_drains_while_a_hook_is_out_is_closed_and_the_node_exits() {
    let backend = Backend::start();
    let mut node = node(SERVICE, &backend);
    let mut socket = Socket::open(&node, "/u/alice/bayeux");
    let id = socket.ask(&handshake(&json!({}))).json()[0]["clientId"].clone();
    socket.ask(&json!({"id": "1", "channel": "/service/x", "clientId": id, "data": 1}));
    let call = backend.call();
    node.signal("TERM");
    assert_eq!(socket.closed().0, 1001);
    call.answer(200, "");
    assert!(node.exit().success());
}

#[test]
fn the_policy_hook_is_asked_what_tokens_and_claims_allow_by_the_names_that_are_used() {
    let backend = Backend::start();
    let node = Node::start(&[(POLICY, &backend.url()), ("ENCKE_TOKEN_KEY", SECRET)]);
    let denied = only(&post(&mut node.connect(), "/bayeux", "", &handshake(&json!({}))));
    assert!(denied["error"].as_str().unwrap().starts_with("403::handshake_denied"), "{denied}");
    let alice = token(&json!({"sub": "ali ce", "channels": {"/r/*": "r", "/w": "w"}}));
    let mut conn = node.connect();
    request(&mut conn, "/bayeux", "", &handshake(&json!({"token": alice, "more": [1]})));
    let call = backend.call();
    let expected = json!({"event": "handshake", "user": "ali ce", "session": null, "channel": null, "ext": {"token": alice, "more": [1]}});
    assert_eq!(call.asked, expected);
    call.answer(204, "");
    let response = conn.response();
    let id = only(&response)["clientId"].as_str().unwrap().to_owned();
    let cookie = response.head.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut client =
        Client { connects: node.connect(), others: conn, path: "/bayeux".to_owned(), cookie, id };
    assert_eq!(
        client.ask("/meta/subscribe", &json!({"subscription": ["/r/1", "/w"]}))["error"],
        "403:/w:subscribe_denied"
    );
    assert_eq!(client.ask("/r/1", &json!({"data": 1}))["error"], "403:/r/1:publish_denied");
    // The server does not call the hook for messages without effect either.
    assert_eq!(
        client.ask("/meta/subscribe", &json!({"subscription": ["/u/%61li%20ce", "/service/x"]}))["successful"],
        true
    );
    backend.assert_silent(NOW);
    let list = json!(["/r/1", "/service/x", "/r/2", "/u/ali%20ce"]);
    let ask = client.message("/meta/subscribe", &json!({"subscription": list}));
    send(&mut client, &ask);
    let call = backend.call();
    let expected = json!({"event": "subscribe", "user": "ali ce", "session": client.id, "channel": null, "channels": ["/r/1", "/r/2"]});
    assert_eq!(call.asked, expected);
    call.answer(200, "");
    let answer = answers(&mut client).remove(0);
    assert_eq!((&answer["successful"], &answer["subscription"]), (&json!(true), &list));
    let ask = client.message("/w", &json!({"data": {"a": 1}}));
    send(&mut client, &ask);
    let call = backend.call();
    assert!(
        call.text.contains(r#""event":"publish""#) && call.text.contains(r#""data":{"a":1}"#),
        "{}",
        call.text
    );
    call.answer(200, "ignored");
    assert_eq!(answers(&mut client)[0]["successful"], true);
}

#[test]
fn another_spelling_of_a_channel_is_asked_about_and_used_as_the_one_there_is() {
    let backend = Backend::start();
    let node = node(POLICY, &backend);
    let mut client = allowed_client(&node, &backend);
    let mut bob = Down::open(&node, "/u/bob/stream");
    bob.opened();
    let ask = publish(&client, "/u/%62ob", "1", &json!("hi"));
    send(&mut client, &ask);
    let call = backend.call();
    assert_eq!(call.asked["channel"], "/u/bob");
    call.answer(200, "");
    assert_eq!(answers(&mut client)[0]["successful"], true);
    assert_eq!(bob.data(), "hi");
    // The server ignores channels that only resemble the protocol's own, and does not call the hook
    // for them.
    for channel in
        ["/meta/subscribe/x", "/meta//subscribe", "/meta/handshake/x", "/Meta/subscribe", "/meta/subscribe/"]
    {
        let answer = if channel == "/Meta/subscribe" {
            let ask = client.message(channel, &json!({"subscription": "/s", "data": 1}));
            send(&mut client, &ask);
            let call = backend.call();
            assert_eq!((&call.asked["event"], &call.asked["channel"]), (&json!("publish"), &json!(channel)));
            call.answer(200, "");
            answers(&mut client).remove(0)
        } else {
            let answer = client.ask(channel, &json!({"subscription": "/s", "data": 1}));
            assert_eq!(answer["successful"], false, "{answer}");
            answer
        };
        assert!(answer.get("subscription").is_none(), "{answer}");
    }
    node.publish("/s", &json!(1));
    assert_eq!(client.connect(&json!({"advice": {"timeout": 0}})).len(), 1);
}

#[test]
fn what_the_policy_hook_denies_or_does_not_answer_is_not_done() {
    let verdicts = |call: &Value| {
        let text = call.to_string();
        let status = if text.contains("maybe") {
            500
        } else if text.contains("never") {
            403
        } else {
            200
        };
        (status, r#"{"data":"not an answer of a service"}"#.to_owned())
    };
    let node = Node::start(&[(POLICY, &Backend::answering(verdicts))]);
    let mut conn = node.connect();
    for (word, error, reconnect) in
        [("never", "403::handshake_denied", "none"), ("maybe", "503::hook_unavailable", "handshake")]
    {
        let answer = only(&post(&mut conn, "/bayeux", "", &handshake(&json!({"who": word}))));
        assert_eq!((&answer["error"], &answer["advice"]["reconnect"]), (&json!(error), &json!(reconnect)));
        assert!(answer.get("clientId").is_none());
    }
    assert_eq!(node.metric("encke_sessions"), 0);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for (word, code) in [("never", "403:/a,/never/*:subscribe_denied"), ("maybe", "503::hook_unavailable")] {
        let list = json!(["/a", format!("/{word}/*")]);
        let answer = client.ask("/meta/subscribe", &json!({"subscription": list}));
        assert_eq!((&answer["error"], &answer["subscription"]), (&json!(code), &list));
    }
    for (word, error) in [("never", "403:/never:publish_denied"), ("maybe", "503::hook_unavailable")] {
        assert_eq!(client.ask(&format!("/{word}"), &json!({"data": 1}))["error"], error);
    }
    assert_eq!(client.ask("/meta/subscribe", &json!({"subscription": "/b"}))["successful"], true);
    node.publish("/a", &json!(1));
    node.publish("/never/x", &json!(1));
    let answers = client.connect(&json!({"advice": {"timeout": 0}}));
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn native_clients_are_not_asked_about() {
    let node = Node::start(&[(POLICY, &Backend::answering(|_| (403, String::new())))]);
    let mut native = Down::open(&node, "/u/alice/stream?channels=/c");
    native.opened();
    node.publish("/c", &json!("all the same"));
    assert_eq!(native.data(), "all the same");
}
