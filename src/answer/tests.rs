//! How a session's client is answered, with a core and connections that read no socket.

use serde_json::{Value, json};

use crate::answer::Found;
use crate::base::position::Position;
use crate::base::slab::{ConnKey, SessionKey};
use crate::base::ticks::Span;
use crate::call::queue::Made;
use crate::conn::phase::{Conn, Phase, Poll};
use crate::core::deliver::Gap;
use crate::core::tests::rig::Rig;
use crate::protocol::native::envelope::CloseCode;
use crate::session::Link;
use crate::turn::input::Effect;
use crate::turn::timer::NodePhase;
use crate::turn::todo::Leaving;
use crate::turn::todo::Todo;

/// A session of alice, and a response that is about to begin.
struct Answer {
    rig: Rig,
    session: SessionKey,
}

impl Answer {
    fn new(vars: &[(&str, &str)]) -> Self {
        let mut rig = Rig::new(vars);
        let session = rig.session("alice");
        rig.subscribe(session, "/a");
        Self { rig, session }
    }

    /// The session has a response on this connection from now on, which is not written yet.
    fn attach(&mut self, target: &str) -> ConnKey {
        let conn = self.rig.connect();
        let (open, _) = self.rig.open(target);
        let session = &mut self.rig.core.sessions[self.session];
        (session.link, session.transport) = (Link::Behind(conn), open.transport);
        self.rig.core.cx.metrics.attached[open.transport.index()] += 1;
        conn
    }

    fn found(&self, made: Made, gap: Option<Gap>) -> Found {
        Found { key: self.session, made, resumed: gap.is_none(), gap }
    }

    fn poll(&mut self, target: &str) -> Poll {
        let (open, reply) = self.rig.open(target);
        let (opening, _) = self.rig.core.opening(&open).expect("an opening");
        let form = self.rig.core.form(open.transport, opening.dialect, &reply);
        Poll { session: self.session, form, reply, opening, behind: None, held: None }
    }

    /// A long poll of a session that was there before.
    fn long_poll(&mut self) -> ConnKey {
        let conn = self.attach(LONG_POLL);
        let (poll, found) = (self.poll(LONG_POLL), self.found(Made::Before, None));
        self.rig.core.open_poll(conn, poll, found, true, &[]);
        conn
    }

    fn stream(&mut self, target: &str) -> ConnKey {
        let conn = self.attach(target);
        let (open, reply) = self.rig.open(target);
        let opening = self.rig.core.opening(&open).expect("an opening");
        let found = self.found(Made::New, None);
        self.rig.core.open_stream(conn, &open, &reply, opening, found);
        conn
    }

    fn link(&self) -> Link {
        self.rig.core.sessions[self.session].link
    }

    fn is_parked(&self, conn: ConnKey) -> bool {
        matches!(self.rig.core.conns.get(conn), Some(Conn { phase: Phase::Parked(_), .. }))
    }
}

const LONG_POLL: &str = "/u/alice/longpoll?overlap=1";

/// What each envelope of a response is.
fn kinds(body: &Value) -> Vec<&str> {
    let envelopes = body.as_array().expect("a list").iter();
    let kind = |envelope: &Value| {
        let kinds = ["open", "gap", "ok", "close", "advice"];
        kinds.into_iter().find(|kind| envelope.get(kind).is_some()).unwrap_or("message")
    };
    envelopes.map(kind).collect()
}

// ---- polls ----

