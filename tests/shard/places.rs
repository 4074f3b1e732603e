//! How long a guest stays, whose home is another node.

use super::*;

/// Of `n1`, `42` is at home there, and `bob` is its guest.
const NODES: [(&str, &str); 3] = [
    ("ENCKE_NODES", "n1=one.example,n2=two.example,n3=three.example"),
    ("ENCKE_NODE", "n1"),
    ("ENCKE_HEARTBEAT", "20s"),
];

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Opens a response that stays open.
fn open(rig: &mut Rig, user: &str, way: &str) -> (ConnKey, String) {
    let conn = rig.connect(ListenerKind::Public);
    let (method, upgrade) = match way {
        way if way.ends_with("xhr_streaming") => ("POST", ""),
        "ws" | "sockjs/websocket" => ("GET", UPGRADE),
        _ => ("GET", ""),
    };
    let request =
        format!("{method} /u/{user}/{way} HTTP/1.1\r\nHost: localhost\r\n{upgrade}Content-Length: 0\r\n\r\n");
    let opened = rig.say(conn, &request);
    assert!(matches!(status(&opened), "200" | "101"), "{way}: {opened}");
    (conn, opened)
}

/// What a client hears, which answers pings.
fn heard(rig: &mut Rig, conn: ConnKey) -> String {
    let heard = rig.heard(conn);
    if heard.contains("\u{fffd}\0") {
        rig.give(Input::Bytes { conn, bytes: &[0x8a, 0x80, 0, 0, 0, 0] });
    }
    heard
}

/// Seconds until the shard closes a response with `words`, if it does within ten minutes.
fn closed_after(rig: &mut Rig, conn: ConnKey, words: &str) -> Option<u64> {
    (1..=600).find(|_| {
        rig.pass(Span::from_secs(1));
        heard(rig, conn).contains(words)
    })
}

#[test]
fn a_guest_is_told_to_move_after_some_minutes_and_one_at_home_never() {
    let words = |way: &str| {
        if way.starts_with("sockjs") {
            "1012"
        } else {
            r#"{"close":{"code":"moved","reconnect":true,"after":0}}"#
        }
    };
    for way in ["stream", "sse", "frame", "ws", "sockjs/0/abcdefgh/xhr_streaming"] {
        let mut rig = Rig::new(&NODES);
        let (at_home, _) = open(&mut rig, "42", way);
        assert_eq!(closed_after(&mut rig, at_home, words(way)), None, "{way}");
        let mut times = std::collections::BTreeSet::new();
        for n in 0..4 {
            // SockJS remembers how the session of a name ended.
            let (guest, _) = open(&mut rig, "bob", &way.replace("abcdefgh", &format!("session{n}")));
            let after = closed_after(&mut rig, guest, words(way)).unwrap_or_else(|| panic!("{way} stays"));
            assert!((150..=301).contains(&after), "{way}: {after} s");
            times.insert(after);
        }
        assert!(times.len() > 1, "guests do not all leave at once: {times:?}");
        let metrics = rig.get(ListenerKind::Private, "/metrics");
        assert!(metrics.contains("encke_guests_moved_total 4\n"), "{metrics}");
    }
}

#[test]
fn a_guest_whose_home_is_still_away_resumes_without_loss() {
    let mut rig = Rig::new(&NODES);
    let (conn, opened) = open(&mut rig, "bob", "stream?channels=/a");
    let session =
        opened.split_once("Encke-Session: ").and_then(|(_, rest)| rest.split_once("\r\n")).unwrap().0;
    let position = opened.split_once(r#""position":""#).and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    assert!(closed_after(&mut rig, conn, "\"moved\"").is_some());
    let publisher = rig.connect(ListenerKind::Private);
    rig.say(publisher, &post("/publish", &json!({"channel": "/a", "data": "meanwhile"})));
    let (_, again) = open(&mut rig, "bob", &format!("stream?channels=/a&session={session}&since={position}"));
    assert!(again.contains(r#""resumed":true"#) && again.contains("meanwhile"), "{again}");
}

#[test]
fn a_bayeux_socket_of_a_guest_ends_and_its_session_does_not() {
    for ack in [false, true] {
        bayeux_guest(ack);
    }
}

fn bayeux_guest(ack: bool) {
    let mut rig = Rig::new(&[&NODES[..], &[("ENCKE_BAYEUX_TRUST", "1")]].concat());
    let handshake = json!([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"], "id": "0",
        "ext": {"ack": ack},
    }]);
    let (_, response) = rig.request("/u/bob/bayeux", &handshake);
    assert!(response.contains("Connection: close"), "{response}");
    let client = response.split_once(r#""clientId":""#).and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let socket = rig.connect(ListenerKind::Public);
    rig.say(socket, &format!("GET /u/bob/bayeux HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n"));
    let connect = |id: &str| json!([{"channel": "/meta/connect", "clientId": client, "connectionType": "websocket", "id": id}]);
    rig.give(Input::Bytes { conn: socket, bytes: &bayeux::text_frame(&connect("1")) });
    let ended = (1..=600).find(|n| {
        rig.pass(Span::from_secs(1));
        if heard(&mut rig, socket).contains("/meta/connect") {
            rig.give(Input::Bytes { conn: socket, bytes: &bayeux::text_frame(&connect(&format!("c{n}"))) });
        }
        rig.closed.contains(&socket) || rig.shard.outbox(socket).is_none()
    });
    assert!(ended.is_some_and(|after| (150..=310).contains(&after)), "{ended:?}");
    let mut last = connect("last");
    last[0]["advice"] = json!({"timeout": 0});
    let (_, answer) = rig.request("/u/bob/bayeux", &last);
    assert!(answer.contains(r#""successful":true"#), "{answer}");
}

#[test]
fn a_node_that_leaves_counts_no_sessions_since_they_go_on_elsewhere() {
    let mut rig = Rig::new(&NODES);
    open(&mut rig, "42", "stream");
    let publisher = rig.connect(ListenerKind::Private);
    let publish = post("/u/42/publish", &json!(1));
    assert!(rig.say(publisher, &publish).contains("\"sessions\":1"));
    let by = rig.now + Span::from_secs(10);
    for end in [Input::Leave, Input::Drain { by }] {
        rig.give(end);
        let publisher = rig.connect(ListenerKind::Private);
        let answer = rig.say(publisher, &publish);
        assert!(answer.contains("\"sessions\":0"), "{answer}");
    }
}
