//! Nchan, with a `nchan_subscriber` at `/sub` and a `nchan_publisher` at `/pub`, both taking
//! `nchan_channel_id $arg_id`.
//!
//! A long poll sends its position as the module requires: `Last-Modified` and `Etag` of the last
//! response, as conditions.

use super::{CaptureFrom, Preset, Publish, Ready};
use crate::template::{Placeholder, RequestSpec};
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let (ask, framing, ready, captures) = match transport {
        Transport::Sse => (
            RequestSpec::get(
                "/sub?id={channel}",
                &["Accept: text/event-stream", "Last-Event-ID: {position}"],
            ),
            Framing::Events,
            Ready::Head,
            vec![(Placeholder::Position, CaptureFrom::EventId)],
        ),
        Transport::Longpoll => (
            RequestSpec::get(
                "/sub?id={channel}",
                &["Accept: */*", "If-Modified-Since: {modified}", "If-None-Match: {etag}"],
            ),
            Framing::Lines,
            Ready::Asked,
            vec![
                (Placeholder::Modified, CaptureFrom::Header("last-modified".to_owned())),
                (Placeholder::Etag, CaptureFrom::Header("etag".to_owned())),
            ],
        ),
        Transport::Stream
        | Transport::Poll
        | Transport::Ws
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => return None,
    };
    let publish = Publish::single("/pub?id={channel}", "application/json", "{payload}");
    Some(Preset { ready, captures, ..Preset::plain(ask, framing, publish) })
}
