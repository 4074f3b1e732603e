//! `SockJS` for Node, mounted at `/broadcast`, in a program that writes the body of `POST /publish` to all of its connections.

use super::{Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let post = |path: &str| RequestSpec::post(path, "text/plain", "");
    let (ask, framing) = match transport {
        Transport::Sse => (
            RequestSpec::get("/broadcast/000/{random}/eventsource", &["Accept: text/event-stream"]),
            Framing::Events,
        ),
        Transport::Stream => (post("/broadcast/000/{random}/xhr_streaming"), Framing::Lines),
        Transport::Longpoll => (post("/broadcast/000/{random}/xhr"), Framing::Lines),
        Transport::Overlap
        | Transport::Poll
        | Transport::Ws
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => {
            return None;
        }
    };
    Some(Preset {
        subscribe: vec![ask],
        socket_handshake: Vec::new(),
        framing,
        dialect: Dialect::Sockjs,
        // The frame `o`, which says that the session is open.
        ready: Ready::Piece,
        captures: Vec::new(),
        publish: Publish::single("/publish", "application/json", "{payload}"),
    })
}
