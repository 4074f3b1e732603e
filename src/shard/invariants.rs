//! What must be true after every turn. Walks the whole shard: for debug builds and tests.

use crate::conn::phase::Phase;
use crate::conn::pipeline::Outcome;
use crate::core::Core;
use crate::session::Link;
use crate::shard::Shard;

/// The number of entries of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub conns: usize,
    /// Sessions.
    pub sessions: usize,
    /// Channels, patterns and private logs.
    pub channels: usize,
    /// Watched channels: lists here, and rooms at their home.
    pub watched: usize,
    /// Pending requests.
    pub pending: usize,
    /// Armed timers.
    pub timers: usize,
    /// Messages in logs.
    pub log_messages: usize,
    /// Their size in bytes.
    pub log_bytes: usize,
}

impl Core {
    fn check_sessions(&self) {
        for (key, session) in self.sessions.iter() {
            let phase = session.link.conn().map(|conn| &self.conns[conn].phase);
            let agrees = match (session.link, phase) {
                (Link::Detached, None) => true,
                (Link::Parked(_), Some(Phase::Parked(poll))) => poll.session == key,
                // Woken after the end of the turn, by a request that waited for its predecessor:
                // the next turn answers it.
                (Link::Waking(_), Some(Phase::Parked(poll))) => {
                    poll.session == key && self.waking.contains(&key)
                }
                (Link::Level(_) | Link::Behind(_), Some(Phase::Streaming(exchange))) => {
                    exchange.session == key
                }
                // Its complete response is being written.
                (Link::Level(_) | Link::Behind(_), Some(Phase::Finishing { session, .. })) => *session == key,
                // A client that acknowledges messages, on a socket.
                (Link::Parked(_) | Link::Waking(_), Some(Phase::Streaming(exchange))) => {
                    exchange.session == key && !session.client.is_native()
                }
                _ => false,
            };
            assert!(agrees, "a session and its connection disagree: {:?}", session.link);
            assert!(
                session.link != Link::Detached || session.alarm.due().is_some(),
                "a detached session without an end"
            );
            let waits = self.hub.has_more(session.cursor, &session.subscriptions);
            assert!(
                !waits || !matches!(session.link, Link::Parked(_) | Link::Level(_)),
                "a message waits beside {:?}",
                session.link
            );
            let unpushed = session.subscriptions.iter().filter(|s| !s.began.is_pushed()).count();
            assert_eq!(unpushed, session.unpushed as usize);
        }
    }

    fn check_conns(&self) {
        let mut open = [0; crate::turn::metrics::LISTENERS];
        let kept: usize = self.conns.iter().map(|(_, conn)| conn.kept as usize).sum();
        assert_eq!(kept, self.conns.unfinished.held(), "unfinished input is counted wrong");
        for (key, conn) in self.conns.iter() {
            assert!(conn.kept as usize >= conn.input_bytes(), "a connection keeps more than is counted");
            open[conn.listener as usize] += 1;
            match &conn.phase {
                Phase::Parked(poll) => assert_eq!(self.sessions[poll.session].link.conn(), Some(key)),
                Phase::Behind(poll) => {
                    let first = self.sessions[poll.session].link.conn().map(|first| &self.conns[first].phase);
                    let knows = matches!(first, Some(Phase::Parked(first)) if first.behind == Some(key));
                    assert!(knows, "a poll waits behind nothing");
                }
                Phase::Streaming(exchange) => {
                    assert_eq!(self.sessions[exchange.session].link.conn(), Some(key));
                }
                Phase::Waiting(queue) => {
                    let waits = match queue.first().map(|asked| &asked.outcome) {
                        Some(Outcome::Open(pending)) => self.pending.get(*pending).is_some(),
                        Some(Outcome::Known(_) | Outcome::Refused(_)) | None => false,
                    };
                    assert!(waits, "a request waits for nothing");
                    continue;
                }
                Phase::Silent { .. }
                | Phase::Preface(_)
                | Phase::Greeting { .. }
                | Phase::Unbound(_)
                | Phase::Echo(_)
                | Phase::Closing(_)
                | Phase::Idle
                | Phase::Head { .. }
                | Phase::Body(_)
                | Phase::Withheld(_)
                | Phase::Flushing(_)
                | Phase::Finishing { .. }
                | Phase::Lingering => {}
            }
            assert!(conn.alarm.due().is_some(), "a connection without a deadline: {:?}", conn.phase);
        }
        assert_eq!(open, self.cx.metrics.open);
        let counts = |phase: &Phase| matches!(phase, Phase::Silent { network: Some(_), .. });
        let silent = self.conns.iter().filter(|(_, conn)| counts(&conn.phase)).count();
        assert_eq!(silent, self.conns.silent.len(), "silent connections are miscounted");
        if !self.cx.takes_clients() {
            // Only connects that are answered at a random time are still held.
            let attached: u64 = self.cx.metrics.attached.iter().sum();
            let held = self.conns.iter().filter(|(key, _)| self.is_held(*key)).count();
            assert_eq!(attached, held as u64, "somebody was not told to go");
        }
    }

    fn check_lists(&self) {
        for (key, session) in self.sessions.iter() {
            for (slot, subscription) in session.subscriptions.iter().enumerate() {
                let list = &self.hub.channel(subscription.channel).expect("a subscribed channel").subscribers;
                let own = list[subscription.slot as usize];
                assert_eq!((own.session, own.slot as usize), (key, slot), "lists disagree");
            }
        }
        let listed: usize = self.hub.channels().map(|(_, channel)| channel.subscribers.len()).sum();
        let held: usize = self.sessions.iter().map(|(_, session)| session.subscriptions.len()).sum();
        assert_eq!(listed, held, "a channel lists a session that is gone");
    }
}

impl Shard {
    /// The number of entries of each kind.
    pub fn counts(&self) -> Counts {
        let (log_messages, log_bytes) = self.core.hub.held();
        Counts {
            conns: self.core.conns.len(),
            sessions: self.core.sessions.len(),
            channels: self.core.hub.len(),
            watched: self.core.presence.len(),
            pending: self.core.pending.len() + self.core.recalls.len(),
            timers: self.core.cx.wheel.len(),
            log_messages,
            log_bytes,
        }
    }

    /// Panics if an invariant is violated.
    pub fn check_invariants(&self) {
        self.core.hub.check_invariants();
        self.core.check_sessions();
        self.core.check_conns();
        self.core.check_lists();
        self.core.check_presence();
        self.check_fronts();
        self.core.check_batch_queues();
        let counted = self.core.sessions.iter().filter(|(_, session)| session.address.is_some()).count();
        assert_eq!(counted, self.core.addresses.total(), "sessions are counted for a wrong address");
    }
}
