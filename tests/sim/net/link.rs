//! What a link between a client and the server is made of.

use encke::base::ids::Door;

use std::collections::VecDeque;

pub(crate) type LinkId = usize;
pub(crate) type ClientId = usize;

/// What the client's writes look like to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    Whole,
    Random,
    Bytewise,
}

/// How the client takes what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Prompt,
    Slow { bytes: usize, every: u64 },
    Never,
}

/// What a link is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) latency: u64,
    pub(crate) jitter: u64,
    pub(crate) capacity: usize,
    pub(crate) up: Chunks,
    pub(crate) reading: Reading,
}

/// What will happen.
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
    /// A shard has something to do.
    Turn(usize),
    /// A client's timer.
    Client(ClientId, u64),
    /// A request should have been answered by now.
    Late(ClientId, LinkId, u32),
    /// A message should have reached everybody who is well by now.
    Prompt(u64, u64),
    /// The world's own doings.
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
    pub(super) arrived: VecDeque<u8>,
    /// Bytes in `transit`.
    pub(super) flying: usize,
    pub(super) last: u64,
    pub(super) fin: bool,
}

/// Who holds the server's end.
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

/// How the client learns that nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Fin,
    Reset,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) owner: ClientId,
    pub(crate) door: Door,
    pub(crate) style: Style,
    pub(crate) server: ServerEnd,
    pub(crate) client: ClientEnd,
    /// The server is to be told that the link is broken.
    pub(crate) broken: bool,
    /// Nothing passes any more, and nobody knows.
    pub(super) silent: bool,
    /// Its client has not always read what came.
    pub(crate) lame: bool,
    /// Since when it reads at once, if it does.
    pub(crate) prompt_since: u64,
    pub(super) up: Lane,
    pub(super) down: Lane,
}

/// What a client is told.
#[derive(Debug)]
pub(crate) enum Heard {
    Bytes(Vec<u8>),
    End(How),
}
