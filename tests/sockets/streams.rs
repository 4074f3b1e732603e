//! `sse` and `stream`: one response that stays open, from its `open` to its end.

use std::time::Duration;

use serde_json::json;

use crate::down::{Dialect, Down};
use crate::node::Node;

const BOTH: [&str; 2] = ["sse", "stream"];

#[test]
fn a_stream_opens_and_carries_what_is_published() {
    let node = Node::start(&[]);
    for transport in BOTH {
        let mut down = Down::open(&node, &format!("/u/alice/{transport}?channels=/chat/{transport}"));
        let content_type = down.head.header("content-type").unwrap().to_owned();
        assert!(
            content_type.starts_with(["text/event-stream", "text/plain"][usize::from(transport == "stream")])
        );
        assert!(down.head.header("cache-control").unwrap().contains("no-transform"));
        assert_eq!(down.head.header("x-accel-buffering"), Some("no"));
        assert!(down.head.is_chunked());
        let open = down.opened();
        assert_eq!(open["session"], down.session());
        assert_eq!(open["transport"], transport);
        assert_eq!((&open["resumed"], &open["heartbeat"]), (&json!(false), &json!(25000)));
        let id = node.tell("alice", &json!({"n": 1.50, "b": [null, true]}));
        let message = down.expect();
        assert_eq!(message["id"], id);
        assert_eq!(message["channel"], "/u/alice");
        assert_eq!(message["from"], json!(null));
        assert_eq!(message["data"], json!({"n": 1.50, "b": [null, true]}));
        node.publish(&format!("/chat/{transport}"), &json!("hi\nall\u{2028}"));
        let message = down.expect();
        assert_eq!(message["channel"], format!("/chat/{transport}"));
        assert_eq!(message["data"], "hi\nall\u{2028}");
        down.assert_silent(Duration::from_millis(20));
    }
}

