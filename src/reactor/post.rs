//! The messages between threads, and the addresses of their mailboxes.
//!
//! Shards send mail and connections; the hook threads send answers; the main thread sends orders
//! and gets reports. Everything goes through [a mailbox](mod@super::mailbox), so it arrives in one
//! order. A mailbox refuses nothing: over its bound its shard counts as congested, and the other
//! shards refuse new publications for it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{
    fault::Fault,
    mailbox::{MailboxSender, Weigh},
    stream::NetStream,
};
use crate::auth::KeySet;
use crate::base::slab::{PendingKey, StreamKey};
use crate::base::ticks::Tick;
use crate::config::SHARDS_MAX;
use crate::shard::{Keys, Parcel, ShardId};
use crate::turn::hook::HookAnswer;
use crate::turn::mail::Mail;
use crate::turn::stream::DialFailure;

/// The content of a shard's mailbox.
pub enum Letter {
    /// From a shard to a shard.
    Mail {
        /// The sending shard.
        from: ShardId,
        /// For the receiving shard to understand.
        mail: Mail,
    },
    /// A connection moves here.
    Moved {
        /// In no poll at the moment.
        stream: NetStream,
        /// The old shard's state of it, including unparsed bytes.
        parcel: Parcel,
    },
    /// The result of a hook's call.
    Hooked {
        /// The pending request of the shard.
        pending: PendingKey,
        /// The answer.
        answer: HookAnswer,
    },
    /// The addresses of a server's name.
    Resolved {
        /// The stream that waits for them.
        stream: StreamKey,
        /// The addresses, or why there are none.
        found: Result<Vec<SocketAddr>, DialFailure>,
    },
    /// From the main thread.
    Order(Order),
}

impl Weigh for Letter {
    fn weight(&self) -> usize {
        match self {
            Self::Mail { mail, .. } => mail.weight(),
            Self::Moved { .. } | Self::Hooked { .. } | Self::Resolved { .. } | Self::Order(_) => 1,
        }
    }
}

/// Orders of the main thread to a shard.
#[derive(Clone)]
pub enum Order {
    /// The wall clock has moved against the monotonic one.
    Wall {
        /// Wall-clock milliseconds since 1970 at the start of the clock, as it is now.
        unix_ms_at_zero: u64,
    },
    /// Fail health checks from now on, and keep serving.
    Leave,
    /// Accept no new clients, close the connections, and finish `by` then.
    Drain {
        /// The moment at which the node stops, done or not.
        by: Tick,
    },
    /// Use these keys from now on.
    Reload {
        /// Reread by the main thread.
        keys: Arc<Keys>,
    },
    /// Report that the shard runs its turns.
    Alive,
    /// Stop now. Sent when all shards have drained, so that no mail is pending.
    Stop,
}

/// Reports of a shard's thread to the main thread.
#[derive(Debug)]
pub enum ThreadReport {
    /// The shard runs its turns: the answer to [`Order::Alive`].
    Alive(ShardId),
    /// The shard has drained.
    Drained(ShardId),
    /// The result of fetching the issuer's keys.
    TokenKeys(Result<KeySet, String>),
    /// The thread has stopped, after [`Order::Stop`] or because of a fault.
    Stopped(ShardId, Result<(), Fault>),
}

impl Weigh for ThreadReport {}

/// The mailboxes of all shards, by their ids.
#[derive(Clone)]
pub struct Postbox {
    shards: Arc<[MailboxSender<Letter>]>,
    /// Letters in one mailbox above which its shard is congested.
    bound: usize,
}

impl Postbox {
    /// `shards[i]` is the mailbox of shard `i`; `bound` is `ENCKE_MAILBOX`.
    pub fn new(shards: Vec<MailboxSender<Letter>>, bound: usize) -> Self {
        assert!(shards.len() <= SHARDS_MAX, "the congestion mask has one bit for each shard");
        Self { shards: shards.into(), bound }
    }

    /// Sends to one shard.
    pub fn send(&self, to: ShardId, letter: Letter) {
        match self.shards.get(usize::from(to.0)) {
            Some(mailbox) => mailbox.send(letter),
            None => debug_assert!(false, "there is no shard {}", to.0),
        }
    }

    /// Sends an order to every shard.
    pub fn order(&self, order: &Order) {
        for mailbox in &*self.shards {
            mailbox.send(Letter::Order(order.clone()));
        }
    }

    /// Which shards are congested, bit `i` for shard `i`. One that was (`before`) stays so until
    /// its mailbox is down to half the bound: otherwise one batch could be partly accepted and
    /// partly refused.
    pub fn congested(&self, before: u64) -> u64 {
        let bit = |(index, mailbox): (usize, &MailboxSender<Letter>)| {
            let bound = if before & (1 << index) == 0 { self.bound } else { self.bound / 2 };
            u64::from(mailbox.depth() > bound) << index
        };
        self.shards.iter().enumerate().map(bit).fold(0, |mask, bit| mask | bit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::mailbox::{Mailbox, mailbox};
    use super::*;

    fn two_shards(bound: usize) -> (Postbox, Vec<Mailbox<Letter>>) {
        let (senders, mailboxes) = (0..2).map(|_| mailbox(mpsc::channel().0)).unzip();
        (Postbox::new(senders, bound), mailboxes)
    }

    #[test]
    fn a_shard_is_congested_above_the_bound_and_free_again_at_half_of_it() {
        let (postbox, mut mailboxes) = two_shards(4);
        for _ in 0..4 {
            postbox.send(ShardId(1), Letter::Order(Order::Stop));
        }
        assert_eq!(postbox.congested(0), 0, "the bound itself is allowed");
        postbox.send(ShardId(1), Letter::Order(Order::Stop));
        assert_eq!(postbox.congested(0), 0b10);
        mailboxes[1].take();
        mailboxes[1].take();
        assert_eq!(postbox.congested(0b10), 0b10);
        mailboxes[1].take();
        assert_eq!(postbox.congested(0b10), 0);
    }

    #[test]
    fn an_order_reaches_every_shard() {
        let (postbox, mut mailboxes) = two_shards(4);
        postbox.order(&Order::Drain { by: Tick::from_millis(7) });
        for mailbox in &mut mailboxes {
            let letter = mailbox.take();
            assert!(matches!(letter, Some(Letter::Order(Order::Drain { by })) if by == Tick::from_millis(7)));
        }
    }
}
