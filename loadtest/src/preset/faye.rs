//! Faye, mounted at `/bayeux`: handshake, subscription, then an event stream of the client's own; published by Bayeux too.
//!
//! It does not send the `/meta/connect` by which a browser's client shows that it lives, so a run must end within twice the server's
//! `timeout`.

use super::{BATCH_MAX, From, Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::{Ask, Place};
use crate::transport::{Framing, Transport};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["eventsource","long-polling"],"id":"1"}]"#;
const SUBSCRIBE: &str =
    r#"[{"channel":"/meta/subscribe","clientId":"{client_id}","subscription":"/load/{channel}","id":"2"}]"#;
const CONNECT: &str =
    r#"[{"channel":"/meta/connect","clientId":"{client_id}","connectionType":"long-polling","id":"3"}]"#;

pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let post = |body: &str| Ask::post("/bayeux", "application/json", body);
    let (last, framing, ready) = match transport {
        Transport::Sse => {
            (Ask::get("/bayeux/{client_id}", &["Accept: text/event-stream"]), Framing::Events, Ready::Head)
        }
        // The first connect answers at once.
        Transport::Longpoll => (post(CONNECT), Framing::Lines, Ready::Piece),
        Transport::Stream
        | Transport::Poll
        | Transport::Ws
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => return None,
    };
    let item = r#"{"channel":"/load/{channel}","data":{payload}}"#;
    let publish = Publish::batch("/bayeux", "application/json", item, ["[", ",", "]"], BATCH_MAX);
    Some(Preset {
        subscribe: vec![post(HANDSHAKE), post(SUBSCRIBE), last],
        framing,
        dialect: Dialect::Bayeux,
        ready,
        captures: vec![(Place::ClientId, From::Behind(r#""clientId":""#.to_owned()))],
        publish: publish.refused_by(r#""successful":false"#),
    })
}
