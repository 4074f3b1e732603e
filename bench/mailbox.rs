//! Letters between two threads through the reactor's own mailbox: sleeping in `epoll`, woken
//! through an `eventfd`.
//!
//! `one way` is throughput, the unit one letter: a burst to a shard that is awake most of the time.
//! `there and back` is the most expensive case, the unit one round trip: both threads sleep between
//! letters, so each letter costs a wake.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use encke::protocol::native::envelope::{Encoding, Message};
use encke::reactor::mailbox::{Mailbox, MailboxSender, Sleep, Weigh, mailbox};
use encke::turn::mail::Mail;
use mio::{Events, Poll, Token, Waker};

use crate::suite::{Pass, Repeats, Suite, size};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    let burst = size(100_000, 1_000);
    suite.run(("mailbox", "one way"), Pass::Elements(burst), Repeats::Roughly, Pair::new, |pair| {
        (0..burst).for_each(|_| pair.there.send(letter(&pair.message)));
        pair.there.send(Letter::Answer);
        pair.own.wait();
    });
    let trips = size(1_000, 100);
    suite.run(("mailbox", "there and back"), Pass::Elements(trips), Repeats::Roughly, Pair::new, |pair| {
        for _ in 0..trips {
            pair.there.send(Letter::Answer);
            pair.own.wait();
        }
    });
}

/// A letter of the benchmark.
enum Letter {
    /// A forward between shards.
    Mail(Mail),
    /// A request to answer.
    Answer,
    End,
}

impl Weigh for Letter {}

fn letter(message: &Arc<Message>) -> Letter {
    Letter::Mail(Mail::Forward { messages: vec![Arc::clone(message)] })
}

/// This thread's end, and another thread that takes letters.
struct Pair {
    there: MailboxSender<Letter>,
    own: Seat,
    message: Arc<Message>,
    thread: Option<JoinHandle<()>>,
}

/// A mailbox and the poll that its owner sleeps in.
struct Seat {
    poll: Poll,
    events: Events,
    mailbox: Mailbox<Letter>,
}

impl Pair {
    fn new() -> Self {
        let (there, mut far) = Seat::new();
        let (back, own) = Seat::new();
        let thread = thread::spawn(move || {
            loop {
                match far.wait() {
                    Letter::Mail(mail) => drop(black_box(mail)),
                    Letter::Answer => back.send(Letter::Answer),
                    Letter::End => return,
                }
            }
        });
        let message = Arc::new(Message {
            channel: "/c".into(),
            from: None,
            data: "1".into(),
            encoding: Encoding::Json,
        });
        Self { there, own, message, thread: Some(thread) }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.there.send(Letter::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Seat {
    fn new() -> (MailboxSender<Letter>, Self) {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let (sender, mailbox) = mailbox(waker);
        (sender, Self { poll, events: Events::with_capacity(8), mailbox })
    }

    /// The next letter; sleeps if there is none.
    fn wait(&mut self) -> Letter {
        loop {
            if let Some(letter) = self.mailbox.take() {
                return letter;
            }
            if self.mailbox.before_sleep() == Sleep::Allowed {
                // A poll that fails or is interrupted is repeated.
                let _ = self.poll.poll(&mut self.events, None);
            }
            self.mailbox.after_sleep();
        }
    }
}