#[test]
fn a_poll_has_open_gap_and_answers_before_messages() {
    let before_the_first = || Some(Gap { from: "x-1".into(), to: 0 });
    let answer = [br#"{"ok":{}}"#.to_vec()];
    for (made, gap, answers, message, expected) in [
        (Made::New, None, &[][..], false, &["open"][..]),
        (Made::New, before_the_first(), &answer, true, &["open", "gap", "ok", "message"]),
        (Made::Before, before_the_first(), &[], false, &["gap"]),
        (Made::Before, None, &answer, false, &["ok"]),
        (Made::Before, None, &[], true, &["message"]),
    ] {
        let mut answer = Answer::new(&[]);
        if message {
            answer.rig.publish("/a", "1");
        }
        let conn = answer.attach(LONG_POLL);
        let (poll, found) = (answer.poll(LONG_POLL), answer.found(made, gap));
        answer.rig.core.open_poll(conn, poll, found, made == Made::Before, answers);
        assert_eq!(kinds(&answer.rig.body(conn)), expected);
        assert_eq!(answer.link(), Link::Detached, "it was answered");
    }
}

#[test]
fn a_long_poll_with_nothing_to_say_waits_for_a_message() {
    let mut answer = Answer::new(&[]);
    let conn = answer.long_poll();
    assert!(answer.is_parked(conn) && answer.link() == Link::Parked(conn));
    answer.rig.publish("/a", "1");
    assert_eq!(answer.link(), Link::Waking(conn));
    assert_eq!(answer.rig.core.waking, [answer.session]);
    answer.rig.publish("/a", "2");
    answer.rig.core.answer_woken(answer.session);
    let body = answer.rig.body(conn);
    assert_eq!((&body[0]["data"], &body[1]["data"]), (&json!(1), &json!(2)), "all of the turn at once");
    answer.rig.core.answer_woken(answer.session);
    assert_eq!(answer.rig.heard(conn), "", "it is answered once");
}

#[test]
fn a_poll_that_is_full_advises_to_poll_again_at_once() {
    let mut answer = Answer::new(&[("ENCKE_OUTBOX_BYTES", "4KiB")]);
    let data = json!("x".repeat(3000)).to_string();
    for _ in 0..3 {
        answer.rig.publish("/a", &data);
    }
    let mut rest = Vec::new();
    for _ in 0..3 {
        let conn = answer.attach("/u/alice/poll");
        let (poll, found) = (answer.poll("/u/alice/poll"), answer.found(Made::Before, None));
        answer.rig.core.open_poll(conn, poll, found, false, &[]);
        let body = answer.rig.body(conn);
        let messages = kinds(&body).iter().filter(|kind| **kind == "message").count();
        let advice = body.as_array().and_then(|all| all.last()).expect("advice")["advice"]["poll"].clone();
        rest.push((messages, advice == json!(answer.rig.core.cx.config.poll_min.as_millis())));
    }
    assert_eq!(rest, [(2, true), (1, rest[1].1), (0, rest[2].1)]);
}

#[test]
fn the_advised_pause_grows_with_silence_and_load() {
    for (silence, turn, expected) in [(0, 0, 1_000), (9, 0, 3_000), (300, 0, 45_000), (9, 100_000, 33_000)] {
        let mut answer = Answer::new(&[
            ("ENCKE_POLL_MIN", "1s"),
            ("ENCKE_POLL_MAX", "60s"),
            ("ENCKE_SESSION_GRACE", "90s"),
        ]);
        answer.rig.publish("/a", "1");
        answer.rig.pass(Span::from_secs(silence));
        answer.rig.core.cx.metrics.last_turn = turn;
        let conn = answer.attach("/u/alice/poll");
        let (poll, found) = (answer.poll("/u/alice/poll"), answer.found(Made::Before, None));
        answer.rig.core.open_poll(conn, poll, found, false, &[]);
        let body = answer.rig.body(conn);
        assert_eq!(body[1]["advice"]["poll"], json!(expected), "{silence} {turn}: {body}");
    }
}

// ---- two polls at once ----

#[test]
fn a_second_long_poll_waits_behind_the_first_and_takes_its_place() {
    let mut answer = Answer::new(&[]);
    let first = answer.long_poll();
    let (open, _) = answer.rig.open(LONG_POLL);
    assert_eq!(answer.rig.core.poll_ahead(answer.session, &open), Some(first));
    let second = answer.rig.connect();
    let poll = answer.poll(LONG_POLL);
    answer.rig.core.wait_behind(first, second, poll);
    assert_eq!(answer.rig.core.poll_ahead(answer.session, &open), None, "there are two at most");
    answer.rig.publish("/a", "1");
    answer.rig.core.answer_woken(answer.session);
    assert_eq!(kinds(&answer.rig.body(first)), ["message"]);
    let session = answer.session;
    assert!(answer.rig.todos().contains(&Todo::MoveUp { session, conn: second }));
    answer.rig.core.move_up(session, second);
    assert!(answer.is_parked(second) && answer.link() == Link::Parked(second));
}

#[test]
fn a_second_poll_is_closed_if_its_session_has_another_response() {
    let mut answer = Answer::new(&[]);
    let first = answer.long_poll();
    let second = answer.rig.connect();
    let poll = answer.poll(LONG_POLL);
    answer.rig.core.wait_behind(first, second, poll);
    answer.rig.core.answer_poll(first, None);
    let stream = answer.stream("/u/alice/sse");
    answer.rig.effects();
    answer.rig.core.move_up(answer.session, second);
    assert_eq!(answer.link(), Link::Level(stream));
    let effects = answer.rig.effects();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Close(conn) if *conn == second)));
}

#[test]
fn a_message_between_two_polls_answers_the_second_at_once() {
    let mut answer = Answer::new(&[]);
    let first = answer.long_poll();
    let second = answer.rig.connect();
    let poll = answer.poll(LONG_POLL);
    answer.rig.core.wait_behind(first, second, poll);
    answer.rig.core.answer_poll(first, None);
    answer.rig.publish("/a", "1");
    answer.rig.core.move_up(answer.session, second);
    assert_eq!(kinds(&answer.rig.body(second)), ["message"]);
}

#[test]
fn both_polls_are_answered_when_the_second_times_out() {
    let mut answer = Answer::new(&[]);
    let first = answer.long_poll();
    let second = answer.rig.connect();
    let poll = answer.poll(LONG_POLL);
    answer.rig.core.wait_behind(first, second, poll);
    answer.rig.core.answer_both(second);
    assert_eq!([first, second].map(|conn| answer.rig.body(conn)), [json!([]), json!([])]);
    assert_eq!(answer.link(), Link::Detached);
}

