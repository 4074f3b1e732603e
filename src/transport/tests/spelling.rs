//! Every dialect that a client can select: each row of the registry in each of its dialects, with
//! the reader for it.

use super::corpus::{Carries, Sample, position};
use super::decode::{Events, Frames, Grammar, Item, Page, Parts, Reader};
use super::encoder;
use crate::protocol::Protocol;
use crate::transport::{
    Coding, Delivery, Encoder, Form, Framing, Opening, TransportId, TransportRequest, ws,
};

/// One dialect.
pub(super) struct Spelling {
    pub(super) name: &'static str,
    query: &'static [(&'static str, &'static str)],
    accept: &'static str,
    /// For a WebSocket: the bits of the window that was agreed on.
    window: Option<u8>,
    pub(super) carries: Carries,
    grammar: fn(Option<u8>) -> Grammar,
}

/// A response in construction.
pub(super) struct Response {
    pub(super) form: Form,
    opening: Opening,
    pub(super) encoder: Encoder,
}

impl Spelling {
    pub(super) fn reader(&self) -> Reader {
        Reader::new((self.grammar)(self.window))
    }

    /// Whether its query selects it.
    pub(super) fn asks_for(&self, name: &str, value: &str) -> bool {
        self.query.contains(&(name, value))
    }

    /// The same with compression.
    pub(super) fn with_window(self, bits: u8) -> Self {
        Self { window: Some(bits), query: &[], carries: Carries::Text, ..self }
    }

    /// Whether it differs from another only by a medium window size.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.window, Some(9..=14))
    }

    pub(super) fn is_of_pictures(&self) -> bool {
        matches!(self.carries, Carries::Images(_))
    }

    pub(super) fn is_batch(&self) -> bool {
        matches!(self.grammar(), Grammar::Array | Grammar::Call(_))
    }

    pub(super) fn grammar(&self) -> Grammar {
        (self.grammar)(self.window)
    }

    pub(super) fn respond(&self) -> Response {
        let query: Vec<_> =
            self.query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let transport = TransportId::all().find(|id| id.transport().name() == self.name).expect("a row");
        let asked = TransportRequest {
            query: &query,
            accept: self.accept,
            host: "localhost",
            nonce: "n",
            may_receive: &|_| false,
        };
        let mut opening = transport.transport().open(&asked).expect("it opens");
        if self.window.is_some() {
            opening.dialect = ws::compressing(opening.dialect, self.window);
        }
        let framing = match transport.transport().delivery() {
            Delivery::Stream => Framing::Chunked,
            Delivery::Once | Delivery::Held | Delivery::Duplex(_) => Framing::Length,
        };
        Response {
            form: Form {
                transport,
                dialect: opening.dialect,
                protocol: Protocol::Native,
                coding: Coding::Identity,
                framing,
            },
            opening,
            encoder: encoder(),
        }
    }

    /// The items that must arrive for these samples.
    pub(super) fn expected(&self, samples: &[Sample]) -> Vec<Item> {
        samples.iter().filter_map(|sample| sample.expected(self.carries)).collect()
    }
}

impl Response {
    /// The bytes before the first envelope, without HTTP's framing.
    pub(super) fn begin(&self, pad: usize) -> Vec<u8> {
        let mut out = self.opening.preamble.to_vec();
        let row = self.form.transport.transport();
        row.begin(self.form.dialect, position(0), &mut out);
        if pad > 0 {
            row.pad(self.form.dialect, pad, &mut out);
        }
        out
    }

    pub(super) fn encode(&self, sample: &Sample) -> Vec<u8> {
        let mut out = Vec::new();
        self.form.transport.transport().encode(
            self.form.dialect,
            &sample.envelope(),
            &self.encoder,
            &mut out,
        );
        out
    }

    pub(super) fn heartbeat(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.form.transport.transport().heartbeat(self.form.dialect, position(5), &mut out);
        out
    }

    pub(super) fn separator(&self) -> &'static [u8] {
        self.form.transport.transport().separator()
    }

    pub(super) fn end(&self) -> &'static [u8] {
        self.form.transport.transport().epilogue(self.form.dialect)
    }
}

const fn plain(name: &'static str, carries: Carries, grammar: fn(Option<u8>) -> Grammar) -> Spelling {
    Spelling { name, query: &[], accept: "", window: None, carries, grammar }
}

const BINARY: &[(&str, &str)] = &[("binary", "1")];
const PNG: Carries = Carries::Images("image/png");

fn lengths(_: Option<u8>) -> Grammar {
    Grammar::Parts(Parts::by_length())
}

fn delimiters(_: Option<u8>) -> Grammar {
    Grammar::Parts(Parts::by_delimiter())
}

fn frames(window: Option<u8>) -> Grammar {
    Grammar::Frames(Frames::new(window))
}

/// All dialects.
pub(super) fn all() -> Vec<Spelling> {
    let mut all = vec![
        plain("poll", Carries::Text, |_| Grammar::Array),
        plain("longpoll", Carries::Text, |_| Grammar::Array),
        Spelling {
            query: &[("callback", "a.$_1")],
            ..plain("jsonp", Carries::Values, |_| Grammar::Call("a.$_1"))
        },
        plain("stream", Carries::Text, |_| Grammar::Lines),
        Spelling {
            accept: "application/octet-stream",
            ..plain("stream", Carries::Records, |_| Grammar::Records)
        },
        plain("sse", Carries::Text, |_| Grammar::Events(Events::new())),
        Spelling {
            query: &[("heartbeat", "comment")],
            ..plain("sse", Carries::Text, |_| Grammar::Events(Events::new()))
        },
        Spelling {
            query: &[("resume", "exact")],
            ..plain("sse", Carries::Text, |_| Grammar::Events(Events::new()))
        },
        Spelling {
            accept: "application/x-dom-event-stream",
            ..plain("sse", Carries::Text, |_| Grammar::Events(Events::opera()))
        },
        plain("frame", Carries::Text, |_| Grammar::Page(Page::frame())),
        plain("htmlfile", Carries::Values, |_| Grammar::Page(Page::htmlfile())),
        plain("multipart", Carries::Text, lengths),
        Spelling { query: &[("style", "before")], ..plain("multipart", Carries::Text, lengths) },
        Spelling { query: &[("type", "image/png")], ..plain("multipart", PNG, lengths) },
        Spelling { query: &[("type", "image/png"), ("style", "before")], ..plain("multipart", PNG, lengths) },
        plain("multipart", Carries::Text, delimiters),
        Spelling { query: &[("style", "before")], ..plain("multipart", Carries::Text, delimiters) },
        plain("ws", Carries::Text, frames),
        Spelling { query: BINARY, ..plain("ws", Carries::Records, frames) },
        plain("xmlsocket", Carries::Text, |_| Grammar::Texts),
    ];
    for window in 8..=15 {
        let deflated = || Spelling { window: Some(window), ..plain("ws", Carries::Text, frames) };
        all.push(deflated());
        all.push(Spelling { query: BINARY, carries: Carries::Records, ..deflated() });
    }
    all
}
