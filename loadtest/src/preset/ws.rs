//! The package `ws` for Node, in a program that sends each line of `POST /publish` to all of its
//! connections.

use super::{BATCH_MAX, Preset, Publish};
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    (transport == Transport::Ws).then(|| {
        Preset::plain(
            RequestSpec::get("/", &[]),
            Framing::Frames,
            Publish::batch("/publish", "application/x-ndjson", "{payload}", ["", "\n", "\n"], BATCH_MAX),
        )
    })
}
