//! The rules for SockJS clients. Their messages have positions, as those of native clients, but
//! they cannot ask for one again: what the server has written and the network has lost is missing.

use super::book::Entry;
use super::{BookId, Oracle};

impl Oracle {
    /// The server had written the message at position `n`, which never arrived.
    pub(crate) fn lost_string(&mut self, now: u64, id: BookId, n: u64) {
        self.strings_lost += 1;
        if let Some(life) = self.books[id].lives.last_mut() {
            life.push(Entry::Gap { from: n.saturating_sub(1), to: n, at: now, apart: false });
        }
    }
}
