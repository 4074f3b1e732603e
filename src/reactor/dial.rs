//! Connecting to backends: names are resolved by [`resolve`](super::resolve), then addresses are
//! tried one after another, the next one soon if one does not answer (RFC 8305).
//!
//! Nothing here blocks. A dial ends with a connection, or with the failure of all addresses; its
//! shard is told once. A dial that its shard has given up ends silently.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::stream::{BackendStream, NetStream};
use super::tls::{TargetConnectors, TlsHandshake, TlsStream};
use crate::base::slab::StreamKey;
use crate::base::ticks::Tick;
use crate::config::{AddressRule, TargetPlace, admits};
use crate::reactor::limits::{ATTEMPT_DELAY, FIRST_ATTEMPT};
use crate::turn::stream::{Dial, DialFailure};

/// What became of a dial.
pub(super) type Dialed = Result<BackendStream, DialFailure>;

/// The dials of one shard.
pub(super) struct Dials {
    /// By the targets that they are for.
    connectors: TargetConnectors,
    pending: Vec<Dialing>,
    /// The number of the next attempt's token.
    next: usize,
    done: VecDeque<(StreamKey, Dialed)>,
}

struct Dialing {
    stream: StreamKey,
    dial: Dial,
    by: Tick,
    /// Addresses that were not tried yet.
    left: VecDeque<SocketAddr>,
    attempts: Vec<Attempt>,
    /// When the next address is tried, if no attempt fails before.
    next_at: Option<Tick>,
    /// TLS over the attempt that has connected, and its token.
    handshake: Option<(Token, TlsStream)>,
    /// The failure of the last attempt.
    failure: Option<DialFailure>,
}

struct Attempt {
    token: Token,
    stream: TcpStream,
}

/// What a dial needs before it can connect.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing.
    Going,
    /// The addresses of this name.
    Resolve(Box<str>, u16),
}

impl Dials {
    /// None yet.
    pub(super) fn new(connectors: TargetConnectors) -> Self {
        Self { connectors, pending: Vec::new(), next: 0, done: VecDeque::new() }
    }

    /// Begins a dial.
    pub(super) fn start(&mut self, registry: &Registry, now: Tick, stream: StreamKey, dial: Dial) -> Start {
        let host = match &dial.place {
            TargetPlace::Unix(_) => None,
            TargetPlace::Tcp { host, port } => Some((host.clone(), *port)),
        };
        let by = now + dial.within;
        let (left, attempts, next_at, failure, handshake) = (VecDeque::new(), Vec::new(), None, None, None);
        self.pending.push(Dialing { stream, dial, by, left, attempts, next_at, handshake, failure });
        let Some((host, port)) = host else {
            self.try_next(registry, now, self.pending.len() - 1);
            return Start::Going;
        };
        match host.parse::<IpAddr>() {
            Ok(ip) => {
                self.resolved(registry, now, stream, Ok(vec![SocketAddr::new(ip, port)]));
                Start::Going
            }
            Err(_) => Start::Resolve(host, port),
        }
    }

    /// The addresses of a dial's name, or why there are none.
    pub(super) fn resolved(
        &mut self,
        registry: &Registry,
        now: Tick,
        stream: StreamKey,
        found: Result<Vec<SocketAddr>, DialFailure>,
    ) {
        let Some(at) = self.pending.iter().position(|dialing| dialing.stream == stream) else { return };
        let dialing = &mut self.pending[at];
        match found {
            Err(failure) => self.end(at, Err(failure)),
            Ok(addresses) => match permitted(addresses, dialing.dial.rules.as_deref()) {
                Err(failure) => self.end(at, Err(failure)),
                Ok(addresses) => {
                    dialing.left = addresses;
                    self.try_next(registry, now, at);
                }
            },
        }
    }

    /// Gives up a dial.
    pub(super) fn give_up(&mut self, stream: StreamKey) {
        self.pending.retain(|dialing| dialing.stream != stream);
        self.done.retain(|(done, _)| *done != stream);
    }

