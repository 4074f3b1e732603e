//! The messages of one client take effect in order, over requests and over a WebSocket, with two
//! and with four shards.

use serde_json::{Value, json};

use super::{Client, array, request};
use crate::down::Down;
use crate::node::Node;
use crate::socket::Socket;

const CHANNELS: usize = 12;

fn nodes() -> impl Iterator<Item = (Node, Vec<Down>)> {
    ["2", "4"].into_iter().map(|shards| {
        let node = Node::start(&[("ENCKE_SHARDS", shards)]);
        let all: Vec<_> = (0..CHANNELS).map(channel).collect();
        let keepers = ["ann", "bea", "cid"].map(|user| {
            let mut keeper = Down::open(&node, &format!("/u/{user}/sse?channels={}", all.join(",")));
            keeper.opened();
            keeper
        });
        (node, keepers.into())
    })
}

fn channel(n: usize) -> String {
    format!("/t/{n}/x")
}

/// By its name, and by patterns.
fn name(n: usize) -> String {
    match n % 3 {
        0 => channel(n),
        1 => format!("/t/{n}/*"),
        _ => format!("/t/{n}/**"),
    }
}

fn message(id: &str, channel: &str, more: &Value) -> Value {
    let mut message = json!({"id": "1", "channel": channel, "clientId": id});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// Unsubscribes and subscribes again, with a publish on either side; the session is subscribed
/// before.
fn story(id: &str, n: usize) -> Vec<Value> {
    let publish = |data: &str| message(id, &channel(n), &json!({ "data": data }));
    let subscription = json!({ "subscription": name(n) });
    vec![
        message(id, "/meta/unsubscribe", &subscription),
        publish("after"),
        message(id, "/meta/subscribe", &subscription),
        publish("again"),
    ]
}

/// The data of the events among the answers.
fn data(answers: &[Value]) -> Vec<Value> {
    answers.iter().filter_map(|answer| answer.get("data").cloned()).collect()
}

/// Connects until the last message of the story has arrived.
fn until_end(node: &Node, client: &mut Client) -> Vec<Value> {
    node.tell("alice", &json!("end"));
    let mut got = Vec::new();
    while !got.contains(&json!("end")) {
        got.extend(data(&client.connect(&json!({}))));
    }
    got.pop();
    got
}

#[test]
fn a_batch_by_request_takes_effect_in_its_order() {
    for (node, _keepers) in nodes() {
        for ext in [json!({}), json!({"ack": true})] {
            let mut client = Client::begin(&node, "/u/alice/bayeux", &ext);
            for n in 0..CHANNELS {
                let subscription = json!({ "subscription": name(n) });
                let first = [
                    client.message(&channel(n), &json!({"data": "before"})),
                    client.message("/meta/subscribe", &subscription),
                    client.message(&channel(n), &json!({"data": "in"})),
                ];
                request(&mut client.others, &client.path, &client.cookie, &json!(first));
                assert_eq!(array(&client.others.response()).len(), 3);
                assert_eq!(until_end(&node, &mut client), ["in"], "{}", name(n));
                let story = story(&client.id, n);
                request(&mut client.others, &client.path, &client.cookie, &json!(story));
                assert_eq!(array(&client.others.response()).len(), story.len());
                assert_eq!(until_end(&node, &mut client), ["again"], "{}", name(n));
            }
        }
    }
}

#[test]
fn requests_that_follow_each_other_on_one_connection_take_effect_in_their_order() {
    for (node, _keepers) in nodes() {
        let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
        for n in 0..CHANNELS {
            client.ask("/meta/subscribe", &json!({ "subscription": name(n) }));
            let story = story(&client.id, n);
            for message in &story {
                request(&mut client.others, &client.path, &client.cookie, message);
            }
            for _ in &story {
                assert_eq!(array(&client.others.response())[0]["successful"], true);
            }
            assert_eq!(until_end(&node, &mut client), ["again"], "{}", name(n));
        }
    }
}

#[test]
fn a_batch_and_messages_up_a_socket_take_effect_in_their_order() {
    for (node, _keepers) in nodes() {
        let mut socket = Socket::open(&node, "/u/alice/bayeux");
        let handshake_answer = socket.ask(&super::handshake(&json!({}))).json();
        let id = handshake_answer[0]["clientId"].as_str().unwrap().to_owned();
        let connect = message(&id, "/meta/connect", &json!({}));
        assert_eq!(socket.ask(&connect).json()[0]["successful"], true);
        socket.ask(&connect);
        for n in 0..CHANNELS {
            let mut story = story(&id, n);
            let subscription = json!({ "subscription": name(n) });
            story.insert(0, message(&id, &channel(n), &json!({"data": "before"})));
            story.insert(1, message(&id, "/meta/subscribe", &subscription));
            story.insert(2, message(&id, &channel(n), &json!({"data": "in"})));
            if n % 2 == 0 {
                socket.ask(&json!(story));
            } else {
                for message in &story {
                    socket.ask(message);
                }
            }
            let mut got = Vec::new();
            let mut read = |got: &mut Vec<Value>| {
                got.extend(socket.json().as_array().unwrap().iter().map(|answer| {
                    answer.get("data").cloned().unwrap_or_else(|| answer["successful"].clone())
                }));
            };
            while answered(&got) < story.len() {
                read(&mut got);
            }
            node.tell("alice", &json!("end"));
            while got.last() != Some(&json!("end")) {
                read(&mut got);
            }
            got.retain(|data| *data != json!(true));
            assert_eq!(got, ["in", "again", "end"], "{}", name(n));
        }
    }
}

/// The number of answers among these.
fn answered(got: &[Value]) -> usize {
    got.iter().filter(|data| **data == json!(true)).count()
}

#[test]
fn publishes_of_one_client_to_several_channels_reach_everybody_in_their_order() {
    for (node, _keepers) in nodes() {
        let mut watchers =
            ["dan", "eve", "flo"].map(|user| Down::open(&node, &format!("/u/{user}/sse?channels=/t/**")));
        for down in &mut watchers {
            down.opened();
        }
        let mut client = Client::begin(&node, "/u/alice/bayeux", &json!({}));
        let volley: Vec<_> = (0..3 * CHANNELS)
            .map(|n| client.message(&channel(n % CHANNELS), &json!({ "data": n })))
            .collect();
        request(&mut client.others, &client.path, &client.cookie, &json!(volley));
        assert_eq!(array(&client.others.response()).len(), volley.len());
        for down in &mut watchers {
            for n in 0..volley.len() {
                assert_eq!(down.data(), n);
            }
        }
    }
}

#[test]
fn what_is_published_before_a_channel_is_left_answers_a_held_connect() {
    for (node, _keepers) in nodes() {
        for ext in [json!({}), json!({"ack": true})] {
            let mut client = Client::begin(&node, "/u/alice/bayeux", &ext);
            for n in 0..CHANNELS {
                let subscription = json!({ "subscription": name(n) });
                client.ask("/meta/subscribe", &subscription);
                client.request_connect(&json!({}));
                node.await_sessions("alice", |all| all.iter().any(|one| one["attached"] == true));
                let batch = [
                    client.message(&channel(n), &json!({"data": "in"})),
                    client.message("/meta/unsubscribe", &subscription),
                    client.message(&channel(n), &json!({"data": "after"})),
                ];
                request(&mut client.others, &client.path, &client.cookie, &json!(batch));
                assert_eq!(array(&client.others.response()).len(), batch.len());
                assert_eq!(data(&client.connected()), ["in"], "{}", name(n));
            }
        }
    }
}
