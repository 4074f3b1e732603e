//! Refusals of wrong API keys, which are delayed to slow down guessing.
//!
//! Only the connection with the wrong key waits. Right keys are never delayed, and a request
//! without a key is no guess. Few refusals are delayed at once: a further one closes the connection
//! that has waited for longest, so that guessing on many connections is no faster and takes no
//! connections from others.

use std::collections::VecDeque;

use crate::base::slab::ConnKey;
use crate::conn::Conns;
use crate::conn::limits::WITHHELD_MAX;
use crate::conn::phase::Phase;
use crate::request::reply::Reply;
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::turn::warnings::Warning;
use crate::wire::refusal::Refusal;

/// A delayed refusal.
#[derive(Debug)]
pub struct Withheld {
    /// How to write the response.
    pub reply: Reply,
    /// The refusal.
    pub refusal: Refusal,
}

/// Connections with delayed refusals, the oldest first.
pub(crate) type WithheldQueue = VecDeque<ConnKey>;

impl Conns {
    /// Refuses a wrong API key, after a delay.
    pub(crate) fn withhold(&mut self, cx: &mut Cx, key: ConnKey, reply: Reply, refusal: Refusal) {
        let now = cx.now;
        if self.withheld.len() >= WITHHELD_MAX
            && let Some(oldest) = self.withheld.front().copied()
        {
            self.close(cx, oldest);
        }
        let delay = cx.config.api_key_delay;
        let Some(conn) = self.slab.get_mut(key) else { return };
        let peer = conn.peer();
        conn.phase = Phase::Withheld(Box::new(Withheld { reply, refusal }));
        conn.alarm.set(&mut cx.wheel, now + delay, Timer::Conn(key));
        self.withheld.push_back(key);
        cx.warn(Warning::WrongKey, || {
            let peer =
                peer.map_or_else(|| "a Unix socket".to_owned(), |peer| peer.ip().to_canonical().to_string());
            format!("{peer} shows wrong API keys; each is refused after {} ms", delay.as_millis())
        });
    }

    /// Sends a delayed refusal.
    pub(crate) fn release(&mut self, cx: &mut Cx, key: ConnKey) {
        self.no_longer_withheld(key);
        let Some(conn) = self.slab.get_mut(key) else { return };
        if let Phase::Withheld(withheld) = std::mem::replace(&mut conn.phase, Phase::Idle) {
            self.refuse(cx, key, &withheld.reply, &withheld.refusal);
        }
    }

    /// A connection is answered next, or closes.
    pub(crate) fn no_longer_withheld(&mut self, key: ConnKey) {
        if self.slab.get(key).is_some_and(|conn| matches!(conn.phase, Phase::Withheld(_))) {
            self.withheld.retain(|waiting| *waiting != key);
        }
    }
}
