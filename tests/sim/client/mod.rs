//! Model clients: browsers and backends, each with its own parsers.

pub(crate) mod bayeux;
pub(crate) mod exchange;
pub(crate) mod http_conn;
pub(crate) mod keys;
pub(crate) mod pages;
pub(crate) mod pipeliner;
pub(crate) mod profile;
pub(crate) mod publisher;
pub(crate) mod receiver;
pub(crate) mod sockjs;
pub(crate) mod subscriber;
pub(crate) mod subscriptions;
pub(crate) mod uplink;

use std::collections::BTreeSet;

use crate::net::{ClientId, Event, How, LinkId, Net};
use crate::oracle::Oracle;
use crate::rng::Rng;

/// The phase of the run, and settings for all clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunPhase {
    /// Faults have ended: all clients behave well and become level.
    pub(crate) calm: bool,
    /// No client publishes any more.
    pub(crate) silent: bool,
    /// The server drains or the run ends: a client that is cut stays away.
    pub(crate) over: bool,
    /// The server's settings, in milliseconds.
    pub(crate) poll_hold: u64,
    pub(crate) heartbeat: u64,
    pub(crate) grace: u64,
    pub(crate) idle_timeout: u64,
    /// A batch ends at about this size.
    pub(crate) outbox_bytes: usize,
    /// Pages resume by their positions alone, and request history.
    pub(crate) doubts: bool,
    /// Another node is the home of a part of the users: their responses end early.
    pub(crate) guests: bool,
    /// Responses that are long or old are recycled.
    pub(crate) recycles: bool,
    /// Clients mix publishes with changes of their subscriptions.
    pub(crate) mixes: bool,
    /// Publishes whose answers are lost are repeated.
    pub(crate) keys: bool,
}

/// What a client can see and use.
pub(crate) struct Ctx<'a> {
    pub(crate) me: ClientId,
    pub(crate) net: &'a mut Net,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) rng: &'a mut Rng,
    pub(crate) phase: RunPhase,
}

impl Ctx<'_> {
    pub(crate) fn now(&self) -> u64 {
        self.net.now
    }

    /// Sets an alarm for the client.
    pub(crate) fn alarm(&mut self, after: u64, token: u64) {
        let (at, me) = (self.now() + after, self.me);
        self.net.schedule(at, Event::Client(me, token));
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        let what = format!("client {}: {}", self.me, what.into());
        self.oracle.fail(what);
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let (now, me) = (self.net.now, self.me);
        self.net.trace.note(now, format_args!("c{me} {what}"));
    }
}

/// A model client.
pub(crate) trait Client {
    fn start(&mut self, ctx: &mut Ctx<'_>);
    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]);
    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How);
    fn woken(&mut self, ctx: &mut Ctx<'_>, token: u64);
    /// A request should have been answered by now.
    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32);
    /// A fault has hit one of its links; it need not know yet.
    fn disturbed(&mut self, _ctx: &mut Ctx<'_>) {}
    /// Faults have ended.
    fn calm(&mut self, _ctx: &mut Ctx<'_>) {}
    /// The channels whose presence it has, and the members that it knows.
    fn watched(&self) -> Vec<(String, Option<BTreeSet<String>>)> {
        Vec::new()
    }
    /// The run ends: the client leaves in one of several ways.
    fn leave(&mut self, ctx: &mut Ctx<'_>);
}
