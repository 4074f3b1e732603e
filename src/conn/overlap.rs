//! Two long polls of one session at once: the first has the key of the second.

use crate::base::slab::ConnKey;
use crate::conn::Conns;
use crate::conn::phase::{Conn, Phase};

impl Conns {
    /// Removes and returns the long poll that waits behind another one.
    pub(crate) fn take_second(&mut self, first: ConnKey) -> Option<ConnKey> {
        let Phase::Parked(poll) = &mut self.slab.get_mut(first)?.phase else { return None };
        poll.behind.take()
    }

    /// Removes the second of two long polls from the first.
    pub(crate) fn leave_from_behind(&mut self, first: ConnKey, second: ConnKey) {
        if let Some(Conn { phase: Phase::Parked(ahead), .. }) = self.slab.get_mut(first) {
            ahead.behind.take_if(|behind| *behind == second);
        }
    }
}
