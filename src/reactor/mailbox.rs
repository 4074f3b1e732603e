//! One mailbox per thread: many senders, one receiver that sleeps in `epoll`.
//!
//! Built on the standard library's channel, so letters of one sender arrive in the order in which
//! they were sent, and a letter sent after another was *received* arrives after it. So a message
//! that is published after a confirmed subscription always arrives. The mailbox never blocks and
//! never refuses; senders must check its depth ([`MailboxSender::depth`]) and refuse new work at
//! the edge when it is above a bound.
//!
//! The receiver is woken at most once per sleep: a wake costs a system call, and a shard that is
//! awake checks its mailbox anyway. No wake is lost because both sides do *store, fence, look*:
//!
//! ```text
//! sender:   push the letter       receiver:  asleep = true
//!           fence(SeqCst)                    fence(SeqCst)
//!           asleep? then wake                letter there? then stay awake
//! ```
//!
//! Whichever fence is first in the single total order of fences, the other side sees what was done
//! before it. So either the sender sees `asleep`, or the receiver sees the letter, or both.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    mpsc,
};

/// Ends the receiver's sleep by one system call.
pub trait Wake: Send + Sync {
    /// Ends the receiver's sleep, or the next one if it is not asleep yet.
    fn wake(&self);
}

/// The weight of a letter: one with a hundred messages is the work of a hundred.
pub trait Weigh {
    /// The weight, at least one.
    fn weight(&self) -> usize {
        1
    }
}

impl Wake for mio::Waker {
    fn wake(&self) {
        if let Err(error) = Self::wake(self) {
            log::error!("could not wake a thread: {error}");
        }
    }
}

/// The sending end. Cheap to clone, never blocks.
pub struct MailboxSender<T> {
    letters: mpsc::Sender<T>,
    shared: Arc<MailboxState>,
}

/// The receiving end, owned by the thread that sleeps.
pub struct Mailbox<T> {
    letters: mpsc::Receiver<T>,
    shared: Arc<MailboxState>,
    /// Found by the check before a sleep; the next letter.
    first: Option<T>,
}

/// Whether the receiver may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// The mailbox is empty, and the next sender will wake us.
    Allowed,
    /// A letter is waiting.
    Refused,
}

struct MailboxState {
    /// The weight of the letters sent and not yet taken. Counted before the letter is pushed, so it
    /// never runs below zero.
    depth: AtomicUsize,
    /// The receiver is asleep or about to be, and no sender has woken it yet.
    asleep: AtomicBool,
    waker: Box<dyn Wake>,
}

/// A new mailbox whose receiver `waker` can wake.
pub fn mailbox<T>(waker: impl Wake + 'static) -> (MailboxSender<T>, Mailbox<T>) {
    let (sender, receiver) = mpsc::channel();
    let shared = Arc::new(MailboxState {
        depth: AtomicUsize::new(0),
        asleep: AtomicBool::new(false),
        waker: Box::new(waker),
    });
    let mailbox = Mailbox { letters: receiver, shared: Arc::clone(&shared), first: None };
    (MailboxSender { letters: sender, shared }, mailbox)
}

impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> Self {
        Self { letters: self.letters.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<T: Weigh> MailboxSender<T> {
    /// Sends a letter. It is dropped if the receiver is gone, which only happens while the node
    /// stops.
    pub fn send(&self, letter: T) {
        let weight = letter.weight();
        self.shared.depth.fetch_add(weight, Ordering::Relaxed);
        if self.letters.send(letter).is_err() {
            self.shared.depth.fetch_sub(weight, Ordering::Relaxed);
            return;
        }
        fence(Ordering::SeqCst);
        // The plain load keeps the common case, a receiver that is awake, free of a contended
        // write.
        if self.shared.asleep.load(Ordering::Relaxed) && self.shared.asleep.swap(false, Ordering::AcqRel) {
            self.shared.waker.wake();
        }
    }

    /// The weight of the letters that wait, roughly: other threads change it meanwhile.
    pub fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Relaxed)
    }
}

