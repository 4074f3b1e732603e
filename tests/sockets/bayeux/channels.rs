//! Subscriptions and events: the meaning of names, and the fields that an answer repeats.

use serde_json::{Value, json};

use super::{Client, handshake, only, post};
use crate::node::Node;

fn drained(client: &mut Client) -> Vec<Value> {
    super::events(&client.connect(&json!({"advice": {"timeout": 0}}))).to_vec()
}

#[test]
fn a_pattern_means_one_segment_or_several_and_no_meta_and_no_service() {
    let node = Node::start(&[]);
    for (pattern, expected) in [
        ("/a/*", vec!["/a/b"]),
        ("/a/**", vec!["/a/b", "/a/b/c"]),
        ("/*", vec!["/a", "/A"]),
        ("/**", vec!["/a", "/a/b", "/a/b/c", "/A", "/x/b"]),
        ("/a", vec!["/a"]),
        ("/a/b", vec!["/a/b"]),
    ] {
        let mut client = Client::begin(&node, "/bayeux", &json!({}));
        let answer = client.ask("/meta/subscribe", &json!({"subscription": pattern}));
        assert_eq!((&answer["successful"], &answer["subscription"]), (&json!(true), &json!(pattern)));
        for channel in ["/a", "/a/b", "/a/b/c", "/A", "/x/b"] {
            node.publish(channel, &json!(1));
        }
        client.ask("/service/x", &json!({"data": 1}));
        client.ask("/meta/zork", &json!({"data": 1}));
        post(&mut node.connect(), "/bayeux", "", &handshake(&json!({})));
        let events = drained(&mut client);
        let channels: Vec<_> = events.iter().map(|event| event["channel"].as_str().unwrap()).collect();
        assert_eq!(channels, expected, "{pattern}");
    }
}

#[test]
fn names_are_what_the_grammar_says() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for name in ["/azAZ09-_!~()$@", "/a/b/c", "/*", "/**", "/a/*", "/a/**"] {
        let answer = client.ask("/meta/subscribe", &json!({"subscription": name}));
        assert_eq!(answer["successful"], true, "{answer}");
    }
    for name in [
        "", "/", "a", "/a/", "//a", "/a//b", "/a b", "/a/*/b", "/a*", "/a/***", "/é", "/a\u{0}", "/a?b",
        "/a%20b", "?/c",
    ] {
        let answer = client.ask("/meta/subscribe", &json!({"subscription": name}));
        assert_eq!((&answer["successful"], &answer["subscription"]), (&json!(false), &json!(name)));
        assert!(answer["error"].as_str().unwrap().starts_with("403:"), "{answer}");
    }
    for name in ["/a/*", "/**", "/a/", "//a", "a"] {
        let answer = client.ask(name, &json!({"data": 1}));
        assert!(answer["error"].as_str().unwrap().starts_with("405:"), "{answer}");
    }
}

#[test]
fn a_subscription_is_repeated_whatever_becomes_of_it() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for (subscription, error) in [
        (json!("/c"), ""),
        (json!(["/c"]), ""),
        (json!(["/c", "/c", "/d"]), ""),
        (json!("/service/x"), ""),
        (json!(["/service/**"]), ""),
        (json!("/meta/connect"), "403:/meta/connect:subscribe_denied"),
        (json!("/meta/*"), "403:/meta/*:subscribe_denied"),
        (json!("/u/another"), "403:/u/another:subscribe_denied"),
        (json!(7), "403::subscription_invalid"),
        (json!({"a": 1}), "403::subscription_invalid"),
        (json!(["/c", 7]), "403::subscription_invalid"),
        (json!([]), "403::subscription_missing"),
    ] {
        for channel in ["/meta/subscribe", "/meta/unsubscribe"] {
            let answer = client.ask(channel, &json!({"subscription": subscription}));
            assert_eq!(answer["subscription"], subscription, "{channel}: {answer}");
            if channel == "/meta/subscribe" {
                assert_eq!(answer["error"].as_str().unwrap_or(""), error);
            }
        }
    }
    // So does the answer to a client without a session, which may look for the field first.
    let unknown = json!({"id": "1", "channel": "/meta/subscribe", "clientId": "s0", "subscription": ["/c"]});
    let answer = only(&post(&mut node.connect(), "/bayeux", "", &unknown));
    assert!(answer["error"].as_str().unwrap().starts_with("402:"), "{answer}");
    assert_eq!(
        (&answer["subscription"], &answer["advice"]["reconnect"]),
        (&json!(["/c"]), &json!("handshake"))
    );
}

#[test]
fn twice_subscribed_is_once_and_once_left_is_left() {
    let node = Node::start(&[]);
    let mut client = Client::begin(&node, "/bayeux", &json!({}));
    for subscription in [json!("/c"), json!("/c"), json!(["/c", "/c"])] {
        client.ask("/meta/subscribe", &json!({"subscription": subscription}));
    }
    node.publish("/c", &json!(1));
    assert_eq!(drained(&mut client).len(), 1);
    client.ask("/meta/unsubscribe", &json!({"subscription": "/c"}));
    node.publish("/c", &json!(2));
    assert!(drained(&mut client).is_empty());
    // A client cannot unsubscribe from its personal channel.
    let mut alice = Client::begin(&node, "/u/alice/bayeux", &json!({}));
    assert_eq!(alice.ask("/meta/unsubscribe", &json!({"subscription": "/u/alice"}))["successful"], true);
    node.tell("alice", &json!(3));
    assert_eq!(drained(&mut alice).len(), 1);
}

#[test]
fn a_channel_has_the_order_in_which_its_publishes_arrived() {
    let node = Node::start(&[("ENCKE_SHARDS", "4")]);
    let mut sender = Client::begin(&node, "/bayeux", &json!({}));
    let mut reader = Client::begin(&node, "/bayeux", &json!({}));
    reader.ask("/meta/subscribe", &json!({"subscription": "/c/*"}));
    for round in 0..5 {
        let batch: Vec<_> =
            (0..20).map(|n| sender.message("/c/1", &json!({"data": round * 20 + n}))).collect();
        let answers = super::array(&post(&mut sender.others, "/bayeux", &sender.cookie, &json!(batch)));
        assert!(answers.iter().all(|answer| answer["successful"] == true));
    }
    let mut data = Vec::new();
    while data.len() < 100 {
        data.extend(
            super::events(&reader.connect(&json!({}))).iter().map(|event| event["data"].as_u64().unwrap()),
        );
    }
    assert_eq!(data, (0..100).collect::<Vec<_>>());
}

#[test]
fn without_a_live_session_nothing_is_published() {
    let node = Node::start(&[]);
    let mut reader = Client::begin(&node, "/bayeux", &json!({}));
    reader.ask("/meta/subscribe", &json!({"subscription": "/c"}));
    for client in [json!(null), json!(""), json!("zork"), json!(7), json!(["a"])] {
        let message = json!({"id": "1", "channel": "/c", "clientId": client, "data": 1});
        let answer = only(&post(&mut node.connect(), "/bayeux", "", &message));
        assert_eq!((&answer["id"], &answer["successful"]), (&json!("1"), &json!(false)));
        assert!(answer["error"].as_str().unwrap().starts_with("402:"), "{answer}");
    }
    assert!(drained(&mut reader).is_empty());
}
