//! A node with a place among others: it sends the users of other nodes there, in the form that each
//! transport can show, and lets its guests go with each answer.

use serde_json::{Value, json};

use crate::client::{Conn, Response};
use crate::down::Down;
use crate::node::Node;
use crate::socket::{CLOSE, Frame, Socket, TEXT};
use crate::xmlsocket;

/// Of `n1`, `42` is at home there, `bob` is its guest, and `alice` is `n3`'s and then `n2`'s.
const NODES: [(&str, &str); 2] = [
    ("ENCKE_NODES", "n1=http://one.example,n2=http://two.example:81,n3=https://three.example"),
    ("ENCKE_NODE", "n1"),
];
const THREE: &str = "https://three.example";

fn node(more: &[(&str, &str)]) -> Node {
    Node::start(&[&NODES, more].concat())
}

fn ask(conn: &mut Conn, method: &str, target: &str, body: &str) -> Response {
    conn.ask(method, target, &[("Content-Type", "application/json")], body.as_bytes())
}

fn assert_elsewhere(close: &Value) {
    assert_eq!((&close["code"], &close["reconnect"]), (&json!("elsewhere"), &json!(true)), "{close}");
    assert_eq!(close["node"], THREE);
    let after = close["after"].as_u64().unwrap();
    assert!((1_250..=5_000).contains(&after), "a client that does not follow waits: {close}");
}

