//! Commands and their answers, with a core and a connection that reads no socket.

use serde_json::{Value, json};

use crate::base::ids::{ListenerKind, ShardId};
use crate::base::position::{Epoch, Position};
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::call::pending::AfterCommands;
use crate::call::pending::{ItemAnswer, PendingKind, PendingRequest, answer_json};
use crate::call::queue::{Caller, Pause};
use crate::conn::phase::Conn;
use crate::core::tests::rig::{Rig, code, grant, user};
use crate::native::socket::command_of_record;
use crate::protocol::native::envelope::CloseCode;
use crate::request::reply::Reply;
use crate::request::{Content, Request};
use crate::turn::mail::Mail;
use crate::turn::publishing::{OutgoingBatch, Receipt};
use crate::turn::todo::Todo;

/// Alice's session, by a connection that carries commands and no messages.
struct Native {
    rig: Rig,
    conn: ConnKey,
    session: SessionKey,
    /// What alice's token allows.
    claims: Value,
}

impl Native {
    fn new(shards: u8) -> Self {
        let mut rig = Rig::of_shards(shards, &[]);
        let (conn, session) = (rig.connect(), rig.session("alice"));
        Self { rig, conn, session, claims: json!({ "sub": "alice", "channels": { "/**": "rw" } }) }
    }

    /// The same over a WebSocket.
    fn over_a_socket(shards: u8) -> Self {
        let mut native = Self::new(shards);
        let (open, reply) = native.rig.open("/u/alice/ws");
        native.rig.core.open(native.conn, &open, reply);
        native.rig.heard(native.conn);
        let (session, _) = native.rig.core.conns[native.conn].session().expect("a stream");
        Self { session, ..native }
    }

    /// Executes commands, as far as they do not have to wait.
    fn send(&mut self, commands: &Value) -> PendingKey {
        self.send_as(Some(self.session), false, commands)
    }

    fn send_as(&mut self, session: Option<SessionKey>, stale: bool, commands: &Value) -> PendingKey {
        let (user, grant) = (user("alice"), grant(&self.claims));
        let caller = Caller { user: &user, grant: &grant, session, stale };
        let core = &mut self.rig.core;
        let batch = core.decode(Content::Json, commands.to_string().as_bytes()).expect("commands");
        core.execute_batch(self.conn, &caller, batch, AfterCommands::Answer)
    }

    /// Goes on with what waited.
    fn continue_commands_of(&mut self, pending: PendingKey) {
        let Some(PendingRequest { kind: PendingKind::Commands { conn, rest, .. }, .. }) =
            self.rig.core.pending.get_mut(pending)
        else {
            panic!("no commands");
        };
        let (conn, rest) = (*conn, rest.take().expect("some are left"));
        self.rig.core.continue_commands(conn, pending, *rest);
    }

    /// Why the rest of a batch waits.
    fn pause(&self, pending: PendingKey) -> Option<Pause> {
        self.rig.core.pending.get(pending).expect("it is not answered").kind.pause()
    }

    fn item_answers(&mut self, pending: PendingKey) -> Vec<ItemAnswer> {
        match self.rig.settled(pending) {
            PendingKind::Commands { answers, .. } => answers,
            other => panic!("no commands: {other:?}"),
        }
    }

    /// The answers of a batch, all of which are there.
    fn answers(&mut self, pending: PendingKey) -> Vec<Value> {
        let answers = self.item_answers(pending);
        answers.iter().map(|answer| serde_json::from_slice(&answer_json(answer)).expect("JSON")).collect()
    }

    fn subscribed(&self) -> Vec<String> {
        self.rig.subscribed(self.session)
    }
}

/// The publishes that went to another shard.
fn posted(rig: &mut Rig) -> Vec<OutgoingBatch> {
    let batch = |(_, mail)| match mail {
        Mail::Publish { batch, .. } => Some(batch),
        _ => None,
    };
    rig.mail().into_iter().filter_map(batch).collect()
}

/// Another shard has given a message its place.
fn receipt(n: u64) -> Receipt {
    Receipt { position: Position { epoch: Epoch::new(9), n }, sessions: None }
}

