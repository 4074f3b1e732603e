//! Refusals of wrong API keys, which are given late: whoever guesses learns little in much time.
//!
//! Nobody waits for that but the connection that showed the wrong key. Right keys are never late, and a request without a key is
//! no guess. Few refusals are withheld at once: a further one closes the connection that has waited for longest without an
//! answer, so that guessing on many connections is no faster and takes no connections from others.

use std::collections::VecDeque;

use crate::base::slab::ConnKey;
use crate::base::ticks::Span;
use crate::shard::Timer;
use crate::shard::conn::Phase;
use crate::shard::conns::Conns;
use crate::shard::cx::Cx;
use crate::shard::reply::Reply;
use crate::shard::warnings::Warning;
use crate::wire::refusal::Refusal;

/// An answer that waits.
#[derive(Debug)]
pub struct Withheld {
    /// How to answer.
    pub reply: Reply,
    /// What.
    pub refusal: Refusal,
}

/// Connections whose answers wait, the oldest first.
pub(super) type Line = VecDeque<ConnKey>;

impl Conns {
    /// Refuses a wrong API key, after a while.
    pub(super) fn withhold(&mut self, cx: &mut Cx, key: ConnKey, reply: Reply, refusal: Refusal) {
        let now = cx.now;
        if self.withheld.len() >= WITHHELD_MAX
            && let Some(oldest) = self.withheld.front().copied()
        {
            self.close(cx, oldest);
        }
        let Some(conn) = self.slab.get_mut(key) else { return };
        let peer = conn.peer;
        conn.phase = Phase::Withheld(Box::new(Withheld { reply, refusal }));
        conn.alarm.set(&mut cx.wheel, now + DELAY, Timer::Conn(key));
        self.withheld.push_back(key);
        cx.warn(Warning::WrongKey, || {
            let peer =
                peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_canonical().to_string());
            format!("{peer} shows wrong API keys; each is refused after {} ms", DELAY.as_millis())
        });
    }

    /// The time of a withheld answer has come.
    pub(super) fn release(&mut self, cx: &mut Cx, key: ConnKey) {
        self.no_longer_withheld(key);
        let Some(conn) = self.slab.get_mut(key) else { return };
        if let Phase::Withheld(withheld) = std::mem::replace(&mut conn.phase, Phase::Idle) {
            self.refuse(cx, key, &withheld.reply, &withheld.refusal);
        }
    }

    /// A connection is about to be answered, or to go.
    pub(super) fn no_longer_withheld(&mut self, key: ConnKey) {
        if self.slab.get(key).is_some_and(|conn| matches!(conn.phase, Phase::Withheld(_))) {
            self.withheld.retain(|waiting| *waiting != key);
        }
    }
}

/// How late a wrong key is refused.
const DELAY: Span = Span::from_secs(1);

/// Answers that one shard withholds at once.
const WITHHELD_MAX: usize = 16;
