//! Sessions: one live response each, taken over, ended after the grace, resumed.

use std::time::Duration;

use serde_json::json;

use crate::down::Down;
use crate::node::{Node, await_that};

#[test]
fn a_new_response_takes_over_and_the_old_one_gets_replaced() {
    let node = Node::start(&[]);
    for (old, new) in [("sse", "sse"), ("sse", "stream"), ("stream", "sse")] {
        let mut first = Down::open(&node, &format!("/u/alice/{old}"));
        first.opened();
        node.tell("alice", &json!(1));
        assert_eq!(first.data(), 1);
        let (session, position) = (first.session(), first.last_id());
        let mut second = Down::open(&node, &format!("/u/alice/{new}?session={session}&since={position}"));
        assert_eq!(first.closed(), json!({"code": "replaced", "reconnect": false, "after": 0}));
        assert_eq!(first.retry(), if old == "sse" { Some(86_400_000) } else { None }, "not to come back");
        assert_eq!(second.opened()["session"], session);
        node.tell("alice", &json!(2));
        assert_eq!(second.data(), 2);
        assert_eq!(node.api("DELETE", "/u/alice", "").json(), json!({"ended": 1}));
    }
}

#[test]
fn a_held_poll_is_answered_when_another_takes_over() {
    let node = Node::start(&[]);
    let first = node.get("/u/alice/longpoll");
    let session = first.header("encke-session").unwrap().to_owned();
    let target = format!("/u/alice/longpoll?session={session}");
    let mut parked = node.connect();
    parked.request("GET", &target, &[], b"");
    node.await_sessions("alice", |all| all[0]["attached"] == true);
    let mut second = node.connect();
    second.request("GET", &target, &[], b"");
    assert_eq!(parked.response().envelopes()[0]["close"]["code"], "replaced");
    node.tell("alice", &json!(1));
    assert_eq!(second.response().envelopes()[0]["data"], 1);
    let mut down = Down::open(&node, &format!("/u/alice/sse?session={session}"));
    assert_eq!(down.opened()["session"], session);
}

#[test]
fn no_client_takes_over_the_session_of_another_user() {
    let node = Node::start(&[]);
    let mut alice = Down::open(&node, "/u/alice/sse");
    alice.opened();
    for user in ["bob", "carol", "dave", "eve"] {
        let mut other = Down::open(&node, &format!("/u/{user}/sse?session={}", alice.session()));
        assert_ne!(other.opened()["session"], alice.session());
        assert_eq!(node.sessions(user).len(), 1);
    }
    node.tell("alice", &json!(1));
    assert_eq!(alice.data(), 1);
}

#[test]
fn a_session_ends_when_its_grace_is_over() {
    let node = Node::start(&[("ENCKE_SESSION_GRACE", "300ms"), ("ENCKE_HEARTBEAT", "100ms")]);
    let mut down = Down::open(&node, "/u/alice/sse?channels=/chat/a");
    down.opened();
    let id = node.tell("alice", &json!(1));
    assert_eq!(down.data(), 1);
    let session = down.session();
    drop(down);
    node.await_sessions("alice", <[_]>::is_empty);
    await_that(|| (node.metric("encke_sessions") == 0).then_some(()));
    // Late, but the log still reaches back that far.
    let mut down = Down::open(&node, &format!("/u/alice/sse?channels=/chat/a&session={session}&since={id}"));
    assert_ne!(down.opened()["session"], session);
    node.tell("alice", &json!(2));
    assert_eq!(down.data(), 2);
}

