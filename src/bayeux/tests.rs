//! The front for Bayeux with a core and connections that read no socket: handshakes,
//! disconnects, and what is refused.

mod connects;
mod cookies;
mod hooks;
mod sockets;

use serde_json::{Value, json};

use crate::base::hash::Keyed;
use crate::base::ids::ListenerKind;
use crate::base::slab::{ConnKey, PendingKey, SessionKey};
use crate::bayeux::BayeuxFront;
use crate::call::pending::{Items, PendingKind, PendingRequest};
use crate::call::protocol::ClientState;
use crate::conn::phase::{Conn, Phase};
use crate::core::tests::rig::{Rig, SECRET, token};
use crate::request::session_id::SessionId;
use crate::request::{RawRequest, Request};
use crate::turn::timer::NodePhase;
use crate::turn::todo::Todo;

/// The front, and a core of its own.
struct Bayeux {
    rig: Rig,
    front: BayeuxFront,
}

/// The response to a request.
#[derive(Debug)]
struct Heard {
    status: String,
    /// `name=value` of the cookie that it sets.
    cookie: Option<String>,
    messages: Vec<Value>,
}

impl Bayeux {
    fn new(vars: &[(&str, &str)]) -> Self {
        Self::of_shards(1, vars)
    }

    fn of_shards(shards: u8, vars: &[(&str, &str)]) -> Self {
        let rig = Rig::of_shards(shards, vars);
        let front = BayeuxFront::new(&rig.core.cx.config, Keyed::new((1, 2)));
        Self { rig, front }
    }

    // ---- requests ----

    /// Sends messages by a request to this path; with a cookie, if there is one.
    fn send(&mut self, path: &str, cookie: Option<&str>, messages: &Value) -> ConnKey {
        let conn = self.rig.connect();
        let cookie = cookie.map(|cookie| format!("\nCookie: {cookie}")).unwrap_or_default();
        let head = format!("POST {path} HTTP/1.1\nContent-Length: 1{cookie}");
        let (Request::Bayeux(asked), reply) = self.rig.ask(ListenerKind::Public, &head) else {
            panic!("{path} is no request for Bayeux");
        };
        let body = messages.to_string();
        let received = RawRequest { raw: b"", body: body.as_bytes() };
        let pending = self.front.request(&mut self.rig.core, conn, *asked, reply, &received);
        if let Some(pending) = pending {
            self.settle(pending);
        }
        self.carry_out();
        conn
    }

    /// The same, answered.
    fn post(&mut self, path: &str, cookie: Option<&str>, messages: &Value) -> Heard {
        let conn = self.send(path, cookie, messages);
        self.heard(conn)
    }

    /// Sends one message as a browser with `cookie` does; its answer.
    fn ask(&mut self, cookie: &str, message: &Value) -> Value {
        let mut heard = self.post("/bayeux", Some(cookie), message);
        assert_eq!(heard.messages.len(), 1, "{heard:?}");
        heard.messages.remove(0)
    }

    fn heard(&mut self, conn: ConnKey) -> Heard {
        let text = self.rig.heard(conn);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {text:?}"));
        let cookie = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: "));
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        let messages = serde_json::from_str(body).unwrap_or_default();
        Heard { status: head[9..12].to_owned(), cookie, messages }
    }

    // ---- what a shard does between the calls ----

    /// Answers what a pending request is for, if all of it is known.
    fn settle(&mut self, pending: PendingKey) {
        let Some(PendingRequest { missing: 0, items: Items::All, .. }) = self.rig.core.pending.get(pending)
        else {
            return;
        };
        let session = self.rig.core.pending.get(pending).and_then(|request| request.session);
        let PendingKind::Bayeux { conn, call } = self.rig.settled(pending) else { panic!("not of Bayeux") };
        if let Some(session) = session {
            self.rig.core.leave_batch_queue(session, pending);
        }
        let core = &mut self.rig.core;
        match core.conns.get_mut(conn).map(|conn| &mut conn.phase) {
            Some(Phase::Waiting(queue)) => {
                let reply = queue.remove(0).reply;
                self.front.answer_bayeux(core, conn, reply, *call);
            }
            Some(_) => self.front.answer_bayeux_message(core, conn, pending, *call),
            None => {}
        }
    }