// ---- streams ----

#[test]
fn a_stream_with_a_full_outbox_falls_behind_and_catches_up_in_parts() {
    let mut answer = Answer::new(&[("ENCKE_OUTBOX_BYTES", "4KiB")]);
    let conn = answer.stream("/u/alice/sse");
    answer.rig.heard(conn);
    let data = json!("x".repeat(1500)).to_string();
    for _ in 0..8 {
        answer.rig.publish("/a", &data);
    }
    assert_eq!(answer.link(), Link::Behind(conn));
    let mut counts = Vec::new();
    while answer.link() != Link::Level(conn) {
        counts.push(answer.rig.heard(conn).matches("xxx\"").count());
        answer.rig.core.catch_up(answer.session);
    }
    counts.push(answer.rig.heard(conn).matches("xxx\"").count());
    assert_eq!(counts, [2, 3, 3]);
}

#[test]
fn a_gap_is_reported_before_the_messages_behind_it() {
    let mut answer = Answer::new(&[("ENCKE_CHANNEL_MESSAGES", "1"), ("ENCKE_OUTBOX_BYTES", "4KiB")]);
    let conn = answer.stream("/u/alice/sse");
    let data = json!("x".repeat(3000)).to_string();
    for _ in 0..4 {
        answer.rig.publish("/a", &data);
        answer.rig.pass(answer.rig.core.cx.config.session_grace);
    }
    answer.rig.heard(conn);
    answer.rig.core.catch_up(answer.session);
    let heard = answer.rig.heard(conn);
    let [gap, message] = [r#"{"gap":"#, r#""data":"xxx"#].map(|part| heard.find(part));
    assert!(gap.is_some() && gap < message, "{heard}");
}

#[test]
fn the_last_envelope_gives_the_reason_and_whether_to_reconnect() {
    for (code, text, reconnect) in [
        (CloseCode::Replaced, "replaced", false),
        (CloseCode::Closed, "closed", false),
        (CloseCode::Ended, "ended", false),
        (CloseCode::Expired, "expired", false),
        (CloseCode::TooManySessions, "too-many-sessions", false),
        (CloseCode::Drain, "drain", true),
    ] {
        let mut answer = Answer::new(&[]);
        let conn = answer.stream("/u/alice/stream");
        answer.rig.heard(conn);
        answer.rig.core.close_stream(conn, code);
        let heard = answer.rig.heard(conn);
        let close = format!(r#"{{"close":{{"code":"{text}","reconnect":{reconnect}"#);
        assert!(heard.contains(&close) && heard.ends_with("0\r\n\r\n"), "{heard}");
        let left = Todo::Left { conn, session: answer.session, behind: None, leaving: Leaving::Ended };
        assert!(answer.rig.todos().contains(&left), "{text}");
    }
}

#[test]
fn a_draining_node_tells_new_clients_when_to_reconnect() {
    for target in ["sse", "stream", "longpoll", "poll", "ws", "multipart"] {
        let mut answer = Answer::new(&[]);
        answer.rig.core.cx.life = NodePhase::Drained;
        let conn = answer.rig.connect();
        let (open, reply) = answer.rig.open(&format!("/u/alice/{target}"));
        answer.rig.core.turn_away(conn, &open, &reply);
        let heard = answer.rig.heard(conn);
        assert!(heard.contains(r#""code":"drain","reconnect":true"#), "{target}: {heard}");
        let status = if target == "ws" { "101" } else { "200" };
        assert_eq!(&heard[9..12], status, "{target}");
    }
}

#[test]
fn a_message_from_before_an_unsubscribe_is_delivered_first() {
    let mut answer = Answer::new(&[]);
    let conn = answer.long_poll();
    answer.rig.publish("/a", "1");
    answer.rig.core.deliver_before_leaving(answer.session);
    assert_eq!(kinds(&answer.rig.body(conn)), ["message"]);
    answer.rig.publish("/a", "2");
    answer.rig.core.deliver_before_leaving(answer.session);
    assert_eq!(answer.link(), Link::Detached, "nobody is there to take it");
}

#[test]
fn an_open_envelope_names_the_session_that_another_client_has() {
    let mut answer = Answer::new(&[]);
    let other = answer.rig.session("alice");
    let made = Made::Apart(answer.rig.core.session_id(other));
    let poll = answer.poll(LONG_POLL);
    let id = answer.rig.core.session_id(answer.session).to_string();
    for (made, instead) in
        [(Made::New, Value::Null), (made, json!(answer.rig.core.session_id(other).to_string()))]
    {
        let found = answer.found(made, None);
        let (at, json): (Position, _) = answer.rig.core.open_envelope(&found, &id, poll.form);
        let envelope: Value = serde_json::from_slice(&json).expect("JSON");
        let open = &envelope["open"];
        assert_eq!((&open["session"], &open["instead"]["session"]), (&json!(id), &instead));
        assert_eq!((&open["position"], &open["resumed"]), (&json!(at.to_string()), &json!(true)));
    }
}
