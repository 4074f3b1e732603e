//! Two clients with one session's id, such as a tab that was duplicated with its storage: they do
//! not replace each other for ever.

use serde_json::{Value, json};

use crate::client::Conn;
use crate::down::Down;
use crate::node::Node;
use crate::socket::Socket;

/// A response of one of the two, on any transport.
enum Reader {
    Down(Down),
    Socket(Socket),
    Poll(Conn),
}

impl Reader {
    fn open(node: &Node, way: &str, query: &str) -> Self {
        let target = format!("/u/bob/{way}?{query}");
        match way {
            "ws" => Self::Socket(Socket::open(node, &target)),
            "longpoll" | "jsonp" => {
                let mut conn = node.connect();
                conn.request("GET", &format!("{target}&callback=f"), &[], b"");
                Self::Poll(conn)
            }
            _ => Self::Down(Down::open(node, &target)),
        }
    }

    /// The next envelopes: one, or those of an array.
    fn next(&mut self) -> Vec<Value> {
        match self {
            Self::Down(down) => vec![down.expect()],
            Self::Socket(socket) => vec![socket.json()],
            Self::Poll(conn) => {
                let answer = conn.response();
                let text = answer.text();
                let array = text.find('[').unwrap()..=text.rfind(']').unwrap();
                serde_json::from_str(&text[array]).unwrap()
            }
        }
    }

    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let envelopes = self.next();
            if let Some(found) = envelopes.iter().find(|one| is_it(one)) {
                return found.clone();
            }
            assert!(!matches!(self, Self::Poll(_)), "{envelopes:?}");
        }
    }
}

const WAYS: [&str; 5] = ["sse", "stream", "ws", "longpoll", "jsonp"];

/// A session with a subscription of its query and one by a command; its id and position.
fn session(node: &Node) -> (String, String) {
    let first = node.get("/u/bob/longpoll?channels=/a");
    let id = first.header("encke-session").unwrap().to_owned();
    node.send("bob", &id, &json!({"subscribe": "/later"}));
    (id, first.header("encke-position").unwrap().to_owned())
}

/// Opens one response after the other, alternating between the two clients; all but the last are
/// replaced.
fn take_turns(node: &Node, way: &str, query: &str, times: usize) -> Reader {
    let mut reader = Reader::open(node, way, query);
    node.await_sessions("bob", |all| all[0]["attached"] == true);
    for n in 0..times {
        let next = Reader::open(node, way, query);
        let close = reader.until(|one| one["close"].is_object());
        assert_eq!(close["close"]["code"], "replaced", "{way}, {n}");
        reader = next;
    }
    node.await_sessions("bob", |all| all[0]["attached"] == true);
    reader
}

#[test]
fn after_two_rounds_the_later_client_gets_a_session_of_its_own_and_the_reason() {
    for way in WAYS {
        let node = Node::start(&[("ENCKE_SHARDS", "2")]);
        let (id, at) = session(&node);
        let query = format!("session={id}&since={at}&channels=/a");
        let mut earlier = take_turns(&node, way, &query, 4);
        let mut later = Reader::open(&node, way, &query);
        let open = later.until(|one| one["open"].is_object())["open"].clone();
        assert_ne!(open["session"], *id, "{way}");
        assert_eq!((&open["instead"]["session"], &open["instead"]["code"]), (&json!(id), &json!("shared")));
        assert!(open["instead"]["reason"].as_str().unwrap().contains("another client"), "{open}");
        assert_eq!(open["resumed"], true, "it has missed nothing: {open}");
        assert_eq!(node.metric("encke_sessions_parted_total"), 1);
        // The earlier client keeps its session. Both get all messages, also of channels to which
        // only the other subscribed.
        let own = open["session"].as_str().unwrap().to_owned();
        if matches!(later, Reader::Poll(_)) {
            later = Reader::open(&node, way, &format!("session={own}&since={at}"));
            node.await_sessions("bob", |all| all.len() == 2 && all.iter().all(|one| one["attached"] == true));
        }
        node.publish("/later", &json!("for both"));
        for reader in [&mut earlier, &mut later] {
            reader.until(|one| one["data"] == "for both");
        }
    }
}

