//! The parts of a link between a client and the server.

use encke::base::ids::ListenerKind;

use std::collections::VecDeque;

pub(crate) type LinkId = usize;
pub(crate) type ClientId = usize;

/// How the client's writes are divided on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    Whole,
    Random,
    Bytewise,
}

/// How the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Prompt,
    Slow { bytes: usize, every: u64 },
    Never,
}

/// The properties of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) latency: u64,
    pub(crate) jitter: u64,
    pub(crate) capacity: usize,
    pub(crate) up: Chunks,
    pub(crate) reading: Reading,
}

/// A future event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A connection reaches the server's backlog.
    Arrive(LinkId),
    /// The next segment of a lane arrives.
    Up(LinkId),
    Down(LinkId),
    /// A slow reader reads.
    Read(LinkId),
    /// The server's kernel gives up on a silent link.
    GiveUp(LinkId),
    /// A shard has work.
    Turn(usize),
    /// A client's timer.
    Client(ClientId, u64),
    /// A request should have been answered by now.
    Late(ClientId, LinkId, u32),
    /// A message should have reached all clients that are well by now.
    Prompt(u64, u64),
    /// A fault of the world.
    Fault,
    Restart,
    Phase(u32),
}

#[derive(Debug)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Fin,
    Reset,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) transit: VecDeque<Segment>,
    pub(super) arrived: Vec<u8>,
    /// Bytes in `transit`.
    pub(super) flying: usize,
    pub(super) last: u64,
    pub(super) fin: bool,
}

impl Lane {
    /// Bytes arrive.
    pub(super) fn land(&mut self, bytes: Vec<u8>) {
        if self.arrived.is_empty() {
            self.arrived = bytes;
        } else {
            self.arrived.extend_from_slice(&bytes);
        }
    }

    /// Takes up to `most` of the bytes that have arrived.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        if most >= self.arrived.len() {
            return std::mem::take(&mut self.arrived);
        }
        let rest = self.arrived.split_off(most);
        std::mem::replace(&mut self.arrived, rest)
    }
}

/// The owner of the server's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerEnd {
    Travelling,
    At(usize),
    InMail,
    Gone,
}

/// The client's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientEnd {
    Open,
    /// Sent FIN, still reads.
    Half,
    Gone,
}

/// How a link ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Fin,
    Reset,
}

/// Bytes that the server's kernel took, whether or not they arrive.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// When it took the last of them.
    pub(crate) at: u64,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) owner: ClientId,
    pub(crate) listener: ListenerKind,
    pub(crate) style: Style,
    pub(crate) server: ServerEnd,
    pub(crate) client: ClientEnd,
    /// The server must learn that the link is broken.
    pub(crate) broken: bool,
    /// Nothing passes any more, and neither end knows.
    pub(super) silent: bool,
    /// Its client has not always read promptly.
    pub(crate) lame: bool,
    /// Since when it has read promptly, if it does.
    pub(crate) prompt_since: u64,
    /// What the server has written since its client asked for a record.
    pub(crate) written: Option<Written>,
    pub(super) up: Lane,
    pub(super) down: Lane,
}

/// An event that the client learns of.
#[derive(Debug)]
pub(crate) enum Heard {
    Bytes(Vec<u8>),
    End(How),
}
