//! The subscriptions of one session: a list whose places other tables refer to, with an index if it
//! is long.
//!
//! Most sessions have a few subscriptions, and a walk over these is cheaper than any table. With
//! many, each command that names a channel would walk all of them: a batch of 1,000 commands would
//! visit a million. So a long list has an index, by the channels' slots: a channel with a
//! subscriber is never removed, so its slot alone identifies it.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use crate::base::slab::{ChannelKey, SlabKey};
use crate::hub::channel::Subscription;
use crate::session::limits::SUBSCRIPTIONS_WALKED_MAX;

/// A session's subscriptions, at most one for each channel.
#[derive(Debug, Default)]
pub struct Subscriptions {
    list: Vec<Subscription>,
    /// The place in the list, by the channel's slot.
    #[expect(
        clippy::box_collection,
        reason = "few sessions have one, and a map takes four times a box's place"
    )]
    index: Option<Box<BTreeMap<u32, u32>>>,
}

impl Subscriptions {
    /// An empty list, with room for `count`.
    pub fn with_capacity(count: usize) -> Self {
        Self { list: Vec::with_capacity(count), index: None }
    }

    /// Makes room for exactly `more` further ones.
    pub fn reserve_exact(&mut self, more: usize) {
        self.list.reserve_exact(more);
    }

    /// The place of the subscription to a channel.
    pub fn place(&self, channel: ChannelKey) -> Option<usize> {
        match &self.index {
            Some(index) => {
                let at = *index.get(&channel.index())? as usize;
                (self.list.get(at)?.channel == channel).then_some(at)
            }
            None => self.list.iter().position(|subscription| subscription.channel == channel),
        }
    }

    /// The subscription to a channel.
    pub fn to(&self, channel: ChannelKey) -> Option<&Subscription> {
        self.list.get(self.place(channel)?)
    }

    /// Appends a subscription.
    pub fn push(&mut self, subscription: Subscription) {
        let at = self.list.len() as u32;
        self.list.push(subscription);
        match &mut self.index {
            Some(index) => drop(index.insert(subscription.channel.index(), at)),
            None if self.list.len() > SUBSCRIPTIONS_WALKED_MAX => {
                let slots = self.list.iter().map(|subscription| subscription.channel.index());
                self.index = Some(Box::new(slots.zip(0..).collect()));
            }
            None => {}
        }
    }

    /// Removes a subscription. The last one takes its place.
    pub fn swap_remove(&mut self, at: usize) -> Subscription {
        let removed = self.list.swap_remove(at);
        if self.list.len() <= SUBSCRIPTIONS_WALKED_MAX / 2 {
            self.index = None;
        }
        if let Some(index) = &mut self.index {
            index.remove(&removed.channel.index());
            if let Some(moved) = self.list.get(at) {
                index.insert(moved.channel.index(), at as u32);
            }
        }
        removed
    }
}

impl Deref for Subscriptions {
    type Target = [Subscription];

    fn deref(&self) -> &[Subscription] {
        &self.list
    }
}

impl DerefMut for Subscriptions {
    fn deref_mut(&mut self) -> &mut [Subscription] {
        &mut self.list
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use crate::hub::channel::{Began, SessionStage};
    use crate::session::subscriptions::*;

    fn channel(index: u32) -> ChannelKey {
        ChannelKey::new(index, NonZeroU32::MIN)
    }

    proptest! {
        /// The slow twin is a walk over the list.
        #[test]
        fn a_subscription_is_found_where_it_is(steps in prop::collection::vec((0u32..60, any::<bool>()), 0..300)) {
            let mut all = Subscriptions::with_capacity(1);
            for (index, adds) in steps {
                let key = channel(index);
                let walked = all.iter().position(|at| at.channel == key);
                prop_assert_eq!(all.place(key), walked);
                match walked {
                    Some(at) if !adds => prop_assert_eq!(all.swap_remove(at).channel, key),
                    None if adds => {
                        let (began, stage) = (Began::After(0), SessionStage::Later);
                        all.push(Subscription { channel: key, slot: 0, began, stage });
                    }
                    Some(_) | None => {}
                }
            }
            for index in 0..60 {
                let walked = all.iter().position(|at| at.channel == channel(index));
                prop_assert_eq!(all.place(channel(index)), walked);
            }
        }

        #[test]
        fn a_new_entry_in_a_reused_slot_is_not_found(count in 1u32..40) {
            let mut all = Subscriptions::default();
            for index in 0..count {
                let (began, stage) = (Began::After(0), SessionStage::Later);
                all.push(Subscription { channel: channel(index), slot: 0, began, stage });
            }
            let stale = ChannelKey::new(0, NonZeroU32::new(2).unwrap());
            prop_assert_eq!(all.place(stale), None);
        }
    }
}