/// The code of an answer that is an error; empty for the others.
fn error(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[test]
fn each_command_of_a_batch_is_answered_in_its_place() {
    for (command, error_code, subscribed) in [
        (json!({ "ping": [1, null] }), "", &["/u/alice"][..]),
        (json!({ "subscribe": "/a" }), "", &["/u/alice", "/a"]),
        (json!({ "subscribe": "/a/*", "last": 5 }), "", &["/u/alice", "/a/*"]),
        (json!({ "subscribe": "/u/alice" }), "", &["/u/alice"]),
        (json!({ "subscribe": "a" }), "bad-channel", &["/u/alice"]),
        (json!({ "subscribe": "/meta/a" }), "forbidden", &["/u/alice"]),
        (json!({ "subscribe": "/u/bob" }), "forbidden", &["/u/alice"]),
        (json!({ "subscribe": "/a", "conflate": 1 }), "bad-conflate", &["/u/alice"]),
        (json!({ "subscribe": "/a/*", "presence": true }), "bad-channel", &["/u/alice"]),
        (json!({ "unsubscribe": "/a" }), "not-subscribed", &["/u/alice"]),
        (json!({ "unsubscribe": "/u/alice" }), "bad-channel", &["/u/alice"]),
        (json!({ "publish": "/a", "data": 1 }), "", &["/u/alice"]),
        (json!({ "publish": "/a/*", "data": 1 }), "bad-channel", &["/u/alice"]),
        (json!({ "publish": "/a", "data": 1, "key": "" }), "bad-key", &["/u/alice"]),
        (json!({ "ack": "nonsense" }), "bad-position", &["/u/alice"]),
        (json!({ "nope": 1 }), "bad-command", &["/u/alice"]),
    ] {
        let mut native = Native::new(1);
        let pending = native.send(&json!([{ "ping": "before" }, command, { "ping": "after" }]));
        let answers = native.answers(pending);
        let pongs = [&answers[0], &answers[2]].map(|answer| &answer["ok"]["ping"]);
        assert_eq!(pongs, ["before", "after"], "{command}");
        assert_eq!(error(&answers[1]), error_code, "{command}: {}", answers[1]);
        assert_eq!(native.subscribed(), subscribed, "{command}");
    }
}

#[test]
fn only_commands_that_concern_a_session_need_one() {
    for (command, needs_one) in [
        (json!({ "ping": 1 }), false),
        (json!({ "publish": "/a", "data": 1 }), false),
        (json!({ "subscribe": "/a" }), true),
        (json!({ "unsubscribe": "/a" }), true),
        (json!({ "ack": "x-1" }), true),
        (json!({ "close": true }), true),
    ] {
        for (stale, refusal) in [(false, "no-session"), (true, "unknown-session")] {
            let mut native = Native::new(1);
            let pending = native.send_as(None, stale, &command);
            let answers = native.answers(pending);
            assert_eq!(error(&answers[0]), if needs_one { refusal } else { "" }, "{command}");
        }
    }
}

#[test]
fn a_token_limits_subscriptions_and_publishes() {
    let mut native = Native::new(1);
    native.claims = json!({ "sub": "alice", "channels": { "/read/**": "r", "/write": "w" } });
    for (command, error_code) in [
        (json!({ "subscribe": "/read/1" }), ""),
        (json!({ "subscribe": "/write" }), "forbidden"),
        (json!({ "publish": "/write", "data": 1 }), ""),
        (json!({ "publish": "/read/1", "data": 1 }), "forbidden"),
    ] {
        let pending = native.send(&command);
        assert_eq!(error(&native.answers(pending)[0]), error_code, "{command}");
    }
}

#[test]
fn an_answer_to_a_subscription_says_whether_its_position_could_be_honoured() {
    let mut native = Native::new(1);
    native.rig.publish("/a", "1");
    let here = native.rig.core.hub.position(native.rig.core.hub.head()).to_string();
    for (since, resumed) in [
        (None, Value::Null),
        (Some(&*here), json!(true)),
        (Some("zzzzzzzz-1"), json!(false)),
        (Some("nonsense"), json!(false)),
    ] {
        let mut command = json!({ "subscribe": "/a" });
        if let Some(since) = since {
            command["since"] = json!(since);
        }
        let pending = native.send(&command);
        let answer = &native.answers(pending)[0];
        assert_eq!(answer["ok"]["resumed"], resumed, "{answer}");
        let head = native.rig.core.hub.position(native.rig.core.hub.head()).to_string();
        assert_eq!(answer["ok"]["position"], json!(head), "{answer}");
    }
}

#[test]
fn a_command_that_changes_the_session_waits_for_earlier_publishes() {
    let mut native = Native::new(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "ping": 2 }, { "subscribe": "/a" }]));
    assert_eq!(native.pause(pending), Some(Pause::Answers));
    assert_eq!(native.subscribed(), ["/u/alice"]);
    assert_eq!(posted(&mut native.rig).len(), 1);
    native.rig.core.published(pending, vec![(0, Ok(receipt(7)))]);
    assert_eq!(native.rig.todos(), [Todo::Continue(pending)]);
    native.continue_commands_of(pending);
    assert_eq!(native.subscribed(), ["/u/alice", "/a"]);
    let answers = native.answers(pending);
    assert_eq!(answers[0]["ok"]["publish"], json!(away));
    assert_eq!((&answers[1]["ok"]["ping"], &answers[2]["ok"]["subscribe"]), (&json!(2), &json!("/a")));
}

