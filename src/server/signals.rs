//! Signals as events of the main thread's poll.
//!
//! A handler may call almost nothing: `signal-hook`'s sets a flag and writes a byte to a socket
//! that is in the poll. Several signals of one number before the main thread looks count as one.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

/// A request to the node by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// TERM or INT: drain, then exit. A second one: exit at once.
    Terminate,
    /// HUP: reread the keys.
    Reload,
}

/// The signals that the node catches.
pub(super) struct Caught {
    signals: Signals,
}

impl Caught {
    /// Catches the signals from now on; an event with `token` reports them.
    pub(super) fn watch(registry: &Registry, token: Token) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        registry.register(&mut signals, token, Interest::READABLE)?;
        Ok(Self { signals })
    }

    /// The signals that arrived since the last call. None may have: the poll's events can be
    /// spurious.
    pub(super) fn take(&mut self) -> Vec<Signal> {
        let meaning = |number| if number == SIGHUP { Signal::Reload } else { Signal::Terminate };
        self.signals.pending().map(meaning).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, event::Event};
    use signal_hook::low_level::raise;

    use super::*;

    /// HUP alone: the test runner itself listens to the others.
    #[test]
    fn a_signal_ends_the_wait_and_is_reported_once() {
        let mut poll = Poll::new().unwrap();
        let mut caught = Caught::watch(poll.registry(), Token(5)).unwrap();
        let mut events = Events::with_capacity(8);
        for _ in 0..2 {
            raise(SIGHUP).unwrap();
            raise(SIGHUP).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            let tokens: Vec<_> = events.iter().map(Event::token).collect();
            assert_eq!((tokens, caught.take()), (vec![Token(5)], vec![Signal::Reload]));
        }
        assert_eq!(caught.take(), []);
    }
}
