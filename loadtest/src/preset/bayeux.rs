//! Bayeux, mounted at `/bayeux`. Encke's and Faye's servers receive the same requests, over long
//! polls and over `WebSocket`.
//!
//! Clients send a handshake, subscribe, and keep a connect pending, as the protocol's own clients
//! do; with `ws` all of it goes over the socket. Publishers are clients, too: each has its own
//! handshake and id, and publishes many messages in a request. No extension is requested, so
//! delivery is as reliable as the transport.

use super::{CaptureFrom, Preset, Publish, Ready};
use crate::dialect::Dialect;
use crate::template::{Placeholder, RequestSpec};
use crate::transport::{Framing, Transport};

pub(super) const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket","long-polling"],"id":"1"}]"#;
pub(super) const SUBSCRIBE: &str =
    r#"[{"channel":"/meta/subscribe","clientId":"{client_id}","subscription":[{subscriptions}],"id":"2"}]"#;
const POLL: &str =
    r#"[{"channel":"/meta/connect","clientId":"{client_id}","connectionType":"long-polling","id":"3"}]"#;
const WAIT: &str =
    r#"[{"channel":"/meta/connect","clientId":"{client_id}","connectionType":"websocket","id":"3"}]"#;

/// Most messages of one publish request: fewer than a server may refuse, and enough that the
/// request costs little.
const BATCH_MAX: usize = 100;

/// The preset of both servers; `None` for transports that Bayeux does not have.
pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let (subscribe, socket_handshake, framing, ready) = match transport {
        // A server holds the first connect, or answers it at once and holds the next: messages
        // published from then on arrive either way.
        Transport::Longpoll => {
            (vec![post(HANDSHAKE), post(SUBSCRIBE), post(POLL)], vec![], Framing::Lines, Ready::Asked)
        }
        Transport::Ws => {
            let socket_handshake = [HANDSHAKE, SUBSCRIBE, WAIT].map(str::to_owned).to_vec();
            (
                vec![RequestSpec::get("/bayeux", &[COOKIE])],
                socket_handshake,
                Framing::Frames,
                Ready::HandshakeSent,
            )
        }
        Transport::Sse
        | Transport::Stream
        | Transport::Poll
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => return None,
    };
    let (captures, publish) = (captures(), publish());
    Some(Preset { subscribe, socket_handshake, framing, dialect: Dialect::Bayeux, ready, captures, publish })
}

/// A server may recognise a client by its id together with a cookie.
const COOKIE: &str = "Cookie: {cookie}";

pub(super) fn post(body: &str) -> RequestSpec {
    let mut ask = RequestSpec::post("/bayeux", "application/json", body);
    ask.headers.push(COOKIE.to_owned());
    ask
}

pub(super) fn captures() -> Vec<(Placeholder, CaptureFrom)> {
    let id = CaptureFrom::Behind(r#""clientId":""#.to_owned());
    vec![(Placeholder::ClientId, id), (Placeholder::Cookie, CaptureFrom::Cookie("BAYEUX_BROWSER".to_owned()))]
}

/// Publishes as a client with its own id.
pub(super) fn publish() -> Publish {
    let item = r#"{"channel":"/load/{channel}","clientId":"{client_id}","data":{payload}}"#;
    let mut publish = Publish::batch("/bayeux", "application/json", item, ["[", ",", "]"], BATCH_MAX);
    (publish.ask, publish.handshake) = (post(""), Some(post(HANDSHAKE)));
    publish.refused_by(r#""successful":false"#)
}