    /// Carries out what is left to do of sessions, and checks the counts.
    fn carry_out(&mut self) {
        while let Some(todo) = self.rig.core.cx.todos.pop_front() {
            let core = &mut self.rig.core;
            match todo {
                Todo::Left { conn, session, behind, leaving } => {
                    core.leave_session(conn, session, behind, leaving);
                }
                Todo::Detached(session) => self.front.release_if_detached(core, session),
                Todo::Departed => match core.departed.pop_front() {
                    Some((session, ClientState::Other(client), _)) if client.bayeux().is_some() => {
                        self.front.unlink_client(session, client.bayeux().expect("a client"));
                    }
                    other => panic!("who departed? {other:?}"),
                },
                Todo::End { session, code } => core.end_session(session, code),
                Todo::Continue(pending) => {
                    if let Some((_, call)) = core.call_mut(pending) {
                        call.resume();
                    }
                    self.front.continue_call(core, pending);
                    self.settle(pending);
                }
                Todo::Reread(_) => {}
                other @ (Todo::CatchUp(_)
                | Todo::MoveUp { .. }
                | Todo::EndStream(_)
                | Todo::Front(_)
                | Todo::Room(_)
                | Todo::StreamCommand
                | Todo::Text
                | Todo::StreamDue(_)) => {
                    panic!("not for Bayeux: {other:?}")
                }
            }
        }
        self.front.check_browsers(&self.rig.core);
        self.front.check_repeats(&self.rig.core);
    }

    /// Answers the polls that wake in this turn.
    fn wake(&mut self) {
        for key in std::mem::take(&mut self.rig.core.waking) {
            self.rig.core.answer_woken(key);
        }
        self.carry_out();
    }

    fn close(&mut self, conn: ConnKey) {
        self.rig.core.conns.close(&mut self.rig.core.cx, conn);
        self.carry_out();
    }

    // ---- clients ----

    /// A client of a new browser: its cookie and its id.
    fn client(&mut self) -> (String, String) {
        let heard = self.post("/bayeux", None, &handshake());
        let cookie = heard.cookie.clone().unwrap_or_else(|| panic!("no cookie: {heard:?}"));
        (cookie, client_id(&heard.messages[0]))
    }

    /// One that has connected for the first time.
    fn connected(&mut self) -> (String, String) {
        let (cookie, id) = self.client();
        let answer = self.ask(&cookie, &connect(&id));
        assert_eq!(answer["successful"], json!(true), "{answer}");
        (cookie, id)
    }

    /// Sends a connect that is held.
    fn hold(&mut self, (cookie, id): &(String, String)) -> ConnKey {
        let conn = self.send("/bayeux", Some(cookie), &connect(id));
        assert!(self.is_held(conn), "{:?}", self.rig.heard(conn));
        conn
    }

    fn is_held(&self, conn: ConnKey) -> bool {
        matches!(self.rig.core.conns.get(conn), Some(Conn { phase: Phase::Parked(_), .. }))
    }

    fn key(&self, id: &str) -> Option<SessionKey> {
        let SessionId { key, .. } = id.parse().expect("a client id");
        self.rig.core.sessions.get(key).map(|_| key)
    }
}

fn handshake() -> Value {
    json!({ "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"] })
}

fn connect(id: &str) -> Value {
    json!({ "channel": "/meta/connect", "clientId": id, "connectionType": "long-polling", "id": "c" })
}

fn subscribe(id: &str, to: &str) -> Value {
    json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": to })
}

fn publish(id: &str, channel: &str, data: i32) -> Value {
    json!({ "channel": channel, "clientId": id, "data": data })
}

fn client_id(answer: &Value) -> String {
    answer["clientId"].as_str().unwrap_or_else(|| panic!("no session: {answer}")).to_owned()
}

/// The code of an answer's error, or nothing.
fn error(answer: &Value) -> &str {
    answer["error"].as_str().and_then(|error| error.split(':').next()).unwrap_or_default()
}

/// What the client is to do next.
fn advice(answer: &Value) -> &str {
    answer["advice"]["reconnect"].as_str().unwrap_or_default()
}

// ---- handshakes ----

#[test]
fn a_handshake_makes_a_session_and_sets_a_cookie_unless_one_was_sent() {
    let mut bayeux = Bayeux::new(&[]);
    let first = bayeux.post("/bayeux", None, &handshake());
    let answer = &first.messages[0];
    assert_eq!((&answer["successful"], advice(answer)), (&json!(true), "retry"));
    assert_eq!(answer["supportedConnectionTypes"][0], json!("websocket"));
    let cookie = first.cookie.expect("a cookie");
    let second = bayeux.post("/bayeux", Some(&cookie), &handshake());
    assert_eq!(second.cookie, None, "it has one");
    assert_ne!(client_id(answer), client_id(&second.messages[0]));
    assert_eq!(bayeux.rig.core.sessions.len(), 2);
}

