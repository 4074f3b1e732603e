//! `bench/limit`, which does nothing but write: the floor that servers are held against.
//!
//! Every line of what is published is a chunk of every response, without the spelling of any transport, so stamps are looked for
//! wherever they are.

use super::{BATCH_MAX, Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    match transport {
        Transport::Sse | Transport::Stream => {}
        Transport::Longpoll
        | Transport::Poll
        | Transport::Ws
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => return None,
    }
    Some(Preset {
        subscribe: vec![RequestSpec::get("/any?channel={channel}", &["Accept: text/event-stream"])],
        socket_handshake: Vec::new(),
        framing: Framing::Unframed,
        dialect: Dialect::Plain,
        ready: Ready::Head,
        captures: Vec::new(),
        publish: Publish::batch("/publish", "application/x-ndjson", "{payload}", ["", "\n", "\n"], BATCH_MAX),
    })
}
