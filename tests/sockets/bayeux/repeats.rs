//! Publishes repeated with the same id and data: a client that did not get the answer sends them
//! again.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::hooks::SERVICE;
use super::{Client, array, events, handshake, only, post, request};
use crate::backend::Backend;
use crate::node::Node;
use crate::socket::Socket;

fn publish(client: &Client, id: &Value, channel: &str, data: &Value) -> Value {
    json!({"id": id, "channel": channel, "clientId": client.id, "data": data})
}

fn send(node: &Node, client: &Client, message: &Value) -> Value {
    only(&post(&mut node.connect(), &client.path, &client.cookie, message))
}

fn heard(listener: &mut Client) -> Vec<Value> {
    let all = listener.connect(&json!({"advice": {"timeout": 0}}));
    events(&all).iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn a_publish_that_comes_again_gets_the_first_answer_and_is_delivered_once() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut listener = Client::begin(&node, "/bayeux", &json!({}));
    listener.ask("/meta/subscribe", &json!({"subscription": ["/c/*", "/d"]}));
    let [one, other] = [(); 2].map(|()| Client::begin(&node, "/bayeux", &json!({})));
    // On channels of any shard, over new connections.
    for channel in ["/c/1", "/c/2", "/c/3", "/c/4", "/d"] {
        for id in [json!("a"), json!(7)] {
            let message = publish(&one, &id, channel, &json!({"n": 1.0}));
            let first = send(&node, &one, &message);
            assert_eq!(first, json!({"id": id, "channel": channel, "successful": true}));
            assert_eq!((send(&node, &one, &message), send(&node, &one, &message)), (first.clone(), first));
        }
        assert_eq!(heard(&mut listener), [json!({"n": 1.0}), json!({"n": 1.0})], "{channel}");
        // A message that differs in any field is a new one.
        for message in [
            publish(&one, &json!("a"), channel, &json!({"n": 2})),
            publish(&one, &json!("b"), channel, &json!({"n": 1.0})),
            publish(&one, &json!("7"), channel, &json!({"n": 1.0})),
            publish(&other, &json!("a"), channel, &json!({"n": 1.0})),
        ] {
            let client = if message["clientId"] == json!(one.id) { &one } else { &other };
            assert_eq!(send(&node, client, &message)["successful"], true);
        }
        assert_eq!(heard(&mut listener).len(), 4, "{channel}");
    }
}

#[test]
fn a_publish_without_an_id_is_a_new_one_each_time_and_one_that_was_refused_may_be_tried_again() {
    let refusals = AtomicUsize::new(0);
    let policy = Backend::answering(move |asked| {
        let refuses = asked["data"] == "twice" && refusals.fetch_add(1, Ordering::Relaxed) == 0;
        (if refuses { 403 } else { 200 }, String::new())
    });
    let node = Node::start(&[("ENCKE_POLICY_HOOK", &policy)]);
    let mut listener = Client::begin(&node, "/bayeux", &json!({}));
    listener.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let one = Client::begin(&node, "/bayeux", &json!({}));
    for id in [json!(null), json!([1]), json!("x".repeat(200))] {
        for _ in 0..2 {
            let message = publish(&one, &id, "/c", &json!(1));
            assert_eq!(send(&node, &one, &message)["successful"], true, "{id}");
        }
        assert_eq!(heard(&mut listener), [json!(1), json!(1)], "{id}");
    }
    let message = publish(&one, &json!("a"), "/c", &json!("twice"));
    let successful = [(); 3].map(|()| send(&node, &one, &message)["successful"].clone());
    assert_eq!(successful, [json!(false), json!(true), json!(true)]);
    assert_eq!(heard(&mut listener), [json!("twice")]);
}

#[test]
fn it_is_known_in_one_request_by_a_socket_and_by_a_script() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut listener = Client::begin(&node, "/bayeux", &json!({}));
    listener.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    let mut one = Client::begin(&node, "/bayeux", &json!({}));
    let message = publish(&one, &json!("a"), "/c", &json!("once"));
    let both = array(&post(&mut one.others, "/bayeux", &one.cookie, &json!([message, message])));
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|answer| *answer == both[0]) && both[0]["successful"] == true, "{both:?}");
    let mut socket = Socket::open_with(&node, "/bayeux", &[("Cookie", &one.cookie)]);
    for _ in 0..2 {
        assert_eq!(socket.ask(&message).json()[0], both[0]);
    }
    let text = message.to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let path = format!("/bayeux?jsonp=f&message={text}");
    let own = [("Cookie", &*one.cookie), ("Sec-Fetch-Site", "same-origin")];
    let script = node.connect().ask("GET", &path, &own, b"");
    assert!(script.text().contains(r#""successful":true"#), "{}", script.text());
    assert_eq!(heard(&mut listener), [json!("once")]);
    // A new session of the same browser is another client, which starts its ids again.
    let handshake_answer = only(&post(&mut one.others, "/bayeux", &one.cookie, &handshake(&json!({}))));
    let again = json!({"id": "a", "channel": "/c", "clientId": handshake_answer["clientId"], "data": "once"});
    assert_eq!(only(&post(&mut one.others, "/bayeux", &one.cookie, &again))["successful"], true);
    assert_eq!(heard(&mut listener), [json!("once")]);
}

#[test]
fn a_service_is_asked_once_and_a_repeat_meanwhile_gets_the_same_answer() {
    let backend = Backend::start();
    let node = Node::start(&[(SERVICE, &backend.url()), ("ENCKE_SHARDS", "1")]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    let ask = publish(&client, &json!("a"), "/service/x", &json!("how much"));
    let mut conns = [(); 3].map(|()| node.connect());
    request(&mut conns[0], "/bayeux", &client.cookie, &ask);
    let call = backend.call();
    for conn in &mut conns[1..] {
        request(conn, "/bayeux", &client.cookie, &ask);
    }
    // They have arrived once another of their requests is answered.
    client.ask("/other", &json!({"data": 1}));
    call.answer(200, r#"{"data":"six"}"#);
    let expected = json!({"id": "a", "channel": "/service/x", "successful": true});
    for conn in &mut conns {
        assert_eq!(only(&conn.response()), expected);
    }
    assert_eq!(send(&node, &client, &ask), expected);
    assert_eq!(heard(&mut client), [json!("six")]);
    // Another message with the same id calls the hook, and so does the repeat of a denied one.
    for answer in [403, 200] {
        let other = publish(&client, &json!("a"), "/service/x", &json!("how many"));
        request(&mut conns[0], "/bayeux", &client.cookie, &other);
        backend.call().answer(answer, "");
        assert_eq!(only(&conns[0].response())["successful"], answer == 200);
    }
}
