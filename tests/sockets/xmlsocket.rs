//! XMLSocket: policy files, greetings, messages that end with a NUL.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Conn;
use crate::node::{Node, await_that};

pub(crate) const ON: (&str, &str) = ("ENCKE_XMLSOCKET_LISTEN", "127.0.0.1:0");
const POLICY: &str = "<policy-file-request/>\0";

pub(crate) fn connect(node: &Node) -> Conn {
    let line = node.log_line(|line| line.contains(" xmlsocket="));
    let (_, rest) = line.split_once(" xmlsocket=").expect("it is there");
    Conn::to(rest.split([' ', ',']).next().expect("one").parse().expect("an address"))
}

/// The next message that is not empty.
pub(crate) fn next(conn: &mut Conn) -> Value {
    let mut text = Vec::new();
    loop {
        match conn.take(1)[0] {
            0 if text.is_empty() => {}
            0 => return serde_json::from_slice(&text).expect("an envelope"),
            byte => text.push(byte),
        }
    }
}

pub(crate) fn greet(conn: &mut Conn, connect: &Value) -> Value {
    conn.send(format!("{}\0", json!({ "connect": connect })));
    next(conn)
}

#[test]
fn a_policy_is_given_whole_however_it_is_asked_for() {
    let node = Node::start(&[ON, ("ENCKE_ORIGINS", "https://www.example.com")]);
    for torn in [false, true] {
        let mut conn = connect(&node);
        if torn {
            conn.trickle(POLICY)
        } else {
            conn.send(POLICY)
        };
        let policy = String::from_utf8(conn.rest()).unwrap();
        assert!(
            policy.contains("domain=\"www.example.com\"") && policy.ends_with("</cross-domain-policy>\0")
        );
    }
    // The server ignores bytes behind it.
    let policy = String::from_utf8(connect(&node).send(POLICY).send([b'x'; 4000]).rest()).unwrap();
    assert_eq!(policy.matches('\0').count(), 1);
}

#[test]
fn half_a_policy_request_is_closed_without_an_answer() {
    let node = Node::start(&[ON]);
    for len in [1, 2, 22] {
        connect(&node).send(&POLICY[..len]).assert_closed();
    }
    for (bad, code) in
        [("<policy-file-request>\0", "bad-greeting"), ("<x", "bad-greeting"), ("{}\0", "bad-greeting")]
    {
        let mut conn = connect(&node);
        conn.send(bad);
        assert_eq!(next(&mut conn)["error"]["code"], code, "{bad}");
        conn.assert_closed();
    }
    let mut conn = connect(&node);
    conn.send(vec![b' '; 20_000]);
    assert_eq!(next(&mut conn)["error"]["code"], "greeting-too-large");
    conn.assert_closed();
}

#[test]
fn messages_come_down_and_commands_go_up_on_whatever_shard() {
    let node = Node::start(&[ON]);
    // The home and the accepting shard are random: of this many connections, some must move.
    for n in 0..32 {
        let user = format!("user{n}");
        let mut conn = connect(&node);
        conn.trickle(format!("{}\0", json!({"connect": {"user": user, "channels": ["/a"]}})));
        let open = next(&mut conn)["open"].clone();
        assert_eq!((&open["transport"], &open["resumed"]), (&json!("xmlsocket"), &json!(false)));
        conn.trickle("\0\r\n\0[{\"ping\":1},{\"ping\":2}]\0");
        assert_eq!(next(&mut conn), json!({"ok": {"ping": 1}}));
        assert_eq!(next(&mut conn), json!({"ok": {"ping": 2}}));
        let text = "\u{0}</script>]]>\u{2028}\r\n\u{feff}💫";
        node.tell(&user, &json!(text));
        assert_eq!(next(&mut conn)["data"], text);
        conn.send("no JSON\0{\"ping\":3}\0");
        assert_eq!(next(&mut conn)["error"]["code"], "bad-json");
        assert_eq!(next(&mut conn), json!({"ok": {"ping": 3}}));
    }
    assert!(node.metric("encke_hand_offs_total") > 0, "users at home on either shard");
}

#[test]
fn blanks_before_the_greeting_are_nothing_however_many_came_by_themselves() {
    let node = Node::start(&[ON]);
    let mut conn = connect(&node);
    conn.send([b' '; 500]);
    // The server must have parsed them before the rest arrives.
    await_that(|| (node.metric("encke_bytes_total") >= 500).then_some(()));
    conn.send("\0\0 \0{\"connect\":{\"user\":\"alice\"}}\0");
    assert!(next(&mut conn)["open"].is_object());
}

#[test]
fn a_session_is_taken_up_where_it_was() {
    let node = Node::start(&[ON]);
    let mut first = connect(&node);
    let open = greet(&mut first, &json!({"user": "alice"}))["open"].clone();
    let positions: Vec<_> = (0..3).map(|n| node.tell("alice", &json!(n))).collect();
    assert_eq!(next(&mut first)["data"], 0);
    let mut second = connect(&node);
    let connect = json!({"user": "alice", "session": open["session"], "since": positions[0]});
    assert_eq!(greet(&mut second, &connect)["open"]["resumed"], true);
    assert_eq!([next(&mut second), next(&mut second)].map(|it| it["data"].clone()), [json!(1), json!(2)]);
    assert_eq!([next(&mut first), next(&mut first)].map(|it| it["data"].clone()), [json!(1), json!(2)]);
    assert_eq!(next(&mut first)["close"]["code"], "replaced");
    first.assert_closed();
    second.assert_silent(Duration::from_millis(20));
}

#[test]
fn a_message_without_end_is_refused_at_its_bound() {
    let node = Node::start(&[ON, ("ENCKE_BODY_BYTES", "1KiB"), ("ENCKE_MESSAGE_BYTES", "512B")]);
    let mut conn = connect(&node);
    greet(&mut conn, &json!({"user": "alice"}));
    for _ in 0..100 {
        conn.send([b' '; 100]);
    }
    assert_eq!(next(&mut conn)["error"]["code"], "message-too-large");
    conn.assert_closed();
}
