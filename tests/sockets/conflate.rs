//! Conflated subscriptions: only the newest value, at intervals.

use std::time::Duration;

use serde_json::{Value, json};

use crate::down::Down;
use crate::node::Node;

/// Longer than any test waits: a second value within it would be wrong.
const LONG: u64 = 60_000;

fn subscribe(node: &Node, down: &Down, command: &Value) {
    let answer = node.send("bob", &down.session(), command);
    assert!(answer["ok"].is_object(), "{answer}");
}

#[test]
fn of_a_burst_the_first_value_comes_and_then_the_newest() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    // Some of these have their home on either shard.
    for channel in ["/t/a", "/t/b", "/t/c", "/t/d"] {
        let mut ticker = Down::open(&node, "/u/bob/sse");
        ticker.opened();
        subscribe(&node, &ticker, &json!({"subscribe": channel, "conflate": 300}));
        node.publish(channel, &json!(0));
        assert_eq!(ticker.data(), 0);
        for n in 1..=50 {
            node.publish(channel, &json!(n));
        }
        // Each value is newer than the one before, and the last value arrives.
        let (mut last, mut count) = (0, 0);
        while last < 50 {
            let value = ticker.data().as_u64().unwrap();
            assert!(value > last);
            (last, count) = (value, count + 1);
        }
        assert!(count < 50, "nothing was overtaken");
        ticker.assert_silent(Duration::from_millis(1));
    }
}

#[test]
fn what_was_overtaken_is_not_sent_after_a_cut_either() {
    let node = Node::start(&[]);
    let mut ticker = Down::open(&node, "/u/bob/sse?channels=/t&conflate=200");
    ticker.opened();
    node.publish("/t", &json!(1));
    assert_eq!(ticker.data(), 1);
    let (session, since) = (ticker.session(), ticker.last_id());
    drop(ticker);
    node.await_sessions("bob", |all| all[0]["attached"] == false);
    for n in 2..=9 {
        node.publish("/t", &json!(n));
    }
    node.tell("bob", &json!("plain"));
    let mut again = Down::open(&node, &format!("/u/bob/sse?session={session}&since={since}"));
    assert_eq!(again.opened()["resumed"], true);
    let values = [again.data(), again.data()];
    assert!(values.contains(&json!("plain")) && values.contains(&json!(9)), "{values:?}");
}

#[test]
fn a_pattern_gives_the_newest_of_each_channel_and_a_plain_subscription_all() {
    let node = Node::start(&[]);
    let mut ticker = Down::open(&node, "/u/bob/sse?channels=/t/all");
    ticker.opened();
    subscribe(&node, &ticker, &json!({"subscribe": "/t/*", "conflate": LONG}));
    node.publish("/t/x", &json!("x0"));
    assert_eq!(ticker.data(), "x0");
    for n in 0..3 {
        node.publish("/t/x", &json!(format!("overtaken {n}")));
        node.publish("/t/all", &json!(n));
        assert_eq!(ticker.data(), n, "the plain one is not conflated");
    }
    ticker.assert_silent(Duration::from_millis(20));
}

#[test]
fn with_last_it_begins_with_the_newest_value() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    let mut keeper = Down::open(&node, "/u/eve/sse?channels=/t/a,/t/b,/t/c,/t/d");
    keeper.opened();
    for channel in ["/t/a", "/t/b", "/t/c", "/t/d"] {
        node.publish(channel, &json!("old"));
        node.publish(channel, &json!("new"));
        let mut ticker = Down::open(&node, "/u/bob/sse");
        ticker.opened();
        subscribe(&node, &ticker, &json!({"subscribe": channel, "conflate": LONG, "last": 1}));
        assert_eq!(ticker.data(), "new");
        let mut other = Down::open(&node, &format!("/u/bob/sse?channels={channel}&conflate={LONG}"));
        other.opened();
        other.assert_silent(Duration::from_millis(20));
    }
}

#[test]
fn a_poll_that_does_not_wait_gets_the_newest_value_too() {
    let node = Node::start(&[("ENCKE_SHARDS", "2")]);
    for channel in ["/t/a", "/t/b", "/t/c", "/t/d"] {
        let first = node.get(&format!("/u/bob/poll?channels={channel}&conflate={LONG}"));
        let session = first.header("encke-session").unwrap();
        let poll = || node.get(&format!("/u/bob/poll?session={session}")).envelopes()[0]["data"].clone();
        node.publish(channel, &json!(1));
        node.publish(channel, &json!(2));
        assert_eq!(poll(), 2);
        node.publish(channel, &json!(3));
        assert_eq!(poll(), Value::Null, "the pace is kept");
    }
}

#[test]
fn a_long_poll_is_answered_by_a_conflated_value_and_bad_paces_are_refused() {
    let node = Node::start(&[]);
    let first = node.get("/u/bob/longpoll?channels=/t&conflate=10");
    let session = first.header("encke-session").unwrap();
    let mut parked = node.connect();
    parked.request("GET", &format!("/u/bob/longpoll?session={session}"), &[], b"");
    node.await_sessions("bob", |all| all[0]["attached"] == true);
    node.publish("/t", &json!(7));
    assert_eq!(parked.response().envelopes()[0]["data"], 7);
    for bad in ["9", "3600001", "x", ""] {
        let answer = node.get(&format!("/u/bob/longpoll?channels=/t&conflate={bad}"));
        assert_eq!((answer.status, answer.error().as_str()), (400, "bad-conflate"), "{bad:?}");
    }
}
