//! One request for messages and its response, over any transport.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::http_conn::HttpConn;
use super::profile::Via;
use super::receiver::Pending;
use super::uplink::Command;
use crate::decode::{self, Events, Frames, Grammar, Page, Parts};
use crate::envelope::Envelope;
use crate::http::Headers;
use crate::sse::{Happening, Parser};

/// The response's body, being read.
#[derive(Debug)]
pub(crate) enum Decoder {
    Batch(Vec<u8>),
    Lines(Vec<u8>),
    Events(Parser),
    /// All others: the readers of the contract tests.
    Other(decode::Reader),
}

/// The content of a body.
#[derive(Debug)]
pub(crate) enum Item {
    /// An envelope, with its event id if the transport has one.
    Envelope(String, Option<String>),
    /// Only an id: a heartbeat, unless it precedes everything else.
    Id(String),
    /// An empty line, or another heartbeat.
    Beat,
    /// A ping, whose payload must be returned.
    Ping(Vec<u8>),
}

impl From<decode::Item> for Item {
    fn from(item: decode::Item) -> Self {
        match item {
            decode::Item::Json(text) | decode::Item::Script(decode::Script(text)) => {
                Self::Envelope(text, None)
            }
            decode::Item::Bytes { header, payload } => {
                let (data, head) = (STANDARD.encode(payload), header.strip_suffix('}').unwrap_or_default());
                Self::Envelope(format!("{head},\"encoding\":\"base64\",\"data\":\"{data}\"}}"), None)
            }
            decode::Item::Raw { kind, .. } => panic!("a raw part of type {kind}"),
            decode::Item::Beat => Self::Beat,
            decode::Item::Ping(payload) => Self::Ping(payload),
        }
    }
}

/// The name of the function that callback polling calls.
pub(crate) const CALLBACK: &str = "a.$_1";

impl Decoder {
    pub(crate) fn new(via: Via, last_id: &str) -> Self {
        let other = |grammar| Self::Other(decode::Reader::with_beats(grammar));
        match via {
            Via::Stream => Self::Lines(Vec::new()),
            Via::Sse => Self::Events(Parser::new(last_id)),
            Via::Poll | Via::Longpoll | Via::LongpollJson | Via::LongpollForm => Self::Batch(Vec::new()),
            Via::Jsonp => other(Grammar::Call(CALLBACK)),
            Via::Records => other(Grammar::Records),
            Via::Opera => other(Grammar::Events(Events::opera())),
            Via::Frame => other(Grammar::Page(Page::frame())),
            Via::Htmlfile => other(Grammar::Page(Page::htmlfile())),
            Via::Parts | Via::PartsBefore => other(Grammar::Parts(Parts::by_length())),
            Via::Ws | Via::WsBinary => other(Grammar::Frames(Frames::new(None))),
            Via::WsDeflate(bits) => other(Grammar::Frames(Frames::new(Some(bits)))),
            Via::XmlSocket => other(Grammar::Texts),
        }
    }

    /// Takes bytes; returns the items that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Item>, String> {
        match self {
            Self::Batch(body) => {
                body.extend_from_slice(bytes);
                Ok(Vec::new())
            }
            Self::Lines(rest) => {
                rest.extend_from_slice(bytes);
                let mut items = Vec::new();
                while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).take(end).collect();
                    if line.iter().all(|&byte| byte == b' ') {
                        items.push(Item::Beat);
                    } else {
                        let line = String::from_utf8(line).map_err(|error| error.to_string())?;
                        items.push(Item::Envelope(line, None));
                    }
                }
                Ok(items)
            }
            Self::Events(parser) => Ok(parser
                .feed(bytes)?
                .into_iter()
                .filter_map(|happening| match happening {
                    Happening::Message { data, last_id } => Some(Item::Envelope(data, Some(last_id))),
                    Happening::Id(id) => Some(Item::Id(id)),
                    Happening::Retry(_) => None,
                })
                .collect()),
            Self::Other(reader) => {
                reader.feed(bytes);
                Ok(reader.items.drain(..).map(Item::from).collect())
            }
        }
    }

    /// The body is complete: returns the items held until now.
    pub(crate) fn end(&mut self) -> Result<Vec<Item>, String> {
        match self {
            Self::Batch(body) => {
                Ok(Envelope::array(body)?.into_iter().map(|text| Item::Envelope(text, None)).collect())
            }
            Self::Lines(rest) if rest.is_empty() => Ok(Vec::new()),
            Self::Lines(_) => Err("half a line at a stream's end".to_owned()),
            Self::Events(_) => Ok(Vec::new()),
            Self::Other(reader) => {
                reader.finish();
                Ok(reader.items.drain(..).map(Item::from).collect())
            }
        }
    }
}

/// One request for messages.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) conn: HttpConn,
    pub(crate) via: Via,
    pub(crate) pending: Pending,
    pub(crate) decoder: Decoder,
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    /// The client will behave as if the response had never arrived.
    pub(crate) lose: bool,
    /// The commands of the request.
    pub(crate) commands: Vec<Command>,
    pub(crate) done: bool,
    /// On a stream: as far as the client can tell, no earlier message is still on its way.
    pub(crate) level: bool,
    /// Bytes of the body so far.
    pub(crate) size: usize,
    pub(crate) heard: u64,
    /// When the client got a ping that it has not answered.
    pub(crate) unanswered: Option<u64>,
    /// When it must end, once another has superseded it.
    pub(crate) due: u64,
}

impl Exchange {
    pub(crate) fn new(conn: HttpConn, via: Via, pending: Pending, last_id: &str, now: u64) -> Self {
        // A new session has missed nothing.
        let level = pending.session.is_none() && pending.since.is_none();
        Self {
            conn,
            via,
            pending,
            level,
            decoder: Decoder::new(via, last_id),
            status: 0,
            headers: Headers::default(),
            lose: false,
            commands: Vec::new(),
            done: false,
            size: 0,
            heard: now,
            unanswered: None,
            due: u64::MAX,
        }
    }

    /// Whether it carried commands that are not answered yet.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.commands.len() > self.pending.answers as usize
    }
}
