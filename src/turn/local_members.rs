//! One shard's users in a watched channel, and the reports to the channel's home.
//!
//! A user counts once, however many sessions it has there. A user that joins and leaves between two
//! reports is in neither.

use std::collections::{BTreeMap, BTreeSet};

/// The users of this shard in one channel.
#[derive(Debug)]
pub(crate) struct LocalMembers {
    /// The number of the home's watch, which the reports repeat.
    pub(crate) watch: u64,
    /// How many sessions each user has there.
    users: BTreeMap<Box<str>, u32>,
    /// Those whose presence has changed since the last report.
    changed: BTreeSet<Box<str>>,
}

/// Changes that the home does not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Users that joined.
    pub came: Vec<Box<str>>,
    /// Users that left.
    pub left: Vec<Box<str>>,
    /// The number of changes for further reports; the next one follows at once.
    pub rest: usize,
}

impl Report {
    /// The number of names.
    pub fn len(&self) -> usize {
        self.came.len() + self.left.len()
    }

    /// Whether it has no names.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl LocalMembers {
    /// An empty list.
    pub(crate) fn new(watch: u64) -> Self {
        Self { watch, users: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// How many sessions each user has there.
    pub(crate) fn users(&self) -> &BTreeMap<Box<str>, u32> {
        &self.users
    }

    /// Adds a session of `user`. Returns whether the home needs a report.
    pub(crate) fn join(&mut self, user: &str) -> bool {
        if let Some(sessions) = self.users.get_mut(user) {
            *sessions += 1;
            return false;
        }
        self.users.insert(user.into(), 1);
        toggle(&mut self.changed, user);
        true
    }

    /// Removes a session of `user`. Returns whether the home needs a report.
    pub(crate) fn leave(&mut self, user: &str) -> bool {
        let Some(sessions) = self.users.get_mut(user) else { return false };
        *sessions -= 1;
        if *sessions > 0 {
            return false;
        }
        self.users.remove(user);
        toggle(&mut self.changed, user);
        true
    }

    /// At most `most` changes that the home does not know.
    pub(crate) fn report(&mut self, most: usize) -> Report {
        let mut report = Report::default();
        while report.len() < most
            && let Some(user) = self.changed.pop_first()
        {
            let there = self.users.contains_key(&user);
            if there { &mut report.came } else { &mut report.left }.push(user);
        }
        report.rest = self.changed.len();
        report
    }
}

/// A second change of a user undoes the first.
pub(crate) fn toggle(changed: &mut BTreeSet<Box<str>>, user: &str) {
    if !changed.remove(user) {
        changed.insert(user.into());
    }
}

#[cfg(test)]
mod tests {
    use crate::turn::local_members::*;

    fn names(list: &[Box<str>]) -> Vec<&str> {
        list.iter().map(|name| &**name).collect()
    }

    #[test]
    fn a_user_counts_once_and_leaves_with_the_last_session() {
        let mut roll = LocalMembers::new(1);
        assert!(roll.join("bob"));
        assert!(!roll.join("bob"));
        assert_eq!(names(&roll.report(10).came), ["bob"]);
        assert!(!roll.leave("bob"));
        assert!(roll.report(10).is_empty());
        assert!(roll.leave("bob"));
        assert_eq!(names(&roll.report(10).left), ["bob"]);
    }

    #[test]
    fn members_that_join_and_leave_between_two_reports_are_in_neither() {
        let mut roll = LocalMembers::new(1);
        roll.join("bob");
        roll.leave("bob");
        assert_eq!(roll.report(10), Report::default());
        roll.leave("never was there");
        assert_eq!(roll.report(10), Report::default());
    }

    #[test]
    fn a_report_has_at_most_so_many_names_and_says_how_many_are_left() {
        let mut roll = LocalMembers::new(1);
        for n in 0..5 {
            roll.join(&n.to_string());
        }
        let first = roll.report(3);
        assert_eq!((names(&first.came), first.rest), (vec!["0", "1", "2"], 2));
        roll.leave("4");
        let second = roll.report(3);
        assert_eq!((names(&second.came), second.left.len(), second.rest), (vec!["3"], 0, 0));
    }
}
