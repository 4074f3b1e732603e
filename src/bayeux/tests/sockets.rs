//! WebSockets that speak Bayeux.

use crate::base::ticks::Span;
use crate::bayeux::limits::REFUSED_CONNECTS_MAX;
use crate::bayeux::socket::SocketOutcome as Outcome;
use crate::bayeux::tests::*;
use crate::turn::input::Effect;

impl Bayeux {
    /// Opens a WebSocket, with a cookie if there is one.
    pub(super) fn socket(&mut self, cookie: Option<&str>) -> ConnKey {
        let conn = self.rig.connect();
        let cookie = cookie.map(|cookie| format!("\nCookie: {cookie}")).unwrap_or_default();
        let head = format!(
            "GET /bayeux HTTP/1.1\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=={cookie}"
        );
        let (Request::Bayeux(asked), reply) = self.rig.ask(ListenerKind::Public, &head) else {
            panic!("no request for Bayeux");
        };
        let received = RawRequest { raw: b"", body: b"" };
        let pending = self.front.request(&mut self.rig.core, conn, *asked, reply, &received);
        assert_eq!(pending, None);
        assert!(self.rig.heard(conn).starts_with("HTTP/1.1 101 "));
        conn
    }

    /// Sends one message up a socket; what comes down it.
    pub(super) fn say(&mut self, conn: ConnKey, message: &Value) -> Vec<Value> {
        let text = message.to_string().into_bytes();
        match self.front.on_message(&mut self.rig.core, conn, text).expect("messages") {
            Outcome::Done => {}
            Outcome::Asked(pending) => self.settle(pending),
            Outcome::Elsewhere(to, _) => panic!("it is for {to:?}"),
        }
        self.carry_out();
        self.frames(conn)
    }

    /// The messages that came down a socket.
    pub(super) fn frames(&mut self, conn: ConnKey) -> Vec<Value> {
        let bytes = self.rig.heard_bytes(conn);
        let (mut rest, mut messages) = (&*bytes, Vec::new());
        while let [first, len, after @ ..] = rest {
            let (len, after) = match (len, after) {
                (126, [high, low, after @ ..]) => (u16::from_be_bytes([*high, *low]).into(), after),
                _ => (usize::from(*len), after),
            };
            let (payload, after) = after.split_at(len);
            rest = after;
            if *first == 0x81 {
                messages.extend(serde_json::from_slice::<Vec<Value>>(payload).expect("messages"));
            }
        }
        messages
    }

    /// A socket whose client has a session and has sent its first connect.
    fn connected_socket(&mut self) -> (ConnKey, String) {
        let conn = self.socket(None);
        let id = client_id(&self.say(conn, &handshake())[0]);
        assert_eq!(error(&self.say(conn, &connect(&id))[0]), "");
        (conn, id)
    }
}

#[test]
fn a_socket_gets_messages_at_once_and_its_connect_stays_held() {
    let mut bayeux = Bayeux::new(&[]);
    let (conn, id) = bayeux.connected_socket();
    assert_eq!(bayeux.say(conn, &connect(&id)), Vec::<Value>::new(), "it is held");
    bayeux.say(conn, &subscribe(&id, "/a"));
    bayeux.rig.publish("/a", "7");
    let messages = bayeux.frames(conn);
    assert_eq!((messages.len(), &messages[0]["data"]), (1, &json!(7)));
    bayeux.rig.core.answer_hold(conn);
    assert_eq!(bayeux.frames(conn)[0]["id"], json!("c"));
}

#[test]
fn a_client_that_acknowledges_gets_messages_with_answers_to_connects() {
    let mut bayeux = Bayeux::new(&[]);
    let conn = bayeux.socket(None);
    let mut message = handshake();
    message["ext"] = json!({ "ack": true });
    let id = client_id(&bayeux.say(conn, &message)[0]);
    bayeux.say(conn, &connect(&id));
    bayeux.say(conn, &subscribe(&id, "/a"));
    bayeux.say(conn, &connect(&id));
    bayeux.rig.publish("/a", "7");
    assert_eq!(bayeux.frames(conn), Vec::<Value>::new(), "not yet");
    bayeux.wake();
    let messages = bayeux.frames(conn);
    assert_eq!((messages.len(), &messages[0]["ext"]["ack"]), (2, &json!(2)));
    assert_eq!(messages[1]["data"], json!(7));
}