#[test]
fn a_refused_handshake_makes_no_session() {
    let with_tokens = [("ENCKE_TOKEN_KEY", std::str::from_utf8(SECRET).expect("text"))];
    let full = [("ENCKE_SESSIONS", "1")];
    for (vars, message, refusal, next) in [
        (&[][..], json!({ "supportedConnectionTypes": ["long-polling"] }), "400", "none"),
        (&[], json!({ "version": "1.0" }), "400", "none"),
        (&[], json!({ "version": "1.0", "supportedConnectionTypes": ["iframe"] }), "301", "none"),
        (&with_tokens, handshake(), "403", "none"),
        (&full, handshake(), "503", "handshake"),
    ] {
        let mut bayeux = Bayeux::new(vars);
        if vars == full {
            bayeux.rig.session("alice");
        }
        let before = bayeux.rig.core.sessions.len();
        let mut message = message;
        message["channel"] = json!("/meta/handshake");
        let heard = bayeux.post("/bayeux", None, &message);
        let answer = &heard.messages[0];
        assert_eq!((error(answer), advice(answer), heard.cookie), (refusal, next, None), "{message}");
        assert_eq!(bayeux.rig.core.sessions.len(), before, "{message}");
    }
}

#[test]
fn a_token_in_a_handshake_names_the_user_and_what_may_be_read() {
    let mut bayeux = Bayeux::new(&[("ENCKE_TOKEN_KEY", std::str::from_utf8(SECRET).expect("text"))]);
    let claims = json!({ "sub": "alice", "aud": "encke", "channels": { "/open/**": "r" } });
    let mut message = handshake();
    message["ext"] = json!({ "token": token(&claims) });
    let heard = bayeux.post("/bayeux", None, &message);
    let id = client_id(&heard.messages[0]);
    let key = bayeux.key(&id).expect("a session");
    assert_eq!(bayeux.rig.subscribed(key), ["/u/alice"]);
    let cookie = heard.cookie.expect("a cookie");
    for (message, refusal) in [
        (subscribe(&id, "/open/a"), ""),
        (subscribe(&id, "/closed"), "403"),
        (publish(&id, "/open/a", 1), "403"),
    ] {
        assert_eq!(error(&bayeux.ask(&cookie, &message)), refusal, "{message}");
    }
}

#[test]
fn messages_beside_a_handshake_are_ignored() {
    let mut bayeux = Bayeux::new(&[]);
    let batch = json!([handshake(), { "channel": "/a", "clientId": "x", "data": 1 }]);
    let heard = bayeux.post("/bayeux", None, &batch);
    assert_eq!(heard.messages.len(), 1);
    assert_eq!(bayeux.rig.core.hub.head(), 0, "nothing is published");
}

#[test]
fn a_browser_has_no_more_sessions_than_it_may() {
    let mut bayeux = Bayeux::new(&[("ENCKE_SESSIONS_PER_BROWSER", "2")]);
    let (cookie, first) = bayeux.client();
    assert_eq!(error(&bayeux.ask(&cookie, &handshake())), "");
    let refused = bayeux.ask(&cookie, &handshake());
    assert_eq!((error(&refused), advice(&refused)), ("429", "handshake"));
    let (other, _) = bayeux.client();
    assert_ne!(cookie, other, "another browser is not concerned");
    bayeux.ask(&cookie, &json!({ "channel": "/meta/disconnect", "clientId": first }));
    assert_eq!(error(&bayeux.ask(&cookie, &handshake())), "", "one has left");
}

#[test]
fn a_draining_node_refuses_requests() {
    let mut bayeux = Bayeux::new(&[]);
    bayeux.rig.core.cx.life = NodePhase::Drained;
    assert_eq!(bayeux.post("/bayeux", None, &handshake()).status, "503");
}

// ---- the end ----

#[test]
fn a_disconnect_ends_the_session_and_the_connect_that_it_holds() {
    let mut bayeux = Bayeux::new(&[]);
    let client = bayeux.connected();
    let conn = bayeux.hold(&client);
    let answer = bayeux.ask(&client.0, &json!({ "channel": "/meta/disconnect", "clientId": client.1 }));
    assert_eq!(answer["successful"], json!(true));
    let last = &bayeux.heard(conn).messages[0];
    assert_eq!((&last["successful"], advice(last)), (&json!(true), "none"));
    assert_eq!(bayeux.key(&client.1), None);
    let late = bayeux.ask(&client.0, &connect(&client.1));
    assert_eq!((error(&late), advice(&late)), ("402", "handshake"));
}

