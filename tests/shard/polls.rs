//! The advice to pollers, which depends on the time since the last message.

use super::*;

/// The advice at the end of an answer, in milliseconds.
fn advice(answer: &str) -> u64 {
    let (_, rest) = answer.rsplit_once(r#"{"advice":{"poll":"#).expect("advice");
    rest.trim_end_matches(['}', ']', '\n', '\r']).parse().expect("milliseconds")
}

/// A poller that returns after a long silence to more messages than one answer holds.
#[test]
fn a_poller_that_is_behind_is_advised_to_come_back_soon() {
    let mut rig = Rig::new(&[("ENCKE_OUTBOX_BYTES", "1KiB"), ("ENCKE_POLL_MIN", "500ms")]);
    let opened = rig.get(ListenerKind::Public, "/u/alice/poll");
    let position = opened.split_once("Encke-Position: ").and_then(|(_, rest)| rest.split_once("\r\n"));
    let (mut position, _) = position.map(|(at, rest)| (at.to_owned(), rest)).expect("a position");
    let data = "x".repeat(400);
    for _ in 0..6 {
        let conn = rig.connect(ListenerKind::Private);
        let head = format!(
            "POST /u/alice/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}",
            data.len() + 2
        );
        assert_eq!(status(&rig.say(conn, &format!("{head}\r\n\r\n\"{data}\""))), "200");
    }
    rig.pass(Span::from_secs(30));
    let mut got = 0;
    while got < 6 {
        let answer = rig.get(ListenerKind::Public, &format!("/u/alice/poll?since={position}"));
        got += answer.matches(&data).count();
        let at = answer.split_once("Encke-Position: ").and_then(|(_, rest)| rest.split_once("\r\n"));
        position = at.expect("a position").0.to_owned();
        let is_last = got == 6;
        assert!(if is_last { advice(&answer) > 5_000 } else { advice(&answer) == 500 }, "{got}: {answer}");
    }
}
