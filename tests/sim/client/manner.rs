//! What kind of client one is.

use super::receiver::Pending;
use crate::net::{Chunks, Reading, Style};
use crate::rng::Rng;

/// How messages are fetched.
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
    /// With compression, of a window with so many bits.
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

    /// A poll that waits for something to say.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, Self::Longpoll | Self::LongpollJson | Self::LongpollForm | Self::Jsonp)
    }

    /// Whether commands may come with the request.
    pub(crate) fn carries_commands(self) -> bool {
        matches!(self, Self::LongpollJson | Self::LongpollForm | Self::Jsonp)
    }

    /// Whether commands go up the same connection.
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

    /// Those that came later than the first six.
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

/// A client's habits.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// It changes between them, if there are several.
    pub(crate) vias: Vec<Via>,
    pub(crate) style: Style,
    /// Knows positions only, like a plain `EventSource`.
    pub(crate) plain: bool,
    /// Names its position in every request, not only after a loss.
    pub(crate) careful: bool,
    /// Subscribes and publishes in mid-life.
    pub(crate) commands: bool,
    /// Loses so many responses in a hundred.
    pub(crate) loses: u64,
    /// Opens a new connection while the old one lives, so many times in a hundred.
    pub(crate) impatient: u64,
    /// Sends FIN behind its request, so many times in a hundred.
    pub(crate) halves: u64,
    /// Asks for so many recent messages at first.
    pub(crate) last: usize,
    /// Between polls, in milliseconds.
    pub(crate) interval: u64,
    /// Uses one connection for one request.
    pub(crate) fresh: bool,
    /// Answers no pings.
    pub(crate) deaf: bool,
    /// Names its position alone, so many times in a hundred, though it knows its session.
    pub(crate) anonymous: u64,
    /// Is away for longer than its session lives, so many times in a hundred; the first answers after that are lost.
    pub(crate) sleeps: u64,
    /// Wants to know who is in its channels, unless there are patterns among them.
    pub(crate) watches: bool,
}

impl Manner {
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

    /// The same client, where promises are put to the test: it knows positions rather than sessions, or is away for long.
    pub(crate) fn doubted(&mut self, rng: &mut Rng) {
        self.anonymous = if self.plain { 0 } else { *rng.pick(&[0, 30, 100]) };
        self.careful |= self.anonymous > 0;
        self.watches = false;
        if self.anonymous > 0 {
            // It would leave its old session with its connection, and take up none.
            self.impatient = 0;
            // What it subscribes to by commands would be its old session's.
            self.commands = false;
        }
        self.sleeps = *rng.pick(&[0, 5, 20]);
        if rng.chance(50) {
            self.last = rng.size(1, 6);
        }
    }

    /// Whether it is known by what it asks for, which it therefore asks again.
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

/// Some link: mostly a good one.
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
