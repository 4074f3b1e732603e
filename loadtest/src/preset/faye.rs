//! Faye, mounted at `/bayeux`: Bayeux as for any server, and event streams, which are Faye's own.
//!
//! Beside an event stream the client sends no `/meta/connect`, by which a browser's client shows
//! that it lives, so such a run must end within twice the server's `timeout`.

use super::{Preset, Ready, bayeux};
use crate::dialect::Dialect;
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    if transport != Transport::Sse {
        return bayeux::preset(transport);
    }
    let stream = RequestSpec::get("/bayeux/{client_id}", &["Accept: text/event-stream"]);
    Some(Preset {
        subscribe: vec![bayeux::post(bayeux::HANDSHAKE), bayeux::post(bayeux::SUBSCRIBE), stream],
        socket_handshake: Vec::new(),
        framing: Framing::Events,
        dialect: Dialect::Bayeux,
        ready: Ready::Head,
        captures: bayeux::captures(),
        publish: bayeux::publish(),
    })
}
