//! `SockJS`, by the same requests for each server: that of Node, mounted at `/broadcast` in a
//! program that writes each line of `POST /publish` to all of its connections, and Encke's services
//! of a user.
//!
//! Encke's pipe (`/pipe`) sends a payload as a string, as the server of Node does; its other
//! service (`/sockjs`) sends an envelope with the payload in it, as a string. Frames of several
//! strings are one piece, in which gaps are not looked for: what a gap covers counts as lost.

use super::{BATCH_MAX, Preset, Publish, Ready, Target, encke};
use crate::dialect::Dialect;
use crate::template::RequestSpec;
use crate::transport::{Framing, Transport};

/// The server of Node; `None` for transports that are not supported.
pub(super) fn preset(transport: Transport) -> Option<Preset> {
    let publish =
        Publish::batch("/publish", "application/x-ndjson", "{payload}", ["", "\n", "\n"], BATCH_MAX);
    below("/broadcast", "", transport, publish)
}

/// Encke's service of this name.
pub(super) fn encke(service: &str, transport: Transport, target: Target) -> Option<Preset> {
    let query = match target {
        Target::Channel => "?channels=/load/{channel}",
        Target::User => "",
    };
    below(&format!("/u/{{user}}/{service}"), query, transport, encke::publish(target))
}

/// The requests of a session below a service's prefix.
fn below(prefix: &str, query: &str, transport: Transport, publish: Publish) -> Option<Preset> {
    let path = |leaf: &str| format!("{prefix}/000/{{random}}/{leaf}{query}");
    let post = |leaf: &str| RequestSpec::post(&path(leaf), "text/plain", "");
    let (ask, framing) = match transport {
        Transport::Sse => {
            (RequestSpec::get(&path("eventsource"), &["Accept: text/event-stream"]), Framing::Events)
        }
        Transport::Stream => (post("xhr_streaming"), Framing::Lines),
        Transport::Longpoll => (post("xhr"), Framing::Lines),
        Transport::Ws => (RequestSpec::get(&path("websocket"), &[]), Framing::Frames),
        Transport::Overlap | Transport::Poll | Transport::Jsonp | Transport::Frame | Transport::Multipart => {
            return None;
        }
    };
    Some(Preset {
        dialect: Dialect::Sockjs,
        // The frame `o`, which reports that the session is open, or what precedes it in a stream.
        ready: Ready::Piece,
        ..Preset::plain(ask, framing, publish)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_below_its_service_and_names_its_channel_to_encke_alone() {
        let asked = |preset: Option<Preset>| {
            let mut subscribe = preset.unwrap().subscribe;
            let ask = subscribe.pop().unwrap();
            (ask.method, ask.path)
        };
        let found = |method: &str, path: &str| (method.to_owned(), path.to_owned());
        assert_eq!(
            asked(encke("pipe", Transport::Stream, Target::Channel)),
            found("POST", "/u/{user}/pipe/000/{random}/xhr_streaming?channels=/load/{channel}")
        );
        assert_eq!(
            asked(encke("sockjs", Transport::Longpoll, Target::User)),
            found("POST", "/u/{user}/sockjs/000/{random}/xhr")
        );
        assert_eq!(asked(preset(Transport::Ws)), found("GET", "/broadcast/000/{random}/websocket"));
        assert_eq!(asked(preset(Transport::Sse)), found("GET", "/broadcast/000/{random}/eventsource"));
    }
}