/// Neither client loses messages that arrive while the two replace each other.
#[test]
fn neither_of_the_two_loses_anything_on_the_way() {
    for way in WAYS {
        let node = Node::start(&[("ENCKE_SHARDS", "2")]);
        let (id, at) = session(&node);
        let query = format!("session={id}&since={at}&channels=/a");
        let _earlier = take_turns(&node, way, &query, 4);
        let ids: Vec<_> = (0..3).map(|n| node.publish("/later", &json!(n))).collect();
        assert_eq!(ids.len(), 3);
        let mut later = Reader::open(&node, way, &query);
        let mut got: Vec<Value> = Vec::new();
        while got.iter().filter(|one| one["data"].is_u64()).count() < 3 {
            if !got.is_empty() && matches!(later, Reader::Poll(_)) {
                // Some were still on their way from another shard: the same request gets them all.
                later = Reader::open(&node, way, &query);
                got.clear();
            }
            got.extend(later.next());
        }
        assert!(got.iter().all(|one| !one["gap"].is_object()), "{way}: {got:?}");
        // A poll ends with the first of them, and frees its session.
        if !matches!(later, Reader::Poll(_)) {
            assert_eq!(got[0]["open"]["instead"]["session"], *id, "{way}: {got:?}");
        }
    }
}

/// A client without a position may have missed messages that were written for the other.
#[test]
fn without_a_position_the_later_client_gets_a_gap() {
    for way in WAYS {
        let node = Node::start(&[("ENCKE_SHARDS", "2")]);
        let (id, _) = session(&node);
        let _earlier = take_turns(&node, way, &format!("session={id}"), 4);
        let mut later = Reader::open(&node, way, &format!("session={id}"));
        let mut got = later.next();
        while !got.iter().any(|one| one["gap"].is_object()) {
            got.extend(later.next());
        }
        assert_eq!(
            (&got[0]["open"]["instead"]["session"], &got[0]["open"]["resumed"]),
            (&json!(id), &json!(false))
        );
    }
}

/// One client that waits behind its own poll, or was asked to recycle, takes nothing from others.
#[test]
fn a_client_that_goes_on_in_its_own_session_keeps_it() {
    let node = Node::start(&[]);
    let (id, _) = session(&node);
    let query = format!("session={id}&overlap=1");
    let mut polls = vec![Reader::open(&node, "longpoll", &query)];
    node.await_sessions("bob", |all| all[0]["attached"] == true);
    polls.push(Reader::open(&node, "longpoll", &query));
    for n in 0..8 {
        node.await_sessions("bob", |all| all[0]["attached"] == true);
        node.publish("/a", &json!(n));
        polls.remove(0).until(|one| one["data"] == n);
        polls.push(Reader::open(&node, "longpoll", &query));
    }
    assert_eq!(node.sessions("bob").len(), 1);
    // Nor does one that reconnects after its response has ended.
    for _ in 0..8 {
        let answer = node.get(&format!("/u/bob/poll?session={id}"));
        assert_eq!(answer.header("encke-session"), Some(&*id));
    }
}

/// An `EventSource` always names the same session, because its URL does.
#[test]
fn a_client_that_keeps_naming_the_old_session_finds_its_own_again() {
    let node = Node::start(&[]);
    let first = node.get("/u/bob/longpoll?channels=/a");
    let (id, at) = (first.header("encke-session").unwrap(), first.header("encke-position").unwrap());
    let query = format!("session={id}&since={at}&channels=/a");
    let _earlier = take_turns(&node, "sse", &query, 4);
    for n in 0..5 {
        let mut later = Down::open(&node, &format!("/u/bob/sse?{query}"));
        let opened = later.expect();
        assert_ne!(opened["open"]["session"], *id, "{n}");
        drop(later);
        node.await_sessions("bob", |all| all.iter().filter(|one| one["attached"] == true).count() == 1);
        assert_eq!(node.sessions("bob").len(), 2, "{n}");
    }
}
