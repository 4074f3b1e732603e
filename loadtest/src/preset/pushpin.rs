//! Pushpin, with an origin at `/stream` that answers `Grip-Hold: stream` and `Grip-Channel` by the
//! query's `channel`.
//!
//! Pushpin sends published bytes unchanged, so the publisher formats the events.

use super::{BATCH_MAX, Preset, Publish, stream_framing};
use crate::template::RequestSpec;
use crate::transport::Transport;

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let (accept, content) = match transport {
        Transport::Sse => ("Accept: text/event-stream", r#"data: \"{text}\"\n\n"#),
        Transport::Stream => ("Accept: */*", r#"\"{text}\"\n"#),
        Transport::Longpoll
        | Transport::Poll
        | Transport::Ws
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => return None,
    };
    let item =
        format!(r#"{{"channel":"{{channel}}","formats":{{"http-stream":{{"content":"{content}"}}}}}}"#);
    Some(Preset::plain(
        RequestSpec::get("/stream?channel={channel}", &[accept]),
        stream_framing(transport)?,
        Publish::batch("/publish/", "application/json", &item, [r#"{"items":["#, ",", "]}"], BATCH_MAX),
    ))
}
