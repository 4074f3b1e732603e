//! An unknown server: every stamp in its bytes counts.
//!
//! The paths are only a guess; --subscribe and --publish give the right ones.

use super::{Preset, Publish, Ready};
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
    let subscribe = RequestSpec::get("/subscribe?channel={channel}&user={user}", &[]);
    let publish = Publish::single("/publish?channel={channel}&user={user}", "application/json", "{payload}");
    Preset { ready, ..Preset::plain(subscribe, framing, publish) }
}
