//! The PROXY protocol on the public listener: which address is shown, and which peers are refused.

use serde_json::json;

use crate::client::Conn;
use crate::down::{Dialect, Down};
use crate::node::Node;

fn behind_proxy() -> Node {
    Node::start(&[("ENCKE_PROXY_PROTOCOL", "1"), ("ENCKE_SHARDS", "4")])
}

/// A version 2 header (`proxy-protocol.txt`, 2.2) with this command, family and addresses.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

/// Headers and the address that each gives; `None` for the connection's own.
fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0xdb, 0x1c, 0, 80];
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    v6[32..].copy_from_slice(&[0xdb, 0x1c, 0, 80]);
    vec![
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 56092 80\r\n".to_vec(), Some("203.0.113.7:56092")),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56092 80\r\n".to_vec(), Some("[2001:db8::7]:56092")),
        (b"PROXY TCP6 203.0.113.7 2001:db8::1 56092 80\r\n".to_vec(), Some("203.0.113.7:56092")),
        (b"PROXY TCP4 203.0.113.7 2001:db8::1 56092 80\r\n".to_vec(), Some("203.0.113.7:56092")),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.1 56092 80\r\n".to_vec(), Some("203.0.113.7:56092")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
        (v2(1, 0x11, &v4), Some("203.0.113.7:56092")),
        (v2(1, 0x21, &v6), Some("[2001:db8::7]:56092")),
        (v2(1, 0x11, &[&v4[..], &[0x04, 0, 2, 0, 0]].concat()), Some("203.0.113.7:56092")),
        (v2(0, 0, b""), None),
    ]
}

fn open(mut conn: Conn, user: &str) -> Down {
    conn.send(format!("GET /u/{user}/sse HTTP/1.1\r\nHost: x\r\n\r\n"));
    let mut down = Down::read(conn, Dialect::Sse);
    down.opened();
    down
}

#[test]
fn the_address_of_the_header_is_the_peers() {
    let node = behind_proxy();
    for (n, (header, meant)) in headers().into_iter().enumerate() {
        for way in ["at once", "byte by byte"] {
            // Different users, so that some of these connections change their shard.
            let user = format!("u{n}-{}", way.len());
            let mut conn = node.connect();
            let own = conn.local.unwrap().to_string();
            if way == "at once" {
                conn.send(&header)
            } else {
                conn.trickle(&header)
            };
            let mut down = open(conn, &user);
            let shown = node.sessions(&user)[0]["peer"].clone();
            assert_eq!(shown, meant.unwrap_or(&own), "{n} {way}");
            node.tell(&user, &json!(n));
            assert_eq!(down.data(), n);
        }
    }
}

#[test]
fn header_and_requests_may_come_in_one_packet() {
    let node = behind_proxy();
    for (header, _) in headers() {
        let mut conn = node.connect();
        conn.send(
            [
                &header[..],
                b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /u/al/poll HTTP/1.1\r\nHost: x\r\n\r\n",
            ]
            .concat(),
        );
        assert_eq!([conn.response().status, conn.response().status], [200, 200]);
    }
}

#[test]
fn a_peer_without_a_header_is_closed_without_an_answer() {
    let node = behind_proxy();
    let requests: [&[u8]; 7] = [
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 203.0.113.7\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 99999 80\r\n",
        b"proxy tcp4 203.0.113.7 10.0.0.1 56092 80\r\n",
        &v2(1, 0x11, b"short"),
        &v2(7, 0x11, &[0; 12]),
        &[b"PROXY ".to_vec(), vec![b'x'; 200]].concat(),
    ];
    for request in requests {
        node.connect().send(request).assert_closed();
    }
    assert!(node.metric("encke_refusals_total") >= 7);
}

#[test]
fn a_header_that_is_not_asked_for_is_no_request() {
    let node = Node::start(&[]);
    for (header, _) in headers() {
        let mut conn = node.connect();
        conn.send([&header[..], b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
        let answer = conn.response();
        assert!([400, 505].contains(&answer.status), "{}", answer.status);
    }
}

#[test]
fn the_private_listener_takes_none() {
    let node = behind_proxy();
    assert_eq!(node.api("GET", "/health", "").status, 200);
    let answer =
        node.connect_api().send("PROXY UNKNOWN\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n").response();
    assert_eq!(answer.status, 400);
}

#[test]
fn listed_peers_must_send_a_header_and_are_believed() {
    let node = Node::start(&[("ENCKE_PROXY_PROTOCOL", "192.0.2.0/24,127.0.0.0/8")]);
    for (n, (header, meant)) in headers().into_iter().enumerate() {
        let user = format!("u{n}");
        let mut conn = node.connect();
        let own = conn.local.unwrap().to_string();
        conn.send(&header);
        let _down = open(conn, &user);
        assert_eq!(node.sessions(&user)[0]["peer"], meant.unwrap_or(&own));
    }
    node.connect().send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").assert_closed();
    node.log_line(|line| line.contains("127.0.0.1 is closed") && line.contains("ENCKE_PROXY_PROTOCOL"));
}

#[test]
fn peers_that_are_not_listed_are_clients_and_their_headers_are_refused() {
    let node = Node::start(&[("ENCKE_PROXY_PROTOCOL", "192.0.2.0/24,2001:db8::7")]);
    assert_eq!(node.get("/health").status, 200);
    let request = b"POST /u/alice/send HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"ping\":1}";
    // Its first byte is also that of a header.
    assert_eq!(node.connect().trickle(request).response().status, 200);
    for (header, _) in headers() {
        let request = [&header[..], b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
        node.connect().send(&request).assert_closed();
        node.connect().trickle(&header).assert_closed();
    }
    node.log_line(|line| line.contains("is taken from listed peers alone (ENCKE_PROXY_PROTOCOL)"));
    assert!(node.metric("encke_refusals_total{cause=\"proxy-header-refused\"}") >= 20);
}

#[test]
fn the_private_listener_has_a_list_of_its_own() {
    let node = Node::start(&[("ENCKE_API_PROXY_PROTOCOL", "127.0.0.1")]);
    assert_eq!(node.get("/health").status, 200, "the public one takes no header");
    for (header, _) in headers() {
        let request = [&header[..], b"GET /health HTTP/1.0\r\n\r\n"].concat();
        assert_eq!(node.connect_api().send(&request).response().status, 200);
    }
    node.connect_api().send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").assert_closed();
    node.log_line(|line| line.contains("ENCKE_API_PROXY_PROTOCOL"));
}

#[test]
fn a_switch_that_believes_everybody_is_advised_against() {
    behind_proxy().log_line(|line| line.contains("ENCKE_PROXY_PROTOCOL=10.0.0.0/8"));
}
