//! A server of which nothing is known: whatever it sends, the stamps in it count.
//!
//! The paths are only a guess; --subscribe and --publish say what is right.

use super::{Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Preset {
    let (framing, ready) = match transport {
        Transport::Sse => (Framing::Events, Ready::Head),
        Transport::Stream => (Framing::Lines, Ready::Head),
        Transport::Longpoll | Transport::Overlap => (Framing::Lines, Ready::Asked),
        Transport::Poll => (Framing::Lines, Ready::Piece),
        Transport::Ws => (Framing::Frames, Ready::Head),
        Transport::Jsonp => (Framing::Call, Ready::Asked),
        Transport::Frame => (Framing::Elements, Ready::Head),
        Transport::Multipart => (Framing::Parts, Ready::Head),
    };
    Preset {
        subscribe: vec![RequestSpec::get("/subscribe?channel={channel}&user={user}", &[])],
        socket_handshake: Vec::new(),
        framing,
        dialect: Dialect::Plain,
        ready,
        captures: Vec::new(),
        publish: Publish::single("/publish?channel={channel}&user={user}", "application/json", "{payload}"),
    }
}
