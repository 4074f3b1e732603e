//! Messages to the program that supervises the node, by systemd's `sd_notify` protocol: ready,
//! draining, and the watchdog's.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is sent. The node is ready once every shard
//! has run a turn. From then on it reports to the watchdog only after every shard has answered the
//! main thread's last question, so that a stuck shard ends the node as a panic does. A message that
//! cannot be sent is logged and changes nothing else.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::base::ticks::{Span, Tick};
use crate::server::limits::{STOP_MARGIN, WATCHDOG_QUESTIONS};
use crate::shard::ShardId;

/// When shards are asked whether they run, and what their answers mean.
pub(super) struct Supervisor {
    /// Time between two questions; `None`: no watchdog, so the first one is the last.
    period: Option<Span>,
    check: HealthCheck,
    /// Bits of all shards.
    all: u64,
    is_ready: bool,
}

#[derive(Clone, Copy)]
enum HealthCheck {
    /// To be asked then.
    Due(Tick),
    /// Asked, and to be asked again no sooner than `next`. Bit `i`: shard `i` has answered.
    Sent { next: Tick, answered: u64 },
    /// Nobody wants to know any more.
    Settled,
}

impl Supervisor {
    /// `all` has a bit for each shard. The watchdog's time comes from the environment.
    pub(super) fn new(now: Tick, all: u64) -> Self {
        Self::with_watchdog(sd_notify::watchdog_enabled(), now, all)
    }

    fn with_watchdog(watchdog: Option<Duration>, now: Tick, all: u64) -> Self {
        let period =
            watchdog.map(|time| Span::from_millis(time.as_millis() as u64).part(1, WATCHDOG_QUESTIONS));
        Self { period, check: HealthCheck::Due(now), all, is_ready: false }
    }

    /// Whether every shard is to be asked now if it runs.
    pub(super) fn asks(&mut self, now: Tick) -> bool {
        match self.check {
            HealthCheck::Due(at) if at <= now => {
                let next = self.period.map_or(now, |period| now + period);
                self.check = HealthCheck::Sent { next, answered: 0 };
                true
            }
            HealthCheck::Due(_) | HealthCheck::Sent { .. } | HealthCheck::Settled => false,
        }
    }

    /// A shard has answered. The last answer is passed on to the supervisor.
    pub(super) fn heard(&mut self, shard: ShardId) {
        if let Some(news) = self.note(shard) {
            tell(&news);
        }
    }

    fn note(&mut self, shard: ShardId) -> Option<Vec<NotifyState<'static>>> {
        let HealthCheck::Sent { next, answered } = self.check else { return None };
        let answered = answered | 1 << shard.0;
        if answered != self.all {
            self.check = HealthCheck::Sent { next, answered };
            return None;
        }
        self.check = if self.period.is_some() { HealthCheck::Due(next) } else { HealthCheck::Settled };
        let mut news = vec![];
        if !self.is_ready {
            self.is_ready = true;
            news.extend([NotifyState::Ready, NotifyState::Status("serving")]);
        }
        if self.period.is_some() {
            news.push(NotifyState::Watchdog);
        }
        Some(news)
    }
}

/// The node leaves, and will be gone within `left`.
pub(super) fn stopping(left: Span) {
    let micros = (left + STOP_MARGIN).as_millis().saturating_mul(1000);
    let extend = NotifyState::ExtendTimeoutUsec(u32::try_from(micros).unwrap_or(u32::MAX));
    tell(&[NotifyState::Stopping, NotifyState::Status("draining"), extend]);
}

fn tell(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        log::warn!("could not notify the supervisor (NOTIFY_SOCKET): {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(news: Option<Vec<NotifyState<'_>>>) -> Option<String> {
        news.map(|news| news.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn at(ms: u64) -> Tick {
        Tick::from_millis(ms)
    }

    #[test]
    fn the_node_is_ready_when_the_last_shard_has_run() {
        let mut supervisor = Supervisor::with_watchdog(None, at(0), 0b11);
        assert!(supervisor.asks(at(0)) && !supervisor.asks(at(1)));
        assert_eq!(joined(supervisor.note(ShardId(1))), None);
        assert_eq!(joined(supervisor.note(ShardId(1))), None, "one shard does not stand for another");
        assert_eq!(joined(supervisor.note(ShardId(0))).as_deref(), Some("READY=1 STATUS=serving"));
        assert!(!supervisor.asks(at(1_000_000)), "without a watchdog nobody asks again");
    }

    #[test]
    fn the_watchdog_is_not_notified_while_a_shard_is_stuck() {
        let mut supervisor = Supervisor::with_watchdog(Some(Duration::from_secs(30)), at(0), 0b11);
        assert!(supervisor.asks(at(0)));
        supervisor.note(ShardId(0));
        assert_eq!(joined(supervisor.note(ShardId(1))).as_deref(), Some("READY=1 STATUS=serving WATCHDOG=1"));
        assert!(!supervisor.asks(at(9_999)) && supervisor.asks(at(10_000)));
        assert_eq!(joined(supervisor.note(ShardId(0))), None);
        assert!(!supervisor.asks(at(40_000)), "shard 1 owes an answer");
        assert_eq!(joined(supervisor.note(ShardId(1))).as_deref(), Some("WATCHDOG=1"));
        assert!(supervisor.asks(at(40_000)));
    }
}
