//! Signals as events of the main thread's poll.
//!
//! A handler may call almost nothing, so each writes one byte into its own socket, whose other end
//! is in the poll. Several signals of one kind before the main thread looks count as one.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
};

use mio::{Interest, Registry, Token};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    low_level::pipe,
};

/// A request to the node by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// TERM or INT: drain, then exit. A second one: exit at once.
    Terminate,
    /// HUP: reread the keys.
    Reload,
}

/// The receiving ends.
pub(super) struct Signals {
    pipes: Vec<(Token, Signal, mio::net::UnixStream)>,
}

impl Signals {
    /// Catches the signals from now on, and watches them with tokens from `first_token` on.
    pub(super) fn catch(registry: &Registry, first_token: usize) -> io::Result<Self> {
        let mut pipes = Vec::with_capacity(CAUGHT.len());
        for (offset, (number, signal)) in CAUGHT.into_iter().enumerate() {
            let (sender, receiver) = UnixStream::pair()?;
            receiver.set_nonblocking(true)?;
            let mut receiver = mio::net::UnixStream::from_std(receiver);
            let token = Token(first_token + offset);
            registry.register(&mut receiver, token, Interest::READABLE)?;
            pipe::register(number, sender)?;
            pipes.push((token, signal, receiver));
        }
        Ok(Self { pipes })
    }

    /// The signal behind the event with this token, if it is one of ours and not spurious.
    pub(super) fn take(&mut self, token: Token) -> Option<Signal> {
        let (_, signal, receiver) = self.pipes.iter_mut().find(|(own, ..)| *own == token)?;
        let mut bytes = [0; 64];
        let mut came = None;
        while receiver.read(&mut bytes).is_ok_and(|count| count > 0) {
            came = Some(*signal);
        }
        came
    }
}

const CAUGHT: [(i32, Signal); 3] =
    [(SIGTERM, Signal::Terminate), (SIGINT, Signal::Terminate), (SIGHUP, Signal::Reload)];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};
    use signal_hook::low_level::raise;

    use super::*;

    /// HUP alone: the test runner itself listens to the others.
    #[test]
    fn a_signal_ends_the_wait_and_is_told_once() {
        let mut poll = Poll::new().unwrap();
        let mut signals = Signals::catch(poll.registry(), 5).unwrap();
        raise(SIGHUP).unwrap();
        raise(SIGHUP).unwrap();
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
        let told: Vec<_> = events.iter().filter_map(|event| signals.take(event.token())).collect();
        assert_eq!(told, [Signal::Reload]);
        assert_eq!(signals.take(Token(99)), None);
    }
}
