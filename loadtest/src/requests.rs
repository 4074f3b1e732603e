//! A preset prepared for use: its requests as templates, and the names of channels and users in
//! this run.

use std::io::Write as _;

use crate::dialect::{Dialect, string};
use crate::http::Response;
use crate::plan::Plan;
use crate::preset::{CaptureFrom, Ready};
use crate::rng::Rng;
use crate::template::{Placeholder, Request, Template};
use crate::transport::ws::Compression;
use crate::transport::{Framing, Transport};

/// The requests of a worker's clients.
#[derive(Debug)]
pub struct Requests {
    /// The requests of a client in order; the last receives the messages.
    pub sequence: Vec<Request>,
    /// The clients' transport.
    pub transport: Transport,
    /// How bodies are divided into pieces.
    pub framing: Framing,
    /// Whether messages must arrive compressed.
    pub compression: Compression,
    /// The notices that pieces carry besides messages.
    pub dialect: Dialect,
    /// When a client counts as subscribed.
    pub ready: Ready,
    /// Messages sent over a socket before events arrive.
    pub socket_handshake: Vec<Template>,
    /// Values that are taken from answers.
    pub captures: Captures,
    /// The names of this run.
    pub names: Names,
}

/// Values that are taken from answers for later requests.
#[derive(Clone, Debug)]
pub struct Captures(Vec<(Placeholder, CaptureFrom)>);

/// The names of channels and users in one run.
#[derive(Clone, Debug)]
pub struct Names {
    run: String,
    seed: u64,
}

/// The values that a client has kept from earlier answers.
#[derive(Debug, Default)]
pub struct Captured(Vec<(Placeholder, Vec<u8>)>);

impl Requests {
    /// Prepares a plan's preset.
    pub fn new(plan: &Plan) -> Self {
        let sequence = plan.preset.subscribe.iter().map(|ask| Request::new(ask, &plan.host));
        Self {
            sequence: sequence.collect(),
            transport: plan.transport,
            framing: plan.preset.framing,
            compression: plan.compression,
            dialect: plan.preset.dialect,
            ready: plan.preset.ready,
            socket_handshake: plan.preset.socket_handshake.iter().map(|text| Template::new(text)).collect(),
            captures: Captures::new(&plan.preset.captures),
            names: Names::new(&plan.run, plan.seed),
        }
    }
}

impl Captures {
    /// The captures of a preset.
    pub fn new(captures: &[(Placeholder, CaptureFrom)]) -> Self {
        Self(captures.to_vec())
    }

    /// Keeps the values of a head.
    pub fn headers(&self, response: &Response, captured: &mut Captured) {
        for (place, from) in &self.0 {
            let value = match from {
                CaptureFrom::Header(name) => response.header(name),
                CaptureFrom::Cookie(name) => response.header("set-cookie").and_then(|set| cookie(set, name)),
                CaptureFrom::EventId | CaptureFrom::Behind(_) => None,
            };
            if let Some(value) = value {
                captured.set(*place, value);
            }
        }
    }

    /// Keeps the values of a complete body.
    pub fn body(&self, body: &[u8], captured: &mut Captured) {
        for (place, from) in &self.0 {
            if let CaptureFrom::Behind(text) = from
                && let Some(value) = string(body, text.as_bytes())
            {
                captured.set(*place, value);
            }
        }
    }

    /// Keeps the position that an event moved the client to.
    pub fn position(&self, position: &[u8], captured: &mut Captured) {
        if !position.is_empty() && self.0.iter().any(|(_, from)| *from == CaptureFrom::EventId) {
            captured.set(Placeholder::Position, position);
        }
    }
}

/// A cookie with its name, from a `Set-Cookie` value.
fn cookie<'a>(set: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let pair = set.split(|&byte| byte == b';').next()?.trim_ascii();
    pair.strip_prefix(name.as_bytes())?.starts_with(b"=").then_some(pair)
}

impl Names {
    /// The names of a run.
    pub fn new(run: &str, seed: u64) -> Self {
        Self { run: run.to_owned(), seed }
    }

    /// Writes the value of a placeholder for a client of a channel; false for placeholders that
    /// depend on anything else.
    pub fn write(&self, place: Placeholder, client: u32, channel: u32, out: &mut Vec<u8>) -> bool {
        let written = match place {
            Placeholder::Channel => write!(out, "{}c{channel}", self.run),
            Placeholder::User => write!(out, "{}u{client}", self.run),
            Placeholder::Number => write!(out, "{client}"),
            Placeholder::Random => write!(out, "{:016x}", self.random(client)),
            // 16 bytes in base64, whose last digit has no unused bits.
            Placeholder::Key => write!(out, "{:016x}encktA==", self.random(client)),
            Placeholder::Resume => Ok(()),
            Placeholder::Position
            | Placeholder::Session
            | Placeholder::Modified
            | Placeholder::Etag
            | Placeholder::ClientId
            | Placeholder::Cookie
            | Placeholder::Subscriptions
            | Placeholder::Payload
            | Placeholder::Text => return false,
        };
        written.is_ok()
    }

    /// Writes the paths of channels as the elements of a JSON list.
    pub fn subscriptions(&self, channels: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
        for (n, channel) in channels.enumerate() {
            let comma = if n > 0 { "," } else { "" };
            // Writing into a vector cannot fail.
            let _ = write!(out, "{comma}\"/load/{}c{channel}\"", self.run);
        }
    }

    /// A random number that each client draws once.
    fn random(&self, client: u32) -> u64 {
        Rng::new(self.seed ^ (u64::from(client) << 32)).next()
    }
}

impl Captured {
    /// Keeps a value.
    pub fn set(&mut self, place: Placeholder, value: &[u8]) {
        match self.0.iter_mut().find(|(captured, _)| *captured == place) {
            Some((_, old)) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => self.0.push((place, value.to_vec())),
        }
    }

    /// Whether nothing has been kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a value; false if there is none.
    pub fn write(&self, place: Placeholder, out: &mut Vec<u8>) -> bool {
        if place == Placeholder::Resume {
            for (name, place) in
                [(&b"session="[..], Placeholder::Session), (b"since=", Placeholder::Position)]
            {
                let start = out.len();
                out.extend_from_slice(name);
                if self.write(place, out) {
                    out.push(b'&');
                } else {
                    out.truncate(start);
                }
            }
            return true;
        }
        let found = self.0.iter().find(|(captured, _)| *captured == place);
        found.map(|(_, value)| out.extend_from_slice(value)).is_some()
    }
}
