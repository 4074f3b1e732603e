//! Catching up: the messages that a session has not had, from all its logs, in one order.
//!
//! Cost: one look-up for each subscription, then O(log subscriptions) for each message. A message
//! that is in several logs is delivered once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::hub::Hub;
use crate::hub::channel::{Began, Subscription};
use crate::hub::publication::Publication;

impl Hub {
    /// Where the gap of a reader at `cursor` ends, if logs have dropped messages that it has not
    /// had.
    pub fn missing(&self, cursor: u64, subscriptions: &[Subscription]) -> Option<u64> {
        let forgotten = subscriptions.iter().filter_map(|subscription| {
            let Began::After(began) = subscription.began else { return None };
            let from = self.channel(subscription.channel)?.log.complete_from();
            (from > cursor.max(began)).then_some(from)
        });
        forgotten.max()
    }

    /// Whether there are messages for a reader at `cursor`.
    pub fn has_more(&self, cursor: u64, subscriptions: &[Subscription]) -> bool {
        subscriptions.iter().any(|subscription| match subscription.began {
            Began::After(began) => self
                .channel(subscription.channel)
                .and_then(|channel| channel.log.newest())
                .is_some_and(|newest| newest > cursor.max(began)),
            Began::Awaited { .. } | Began::Conflated => false,
        })
    }

    /// Hands the messages above `cursor` to `take`, oldest first, until it returns `false`.
    pub fn catch_up(
        &self,
        cursor: u64,
        subscriptions: &[Subscription],
        mut take: impl FnMut(&Rc<Publication>) -> bool,
    ) {
        let mut news = subscriptions.iter().filter_map(|subscription| match subscription.began {
            Began::After(began) => {
                let mut source = self.channel(subscription.channel)?.log.after(cursor.max(began)).peekable();
                source.peek().is_some().then_some(source)
            }
            Began::Awaited { .. } | Began::Conflated => None,
        });
        let Some(first) = news.next() else { return };
        let Some(second) = news.next() else {
            // Usually there is one, and nothing to merge.
            for publication in first {
                if !take(publication) {
                    return;
                }
            }
            return;
        };
        let mut sources: Vec<_> = [first, second].into_iter().chain(news).collect();
        let mut next: BinaryHeap<_> =
            (0..).zip(&mut sources).filter_map(|(i, source)| Some(Reverse((source.peek()?.n, i)))).collect();
        let mut had = cursor;
        while let Some(Reverse((n, i))) = next.pop() {
            let source: &mut std::iter::Peekable<_> = &mut sources[i];
            let Some(publication) = source.next() else { continue };
            if let Some(following) = source.peek() {
                next.push(Reverse((following.n, i)));
            }
            if n > had {
                had = n;
                if !take(publication) {
                    return;
                }
            }
        }
    }
}