    /// Something happened to an attempt. Says whether the token is one of an attempt.
    pub(super) fn note(&mut self, registry: &Registry, now: Tick, token: Token) -> bool {
        if token.0 < FIRST_ATTEMPT {
            return false;
        }
        let shakes = |dialing: &Dialing| dialing.handshake.as_ref().is_some_and(|(of, _)| *of == token);
        if let Some(at) = self.pending.iter().position(shakes) {
            self.go_on_with_tls(registry, at);
            return true;
        }
        let of_token = |dialing: &Dialing| dialing.attempts.iter().position(|attempt| attempt.token == token);
        let found = self.pending.iter().enumerate().find_map(|(at, dialing)| Some((at, of_token(dialing)?)));
        let Some((at, which)) = found else { return true };
        let stream = &self.pending[at].attempts[which].stream;
        match stream.take_error().and_then(|error| error.map_or_else(|| stream.peer_addr(), Err)) {
            Ok(_) => {
                let stream = self.pending[at].attempts.swap_remove(which).stream;
                self.connected(registry, at, token, stream);
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotConnected | ErrorKind::WouldBlock) => {}
            Err(error) => {
                let dialing = &mut self.pending[at];
                dialing.attempts.swap_remove(which);
                dialing.failure = Some(failed(&error));
                self.try_next(registry, now, at);
            }
        }
        true
    }

    /// An attempt has connected: it is the one, and the others are dropped.
    fn connected(&mut self, registry: &Registry, at: usize, token: Token, mut stream: TcpStream) {
        let dialing = &mut self.pending[at];
        (dialing.attempts, dialing.left, dialing.next_at) = (Vec::new(), VecDeque::new(), None);
        let connector = dialing.dial.tls.as_ref().and_then(|target| self.connectors.get(target));
        let prepared = match connector {
            None => registry.deregister(&mut stream),
            Some(_) => registry.reregister(&mut stream, token, Interest::READABLE | Interest::WRITABLE),
        };
        match (prepared.and_then(|()| stream.set_nodelay(true)), connector) {
            (Err(error), _) => self.end(at, Err(failed(&error))),
            (Ok(()), None) => self.end(at, Ok(BackendStream::Plain(NetStream::Tcp(stream)))),
            (Ok(()), Some(connector)) => match connector.connect(stream) {
                Ok(tls) => {
                    dialing.handshake = Some((token, tls));
                    self.go_on_with_tls(registry, at);
                }
                Err(why) => self.end(at, Err(DialFailure::Tls(why))),
            },
        }
    }

    fn go_on_with_tls(&mut self, registry: &Registry, at: usize) {
        let Some((token, mut tls)) = self.pending[at].handshake.take() else { return };
        match tls.handshake() {
            Ok(TlsHandshake::Going) => self.pending[at].handshake = Some((token, tls)),
            Ok(TlsHandshake::Done) => {
                let taken = registry.deregister(&mut tls.stream);
                let dialed =
                    taken.map(|()| BackendStream::Tls(Box::new(tls))).map_err(|error| failed(&error));
                self.end(at, dialed);
            }
            Err(error) => self.end(at, Err(DialFailure::Tls(error.to_string()))),
        }
    }

    /// Tries further addresses where the time has come, and ends dials that took too long.
    pub(super) fn expire(&mut self, registry: &Registry, now: Tick) {
        for at in (0..self.pending.len()).rev() {
            if self.pending[at].by <= now {
                let late =
                    || DialFailure::Unreachable("no answer in time (ENCKE_TCP_CONNECT_TIMEOUT)".to_owned());
                let failure = self.pending[at].failure.take().unwrap_or_else(late);
                self.end(at, Err(failure));
            } else if self.pending[at].next_at.is_some_and(|next| next <= now) {
                self.try_next(registry, now, at);
            }
        }
    }

