//! `bench/limit`, which only writes: the floor to which servers are compared.
//!
//! It sends every published line as a chunk of every response, without the format of any transport,
//! so stamps are searched for anywhere in the bytes.

use super::{BATCH_MAX, Preset, Publish};
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
    Some(Preset::plain(
        RequestSpec::get("/any?channel={channel}", &["Accept: text/event-stream"]),
        Framing::Unframed,
        Publish::batch("/publish", "application/x-ndjson", "{payload}", ["", "\n", "\n"], BATCH_MAX),
    ))
}
