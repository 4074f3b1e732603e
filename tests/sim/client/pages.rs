//! The members of the channels that a client watches, as far as it knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::Presence;

/// A set of users for each channel.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Channels whose presence the session has.
    attended: BTreeSet<String>,
    there: BTreeMap<String, BTreeSet<String>>,
}

impl Pages {
    /// The session watches these, among others.
    pub(crate) fn attend(&mut self, channels: &[String]) {
        self.attended.extend(channels.iter().cloned());
    }

    /// The session is another one, and watches just these. Known members stay valid up to the
    /// position that was sent.
    pub(crate) fn attend_only(&mut self, channels: &[String]) {
        self.attended.clear();
        self.attend(channels);
        self.there.retain(|channel, _| channels.contains(channel));
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn leave(&mut self, channel: &str) {
        self.attended.remove(channel);
        self.there.remove(channel);
    }

    /// Takes an envelope; returns what is wrong with it.
    pub(crate) fn hear(&mut self, report: Presence) -> Result<(), String> {
        let complete = report.more.is_none();
        let (channel, count) = (report.channel.clone(), report.count);
        match (report.users, report.came, report.left) {
            (Some(users), None, None) => {
                if !users.is_sorted() {
                    return Err(format!("a list that is not sorted: {users:?}"));
                }
                if complete && users.len() != count {
                    return Err(format!("{count} users, and a list of {users:?}"));
                }
                self.there.insert(channel, users.into_iter().collect());
            }
            (None, Some(came), Some(left)) => {
                // Envelopes that were on their way when the client unsubscribed are ignored.
                if let Some(there) = self.there.get_mut(&channel) {
                    there.extend(came);
                    left.iter().for_each(|user| _ = there.remove(user));
                }
            }
            other => return Err(format!("neither a list nor news: {other:?}")),
        }
        Ok(())
    }

    /// The known members of each watched channel.
    pub(crate) fn all(&self) -> Vec<(String, Option<BTreeSet<String>>)> {
        self.attended.iter().map(|channel| (channel.clone(), self.there.get(channel).cloned())).collect()
    }
}
