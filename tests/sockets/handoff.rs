//! A connection follows its user from shard to shard, with all pipelined requests.

use serde_json::json;

use crate::client::Conn;
use crate::down::{Dialect, Down};
use crate::node::Node;

fn four() -> Node {
    Node::start(&[("ENCKE_SHARDS", "4")])
}

/// Requests of many users on one connection, with bodies of both framings between them.
fn journey() -> String {
    let stop = |n: usize| {
        let body = format!("{{\"ping\":{n}}}");
        let (length, second, third) = (body.len(), n * 7, n * 5);
        [
            format!("GET /u/user{n}/poll HTTP/1.1\r\nHost: x\r\n\r\n"),
            format!(
                "POST /u/user{second}/send HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
            format!("POST /u/user{third}/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
            format!("{length:x}\r\n{body}\r\n0\r\n\r\n"),
            "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            format!("GET /u/user{n}/nope HTTP/1.1\r\nHost: x\r\n\r\n"),
        ]
        .concat()
    };
    (0..24).map(stop).collect()
}

fn assert_journey(conn: &mut Conn) {
    for n in 0..24 {
        let poll = conn.response();
        assert!(poll.envelopes()[0]["open"].is_object());
        assert_eq!(conn.response().json(), json!({"ok": {"ping": n}}));
        assert_eq!(conn.response().json(), json!({"ok": {"ping": n}}));
        assert_eq!(conn.response().json(), json!({"status": "ok"}));
        assert_eq!(conn.response().status, 404);
    }
}

#[test]
fn pipelined_requests_of_many_users_are_answered_in_order() {
    let node = four();
    let before = node.metric("encke_hand_offs_total");
    assert_journey(node.connect().send(journey()));
    let moves = node.metric("encke_hand_offs_total") - before;
    assert!(moves >= 20, "{moves} moves");
    for n in 0..24 {
        assert_eq!(node.sessions(&format!("user{n}")).len(), 1);
    }
    assert!(node.metric("encke_connections") <= 2);
}

#[test]
fn the_same_byte_by_byte() {
    let node = four();
    assert_journey(node.connect().trickle(journey()));
}

#[test]
fn the_same_in_pieces_of_any_size() {
    let node = four();
    for size in [3, 17, 100, 1000, 4099] {
        let mut conn = node.connect();
        for piece in journey().as_bytes().chunks(size) {
            conn.send(piece);
        }
        assert_journey(&mut conn);
    }
}

#[test]
fn many_connections_are_handed_off_at_once() {
    let node = four();
    let mut conns: Vec<Conn> = (0..30).map(|_| node.connect()).collect();
    let journey = journey();
    for piece in journey.as_bytes().chunks(500) {
        for conn in &mut conns {
            conn.send(piece);
        }
    }
    conns.iter_mut().for_each(assert_journey);
}

#[test]
fn a_handed_off_connection_can_stream() {
    let node = four();
    for n in 0..8 {
        let mut conn = node.connect();
        for other in 0..4 {
            assert_eq!(conn.ask("GET", &format!("/u/other{other}/poll"), &[], b"").status, 200);
        }
        let user = format!("user{n}");
        conn.request("GET", &format!("/u/{user}/sse?channels=/chat/{n}"), &[], b"");
        let peer = conn.local.unwrap().to_string();
        let mut down = Down::read(conn, Dialect::Sse);
        down.opened();
        assert_eq!(node.sessions(&user)[0]["peer"], peer);
        node.publish(&format!("/chat/{n}"), &json!(n));
        assert_eq!(down.data(), n);
    }
}

#[test]
fn one_that_half_closes_on_its_way_gets_all_its_answers() {
    let node = four();
    let mut socket = std::net::TcpStream::connect(node.public).unwrap();
    std::io::Write::write_all(&mut socket, journey().as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    socket.set_read_timeout(Some(crate::node::PATIENCE)).unwrap();
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut socket, &mut all).unwrap();
    let all = String::from_utf8_lossy(&all);
    assert_eq!(all.matches("HTTP/1.1 200 OK\r\n").count(), 24 * 4);
    assert_eq!(all.matches("HTTP/1.1 404 Not Found\r\n").count(), 24);
}
