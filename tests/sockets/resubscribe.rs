//! Repeated subscriptions: the options of the newest request apply.

use std::time::Duration;

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

/// Longer than any test waits.
const LONG: u64 = 60_000;

/// With two shards, some of these have their home on either.
const CHANNELS: [&str; 4] = ["/t/a", "/t/b", "/t/c", "/t/d"];

fn subscribe(node: &Node, down: &Down, command: &Value) {
    let answer = node.send("bob", &down.session(), command);
    assert!(answer["ok"].is_object(), "{answer}");
}

fn open(node: &Node, query: &str) -> Down {
    let mut down = Down::open(node, &format!("/u/bob/sse{query}"));
    down.opened();
    down
}

fn publish(node: &Node, channel: &str, values: std::ops::RangeInclusive<u64>) {
    for n in values {
        node.publish(channel, &json!(n));
    }
}

#[test]
fn a_plain_subscription_is_slowed_down_and_a_slow_one_freed_and_nothing_held_back_is_lost() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    for channel in CHANNELS {
        let mut down = open(&node, &format!("?channels={channel}"));
        publish(&node, channel, 1..=3);
        assert_eq!([1, 2, 3].map(|_| down.data()), [1, 2, 3]);
        subscribe(&node, &down, &json!({"subscribe": channel, "conflate": LONG}));
        publish(&node, channel, 4..=4);
        assert_eq!(down.data(), 4, "the first comes at once");
        publish(&node, channel, 5..=9);
        down.assert_silent(Duration::from_millis(20));
        subscribe(&node, &down, &json!({"subscribe": channel}));
        assert_eq!(down.data(), 9, "the newest was held back");
        publish(&node, channel, 10..=12);
        assert_eq!([10, 11, 12].map(|_| down.data()), [10, 11, 12]);
    }
}

#[test]
fn a_shorter_pace_is_due_earlier_and_a_longer_one_later() {
    let node = Node::start(&[]);
    let mut down = open(&node, &format!("?channels=/t&conflate={LONG}"));
    publish(&node, "/t", 1..=1);
    assert_eq!(down.data(), 1);
    publish(&node, "/t", 2..=3);
    down.assert_silent(Duration::from_millis(20));
    subscribe(&node, &down, &json!({"subscribe": "/t", "conflate": 10}));
    assert_eq!(down.data(), 3);
    subscribe(&node, &down, &json!({"subscribe": "/t", "conflate": LONG}));
    publish(&node, "/t", 4..=5);
    down.assert_silent(Duration::from_millis(50));
}

#[test]
fn what_a_slow_reader_had_not_got_is_conflated_with_the_rest() {
    let node = Node::start(&[]);
    let first = open(&node, "?channels=/t");
    let session = first.session();
    drop(first);
    node.await_sessions("bob", |all| all[0]["attached"] == false);
    publish(&node, "/t", 1..=5);
    let answer = node.send("bob", &session, &json!({"subscribe": "/t", "conflate": LONG}));
    assert!(answer["ok"].is_object(), "{answer}");
    let mut again = open(&node, &format!("?session={session}"));
    assert_eq!(again.data(), 5);
    again.assert_silent(Duration::from_millis(20));
}

#[test]
fn a_value_that_was_lost_on_its_way_before_the_change_comes_again() {
    let node = Node::start(&[]);
    let mut first = open(&node, "?channels=/t");
    let (session, start) = (first.session(), node.sessions("bob")[0]["position"].clone());
    publish(&node, "/t", 1..=2);
    assert_eq!([1, 2].map(|_| first.data()), [1, 2]);
    subscribe(&node, &first, &json!({"subscribe": "/t", "conflate": LONG}));
    drop(first);
    // As if neither had arrived.
    let start = start.as_str().unwrap();
    let mut again = open(&node, &format!("?session={session}&since={start}"));
    assert_eq!(again.data(), 2);
    again.assert_silent(Duration::from_millis(20));
}

#[test]
fn history_that_is_asked_for_later_brings_what_the_session_has_not_had() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    for channel in CHANNELS {
        // Another subscriber keeps the channel's log at its home.
        let _keeper = Down::open(&node, &format!("/u/eve/sse?channels={channel}"));
        publish(&node, channel, 1..=5);
        let mut down = open(&node, &format!("?channels={channel}&last=1"));
        assert_eq!(down.data(), 5);
        publish(&node, channel, 6..=7);
        assert_eq!([6, 7].map(|_| down.data()), [6, 7]);
        for _ in 0..2 {
            subscribe(&node, &down, &json!({"subscribe": channel, "last": 5}));
        }
        assert_eq!([3, 4].map(|_| down.data()), [3, 4]);
        publish(&node, channel, 8..=8);
        assert_eq!(down.data(), 8, "5, 6 and 7 did not come again");
    }
}

#[test]
fn a_pattern_brings_history_of_all_its_channels_later() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let _keeper = Down::open(&node, &format!("/u/eve/sse?channels={}", CHANNELS.join(",")));
    for channel in CHANNELS {
        publish(&node, channel, 1..=1);
    }
    let mut down = open(&node, "?channels=/t/*");
    subscribe(&node, &down, &json!({"subscribe": "/t/*", "last": 9}));
    assert_eq!(CHANNELS.map(|_| down.data()), CHANNELS.map(|_| 1));
    down.assert_silent(Duration::from_millis(20));
}

#[test]
fn with_last_a_conflated_subscription_says_its_newest_value_again() {
    let node = Node::start(&[]);
    let mut down = open(&node, "?channels=/t&conflate=10");
    publish(&node, "/t", 1..=1);
    assert_eq!(down.data(), 1);
    subscribe(&node, &down, &json!({"subscribe": "/t", "conflate": 10, "last": 1}));
    assert_eq!(down.data(), 1);
    subscribe(&node, &down, &json!({"subscribe": "/t", "conflate": 20}));
    down.assert_silent(Duration::from_millis(50));
}

#[test]
fn presence_ends_when_it_is_not_asked_for_any_more_and_begins_again() {
    let node = Node::start(&[]);
    let mut down = open(&node, "?channels=/t&presence=1");
    assert_eq!(down.expect()["presence"]["count"], 1);
    subscribe(&node, &down, &json!({"subscribe": "/t"}));
    let _eve = Down::open(&node, "/u/eve/sse?channels=/t");
    publish(&node, "/t", 1..=1);
    assert_eq!(down.data(), 1);
    down.assert_silent(Duration::from_millis(50));
    subscribe(&node, &down, &json!({"subscribe": "/t", "presence": true}));
    assert_eq!(down.expect()["presence"]["users"], json!(["bob", "eve"]));
}

#[test]
fn a_connection_that_names_its_channels_again_changes_no_options() {
    let node = Node::start(&[]);
    let mut first = open(&node, "");
    subscribe(&node, &first, &json!({"subscribe": "/t", "conflate": LONG}));
    publish(&node, "/t", 1..=1);
    assert_eq!(first.data(), 1);
    let session = first.session();
    let mut again = open(&node, &format!("?session={session}&channels=/t"));
    publish(&node, "/t", 2..=3);
    again.assert_silent(Duration::from_millis(50));
}
