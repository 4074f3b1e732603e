//! Pushpin, with an origin at `/stream` that answers `Grip-Hold: stream` and `Grip-Channel` by the
//! query's `channel`.
//!
//! What is published is what the client gets, so the event's spelling is the publisher's.

use super::{BATCH_MAX, Preset, Publish, Ready, stream_framing};
use crate::dialect::Dialect;
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
    Some(Preset {
        subscribe: vec![RequestSpec::get("/stream?channel={channel}", &[accept])],
        socket_handshake: Vec::new(),
        framing: stream_framing(transport)?,
        dialect: Dialect::Plain,
        ready: Ready::Head,
        captures: Vec::new(),
        publish: Publish::batch(
            "/publish/",
            "application/json",
            &item,
            [r#"{"items":["#, ",", "]}"],
            BATCH_MAX,
        ),
    })
}
