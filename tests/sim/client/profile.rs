//! The kinds of clients.

use super::receiver::Pending;
use crate::net::{Chunks, Reading, Style};
use crate::rng::Rng;

/// The transport of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Poll,
    Longpoll,
    LongpollJson,
    LongpollForm,
    Stream,
    Sse,
    Jsonp,
    Records,
    Opera,
    Frame,
    Htmlfile,
    Parts,
    PartsBefore,
    Ws,
    /// With records for payloads of bytes.
    WsBinary,
    /// With compression, and a window of this many bits.
    WsDeflate(u8),
    XmlSocket,
}

impl Via {
    pub(crate) const ALL: [Self; 6] =
        [Self::Poll, Self::Longpoll, Self::LongpollJson, Self::LongpollForm, Self::Stream, Self::Sse];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Longpoll | Self::LongpollJson | Self::LongpollForm => "longpoll",
            Self::Stream | Self::Records => "stream",
            Self::Sse | Self::Opera => "sse",
            Self::Jsonp => "jsonp",
            Self::Frame => "frame",
            Self::Htmlfile => "htmlfile",
            Self::Parts | Self::PartsBefore => "multipart",
            Self::Ws | Self::WsBinary | Self::WsDeflate(_) => "ws",
            Self::XmlSocket => "xmlsocket",
        }
    }

    pub(crate) fn streams(self) -> bool {
        !self.is_held() && self != Self::Poll
    }

    /// A poll that is held until there is a message.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, Self::Longpoll | Self::LongpollJson | Self::LongpollForm | Self::Jsonp)
    }

    /// Whether the request may carry commands.
    pub(crate) fn carries_commands(self) -> bool {
        matches!(self, Self::LongpollJson | Self::LongpollForm | Self::Jsonp)
    }

    /// Whether commands use the same connection.
    pub(crate) fn is_duplex(self) -> bool {
        self.is_websocket() || self == Self::XmlSocket
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::WsBinary | Self::WsDeflate(_))
    }

    /// Whether a script carries envelopes, of which only the value counts.
    pub(crate) fn is_script(self) -> bool {
        matches!(self, Self::Jsonp | Self::Htmlfile)
    }

    /// Transports that were added after the first six.
    fn later(rng: &mut Rng) -> Vec<Self> {
        let all = [
            Self::Jsonp,
            Self::Records,
            Self::Opera,
            Self::Frame,
            Self::Htmlfile,
            Self::Parts,
            Self::PartsBefore,
            Self::Ws,
            Self::WsBinary,
            Self::WsDeflate(rng.range(8, 15) as u8),
            Self::XmlSocket,
        ];
        let sockets = rng.chance(40);
        all.into_iter().filter(|via| rng.chance(if sockets == via.is_duplex() { 30 } else { 5 })).collect()
    }
}

/// The behaviour of a client.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// It changes between them, if there are several.
    pub(crate) vias: Vec<Via>,
    pub(crate) style: Style,
    /// Sends only positions, like a plain `EventSource`.
    pub(crate) plain: bool,
    /// Sends its position in every request, not only after a loss.
    pub(crate) careful: bool,
    /// Subscribes and publishes during its session.
    pub(crate) commands: bool,
    /// Loses this percentage of responses.
    pub(crate) loses: u64,
    /// Opens a new connection while the old one lives, with this probability in percent.
    pub(crate) impatient: u64,
    /// Sends FIN behind its request, with this probability in percent.
    pub(crate) halves: u64,
    /// Requests this many recent messages at first.
    pub(crate) last: usize,
    /// Between polls, in milliseconds.
    pub(crate) interval: u64,
    /// Uses one connection for one request.
    pub(crate) fresh: bool,
    /// Answers no pings.
    pub(crate) deaf: bool,
    /// Sends its position alone, with this probability in percent, although it knows its session.
    pub(crate) anonymous: u64,
    /// Is away for longer than its session lives, with this probability in percent; the first
    /// answers after that are lost.
    pub(crate) sleeps: u64,
    /// Requests presence in its channels, unless there are patterns among them.
    pub(crate) watches: bool,
}

impl Profile {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let plain = rng.chance(15);
        let mut vias: Vec<Via> = Via::ALL.into_iter().filter(|_| rng.chance(30)).collect();
        if plain {
            vias = vec![Via::Sse];
        } else if vias.is_empty() {
            vias = vec![*rng.pick(&Via::ALL)];
        }
        let faulty = rng.chance(50);
        Self {
            vias,
            style: style(rng),
            plain,
            careful: plain || rng.chance(70),
            commands: !plain && rng.chance(50),
            loses: if faulty { rng.range(0, 20) } else { 0 },
            impatient: if faulty && !plain { rng.range(0, 25) } else { 0 },
            halves: if rng.chance(20) { 15 } else { 0 },
            last: if rng.chance(40) { rng.size(1, 6) } else { 0 },
            interval: rng.range(50, 2_000),
            fresh: rng.chance(15),
            deaf: false,
            anonymous: 0,
            sleeps: 0,
            watches: false,
        }
    }

    /// The same client in runs that test resuming: it sends positions rather than sessions, or is
    /// away for long.
    pub(crate) fn doubted(&mut self, rng: &mut Rng) {
        self.anonymous = if self.plain { 0 } else { *rng.pick(&[0, 30, 100]) };
        self.careful |= self.anonymous > 0;
        self.watches = false;
        if self.anonymous > 0 {
            // It would detach its old session with its connection, and resume none.
            self.impatient = 0;
            // Its subscriptions by commands would be its old session's.
            self.commands = false;
        }
        self.sleeps = *rng.pick(&[0, 5, 20]);
        if rng.chance(50) {
            self.last = rng.size(1, 6);
        }
    }

    /// Whether the server recognises it by its request, which it therefore repeats.
    pub(crate) fn repeats_itself(&self, pending: &Pending) -> bool {
        self.plain || (self.anonymous > 0 && pending.session.is_none())
    }

    /// The same client, mostly with other transports.
    pub(crate) fn modern(mut self, rng: &mut Rng) -> Self {
        let vias = Via::later(rng);
        if self.plain || vias.is_empty() {
            return self;
        }
        if rng.chance(60) {
            self.vias = vias;
        } else {
            self.vias.extend(vias);
        }
        self.deaf = rng.chance(20);
        self
    }
}

/// Some link, mostly a good one.
pub(crate) fn style(rng: &mut Rng) -> Style {
    let reading = match rng.below(20) {
        0 => Reading::Never,
        1..=2 => Reading::Slow { bytes: rng.size(1, 400), every: rng.range(50, 1_000) },
        _ => Reading::Prompt,
    };
    let up = match rng.below(20) {
        0 => Chunks::Bytewise,
        1..=8 => Chunks::Random,
        _ => Chunks::Whole,
    };
    let capacity = if reading == Reading::Prompt {
        *rng.pick(&[4 * 1024, 16 * 1024, 256 * 1024])
    } else {
        rng.size(64, 4096)
    };
    Style { latency: rng.below(40), jitter: rng.below(20), capacity, up, reading }
}