#[test]
fn publishes_to_one_other_shard_do_not_wait_for_each_other() {
    let mut native = Native::new(2);
    let (away, here) = (native.rig.channel_at(false), native.rig.channel_at(true));
    let commands = [&away, &away, &here, &away].map(|channel| json!({ "publish": channel, "data": 1 }));
    let pending = native.send(&json!(commands));
    assert_eq!(posted(&mut native.rig).len(), 2, "the third goes elsewhere");
    assert_eq!(native.pause(pending), Some(Pause::Answers));
    native.rig.core.published(pending, vec![(0, Ok(receipt(1)))]);
    assert_eq!(native.rig.todos(), [], "one is still missing");
    native.rig.core.published(pending, vec![(1, Ok(receipt(2)))]);
    assert_eq!(native.rig.todos(), [Todo::Continue(pending)]);
    native.continue_commands_of(pending);
    assert_eq!(posted(&mut native.rig).len(), 1);
}

#[test]
fn a_long_batch_goes_on_in_the_next_turn() {
    let mut native = Native::new(1);
    let count = 1000;
    let pending = native.send(&(0..count).map(|n| json!({ "ping": n })).collect());
    let mut turns = 1;
    while native.pause(pending) == Some(Pause::Turn) {
        assert_eq!(native.rig.core.backlog.pop_front(), Some(pending));
        native.continue_commands_of(pending);
        turns += 1;
    }
    assert!((4..=20).contains(&turns), "{turns}");
    let answers = native.answers(pending);
    assert!((0..count).eq(answers.iter().map(|answer| answer["ok"]["ping"].as_i64().unwrap_or(-1))));
}

#[test]
fn a_batch_waits_for_an_earlier_one_of_its_session_only() {
    let mut native = Native::new(2);
    let away = native.rig.channel_at(false);
    let first = native.send(&json!([{ "publish": away, "data": 1 }, { "subscribe": "/a" }]));
    let second = native.send(&json!({ "unsubscribe": "/a" }));
    let others = native.rig.session("alice");
    let other = native.send_as(Some(others), false, &json!({ "ping": 1 }));
    assert_eq!(native.pause(second), Some(Pause::Predecessor));
    assert_eq!(native.answers(other).len(), 1);
    native.rig.core.published(first, vec![(0, Ok(receipt(1)))]);
    native.continue_commands_of(first);
    assert_eq!(native.answers(first).len(), 2);
    native.rig.core.leave_batch_queue(native.session, first);
    assert_eq!(native.rig.core.backlog.pop_front(), Some(second));
    native.continue_commands_of(second);
    assert_eq!(error(&native.answers(second)[0]), "", "it was subscribed by then");
}

#[test]
fn commands_that_waited_while_their_session_ended_are_refused() {
    let mut native = Native::new(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "subscribe": "/a" }, { "ping": 2 }]));
    native.rig.core.end_session(native.session, CloseCode::Ended);
    native.rig.core.published(pending, vec![(0, Ok(receipt(1)))]);
    native.continue_commands_of(pending);
    let answers = native.answers(pending);
    assert_eq!([0, 1, 2].map(|at| error(&answers[at])), ["", "unknown-session", ""]);
}

