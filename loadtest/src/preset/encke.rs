//! Encke itself. See docs/PROTOCOL.md.

use super::{Aim, BATCH_MAX, From, Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::{Ask, Place};
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport, aim: Aim) -> Preset {
    let channels = match aim {
        Aim::Channel => "channels=/load/{channel}",
        Aim::User => "",
    };
    let path = |name: &str| format!("/u/{{user}}/{name}?{channels}");
    // What a page cannot send a header with says in the query where it stands.
    let resuming = |name: &str, query: &str| format!("/u/{{user}}/{name}?{{resume}}{query}{channels}");
    let session = "Encke-Session: {session}";
    let position = "Last-Event-ID: {position}";
    let header = |name: &str| From::Header(name.to_owned());
    let streams = vec![(Place::Session, header("encke-session")), (Place::Position, From::EventId)];
    let polls = vec![(Place::Session, header("encke-session")), (Place::Position, header("encke-position"))];
    let (ask, framing, captures) = match transport {
        Transport::Sse => (
            // As an `EventSource`, which knows only its last event's id.
            Ask::get(&path("sse"), &["Accept: text/event-stream", position]),
            Framing::Events,
            vec![(Place::Position, From::EventId)],
        ),
        Transport::Stream => (Ask::get(&path("stream"), &[session, position]), Framing::Lines, streams),
        Transport::Longpoll => (Ask::get(&path("longpoll"), &[session, position]), Framing::Lines, polls),
        Transport::Overlap => (Ask::get(&resuming("longpoll", ""), &[]), Framing::Lines, polls),
        Transport::Poll => (Ask::get(&path("poll"), &[session, position]), Framing::Lines, polls),
        Transport::Ws => {
            (Ask::get(&resuming("ws", ""), &["Sec-WebSocket-Protocol: encke.v1"]), Framing::Frames, streams)
        }
        Transport::Jsonp => (Ask::get(&resuming("jsonp", "callback=f&"), &[]), Framing::Call, streams),
        Transport::Frame => (Ask::get(&resuming("frame", "callback=f&"), &[]), Framing::Elements, streams),
        Transport::Multipart => (Ask::get(&resuming("multipart", ""), &[]), Framing::Parts, streams),
    };
    let mut subscribe = vec![ask];
    if transport == Transport::Overlap {
        // The server knows where the session stands: only after a cut it has to be told.
        subscribe.push(Ask::get("/u/{user}/longpoll?session={session}&overlap=1", &[]));
    }
    Preset {
        subscribe,
        greet: Vec::new(),
        framing,
        dialect: Dialect::Encke,
        ready: Ready::Piece,
        captures,
        publish: publish(aim).refused_by("{\"error\":"),
    }
}

fn publish(aim: Aim) -> Publish {
    match aim {
        Aim::Channel => Publish::batch(
            "/publish",
            "application/x-ndjson",
            r#"{"channel":"/load/{channel}","data":{payload}}"#,
            ["", "\n", "\n"],
            BATCH_MAX,
        ),
        Aim::User => Publish::single("/u/{user}/publish", "application/json", "{payload}"),
    }
}