#[test]
fn a_payload_passes_byte_for_byte() {
    let node = Node::start(&[("ENCKE_SHARDS", "1")]);
    let mut conn = node.connect();
    conn.request("GET", "/u/alice/stream", &[], b"");
    let mut down = Down::read(conn, Dialect::Lines);
    down.opened();
    let odd = r#"{"z":1.0e+2,"a":123456789012345678901234567890,"s":"\u0041\/\ud800","z":0.10}"#;
    assert_eq!(node.api("POST", "/u/alice/publish", odd).status, 200);
    let chunk = down.conn.chunk().unwrap();
    let line = String::from_utf8(chunk).unwrap();
    assert!(line.contains(&format!("\"data\":{odd}")), "{line}");
    // Only line breaks between tokens are removed.
    assert_eq!(node.api("POST", "/u/alice/publish", "{\r\n \"a\":\n[1,\n2]\n}\n").status, 200);
    let line = String::from_utf8(down.conn.chunk().unwrap()).unwrap();
    assert!(line.contains(r#""data":{ "a":[1,2]}"#), "{line}");
}

#[test]
fn http_1_0_gets_its_stream_until_the_connection_ends() {
    let node = Node::start(&[]);
    for (transport, dialect) in [("sse", Dialect::Sse), ("stream", Dialect::Lines)] {
        let mut conn = node.connect();
        conn.send(format!("GET /u/{transport}/{transport} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let mut down = Down::read(conn, dialect);
        assert!(!down.head.is_chunked() && down.head.closes(), "{:?}", down.head);
        down.opened();
        node.tell(transport, &json!(1));
        assert_eq!(down.data(), 1);
        node.api("DELETE", &format!("/u/{transport}"), "");
        assert_eq!(down.closed()["code"], "ended");
        down.conn.assert_closed();
    }
}

#[test]
fn a_silent_stream_is_kept_alive() {
    let node = Node::start(&[("ENCKE_HEARTBEAT", "100ms")]);
    for transport in BOTH {
        let mut down = Down::open(&node, &format!("/u/alice/{transport}"));
        assert_eq!(down.opened()["heartbeat"], 100);
        for _ in 0..3 {
            down.heartbeat();
        }
        node.tell("alice", &json!(transport));
        let message = loop {
            if let Some(message) = down.next() {
                break message;
            }
        };
        assert_eq!(message["data"], transport);
    }
}

/// A reader that was idle while other channels had messages must not resume from its start.
#[test]
fn a_heartbeat_of_sse_moves_the_last_event_id_on() {
    let node = Node::start(&[("ENCKE_HEARTBEAT", "100ms"), ("ENCKE_SHARDS", "1")]);
    let mut down = Down::open(&node, "/u/alice/sse?resume=exact");
    let mut plain = Down::open(&node, "/u/alice/sse");
    down.opened();
    let began = plain.opened()["position"].clone();
    let id = node.tell("bob", &json!("not for alice"));
    let deadline = std::time::Instant::now() + crate::node::PATIENCE;
    while down.last_id() != id {
        down.heartbeat();
        assert!(std::time::Instant::now() < deadline);
    }
    for _ in 0..3 {
        plain.heartbeat();
    }
    assert_eq!(plain.last_id(), began, "by default a heartbeat is a comment");
}

/// A plain `EventSource` does not know `close`: it reconnects with the last id, until it gets 204.
#[test]
fn an_event_source_whose_session_is_over_for_good_is_told_to_stay_away() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    node.api("DELETE", "/u/alice", "");
    assert_eq!(down.closed()["reconnect"], false);
    assert!(down.retry() > Some(60_000), "{:?}", down.retry());
    let (id, mut conn) = (down.last_id(), node.connect());
    let queries =
        [format!("lastEventId={id}"), format!("since={id}"), format!("since=aaaaaaaa-1&lastEventId={id}")];
    for query in queries {
        assert_eq!(conn.ask("GET", &format!("/u/alice/sse?{query}"), &[], b"").status, 204, "{query}");
    }
    let gone = conn.ask("GET", "/u/alice/sse", &[("Last-Event-ID", &id)], b"");
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(node.api("GET", "/u/alice", "").json()["sessions"], json!([]));
    // Other transports give a reason.
    let envelopes = conn.ask("GET", &format!("/u/alice/poll?since={id}"), &[], b"").json();
    assert_eq!(envelopes[1]["gap"]["from"], *id, "{envelopes}");
    let mut anew = Down::open(&node, "/u/alice/sse");
    assert_eq!(anew.opened()["resumed"], false, "who begins anew is let in");
}

#[test]
fn the_last_event_id_counts_by_whatever_name_the_query_has_for_it() {
    let node = Node::start(&[]);
    let ids: Vec<_> = (0..3).map(|n| node.tell("alice", &json!(n))).collect();
    let after = |query: &str| {
        let mut down = Down::open(&node, &format!("/u/alice/sse?{query}"));
        down.opened();
        [down.data(), down.data()]
    };
    for name in [
        "since",
        "lastEventId",
        "lastEventID",
        "LastEventId",
        "Last-Event-ID",
        "last-event-id",
        "last_event_id",
        "evs_last_event_id",
    ] {
        assert_eq!(after(&format!("{name}={}", ids[0])), [1, 2], "{name}");
    }
    assert_eq!(after(&format!("lastEventId=&since={}", ids[0])), [1, 2], "an empty one says nothing");
    assert_eq!(after(&format!("lastEventId=x&since={}", ids[0])), [1, 2], "nor does one that is none");
    for (since, id) in [(0, 1), (1, 0)] {
        let mut down =
            Down::open(&node, &format!("/u/alice/sse?since={}&lastEventId={}", ids[since], ids[id]));
        down.opened();
        assert_eq!(down.data(), 2, "the one further on counts");
    }
}

#[test]
fn a_stream_asks_for_recent_messages_with_last() {
    let node = Node::start(&[]);
    for n in 1..=5 {
        node.publish("/chat/room1", &json!(n));
    }
    for user in ["alice", "bob", "carol", "dave"] {
        for transport in BOTH {
            let mut down = Down::open(&node, &format!("/u/{user}/{transport}?channels=/chat/room1&last=2"));
            down.opened();
            assert_eq!([down.data(), down.data()], [4, 5]);
            down.assert_silent(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_response_on_a_stream_can_be_followed_by_the_next_request() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/stream");
    down.opened();
    node.api("DELETE", "/u/alice", "");
    assert_eq!(down.closed()["code"], "ended");
    let mut conn = down.conn;
    assert_eq!(conn.ask("GET", "/health", &[], b"").status, 200);
}

#[test]
fn text_and_bytes_are_told_apart_from_json() {
    let node = Node::start(&[]);
    let mut down = Down::open(&node, "/u/alice/sse");
    down.opened();
    let mut api = node.connect_api();
    let publish = "/u/alice/publish";
    assert_eq!(api.ask("POST", publish, &[("Content-Type", "text/plain")], b"a \"b\"\n").status, 200);
    assert_eq!(
        api.ask("POST", publish, &[("Content-Type", "application/octet-stream")], &[0, 255, 10]).status,
        200
    );
    assert_eq!(down.data(), "a \"b\"\n");
    let bytes = down.expect();
    assert_eq!((&bytes["encoding"], &bytes["data"]), (&json!("base64"), &json!("AP8K")));
    let refused = api.ask("POST", publish, &[("Content-Type", "image/png")], b"x");
    assert_eq!((refused.status, refused.error()), (415, "bad-content-type".into()));
}