impl<T: Weigh> Mailbox<T> {
    /// The next letter, in the order of sending.
    pub fn take(&mut self) -> Option<T> {
        // A sender that is gone is no news: its letters stay, and the node is stopping.
        let letter = self.first.take().or_else(|| self.letters.try_recv().ok())?;
        self.shared.depth.fetch_sub(letter.weight(), Ordering::Relaxed);
        Some(letter)
    }

    /// The weight of the letters that wait, roughly.
    pub fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Relaxed)
    }

    /// Must be called before a sleep; forbids it if a letter is waiting.
    pub fn before_sleep(&mut self) -> Sleep {
        if self.first.is_some() {
            return Sleep::Refused;
        }
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.first = self.letters.try_recv().ok();
        if self.first.is_none() {
            return Sleep::Allowed;
        }
        self.after_sleep();
        Sleep::Refused
    }

    /// Must be called after a sleep, however it ended: senders save their system calls from here
    /// on.
    pub fn after_sleep(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }
}

/// Tests count wakes, and wait for one, in a channel.
#[cfg(test)]
impl Wake for mpsc::Sender<()> {
    fn wake(&self) {
        self.send(()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    impl Weigh for i32 {}
    impl Weigh for (u64, u64) {}

    fn with_bell<T>() -> (MailboxSender<T>, Mailbox<T>, mpsc::Receiver<()>) {
        let (bell, rings) = mpsc::channel();
        let (sender, mailbox) = mailbox(bell);
        (sender, mailbox, rings)
    }

    #[test]
    fn letters_are_taken_in_the_order_of_sending() {
        let (sender, mut mailbox, _rings) = with_bell();
        for n in 0..10 {
            sender.send(n);
        }
        assert_eq!(mailbox.before_sleep(), Sleep::Refused);
        assert_eq!(mailbox.depth(), 10, "looking takes nothing");
        assert_eq!(std::iter::from_fn(|| mailbox.take()).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!((sender.depth(), mailbox.before_sleep()), (0, Sleep::Allowed));
    }

    #[test]
    fn a_receiver_that_is_awake_gets_no_wake() {
        let (sender, mut mailbox, rings) = with_bell();
        sender.send(1);
        assert_eq!(mailbox.before_sleep(), Sleep::Refused);
        sender.send(2);
        assert!(rings.try_recv().is_err());
    }

    #[test]
    fn many_letters_during_one_sleep_cost_one_wake() {
        let (sender, mut mailbox, rings) = with_bell();
        assert_eq!(mailbox.before_sleep(), Sleep::Allowed);
        for n in 0..100 {
            sender.send(n);
        }
        assert_eq!(rings.try_iter().count(), 1);
        mailbox.after_sleep();
        sender.send(100);
        assert_eq!(rings.try_iter().count(), 0);
    }

    #[test]
    fn a_letter_to_a_stopped_thread_is_dropped_without_harm() {
        let (sender, mailbox, _rings) = with_bell();
        drop(mailbox);
        sender.send(1);
        assert_eq!(sender.depth(), 0);
    }

    /// A lost wake would leave the receiver waiting at the bell with a letter in the box. Sender
    /// and receiver take turns tightly, so that nearly every letter races with the step into sleep.
    #[test]
    fn no_wake_is_lost_under_contention() {
        const SENDERS: u64 = 3;
        const LETTERS: u64 = 20_000;
        let (sender, mut mailbox, rings) = with_bell();
        let threads: Vec<_> = (0..SENDERS)
            .map(|who| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for n in 0..LETTERS {
                        sender.send((who, n));
                        if n % 3 == who {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; SENDERS as usize];
        while next.iter().sum::<u64>() < SENDERS * LETTERS {
            if mailbox.before_sleep() == Sleep::Allowed {
                rings.recv_timeout(Duration::from_secs(20)).expect("a wake was lost");
                mailbox.after_sleep();
            }
            while let Some((who, n)) = mailbox.take() {
                assert_eq!(next[who as usize], n, "letters of one sender are in order");
                next[who as usize] += 1;
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(sender.depth(), 0);
    }
}
