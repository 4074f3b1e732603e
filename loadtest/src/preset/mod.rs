//! The presets: for each server the requests that subscribe and publish, as templates, and what is
//! read from the answers.
//!
//! One file per server. A preset is data and travels to the workers as such. The command line can
//! replace each request, so a server without a preset can be tested too (`plain`).

mod bayeux;
mod encke;
mod faye;
mod limit;
mod nchan;
mod plain;
mod pushpin;
mod sockjs;
mod ws;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::template::{Placeholder, RequestSpec};
use crate::transport::{Framing, Transport};

/// The supported servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// This project's server.
    Encke,
    /// The nginx module.
    Nchan,
    /// Fanout's proxy, with an origin that uses GRIP.
    Pushpin,
    /// The Bayeux server for Node.
    Faye,
    /// This project's server, over Bayeux.
    Bayeux,
    /// `SockJS` for Node.
    Sockjs,
    /// This project's server, over `SockJS`: envelopes.
    #[serde(rename = "encke-sockjs")]
    EnckeSockjs,
    /// This project's server, over `SockJS`: strings, which needs `ENCKE_PIPE_HOOK` there.
    #[serde(rename = "encke-pipe")]
    EnckePipe,
    /// The package `ws` for Node.
    Ws,
    /// `bench/limit`: a thread that only writes.
    Limit,
    /// None of them: give --subscribe, --publish and what else is needed.
    Plain,
}

impl Name {
    /// As on the command line.
    pub fn text(self) -> &'static str {
        match self {
            Self::Encke => "encke",
            Self::Nchan => "nchan",
            Self::Pushpin => "pushpin",
            Self::Faye => "faye",
            Self::Bayeux => "bayeux",
            Self::Sockjs => "sockjs",
            Self::EnckeSockjs => "encke-sockjs",
            Self::EnckePipe => "encke-pipe",
            Self::Ws => "ws",
            Self::Limit => "limit",
            Self::Plain => "plain",
        }
    }
}

/// The target of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// All subscribers of a channel.
    Channel,
    /// One user.
    User,
}

/// The requests and formats of one server over one transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preset {
    /// The requests of a client in order; the last receives the messages.
    pub subscribe: Vec<RequestSpec>,
    /// Messages that a client then sends over the socket, each after the answer to the previous
    /// one; the last one is repeated after each of its answers.
    pub socket_handshake: Vec<String>,
    /// How the bytes of that response are divided into pieces.
    pub framing: Framing,
    /// The notices that pieces carry besides messages.
    pub dialect: Dialect,
    /// When a client counts as subscribed.
    pub ready: Ready,
    /// Values that are taken from answers for later requests.
    pub captures: Vec<(Placeholder, CaptureFrom)>,
    /// How a message is published.
    pub publish: Publish,
}

impl Preset {
    /// One request, whose response's head says that the client is subscribed and whose pieces carry
    /// messages only.
    fn plain(subscribe: RequestSpec, framing: Framing, publish: Publish) -> Self {
        Self {
            subscribe: vec![subscribe],
            socket_handshake: Vec::new(),
            framing,
            dialect: Dialect::Plain,
            ready: Ready::Head,
            captures: Vec::new(),
            publish,
        }
    }
}

/// When a client counts as subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// When the last request is written: its answer is the next message.
    Asked,
    /// When the head of the response has arrived.
    Head,
    /// When the last handshake message is sent.
    HandshakeSent,
    /// When the first piece, or the first response if each message is one, has arrived.
    Piece,
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaptureFrom {
    /// A response's header.
    Header(String),
    /// A cookie of this name that a response sets; it is kept with its name.
    Cookie(String),
    /// The `id:` of the last event.
    EventId,
    /// The string after this text in a response's body.
    Behind(String),
}

/// How messages are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The request; its body is made of the items.
    pub ask: RequestSpec,
    /// One message in the body.
    pub item: String,
    /// The texts before the items, between two, and after them.
    pub around: [String; 3],
    /// Most messages in a request.
    pub batch_max: usize,
    /// The first request of a connection, if publishers must register; the preset's captures apply
    /// to its answer.
    pub handshake: Option<RequestSpec>,
    /// A text in an answer that means that a message was refused, whatever the status. Empty: none.
    pub refused_by: String,
}

impl Publish {
    fn single(path: &str, content_type: &str, item: &str) -> Self {
        Self::batch(path, content_type, item, ["", "", ""], 1)
    }

    fn batch(path: &str, content_type: &str, item: &str, around: [&str; 3], batch_max: usize) -> Self {
        Self {
            ask: RequestSpec::post(path, content_type, ""),
            item: item.to_owned(),
            around: around.map(str::to_owned),
            batch_max,
            handshake: None,
            refused_by: String::new(),
        }
    }

    fn refused_by(mut self, text: &str) -> Self {
        text.clone_into(&mut self.refused_by);
        self
    }
}

/// Most messages in one publish request if the server accepts several: well within all servers'
/// limits.
const BATCH_MAX: usize = 256;

/// The preset of a server; `None` if it does not support the transport.
pub fn find(name: Name, transport: Transport, target: Target) -> Option<Preset> {
    match name {
        Name::Encke => Some(encke::preset(transport, target)),
        Name::Nchan => nchan::preset(transport),
        Name::Pushpin => pushpin::preset(transport),
        Name::Faye => faye::preset(transport),
        Name::Bayeux => bayeux::preset(transport),
        Name::Sockjs => sockjs::preset(transport),
        Name::EnckeSockjs => sockjs::encke("sockjs", transport, target),
        Name::EnckePipe => sockjs::encke("pipe", transport, target),
        Name::Ws => ws::preset(transport),
        Name::Limit => limit::preset(transport),
        Name::Plain => Some(plain::preset(transport)),
    }
}

/// The framing of the two streaming transports.
fn stream_framing(transport: Transport) -> Option<Framing> {
    match transport {
        Transport::Sse => Some(Framing::Events),
        Transport::Stream => Some(Framing::Lines),
        Transport::Longpoll
        | Transport::Poll
        | Transport::Ws
        | Transport::Overlap
        | Transport::Jsonp
        | Transport::Frame
        | Transport::Multipart => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_transport_and_places_for_its_messages() {
        for name in Name::value_variants() {
            for target in [Target::Channel, Target::User] {
                let all = Transport::value_variants()
                    .iter()
                    .filter_map(|transport| find(*name, *transport, target));
                let presets: Vec<Preset> = all.collect();
                assert!(!presets.is_empty(), "{name:?}");
                for preset in presets {
                    let item = &preset.publish.item;
                    assert!(item.contains("{payload}") || item.contains("{text}"), "{name:?}");
                    assert!(!preset.subscribe.is_empty() && preset.publish.batch_max > 0, "{name:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_the_same_on_the_command_line_and_in_json() {
        for name in Name::value_variants() {
            let typed = name.to_possible_value().unwrap();
            assert_eq!(typed.get_name(), name.text());
            assert_eq!(serde_json::to_value(name).unwrap(), name.text());
        }
    }

    #[test]
    fn a_preset_travels_to_a_worker_unchanged() {
        let preset = find(Name::Encke, Transport::Sse, Target::Channel).unwrap();
        let text = serde_json::to_string(&preset).unwrap();
        let back: Preset = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
