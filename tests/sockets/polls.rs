//! `poll`, `longpoll` and `send`: one response for each request, and commands from the client.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::node::Node;

/// A client of the long poll.
struct Poller {
    conn: Conn,
    user: &'static str,
    session: String,
    position: String,
}

impl Poller {
    fn new(node: &Node, user: &'static str, query: &str) -> (Self, Vec<Value>) {
        let mut conn = node.connect();
        let answer = conn.ask("GET", &format!("/u/{user}/longpoll?{query}"), &[], b"");
        let mut poller = Self { conn, user, session: String::new(), position: String::new() };
        let envelopes = poller.note(&answer);
        (poller, envelopes)
    }

    fn note(&mut self, answer: &Response) -> Vec<Value> {
        answer.header("encke-session").expect("a session").clone_into(&mut self.session);
        answer.header("encke-position").expect("a position").clone_into(&mut self.position);
        answer.envelopes()
    }

    fn ask(&mut self) {
        let target = format!("/u/{}/longpoll?since={}", self.user, self.position);
        let session = self.session.clone();
        self.conn.request("GET", &target, &[("Encke-Session", &session)], b"");
    }

    fn answer(&mut self) -> Vec<Value> {
        let answer = self.conn.response();
        self.note(&answer)
    }
}

#[test]
fn the_first_poll_opens_and_the_next_ones_bring_what_came() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    let first = conn.ask("GET", "/u/alice/poll?channels=/chat/room1", &[], b"");
    let open = &first.envelopes()[0]["open"];
    assert_eq!(open["session"], first.header("encke-session").unwrap());
    assert_eq!(open["position"], first.header("encke-position").unwrap());
    let ids = [node.tell("alice", &json!(1)), node.tell("alice", &json!(2))];
    let target = |answer: &Response| {
        let (session, position) = (answer.header("encke-session"), answer.header("encke-position"));
        format!("/u/alice/poll?session={}&since={}", session.unwrap(), position.unwrap())
    };
    let second = conn.ask("GET", &target(&first), &[], b"");
    let messages = |answer: &Response| -> Vec<_> {
        let envelopes = answer.envelopes();
        assert!(envelopes.last().unwrap()["advice"]["poll"].is_u64(), "{envelopes:?}");
        envelopes.iter().filter_map(|envelope| envelope.get("id").cloned()).collect()
    };
    assert_eq!(messages(&second), ids);
    let third = conn.ask("GET", &target(&second), &[], b"");
    assert_eq!((messages(&third).len(), third.envelopes().len()), (0, 1));
    // A client requests a lost response again.
    let again = conn.ask("GET", &target(&first), &[], b"");
    assert_eq!(messages(&again), ids);
    assert_eq!(node.sessions("alice").len(), 1);
}

#[test]
fn a_long_poll_is_held_until_there_is_something() {
    let node = Node::start(&[]);
    let (mut alice, opened) = Poller::new(&node, "alice", "channels=/chat/room1");
    assert!(opened[0]["open"].is_object());
    for n in 0..3 {
        alice.ask();
        node.await_sessions("alice", |all| all[0]["attached"] == true);
        alice.conn.assert_silent(Duration::from_millis(10));
        node.publish("/chat/room1", &json!(n));
        let envelopes = alice.answer();
        assert_eq!((envelopes.len(), &envelopes[0]["data"]), (1, &json!(n)));
    }
    node.publish("/chat/room1", &json!("while away"));
    node.tell("alice", &json!("this too"));
    alice.ask();
    let mut received: Vec<_> = alice.answer().iter().map(|envelope| envelope["data"].to_string()).collect();
    if received.len() == 1 {
        alice.ask();
        received.extend(alice.answer().iter().map(|envelope| envelope["data"].to_string()));
    }
    received.sort();
    assert_eq!(received, ["\"this too\"", "\"while away\""]);
}

#[test]
fn a_long_poll_without_anything_to_say_is_answered_empty_in_time() {
    let node = Node::start(&[("ENCKE_POLL_HOLD", "1s")]);
    let (mut alice, _) = Poller::new(&node, "alice", "");
    let began = Instant::now();
    alice.ask();
    assert_eq!(alice.answer(), [json!(null); 0]);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(800) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(node.sessions("alice").len(), 1);
}

