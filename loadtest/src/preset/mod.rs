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

/// The servers that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// This project's server.
    Encke,
    /// The nginx module.
    Nchan,
    /// Fanout's proxy, with an origin that answers by GRIP.
    Pushpin,
    /// The Bayeux server for Node.
    Faye,
    /// This project's server, by Bayeux.
    Bayeux,
    /// `SockJS` for Node.
    Sockjs,
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

/// How one server is spoken to over one transport.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Preset {
    /// The requests of a client in order; the last receives the messages.
    pub subscribe: Vec<RequestSpec>,
    /// Messages that a client then sends over the socket, each when the previous one is answered;
    /// the last again whenever it is answered.
    pub socket_handshake: Vec<String>,
    /// How the bytes of that response fall into pieces.
    pub framing: Framing,
    /// What the pieces say besides messages.
    pub dialect: Dialect,
    /// When a client counts as subscribed.
    pub ready: Ready,
    /// What is taken out of answers for later requests.
    pub captures: Vec<(Placeholder, CaptureFrom)>,
    /// How a message is published.
    pub publish: Publish,
}

/// When a client counts as subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// The last request is written: its answer is the next message.
    Asked,
    /// The head of the response has come.
    Head,
    /// The last handshake message is sent.
    HandshakeSent,
    /// The first piece has come, or, where each message is a response, the first of these.
    Piece,
}

/// Where something is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaptureFrom {
    /// A response's header.
    Header(String),
    /// A cookie of this name that a response sets; it is kept with its name.
    Cookie(String),
    /// The `id:` of the last event.
    EventId,
    /// The string behind this text in a response's body.
    Behind(String),
}

/// How messages are published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The request; its body is made of the items.
    pub ask: RequestSpec,
    /// One message in the body.
    pub item: String,
    /// What stands before the items, between two, and behind them.
    pub around: [String; 3],
    /// Most messages in a request.
    pub batch_max: usize,
    /// What a connection asks before its first message, where publishers have to be known; the
    /// preset's captures are kept of the answer.
    pub handshake: Option<RequestSpec>,
    /// What in an answer says that a message was refused, whatever the status. Empty: nothing.
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

/// Most messages in one publish request where the server takes several: well within everybody's
/// limits.
const BATCH_MAX: usize = 256;

/// The preset of a server. `None`, if it does not speak that transport.
pub fn find(name: Name, transport: Transport, target: Target) -> Option<Preset> {
    match name {
        Name::Encke => Some(encke::preset(transport, target)),
        Name::Nchan => nchan::preset(transport),
        Name::Pushpin => pushpin::preset(transport),
        Name::Faye => faye::preset(transport),
        Name::Bayeux => bayeux::preset(transport),
        Name::Sockjs => sockjs::preset(transport),
        Name::Ws => ws::preset(transport),
        Name::Limit => limit::preset(transport),
        Name::Plain => Some(plain::preset(transport)),
    }
}

/// How the two streaming transports are framed, and nothing else.
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
    fn a_preset_travels_to_a_worker_unchanged() {
        let preset = find(Name::Encke, Transport::Sse, Target::Channel).unwrap();
        let text = serde_json::to_string(&preset).unwrap();
        let back: Preset = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