#[test]
fn commands_come_as_json_or_in_a_field_of_a_form() {
    let native = Native::new(1);
    for (content, body, outcome) in [
        (Content::Json, r#"{"ping":1}"#, Ok(1)),
        (Content::Form, r#"[{"ping":1},{"ping":2}]"#, Ok(2)),
        (Content::Form, "message=%7B%22ping%22%3A1%7D", Ok(1)),
        (Content::Form, "a=b&message=[{\"ping\":1},{\"ping\":2}]", Ok(2)),
        (Content::Form, "a=b", Err("bad-form")),
        (Content::Form, "message=%7", Err("bad-form")),
        (Content::Json, "message=1", Err("bad-json")),
    ] {
        let decoded = native.rig.core.decode(content, body.as_bytes());
        match outcome {
            Ok(count) => assert_eq!(decoded.expect(body).commands.len(), count, "{body}"),
            Err(expected) => assert_eq!(code(decoded), expected, "{body}"),
        }
    }
}

#[test]
fn commands_in_a_request_for_messages_run_after_its_query() {
    let mut native = Native::new(1);
    let conn = native.rig.connect();
    let (Request::Open(open), _) = native
        .rig
        .ask(ListenerKind::Public, "POST /u/alice/longpoll?channels=/a,/b HTTP/1.1\nContent-Length: 1")
    else {
        panic!("no request for messages");
    };
    let body = br#"[{"unsubscribe":"/a"},{"subscribe":"/c"}]"#;
    let pending = native.rig.core.commands_of_open(conn, open, &Reply::closing(), body).expect("commands");
    let PendingKind::Commands { answers, then: AfterCommands::Open(_, located), .. } =
        native.rig.settled(pending)
    else {
        panic!("the request is gone");
    };
    assert_eq!(answers.len(), 2);
    assert_eq!(native.rig.subscribed(located.key), ["/u/alice", "/b", "/c"], "commands have the last word");
}

#[test]
fn a_request_with_invalid_commands_makes_no_session() {
    let mut native = Native::new(1);
    let conn = native.rig.connect();
    let before = native.rig.core.sessions.len();
    let line = "POST /u/alice/longpoll HTTP/1.1\nContent-Length: 1";
    let (Request::Open(open), _) = native.rig.ask(ListenerKind::Public, line) else {
        panic!("no request for messages");
    };
    assert!(native.rig.core.commands_of_open(conn, open, &Reply::closing(), b"{").is_none());
    assert!(native.rig.heard(conn).contains("bad-json"));
    assert_eq!(native.rig.core.sessions.len(), before);
}

// ---- the end of a session ----

#[test]
fn a_close_ends_the_session_and_later_commands_for_it_are_refused() {
    let mut native = Native::new(1);
    let commands = json!([{ "close": true }, { "subscribe": "/a" }, { "ping": 1 }, { "close": true }]);
    let pending = native.send(&commands);
    assert!(native.rig.core.is_over(native.session));
    let answers = native.answers(pending);
    assert_eq!(answers[0], json!({ "ok": { "close": true } }));
    assert_eq!([1, 2, 3].map(|at| error(&answers[at])), ["unknown-session", "", "unknown-session"]);
}

#[test]
fn a_close_waits_for_earlier_publishes() {
    let mut native = Native::new(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "close": true }]));
    assert_eq!(native.pause(pending), Some(Pause::Answers));
    assert!(!native.rig.core.is_over(native.session));
    native.rig.core.published(pending, vec![(0, Ok(receipt(1)))]);
    native.continue_commands_of(pending);
    assert!(native.rig.core.is_over(native.session));
}

#[test]
fn a_close_up_a_socket_waits_for_all_answers_to_its_message() {
    let mut native = Native::over_a_socket(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "close": true }, { "publish": away, "data": 1 }]));
    native.rig.core.conns.await_answers(native.conn, pending);
    assert_eq!(native.rig.core.pending.get(pending).map(|request| request.missing), Some(1));
    assert!(!native.rig.core.is_over(native.session), "its socket has to bring the answers");
    native.rig.core.published(pending, vec![(1, Ok(receipt(1)))]);
    let answers = native.item_answers(pending);
    native.rig.core.answer_socket(native.conn, pending, &answers);
    assert!(native.rig.core.is_over(native.session));
    let heard = native.rig.heard(native.conn);
    let parts = [r#"{"close":true}"#, r#"{"publish":"#, r#"{"close":{"code":"closed""#];
    let [close, publish, end] = parts.map(|part| heard.find(part));
    assert!(close.is_some() && close < publish && publish < end, "{heard}");
}