#[test]
fn a_long_poll_carries_commands_as_json_and_as_a_form() {
    let node = Node::start(&[]);
    let (mut alice, _) = Poller::new(&node, "alice", "");
    let target = format!("/u/alice/longpoll?session={}", alice.session);
    let json = br#"[{"subscribe":"/chat/json"},{"ping":1}]"#;
    let answer = alice.conn.ask("POST", &target, &[("Content-Type", "application/json")], json);
    let envelopes = answer.envelopes();
    assert_eq!(envelopes[0]["ok"]["subscribe"], "/chat/json");
    assert_eq!(envelopes[1], json!({"ok": {"ping": 1}}));
    let form = b"x=1&message=%5B%7B%22subscribe%22%3A%22%2Fchat%2Fform%22%7D%2C%7B%22ping%22%3A+2%7D%5D";
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let envelopes = alice.conn.ask("POST", &target, &headers, form).envelopes();
    assert_eq!(envelopes[0]["ok"]["subscribe"], "/chat/form");
    assert_eq!(envelopes[1], json!({"ok": {"ping": 2}}));
    for channel in ["/chat/json", "/chat/form"] {
        alice.conn.request("POST", &target, &[], b"");
        node.publish(channel, &json!(channel));
        assert_eq!(alice.conn.response().envelopes()[0]["data"], channel);
    }
    let refused = alice.conn.ask("POST", &target, &headers, b"massage=%5B%5D");
    assert_eq!((refused.status, refused.error()), (400, "bad-form".into()));
}

#[test]
fn commands_are_answered_in_their_order_and_shape() {
    let node = Node::start(&[]);
    let (alice, _) = Poller::new(&node, "alice", "");
    let answers = node.send(
        "alice",
        &alice.session,
        &json!([
            {"ping": {"any": ["thing", 1]}},
            {"publish": "/chat/1", "data": 1},
            {"subscribe": "/chat/*"},
            {"subscribe": "chat"},
            {"publish": "/u/bob", "data": 2},
            {"unsubscribe": "/chat/1"},
            {"unsubscribe": "/chat/*"},
            {"ack": alice.position},
            {"ack": "nowhere"},
            {"dance": true},
            {"publish": "/chat/*", "data": 3},
            {"publish": "/meta/x", "data": 3},
            {"ping": 1, "ack": "x"},
            7
        ]),
    );
    let words: Vec<String> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| match &answer["error"]["code"] {
            Value::String(code) => code.clone(),
            _ => answer["ok"].as_object().unwrap().keys().next_back().unwrap().clone(),
        })
        .collect();
    let expected = "ping publish subscribe bad-channel publish not-subscribed unsubscribe ack bad-position \
                    bad-command bad-channel reserved bad-command bad-command";
    assert_eq!(words.join(" "), expected, "{answers}");
    assert_eq!(answers[0]["ok"]["ping"], json!({"any": ["thing", 1]}));
}

#[test]
fn a_command_alone_is_answered_alone_and_with_its_status() {
    let node = Node::start(&[]);
    let (mut alice, _) = Poller::new(&node, "alice", "");
    let mut ask = |target: String, body: &str| alice.conn.ask("POST", &target, &[], body.as_bytes());
    let with = format!("/u/alice/send?session={}", alice.session);
    assert_eq!(ask(with.clone(), "{\"ping\":null}").json(), json!({"ok": {"ping": null}}));
    let cases = [
        (with.clone(), "{\"subscribe\":\"/a//b\"}", 400, "bad-channel"),
        (with.clone(), "{\"publish\":\"/meta/a\",\"data\":1}", 403, "reserved"),
        ("/u/alice/send".into(), "{\"subscribe\":\"/a\"}", 400, "no-session"),
        ("/u/alice/send?session=snope".into(), "{\"subscribe\":\"/a\"}", 404, "unknown-session"),
        (with.replace("alice", "bob"), "{\"subscribe\":\"/a\"}", 404, "unknown-session"),
        (with, "{\"subscribe\":", 400, "bad-json"),
    ];
    for (target, body, status, code) in cases {
        let answer = ask(target, body);
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{body}");
    }
}

#[test]
fn what_a_client_publishes_says_who_it_is_from_whatever_it_claims() {
    let node = Node::start(&[]);
    let (mut bob, _) = Poller::new(&node, "b%C3%B6b", "channels=/chat/room1");
    bob.ask();
    let mut conn = node.connect();
    let body = r#"{"publish":"/chat/room1","data":{"from":"me"},"from":"eve"}"#;
    assert_eq!(conn.ask("POST", "/u/alice/send", &[], body.as_bytes()).status, 400);
    let body = r#"{"publish":"/chat/room1","data":{"from":"me"}}"#;
    let answer = conn.ask("POST", "/u/alice/send", &[], body.as_bytes());
    assert_eq!(answer.json()["ok"]["publish"], "/chat/room1");
    let message = &bob.answer()[0];
    assert_eq!((&message["from"], &message["data"]), (&json!("alice"), &json!({"from": "me"})));
}

#[test]
fn a_session_that_is_closed_says_so_and_is_gone() {
    let node = Node::start(&[]);
    let (mut alice, _) = Poller::new(&node, "alice", "");
    alice.ask();
    node.await_sessions("alice", |all| all[0]["attached"] == true);
    assert_eq!(node.send("alice", &alice.session, &json!({"close": true})), json!({"ok": {"close": true}}));
    let envelopes = alice.answer();
    assert_eq!(envelopes.last().unwrap()["close"], json!({"code": "closed", "reconnect": false, "after": 0}));
    assert_eq!(node.sessions("alice").len(), 0);
}
