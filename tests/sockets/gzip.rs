//! Compressed responses: readable as they arrive, complete at their end, and compressed once for
//! all receivers.

use std::io::Write as _;

use flate2::write::GzDecoder;
use serde_json::json;

use crate::client::Conn;
use crate::node::Node;

/// A compressed stream being read.
struct Packed {
    conn: Conn,
    decoder: GzDecoder<Vec<u8>>,
}

impl Packed {
    fn open(node: &Node, target: &str) -> Self {
        let mut conn = node.connect();
        conn.request("GET", target, &[("Accept-Encoding", "br, gzip;q=0.8")], b"");
        let head = conn.head();
        assert_eq!((head.status, head.header("content-encoding")), (200, Some("gzip")));
        Self { conn, decoder: GzDecoder::new(Vec::new()) }
    }

    /// Reads chunks until the text contains this.
    fn await_text(&mut self, text: &str) {
        while !String::from_utf8_lossy(self.decoder.get_ref()).contains(text) {
            let chunk = self.conn.chunk().expect("the stream goes on");
            self.decoder.write_all(&chunk).expect("gzip");
            // Received data must be readable although the stream continues.
            self.decoder.flush().expect("gzip");
        }
    }

    /// Reads to the end, which must be that of the compressed stream too.
    fn finish(mut self) -> String {
        while let Some(chunk) = self.conn.chunk() {
            self.decoder.write_all(&chunk).expect("gzip");
        }
        String::from_utf8(self.decoder.finish().expect("length and checksum")).expect("text")
    }
}

#[test]
fn a_stream_is_compressed_message_by_message_and_once_for_all() {
    let node = Node::start(&[("ENCKE_GZIP", "1"), ("ENCKE_SHARDS", "1")]);
    let mut streams: Vec<_> =
        ["stream", "sse"].map(|name| Packed::open(&node, &format!("/u/bob/{name}?channels=/c"))).into();
    streams.extend((0..5).map(|n| Packed::open(&node, &format!("/u/u{n}/sse?channels=/c"))));
    for stream in &mut streams {
        stream.await_text("\"open\"");
    }
    let before = node.metric("encke_deflated_total");
    for n in 0..20 {
        node.publish("/c", &json!({ "n": n, "text": "abc".repeat(100) }));
        for stream in &mut streams {
            stream.await_text(&format!("{{\"n\":{n},"));
        }
    }
    // Two forms, one of which six streams share.
    assert_eq!(node.metric("encke_deflated_total") - before, 40);
    // Both streams of bob, and the first of the others.
    for user in ["bob", "u0"] {
        assert_eq!(node.api("DELETE", &format!("/u/{user}"), "").status, 200);
    }
    for stream in streams.drain(..3) {
        let text = stream.finish();
        assert!(text.contains("{\"close\":{\"code\":\"ended\""), "{text}");
        assert_eq!(text.matches("abcabc").count() / 50, 20);
    }
}

#[test]
fn a_batch_is_compressed_if_that_is_asked_for_and_worth_it() {
    let node = Node::start(&[("ENCKE_GZIP", "1")]);
    node.get("/u/bob/longpoll");
    node.tell("bob", &json!("x".repeat(2000)));
    let answer = |encodings: &str, target: &str| {
        let mut conn = node.connect();
        conn.ask("GET", target, &[("Accept-Encoding", encodings)], b"")
    };
    let packed = answer("gzip", "/u/bob/poll?last=1");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < 500, "{}", packed.body.len());
    let mut decoder = GzDecoder::new(Vec::new());
    decoder.write_all(&packed.body).unwrap();
    let text = String::from_utf8(decoder.finish().unwrap()).unwrap();
    assert!(text.contains(&"x".repeat(2000)) && text.starts_with('['), "{text}");
    for unasked in ["", "identity", "gzip;q=0", "br"] {
        assert_eq!(answer(unasked, "/u/bob/poll?last=1").header("content-encoding"), None, "{unasked:?}");
    }
    assert_eq!(answer("gzip", "/u/carol/poll").header("content-encoding"), None, "too small");
}

#[test]
fn nothing_is_compressed_unless_the_operator_says_so() {
    let node = Node::start(&[]);
    let mut conn = node.connect();
    conn.request("GET", "/u/bob/sse", &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(conn.head().header("content-encoding"), None);
}
