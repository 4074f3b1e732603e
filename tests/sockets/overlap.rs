//! Two long polls of one session at once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::node::{Node, await_that};

fn session(node: &Node) -> String {
    node.get("/u/bob/longpoll?channels=/c").header("encke-session").unwrap().to_owned()
}

fn poll(node: &Node, session: &str) -> Conn {
    let mut conn = node.connect();
    again(&mut conn, session);
    conn
}

fn again(conn: &mut Conn, session: &str) {
    conn.request("GET", &format!("/u/bob/longpoll?session={session}&overlap=1"), &[], b"");
}

fn data(answer: &Response) -> Vec<Value> {
    answer.envelopes().iter().map(|envelope| envelope["data"].clone()).collect()
}

/// Two polls; the first is answered first.
fn two(node: &Node, session: &str) -> [Conn; 2] {
    let first = poll(node, session);
    await_polls(node, 2);
    let second = poll(node, session);
    await_polls(node, 3);
    [first, second]
}

/// Waits until the node has this many polls of the user.
fn await_polls(node: &Node, count: u64) {
    node.await_metric("encke_responses_total{transport=\"longpoll\"}", count);
}

#[test]
fn each_message_answers_the_older_and_nothing_is_lost_or_doubled() {
    let node = Node::start(&[]);
    let session = session(&node);
    let mut polls = two(&node, &session);
    for n in 0..20 {
        node.publish("/c", &json!(n));
        let first = &mut polls[n % 2];
        assert_eq!(data(&first.response()), [json!(n)]);
        again(first, &session);
        await_polls(&node, 4 + n as u64);
    }
    polls[0].assert_silent(Duration::from_millis(5));
    assert_eq!(node.sessions("bob").len(), 1);
}

#[test]
fn what_comes_in_a_burst_is_shared_between_both() {
    let node = Node::start(&[]);
    let session = session(&node);
    let mut polls = two(&node, &session);
    node.publish("/c", &json!(1));
    node.publish("/c", &json!(2));
    let got: Vec<_> = polls.iter_mut().flat_map(|conn| data(&conn.response())).collect();
    assert_eq!(got, [json!(1), json!(2)]);
}

#[test]
fn the_second_takes_over_when_the_first_is_cut_and_is_forgotten_when_it_is_cut_itself() {
    let node = Node::start(&[]);
    let session = session(&node);
    let [first, mut second] = two(&node, &session);
    drop(first);
    await_that(|| (node.metric("encke_connections{door=\"public\"}") == 1).then_some(()));
    let third = poll(&node, &session);
    await_polls(&node, 4);
    drop(third);
    await_that(|| (node.metric("encke_connections{door=\"public\"}") == 1).then_some(()));
    node.publish("/c", &json!("on"));
    assert_eq!(data(&second.response()), [json!("on")]);
}

#[test]
fn a_takeover_of_the_session_replaces_both() {
    let node = Node::start(&[]);
    let session = session(&node);
    let mut polls = two(&node, &session);
    let mut third = node.connect();
    third.request("GET", &format!("/u/bob/longpoll?session={session}"), &[], b"");
    for conn in &mut polls {
        assert_eq!(conn.response().envelopes()[0]["close"]["code"], "replaced");
    }
    node.tell("bob", &json!(1));
    assert_eq!(data(&third.response()), [json!(1)]);
}

#[test]
fn a_drain_and_the_end_of_the_session_answer_both() {
    for drains in [true, false] {
        let mut node = Node::start(&[]);
        let session = session(&node);
        let mut polls = two(&node, &session);
        if drains {
            node.signal("TERM");
        } else {
            assert_eq!(node.api("DELETE", "/u/bob", "").status, 200);
        }
        for conn in &mut polls {
            let code = conn.response().envelopes()[0]["close"]["code"].clone();
            assert_eq!(code, if drains { "drain" } else { "ended" });
        }
        if drains {
            assert!(node.exit().success());
        }
    }
}

#[test]
fn when_the_hold_is_over_both_are_answered() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "1s")]);
    let session = session(&node);
    let mut polls = two(&node, &session);
    for conn in &mut polls {
        assert_eq!(conn.response().envelopes(), [json!(null); 0]);
    }
}
