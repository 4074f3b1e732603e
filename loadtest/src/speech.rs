//! A preset made ready for use: its requests as templates, and the names of channels and users in this run.

use std::io::Write as _;

use crate::chance::Chance;
use crate::dialect::{Dialect, string};
use crate::http::Response;
use crate::plan::Plan;
use crate::preset::{From, Ready};
use crate::template::{Place, Request};
use crate::transport::ws::Compression;
use crate::transport::{Framing, Transport};

/// How a worker's clients speak.
#[derive(Debug)]
pub struct Speech {
    /// What a client asks, in this order; the last is the one that messages come by.
    pub requests: Vec<Request>,
    /// How messages come.
    pub transport: Transport,
    /// How bodies fall into pieces.
    pub framing: Framing,
    /// Whether messages are to come compressed.
    pub compression: Compression,
    /// What pieces say besides messages.
    pub dialect: Dialect,
    /// When a client counts as subscribed.
    pub ready: Ready,
    captures: Vec<(Place, From)>,
    /// The names of this run.
    pub names: Names,
}

/// The names of channels and users in one run.
#[derive(Clone, Debug)]
pub struct Names {
    run: String,
    seed: u64,
}

/// What a client has kept of earlier answers.
#[derive(Debug, Default)]
pub struct Kept(Vec<(Place, Vec<u8>)>);

impl Speech {
    /// Makes a plan's preset ready.
    pub fn new(plan: &Plan) -> Self {
        let requests = plan.preset.subscribe.iter().map(|ask| Request::new(ask, &plan.host));
        Self {
            requests: requests.collect(),
            transport: plan.transport,
            framing: plan.preset.framing,
            compression: plan.compression,
            dialect: plan.preset.dialect,
            ready: plan.preset.ready,
            captures: plan.preset.captures.clone(),
            names: Names::new(&plan.run, plan.seed),
        }
    }

    /// Keeps what a head says.
    pub fn keep_headers(&self, response: &Response, kept: &mut Kept) {
        for (place, from) in &self.captures {
            if let From::Header(name) = from
                && let Some(value) = response.header(name)
            {
                kept.set(*place, value);
            }
        }
    }

    /// Keeps what a whole body says.
    pub fn keep_body(&self, body: &[u8], kept: &mut Kept) {
        for (place, from) in &self.captures {
            if let From::Behind(text) = from
                && let Some(value) = string(body, text.as_bytes())
            {
                kept.set(*place, value);
            }
        }
    }

    /// Keeps the position that an event moved the client to.
    pub fn keep_position(&self, position: &[u8], kept: &mut Kept) {
        if !position.is_empty() && self.captures.iter().any(|(_, from)| *from == From::EventId) {
            kept.set(Place::Position, position);
        }
    }
}

impl Names {
    /// The names of a run.
    pub fn new(run: &str, seed: u64) -> Self {
        Self { run: run.to_owned(), seed }
    }

    /// Writes what stands in a place for a client of a channel. False for places that depend on anything else.
    pub fn write(&self, place: Place, client: u32, channel: u32, out: &mut Vec<u8>) -> bool {
        let written = match place {
            Place::Channel => write!(out, "{}c{channel}", self.run),
            Place::User => write!(out, "{}u{client}", self.run),
            Place::Number => write!(out, "{client}"),
            Place::Random => write!(out, "{:016x}", self.random(client)),
            // 16 bytes in base64: letters that it knows, the last of which has no bits to spare.
            Place::Key => write!(out, "{:016x}encktA==", self.random(client)),
            Place::Resume => Ok(()),
            Place::Position
            | Place::Session
            | Place::Modified
            | Place::Etag
            | Place::ClientId
            | Place::Payload
            | Place::Text => return false,
        };
        written.is_ok()
    }

    /// What a client draws once.
    fn random(&self, client: u32) -> u64 {
        Chance::new(self.seed ^ (u64::from(client) << 32)).next()
    }
}

impl Kept {
    /// Keeps a value.
    pub fn set(&mut self, place: Place, value: &[u8]) {
        match self.0.iter_mut().find(|(kept, _)| *kept == place) {
            Some((_, old)) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => self.0.push((place, value.to_vec())),
        }
    }

    /// Appends a value; false, if there is none.
    pub fn write(&self, place: Place, out: &mut Vec<u8>) -> bool {
        if place == Place::Resume {
            for (name, place) in [(&b"session="[..], Place::Session), (b"since=", Place::Position)] {
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
        let found = self.0.iter().find(|(kept, _)| *kept == place);
        found.map(|(_, value)| out.extend_from_slice(value)).is_some()
    }
}