#[test]
fn one_that_comes_back_within_the_grace_misses_nothing() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/stream?channels=/chat/*");
    down.opened();
    let session = down.session();
    drop(down);
    node.await_sessions("alice", |all| all[0]["attached"] == false);
    let ids: Vec<_> = (0..10).map(|n| node.publish(&format!("/chat/{n}"), &json!(n))).collect();
    assert_eq!(ids.len(), 10);
    let mut down = Down::open(&node, &format!("/u/alice/stream?session={session}"));
    assert_eq!((&down.opened()["resumed"], down.session()), (&json!(true), session));
    let mut got: Vec<_> = (0..10).map(|_| down.data().as_u64().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, (0..10).collect::<Vec<_>>());
    down.assert_silent(Duration::from_millis(10));
}

/// A position alone resumes a session only if it existed at that position.
#[test]
fn a_session_that_began_later_is_not_taken_up_by_position() {
    let node = Node::start(&[]);
    let mut first = Down::open(&node, "/u/alice/sse");
    let begin = first.opened()["position"].as_str().unwrap().to_owned();
    node.tell("alice", &json!("missed"));
    let later = node.get("/u/alice/poll");
    let later = later.header("encke-session").unwrap();
    // The first one's connection hangs, and the node has not noticed yet.
    let mut again = Down::open_with(&node, "/u/alice/sse", &[("Last-Event-ID", &begin)]);
    assert_ne!(again.opened()["session"], later);
    assert_eq!(again.data(), "missed");
}

/// A page whose session has ended must not get another page's: each would get `replaced` whenever
/// the other reconnects.
#[test]
fn an_ended_session_is_replaced_by_a_new_one() {
    let node = Node::start(&[]);
    let first = node.get("/u/alice/poll");
    let (owner, begin) =
        (first.header("encke-session").unwrap(), first.header("encke-position").unwrap().to_owned());
    node.tell("alice", &json!("missed"));
    let over = "s0000000000000000000000000000000000000000";
    let mut down = Down::open(&node, &format!("/u/alice/stream?session={over}&since={begin}"));
    assert_ne!(down.opened()["session"], owner);
    assert_eq!(down.data(), "missed");
    assert_eq!(node.get(&format!("/u/alice/poll?session={owner}")).envelopes()[0]["data"], "missed");
    node.tell("alice", &json!("next"));
    assert_eq!(down.data(), "next");
}

#[test]
fn a_session_that_is_taken_up_by_name_is_nobody_elses() {
    let node = Node::start(&[]);
    for (user, names_it) in [("alice", true), ("bob", false)] {
        let first = node.get(&format!("/u/{user}/poll"));
        let (owner, begin) =
            (first.header("encke-session").unwrap(), first.header("encke-position").unwrap());
        let by_id = format!("/u/{user}/poll?session={owner}");
        if names_it {
            assert_eq!(node.get(&by_id).header("encke-session"), Some(owner));
        }
        node.tell(user, &json!("for both"));
        let other = node.get(&format!("/u/{user}/poll?since={begin}"));
        assert_eq!(other.header("encke-session") == Some(owner), !names_it, "{user}");
        // Whichever client got the session, both get the message.
        for got in [other, node.get(&by_id)] {
            assert!(got.envelopes().iter().any(|one| one["data"] == "for both"), "{user}");
        }
    }
}

#[test]
fn an_unknown_position_is_answered_with_a_gap_and_then_with_messages() {
    let node = Node::start(&[]);
    for (n, since) in ["nonsense", "abc-1", "0-0", "-1", "k3f9-99999999999999999999"].iter().enumerate() {
        for transport in ["sse", "stream"] {
            let user = format!("{transport}{n}");
            let mut down = Down::open(&node, &format!("/u/{user}/{transport}?since={since}"));
            assert_eq!(down.opened()["resumed"], false, "{since}");
            let gap = down.expect();
            assert!(gap["gap"]["to"].is_string(), "{since}: {gap}");
            node.tell(&user, &json!(n));
            assert_eq!(down.data(), n);
        }
    }
}

/// The endless retry: a poller whose position is always stale must not be answered at once for
/// ever.
#[test]
fn a_poll_with_a_stale_position_or_session_settles() {
    let node = Node::start(&[]);
    let stale = "s0000000000000000000000000000000000000000";
    for query in [
        "since=nonsense",
        "since=abc-1",
        &format!("session={stale}"),
        &format!("session={stale}&since=abc-7"),
    ] {
        let mut conn = node.connect();
        let first = conn.ask("GET", &format!("/u/alice/longpoll?{query}"), &[], b"");
        let envelopes = first.envelopes();
        assert!(envelopes[0]["open"].is_object(), "{query}: {envelopes:?}");
        assert_eq!(envelopes.iter().any(|one| one["gap"].is_object()), query.contains("since"), "{query}");
        let session = first.header("encke-session").unwrap();
        let position = first.header("encke-position").unwrap();
        conn.request("GET", &format!("/u/alice/longpoll?session={session}&since={position}"), &[], b"");
        node.await_sessions("alice", |all| all.iter().any(|one| one["attached"] == true));
        conn.assert_silent(Duration::from_millis(50));
        node.tell("alice", &json!(query));
        assert_eq!(conn.response().envelopes()[0]["data"], query);
        node.api("DELETE", "/u/alice", "");
    }
}

/// A client that keeps its stale position: it still gets no immediate answer without a gap.
#[test]
fn a_client_that_repeats_its_stale_request_gets_a_gap_each_time() {
    let node = Node::start(&[("ENCKE_SESSIONS_PER_USER", "4")]);
    let mut conn = node.connect();
    for _ in 0..10 {
        let answer = conn.ask("GET", "/u/alice/longpoll?since=abc-1", &[], b"");
        assert!(answer.envelopes().iter().any(|one| one["gap"].is_object()));
    }
    assert!(node.sessions("alice").len() <= 4);
}

#[test]
fn a_gap_is_reported_when_the_log_no_longer_reaches_back() {
    // Not the count alone: within the grace only the bound on bytes drops messages.
    let node = Node::start(&[("ENCKE_CHANNEL_BYTES", "2KiB"), ("ENCKE_MESSAGE_BYTES", "1KiB")]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let id = node.tell("alice", &json!("seen"));
    assert_eq!(down.data(), "seen");
    let session = down.session();
    drop(down);
    node.await_sessions("alice", |all| all[0]["attached"] == false);
    let text = "x".repeat(400);
    for n in 0..10 {
        node.tell("alice", &json!([n, text]));
    }
    let mut down = Down::open(&node, &format!("/u/alice/sse?session={session}&since={id}"));
    assert_eq!(down.opened()["resumed"], false);
    let gap = down.expect()["gap"].clone();
    assert_eq!(gap["from"], id);
    let first = down.data()[0].as_u64().unwrap();
    assert!(first > 4, "the log holds 2 KiB: {first}");
    for n in first + 1..10 {
        assert_eq!(down.data()[0], n);
    }
    assert!(node.metric("encke_gaps_total") >= 1);
}

#[test]
fn a_user_may_have_odd_names() {
    let node = Node::start(&[]);
    for (path, name) in [("%E2%82%AC", "€"), ("a%2Fb", "a/b"), ("%20", " "), ("a+b", "a+b"), ("a%25", "a%")]
    {
        let mut down = Down::open(&node, &format!("/u/{path}/sse"));
        down.opened();
        let answer = node.api("POST", "/publish", &json!({"user": name, "data": 1}).to_string());
        assert_eq!(answer.json()["sessions"], 1, "{name}");
        assert_eq!(down.data(), 1);
        assert_eq!(node.api("GET", &format!("/u/{path}"), "").json()["user"], name);
    }
    for path in ["", "%00", "%FF", "%ZZ", "%", &"x".repeat(129)] {
        let refused = node.get(&format!("/u/{path}/poll"));
        assert_eq!((refused.status, refused.error()), (400, "bad-user".into()), "{path:?}");
    }
    assert_eq!(node.get(&format!("/u/{}/poll", "x".repeat(128))).status, 200);
}
