//! Bayeux messages in execution, and the state of the sockets that bring them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::auth::Grant;
use crate::base::slab::SessionKey;
use crate::base::ticks::Tick;
use crate::call::pending::ItemAnswer;
use crate::call::queue::{Ahead, Pause};
use crate::protocol::bayeux::held::Held;
use crate::protocol::bayeux::message::{BayeuxConnect, BayeuxHead, BayeuxMessage, Names, Timesync};
use crate::protocol::native::envelope;
use crate::request::bayeux::{BayeuxCaller, BrowserId};
use crate::transport::Dialect;
use crate::turn::hook::Hook;
use crate::turn::publishing::PublishDigest;
use crate::wire::channel_name::ChannelName;

/// The state of a socket that speaks Bayeux.
#[derive(Debug)]
pub struct BayeuxSocket {
    /// The client, from the head that opened the socket.
    pub caller: BayeuxCaller,
    /// The session that was created or continued on it.
    pub session: Option<SessionKey>,
    /// When the socket opened, if its head had no cookie.
    pub unmarked: Option<Tick>,
    /// Connects for sessions that are not its own, since the last message for one that is.
    pub refused: u8,
    /// The connect without an answer yet.
    pub held: Option<Box<Held>>,
    /// When it ends, if its user is a guest here.
    pub leaves: Option<Tick>,
    /// The wire format of its messages.
    pub dialect: Dialect,
}

/// The messages of one request or socket message, with their answers so far.
#[derive(Debug)]
pub struct Call {
    /// The client that sent them.
    pub caller: BayeuxCaller,
    /// The session that was created or continued on the same socket before.
    pub own: Option<SessionKey>,
    /// The number of messages.
    pub of: usize,
    /// Messages that are not executed yet.
    pub rest: VecDeque<BayeuxMessage>,
    /// The home of the publishes without an answer yet.
    pub ahead: Ahead,
    /// Why the rest waits.
    pub waits: Waits,
    /// Hooks that have failed once for this call: it does not wait for them again.
    pub silent: Vec<Hook>,
    /// One for each message except connects.
    pub answers: Vec<ItemAnswer>,
    /// Its connect, which is answered last.
    pub connect: Option<(SessionKey, Box<Held>, BayeuxConnect)>,
    /// The cookie that the answer sets.
    pub cookie: Option<BrowserId>,
}

/// Why the remaining messages of a call wait.
#[derive(Debug)]
pub enum Waits {
    /// They do not: they are being executed, or none is left.
    Nothing,
    /// For a hook's answer about the message before them.
    Hook(Box<HookedOperation>),
    /// For publishes before them, or for the call's turn.
    Queue(Pause),
}

impl Call {
    /// Why its remaining messages wait, if not for a hook.
    pub(crate) fn pause(&self) -> Option<Pause> {
        match self.waits {
            Waits::Queue(pause) => Some(pause),
            Waits::Nothing | Waits::Hook(_) => None,
        }
    }

    /// The operation that waited for a hook, whose answer is here.
    pub(crate) fn take_asked(&mut self) -> Option<HookedOperation> {
        match std::mem::replace(&mut self.waits, Waits::Nothing) {
            Waits::Hook(asked) => Some(*asked),
            others @ (Waits::Nothing | Waits::Queue(_)) => {
                self.waits = others;
                None
            }
        }
    }

    /// Its remaining messages can be executed.
    pub(crate) fn resume(&mut self) {
        self.waits = Waits::Nothing;
    }
}

/// An operation that waits for a hook.
#[derive(Debug)]
pub struct HookedOperation {
    pub(crate) head: BayeuxHead,
    pub(crate) operation: Operation,
    pub(crate) hook: Hook,
    pub(crate) part: Part,
}

/// Whether a call itself called the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It did; its publish, by which a repeat of the message is recognised.
    Asks(Option<PublishDigest>),
    /// It waits for the answer to another call with the same message.
    Repeats,
}

/// The client for which a handshake creates a session, and the extensions that it asks for.
#[derive(Debug)]
pub(crate) struct NewClient {
    pub(crate) caller: BayeuxCaller,
    pub(crate) grant: Rc<Grant>,
    pub(crate) ack: bool,
    pub(crate) timesync: Option<Timesync>,
}

/// A message that passed every check of tokens and claims.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Create a session.
    Handshake(NewClient),
    /// Subscribe a session.
    Subscribe { caller: BayeuxCaller, key: SessionKey, names: Names },
    /// Publish to a channel's subscribers.
    Publish { key: SessionKey, name: ChannelName, message: Arc<envelope::Message> },
    /// Send to the backend.
    Serve { key: SessionKey, name: ChannelName, message: Arc<envelope::Message> },
}