#[test]
fn an_empty_array_is_a_heartbeat_and_is_sent_back() {
    let mut bayeux = Bayeux::new(&[]);
    let (conn, _) = bayeux.connected_socket();
    for text in ["[]", " [ ] "] {
        let outcome = bayeux.front.on_message(&mut bayeux.rig.core, conn, text.into()).expect("a heartbeat");
        assert!(matches!(outcome, Outcome::Done));
        assert!(bayeux.rig.heard(conn).ends_with("[]"));
    }
}

#[test]
fn a_socket_that_keeps_naming_sessions_of_others_is_closed() {
    let mut bayeux = Bayeux::new(&[]);
    let (_, others) = bayeux.connected();
    bayeux.rig.pass(bayeux.rig.core.cx.config.bayeux_first_visit);
    let (conn, own) = bayeux.connected_socket();
    let closed = |bayeux: &Bayeux| bayeux.rig.core.bayeux_socket(conn).is_none();
    for _ in 1..REFUSED_CONNECTS_MAX {
        assert_eq!(error(&bayeux.say(conn, &connect(&others))[0]), "402");
    }
    assert_eq!(error(&bayeux.say(conn, &subscribe(&own, "/a"))[0]), "", "its own begins the count anew");
    for _ in 1..REFUSED_CONNECTS_MAX {
        bayeux.say(conn, &connect(&others));
    }
    assert!(!closed(&bayeux));
    bayeux.say(conn, &connect(&others));
    assert!(closed(&bayeux));
}

#[test]
fn a_socket_whose_session_lives_elsewhere_moves_there_with_its_message() {
    let mut bayeux = Bayeux::of_shards(2, &[]);
    let away = bayeux.rig.user_at(false);
    let home = bayeux.rig.core.cx.identity.homes().hash(&away.name);
    let conn = bayeux.socket(None);
    let key = bayeux.rig.session("alice");
    let id = SessionId { home, key, nonce: [1; 12] }.to_string();
    let text = connect(&id).to_string().into_bytes();
    let outcome = bayeux.front.on_message(&mut bayeux.rig.core, conn, text.clone()).expect("messages");
    let Outcome::Elsewhere(to, upgraded) = outcome else { panic!("it stays") };
    assert_eq!((to.0, &upgraded.message), (1, &text));
    assert!(upgraded.unmarked.is_some(), "it had no cookie");
}

#[test]
fn a_socket_that_has_moved_here_has_its_message_carried_out() {
    let mut bayeux = Bayeux::of_shards(2, &[("ENCKE_BAYEUX_TRUST", "1")]);
    let sender = bayeux.socket(None);
    let here = bayeux.rig.user_at(true);
    let session = bayeux.rig.session("alice");
    let home = 1 << 31;
    let id = SessionId { home, key: session, nonce: [1; 12] }.to_string();
    let text = connect(&id).to_string().into_bytes();
    let outcome = bayeux.front.on_message(&mut bayeux.rig.core, sender, text).expect("messages");
    let Outcome::Elsewhere(_, mut upgraded) = outcome else { panic!("{here:?}: it stays") };
    upgraded.message = handshake().to_string().into_bytes();
    upgraded.cookies = crate::request::bayeux::BrowserCookies::default();
    let conn = bayeux.rig.connect();
    let pending = bayeux.front.adopt_upgraded(&mut bayeux.rig.core, conn, *upgraded).expect("a call");
    bayeux.settle(pending);
    bayeux.carry_out();
    assert_eq!(error(&bayeux.frames(conn)[0]), "");
}

#[test]
fn a_drain_answers_the_connect_that_a_socket_holds_and_closes_it() {
    let mut bayeux = Bayeux::new(&[]);
    let (conn, id) = bayeux.connected_socket();
    bayeux.say(conn, &connect(&id));
    let by = bayeux.rig.core.cx.now + Span::from_secs(10);
    bayeux.rig.core.drain(by);
    assert!(bayeux.rig.core.is_held(conn), "answers are spread");
    bayeux.rig.core.answer_hold(conn);
    assert!(bayeux.rig.heard(conn).contains("the node is going away"));
    assert!(bayeux.rig.effects().iter().any(|effect| matches!(effect, Effect::Write(at) if *at == conn)));
}
