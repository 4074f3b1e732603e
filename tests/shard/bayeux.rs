//! Bayeux sessions that end while a request of their client is being handled.

use super::*;

#[test]
fn an_unsubscribe_that_ends_its_session_is_answered_with_the_advice_to_handshake() {
    let mut rig = Rig::new(&[
        ("ENCKE_BAYEUX_TRUST", "1"),
        ("ENCKE_CHANNEL_MESSAGES", "2"),
        ("ENCKE_OUTBOX_BYTES", "4KiB"),
    ]);
    let handshake = json!([{
        "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["websocket"], "id": "0",
    }]);
    let (_, response) = rig.request("/bayeux", &handshake);
    let client = body(&response)[0]["clientId"].as_str().expect(&response).to_owned();
    let connect = json!([
        {"channel": "/meta/subscribe", "clientId": client, "subscription": "/a", "id": "1"},
        {"channel": "/meta/connect", "clientId": client, "connectionType": "websocket", "id": "2"},
    ]);
    let socket = rig.connect(ListenerKind::Public);
    let upgrade = "GET /bayeux HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(status(&rig.say(socket, upgrade)), "101");
    rig.give(Input::Bytes { conn: socket, bytes: &text_frame(&connect) });
    // The socket is not read, so its session falls behind, and its log drops the first message that
    // it still needs.
    let publisher = rig.connect(ListenerKind::Private);
    for _ in 0..6 {
        let message = post("/publish", &json!({"channel": "/a", "data": "x".repeat(2000)}));
        rig.give(Input::Bytes { conn: publisher, bytes: message.as_bytes() });
        rig.now = rig.now + Span::from_secs(100);
    }
    let unsubscribe =
        json!([{"channel": "/meta/unsubscribe", "clientId": client, "subscription": "/a", "id": "3"}]);
    let (_, response) = rig.request("/bayeux", &unsubscribe);
    let advice = json!({"reconnect": "handshake", "interval": 0});
    let answer = &body(&response)[0];
    assert_eq!(
        (&answer["error"], &answer["advice"]),
        (&json!("402::session_unknown"), &advice),
        "{response}"
    );
    assert_eq!(answer["subscription"], "/a");
}

/// A client's frame (RFC 6455, 5.2), masked with zeros.
pub(crate) fn text_frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let len = u16::try_from(text.len()).expect("a short one");
    let len = if len < 126 { vec![0x80 | len as u8] } else { [&[0xfe], &len.to_be_bytes()[..]].concat() };
    [&[0x81], &len[..], &[0; 4], text.as_bytes()].concat()
}

fn body(response: &str) -> Value {
    let (_, body) = response.split_once("\r\n\r\n").expect(response);
    serde_json::from_str(body).expect(body)
}