#[test]
fn where_a_client_sees_the_status_it_is_421_and_the_connection_ends() {
    let node = node(&[]);
    for (method, target, body) in [
        ("GET", "/u/alice/poll", ""),
        ("GET", "/u/alice/longpoll?channels=/a", ""),
        ("POST", "/u/al%69ce/longpoll", r#"{"publish":"/a","data":1}"#),
        ("GET", "/u/alice/stream", ""),
        ("GET", "/u/-/stream?user=alice", ""),
        ("POST", "/u/alice/send", r#"{"publish":"/a","data":1}"#),
    ] {
        let mut conn = node.connect();
        let answer = ask(&mut conn, method, target, body);
        let error = &answer.json()["error"];
        assert_eq!((answer.head.status, &error["code"]), (421, &json!("elsewhere")), "{target}");
        assert_eq!(error["node"], THREE, "{target}: {error}");
        assert!(answer.head.closes(), "{target}");
        conn.assert_closed();
    }
    assert_eq!(
        node.api("GET", "/channel?name=/a", "").json()["messages"],
        json!([]),
        "nothing was published"
    );
    let metrics = node.api("GET", "/metrics", "");
    assert!(metrics.text().contains("cause=\"elsewhere\"} 6\n"), "{}", metrics.text());
}

#[test]
fn where_a_page_sees_no_status_it_is_a_close_with_the_nodes_address() {
    let node = node(&[xmlsocket::ON]);
    let mut sse = Down::open(&node, "/u/alice/sse");
    assert_elsewhere(&sse.expect()["close"]);
    assert!(sse.retry().is_some_and(|retry| retry >= 1_250), "an EventSource comes back by itself");
    sse.conn.assert_closed();
    let mut socket = Socket::open(&node, "/u/alice/ws");
    assert_elsewhere(&socket.json()["close"]);
    assert_eq!(socket.frame().first, CLOSE);
    for target in ["frame", "htmlfile", "multipart", "jsonp?callback=f"] {
        let mut conn = node.connect();
        let answer = ask(&mut conn, "GET", &format!("/u/alice/{target}"), "");
        assert_eq!(answer.head.status, 200, "{target}");
        assert!(answer.text().contains("elsewhere") && answer.text().contains("three.example"), "{target}");
        conn.assert_closed();
    }
    let mut conn = xmlsocket::connect(&node);
    assert_elsewhere(&xmlsocket::greet(&mut conn, &json!({"user": "alice"}))["close"]);
    assert_eq!(node.api("GET", "/u/bob", "").json()["sessions"], json!([]));
}

#[test]
fn a_preflight_and_pages_are_answered_whoever_the_user_is() {
    let node = node(&[("ENCKE_ORIGINS", "https://app.example")]);
    let headers = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")];
    let answer = node.connect().ask("OPTIONS", "/u/alice/send", &headers, b"");
    assert_eq!(answer.head.status, 204);
    let answer = node.connect().ask("GET", "/u/alice/poll", &headers[..1], b"");
    assert_eq!(answer.head.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.head.status, 421, "a page of another origin can read where to go");
    assert_eq!((node.get("/encke.js").head.status, node.get("/health").head.status), (200, 200));
}

#[test]
fn a_guest_is_served_and_its_connection_ends_with_each_answer() {
    let node = node(&[]);
    for (user, closes) in [("42", false), ("bob", true)] {
        let first = node.get(&format!("/u/{user}/longpoll?channels=/a"));
        assert_eq!((first.head.status, first.head.closes()), (200, closes), "{user}");
        let session = first.header("encke-session").unwrap().to_owned();
        let mut conn = node.connect();
        let sent =
            ask(&mut conn, "POST", &format!("/u/{user}/send?session={session}"), r#"{"subscribe":"/b"}"#);
        assert_eq!((sent.head.status, sent.head.closes()), (200, closes), "{user}");
    }
    let mut stream = Down::open(&node, "/u/bob/stream?channels=/a");
    assert!(stream.expect()["open"].is_object());
    node.publish("/a", &json!("news"));
    assert_eq!(stream.expect()["data"], "news");
}

#[test]
fn bayeux_hears_the_host_in_the_advice() {
    let node = node(&[]);
    let handshake = json!([{"id": "1", "channel": "/meta/handshake", "version": "1.0",
        "supportedConnectionTypes": ["long-polling"]}]);
    let mut conn = node.connect();
    let answer = ask(&mut conn, "POST", "/u/alice/bayeux", &handshake.to_string());
    let refused = &answer.json()[0];
    assert_eq!((answer.head.status, &refused["successful"]), (200, &json!(false)), "{refused}");
    assert_eq!(refused["error"], format!("421::elsewhere: {THREE}"));
    assert_eq!(refused["advice"]["hosts"], json!(["three.example"]));
    assert_eq!(refused["advice"]["reconnect"], "handshake");
    assert!(refused["advice"]["interval"].as_u64().unwrap() >= 1_250);
    conn.assert_closed();
    let mut socket = Socket::open(&node, "/u/alice/bayeux");
    socket.send(TEXT, handshake.to_string().as_bytes());
    assert_eq!(socket.json()[0]["advice"]["hosts"], json!(["three.example"]));
    // Without a user there is no place.
    let answer = ask(&mut node.connect(), "POST", "/bayeux", &handshake.to_string());
    assert_eq!(answer.json()[0]["successful"], true);
}

#[test]
fn sockjs_hears_it_in_its_own_words() {
    let node = node(&[]);
    let info = node.get("/u/alice/sockjs/info").json();
    assert_eq!(info["base_url"], format!("{THREE}/u/alice/sockjs"));
    assert_eq!(node.get("/u/42/sockjs/info").json()["base_url"], Value::Null);
    let closed = format!("c[4421,\"elsewhere {THREE}\"]");
    let mut conn = node.connect();
    let answer = ask(&mut conn, "POST", "/u/alice/sockjs/000/abcdefgh/xhr", "");
    assert_eq!((answer.head.status, answer.text().trim_end()), (200, &*closed));
    conn.assert_closed();
    let answer = ask(&mut node.connect(), "POST", "/u/alice/sockjs/000/abcdefgh/xhr_send", "[\"x\"]");
    assert_eq!(answer.head.status, 421);
    let mut socket = Socket::open(&node, "/u/alice/sockjs/000/abcdefgh/websocket");
    assert_eq!(socket.frame(), Frame { first: TEXT, payload: closed.into_bytes() });
    let Frame { first, payload } = socket.frame();
    assert_eq!((first, &payload[..2]), (CLOSE, &4421_u16.to_be_bytes()[..]));
    let mut raw = Socket::open(&node, "/u/alice/sockjs/websocket");
    assert_eq!(&raw.frame().payload[..2], 4421_u16.to_be_bytes());
    // The session's name is its user, who has no place.
    let answer = ask(&mut node.connect(), "POST", "/sockjs/000/abcdefgh/xhr", "");
    assert_eq!(answer.text(), "o\n");
}

#[test]
fn a_backend_learns_where_a_user_is_and_cannot_publish_to_others() {
    let node = node(&[]);
    let place = |user: &str| node.api("GET", &format!("/place?user={user}"), "").json();
    let home = json!({"name": "n3", "address": THREE});
    let deputy = json!({"name": "n2", "address": "http://two.example:81"});
    assert_eq!(
        place("alice"),
        json!({"user": "alice", "slot": 15_431, "home": home, "deputy": deputy, "here": "other"})
    );
    assert_eq!((&place("42")["here"], &place("bob")["here"]), (&json!("home"), &json!("deputy")));
    assert_eq!(node.api("GET", "/place", "").head.status, 400);
    for (method, target) in [("POST", "/u/alice/publish"), ("GET", "/u/alice"), ("DELETE", "/u/alice")] {
        let answer = node.api(method, target, "1");
        assert_eq!((answer.head.status, &answer.json()["error"]["node"]), (421, &json!(THREE)), "{target}");
    }
    for named in [json!({"user": "alice", "data": 1}), json!({"channel": "/u/alice", "data": 1})] {
        assert_eq!(node.api("POST", "/publish", &named.to_string()).head.status, 421, "{named}");
    }
    let both =
        json!([{"user": "alice", "data": 1}, {"user": "bob", "data": 1}, {"channel": "/a", "data": 1}]);
    let answers = node.api("POST", "/publish", &both.to_string()).json();
    assert_eq!(answers[0]["error"]["node"], THREE);
    assert_eq!((&answers[1]["sessions"], answers[2]["id"].is_string()), (&json!(0), true), "{answers}");
}

#[test]
fn a_node_that_only_knows_the_table_serves_everybody() {
    let node = Node::start(&NODES[..1]);
    assert_eq!(node.get("/u/alice/poll").head.status, 200);
    assert_eq!(node.api("GET", "/place?user=alice", "").json()["here"], "unplaced");
    let unplaced = Node::start(&[]);
    let answer = unplaced.api("GET", "/place?user=alice", "");
    assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (404, &json!("not-found")));
}