    /// When [`Dials::expire`] is due.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        if !self.done.is_empty() {
            return Some(Tick::ZERO);
        }
        self.pending
            .iter()
            .map(|dialing| dialing.next_at.map_or(dialing.by, |next| next.min(dialing.by)))
            .min()
    }

    /// A dial that has ended, and how.
    pub(super) fn take_done(&mut self) -> Option<(StreamKey, Dialed)> {
        self.done.pop_front()
    }

    fn end(&mut self, at: usize, dialed: Dialed) {
        let Dialing { stream, .. } = self.pending.swap_remove(at);
        self.done.push_back((stream, dialed));
    }

    /// Tries addresses until one is under way. Fails if none is left and none is under way.
    fn try_next(&mut self, registry: &Registry, now: Tick, at: usize) {
        let dialing = &mut self.pending[at];
        dialing.next_at = None;
        if let TargetPlace::Unix(path) = &dialing.dial.place {
            return match unix(path) {
                // The queue of its listener is full, and no event will say when it is not.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    dialing.failure = Some(failed(&error));
                    dialing.next_at = Some(now + ATTEMPT_DELAY);
                }
                done => self.end(at, done.map_err(|error| failed(&error))),
            };
        }
        while let Some(address) = dialing.left.pop_front() {
            let token = Token(FIRST_ATTEMPT + self.next % (u32::MAX as usize - FIRST_ATTEMPT));
            self.next += 1;
            match attempt(registry, token, address) {
                Ok(stream) => {
                    dialing.attempts.push(Attempt { token, stream });
                    dialing.next_at = (!dialing.left.is_empty()).then(|| now + ATTEMPT_DELAY);
                    return;
                }
                Err(error) => dialing.failure = Some(failed(&error)),
            }
        }
        if dialing.attempts.is_empty() {
            let failure = dialing.failure.take().unwrap_or(DialFailure::Forbidden);
            self.end(at, Err(failure));
        }
    }
}

fn attempt(registry: &Registry, token: Token, address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, Interest::WRITABLE)?;
    Ok(stream)
}

fn unix(path: &Path) -> io::Result<BackendStream> {
    UnixStream::connect(path).map(NetStream::Unix).map(BackendStream::Plain)
}

fn failed(error: &io::Error) -> DialFailure {
    let why = error.to_string();
    match error.raw_os_error() {
        Some(EMFILE | ENFILE) => DialFailure::Full(why),
        _ if error.kind() == ErrorKind::ConnectionRefused => DialFailure::Refused(why),
        // A Unix socket that nobody has made.
        _ if error.kind() == ErrorKind::NotFound => DialFailure::Refused(why),
        _ => DialFailure::Unreachable(why),
    }
}

/// No descriptor is left in the process, or in the system (POSIX).
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// The addresses that the rules allow, the families in turns, IPv6 first (RFC 8305, section 4).
fn permitted(
    addresses: Vec<SocketAddr>,
    rules: Option<&[AddressRule]>,
) -> Result<VecDeque<SocketAddr>, DialFailure> {
    if addresses.is_empty() {
        return Err(DialFailure::Unknown("there are none".to_owned()));
    }
    let admitted = |at: &SocketAddr| rules.is_none_or(|rules| admits(rules, at.ip(), at.port()));
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().filter(admitted).partition(SocketAddr::is_ipv6);
    let mut families = [v6.into_iter(), v4.into_iter()];
    let mut turns = VecDeque::new();
    loop {
        let before = turns.len();
        turns.extend(families.iter_mut().filter_map(Iterator::next));
        if turns.len() == before {
            break;
        }
    }
    if turns.is_empty() { Err(DialFailure::Forbidden) } else { Ok(turns) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_rules_are_kept() {
        let found = addresses(&["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"]);
        let turns = permitted(found.clone(), None).unwrap();
        assert_eq!(turns, addresses(&["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1"]));
        assert_eq!(permitted(found, Some(&[])), Err(DialFailure::Forbidden));
        assert!(matches!(permitted(Vec::new(), None), Err(DialFailure::Unknown(_))));
    }
}