#[test]
fn a_close_up_another_connection_ends_a_socket_at_once() {
    let mut native = Native::over_a_socket(1);
    let socket = std::mem::replace(&mut native.conn, native.rig.connect());
    native.send(&json!({ "close": true }));
    assert!(native.rig.core.is_over(native.session));
    assert!(native.rig.heard(socket).contains(r#"{"close":{"code":"closed""#));
}

// ---- sockets ----

#[test]
fn a_socket_reads_nothing_until_its_message_is_answered() {
    let mut native = Native::over_a_socket(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "ping": "later" }]));
    native.rig.core.conns.await_answers(native.conn, pending);
    assert!(!native.rig.core.conns[native.conn].reads());
    native.rig.core.published(pending, vec![(0, Ok(receipt(1)))]);
    native.rig.core.conns[native.conn].tail.append(b"more");
    native.rig.todos();
    let answers = native.item_answers(pending);
    native.rig.core.answer_socket(native.conn, pending, &answers);
    assert!(native.rig.core.conns[native.conn].reads());
    assert_eq!(native.rig.todos(), [Todo::Reread(native.conn)]);
    let heard = native.rig.heard(native.conn);
    let [first, second] = [r#"{"publish":"#, r#"{"ping":"later"}"#].map(|part| heard.find(part));
    assert!(first.is_some() && first < second, "{heard}");
}

#[test]
fn a_socket_ignores_answers_that_it_does_not_await() {
    let mut native = Native::over_a_socket(1);
    let [awaited, other] = [1, 2].map(|n| native.send(&json!({ "ping": n })));
    native.rig.core.conns.await_answers(native.conn, awaited);
    let answers = native.item_answers(other);
    native.rig.core.answer_socket(native.conn, other, &answers);
    assert_eq!(native.rig.heard(native.conn), "");
    assert!(!native.rig.core.conns.get(native.conn).is_some_and(Conn::reads));
}

#[test]
fn commands_of_a_socket_run_even_if_the_socket_is_gone() {
    let mut native = Native::over_a_socket(2);
    let away = native.rig.channel_at(false);
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "subscribe": "/a" }]));
    native.rig.core.conns.await_answers(native.conn, pending);
    native.rig.core.conns.close(&mut native.rig.core.cx, native.conn);
    native.rig.core.published(pending, vec![(0, Ok(receipt(1)))]);
    native.continue_commands_of(pending);
    assert_eq!(native.subscribed(), ["/u/alice", "/a"]);
    let answers = native.item_answers(pending);
    native.rig.core.answer_socket(native.conn, pending, &answers);
}

#[test]
fn a_record_publishes_its_payload_as_bytes() {
    for (record, outcome) in [
        (&b"\x00\x10{\"publish\":\"/a\"}\x00\xff"[..], Ok("\"AP8=\"")),
        (b"\x00\x10{\"publish\":\"/a\"}", Ok("\"\"")),
        (b"\x00\x10{\"publish\"", Err("bad-record")),
        (b"\x00", Err("bad-record")),
        (b"\x00\x02{}", Err("bad-command")),
        (b"\x00\x12{\"subscribe\":\"/a\"}", Err("bad-command")),
    ] {
        match outcome {
            Ok(data) => {
                let batch = command_of_record(record).expect("a record");
                let text = format!("{:?}", batch.commands);
                assert!(text.contains(&format!("{data:?}")) && text.contains("Base64"), "{text}");
            }
            Err(expected) => assert_eq!(code(command_of_record(record)), expected, "{record:?}"),
        }
    }
}

#[test]
fn a_publish_to_a_congested_shard_is_refused_and_not_sent() {
    let mut native = Native::new(2);
    let away = native.rig.channel_at(false);
    native.rig.core.cx.congested = ShardId(1).bit();
    let pending = native.send(&json!([{ "publish": away, "data": 1 }, { "subscribe": "/a" }]));
    assert_eq!(posted(&mut native.rig).len(), 0);
    let answers = native.answers(pending);
    assert_eq!([0, 1].map(|at| error(&answers[at])), ["busy", ""]);
}
