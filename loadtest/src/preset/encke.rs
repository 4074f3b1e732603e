//! Encke itself. See docs/PROTOCOL.md.

use super::{BATCH_MAX, CaptureFrom, Preset, Publish, Ready, Target};
use crate::dialect::Dialect;
use crate::template::{Placeholder, RequestSpec};
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport, target: Target) -> Preset {
    let channels = match target {
        Target::Channel => "channels=/load/{channel}",
        Target::User => "",
    };
    let path = |name: &str| format!("/u/{{user}}/{name}?{channels}");
    // Clients that cannot send headers put their position into the query.
    let resuming = |name: &str, query: &str| format!("/u/{{user}}/{name}?{{resume}}{query}{channels}");
    let session = "Encke-Session: {session}";
    let position = "Last-Event-ID: {position}";
    let header = |name: &str| CaptureFrom::Header(name.to_owned());
    let streams =
        vec![(Placeholder::Session, header("encke-session")), (Placeholder::Position, CaptureFrom::EventId)];
    let polls = vec![
        (Placeholder::Session, header("encke-session")),
        (Placeholder::Position, header("encke-position")),
    ];
    let (ask, framing, captures) = match transport {
        Transport::Sse => (
            // As an `EventSource`, which only knows its last event's id.
            RequestSpec::get(&path("sse"), &["Accept: text/event-stream", position]),
            Framing::Events,
            vec![(Placeholder::Position, CaptureFrom::EventId)],
        ),
        Transport::Stream => {
            (RequestSpec::get(&path("stream"), &[session, position]), Framing::Lines, streams)
        }
        Transport::Longpoll => {
            (RequestSpec::get(&path("longpoll"), &[session, position]), Framing::Lines, polls)
        }
        Transport::Overlap => (RequestSpec::get(&resuming("longpoll", ""), &[]), Framing::Lines, polls),
        Transport::Poll => (RequestSpec::get(&path("poll"), &[session, position]), Framing::Lines, polls),
        Transport::Ws => (
            RequestSpec::get(&resuming("ws", ""), &["Sec-WebSocket-Protocol: encke.v1"]),
            Framing::Frames,
            streams,
        ),
        Transport::Jsonp => {
            (RequestSpec::get(&resuming("jsonp", "callback=f&"), &[]), Framing::Call, streams)
        }
        Transport::Frame => {
            (RequestSpec::get(&resuming("frame", "callback=f&"), &[]), Framing::Elements, streams)
        }
        Transport::Multipart => (RequestSpec::get(&resuming("multipart", ""), &[]), Framing::Parts, streams),
    };
    let mut subscribe = vec![ask];
    if transport == Transport::Overlap {
        // The server knows the session's position: the client has to send it only after a cut.
        subscribe.push(RequestSpec::get("/u/{user}/longpoll?session={session}&overlap=1", &[]));
    }
    Preset {
        subscribe,
        socket_handshake: Vec::new(),
        framing,
        dialect: Dialect::Encke,
        ready: Ready::Piece,
        captures,
        publish: publish(target),
    }
}

pub(super) fn publish(target: Target) -> Publish {
    let publish = match target {
        Target::Channel => Publish::batch(
            "/publish",
            "application/x-ndjson",
            r#"{"channel":"/load/{channel}","data":{payload}}"#,
            ["", "\n", "\n"],
            BATCH_MAX,
        ),
        Target::User => Publish::single("/u/{user}/publish", "application/json", "{payload}"),
    };
    publish.refused_by("{\"error\":")
}