#[test]
fn a_gap_ends_the_session_since_bayeux_cannot_report_it() {
    let mut bayeux = Bayeux::new(&[("ENCKE_CHANNEL_MESSAGES", "1")]);
    let (cookie, id) = bayeux.connected();
    bayeux.ask(&cookie, &subscribe(&id, "/a"));
    for _ in 0..3 {
        bayeux.rig.publish("/a", "1");
        bayeux.rig.pass(bayeux.rig.core.cx.config.session_grace);
    }
    let answer = bayeux.ask(&cookie, &connect(&id));
    assert_eq!((error(&answer), advice(&answer)), ("402", "handshake"));
    assert_eq!(bayeux.key(&id), None);
}

// ---- refusals ----

#[test]
fn an_invalid_message_is_refused_and_the_others_of_its_request_run() {
    for (message, refusal) in [
        (json!({ "channel": "/a", "data": 1 }), ""),
        (json!({ "channel": "/a" }), "400"),
        (json!({ "channel": "a", "data": 1 }), "405"),
        (json!({ "channel": "/a/*", "data": 1 }), "405"),
        (json!({ "channel": "/meta/nonsense", "data": 1 }), "404"),
        (json!({ "channel": "/service/x", "data": 1 }), "404"),
        (json!({ "channel": "/meta/subscribe" }), "403"),
        (json!({ "channel": "/meta/subscribe", "subscription": 7 }), "403"),
        (json!({ "channel": "/meta/subscribe", "subscription": ["/b", "b"] }), "403"),
        (json!({ "channel": "/meta/subscribe", "subscription": "/meta/b" }), "403"),
        (json!({ "channel": "/meta/subscribe", "subscription": "/u/bob" }), "403"),
        (json!({ "channel": "/meta/subscribe", "subscription": "/service/b" }), ""),
        (json!({ "channel": "/meta/unsubscribe", "subscription": "/unknown" }), ""),
        (json!({ "channel": "/meta/unsubscribe", "subscription": "b" }), "403"),
        (json!({ "data": 1 }), "400"),
    ] {
        let mut bayeux = Bayeux::new(&[]);
        let (cookie, id) = bayeux.client();
        let key = bayeux.key(&id).expect("a session");
        let before = bayeux.rig.subscribed(key);
        let mut message = message;
        (message["clientId"], message["id"]) = (json!(id), json!("m"));
        let batch = json!([message, subscribe(&id, "/good")]);
        let answers = bayeux.post("/bayeux", Some(&cookie), &batch).messages;
        assert_eq!(
            (error(&answers[0]), &answers[0]["id"]),
            (refusal, &json!("m")),
            "{message}: {}",
            answers[0]
        );
        assert_eq!(error(&answers[1]), "", "{message}");
        assert_eq!(bayeux.rig.subscribed(key), [before, vec!["/good".to_owned()]].concat(), "{message}");
    }
}

#[test]
fn messages_behind_a_publish_to_another_shard_wait_for_its_answer() {
    let mut bayeux = Bayeux::of_shards(2, &[("ENCKE_BAYEUX_TRUST", "1")]);
    let heard = bayeux.post("/bayeux", None, &handshake());
    let id = client_id(&heard.messages[0]);
    let key = bayeux.key(&id).expect("a session");
    let (away, before) = (bayeux.rig.channel_at(false), bayeux.rig.subscribed(key));
    let batch = json!([publish(&id, &away, 1), subscribe(&id, "/a")]);
    let conn = bayeux.send("/bayeux", heard.cookie.as_deref(), &batch);
    assert_eq!(bayeux.rig.heard(conn), "");
    assert_eq!(bayeux.rig.subscribed(key), before);
    let pending = bayeux.rig.core.pending.iter().next().map(|(pending, _)| pending).expect("a call waits");
    let refused = crate::wire::refusal::Refused::Mailbox.into();
    bayeux.rig.core.published(pending, vec![(0, Err(refused))]);
    bayeux.carry_out();
    let answers = bayeux.heard(conn).messages;
    assert_eq!((error(&answers[0]), error(&answers[1])), ("503", ""));
    assert_eq!(bayeux.rig.subscribed(key).len(), before.len() + 1);
}

#[test]
fn a_request_with_too_many_messages_is_refused_as_a_whole() {
    let mut bayeux = Bayeux::new(&[("ENCKE_BATCH", "1")]);
    for (body, status, count) in
        [(json!([handshake(), handshake()]), "413", 0), (handshake(), "200", 1), (json!(7), "200", 1)]
    {
        let heard = bayeux.post("/bayeux", None, &body);
        assert_eq!((&*heard.status, heard.messages.len()), (status, count), "{body}");
    }
    assert_eq!(bayeux.rig.core.sessions.len(), 1);
}
