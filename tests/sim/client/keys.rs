//! A backend's keys: it repeats publishes whose answers it has lost, and gets the first answer.

use super::Ctx;
use crate::request::Request;
use crate::rng::Rng;

/// Where a request carries its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelled {
    /// In the header, for all its items.
    Header,
    /// The same in quotes, as the header's draft requires.
    Quoted,
    /// In the URL.
    Query,
    /// Each item has its own.
    Items,
}

/// A request whose publishes have keys.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    request: Request,
    /// When it was first sent.
    sent: u64,
    /// It was sent more than once: whether a refusal is final is unknown.
    pub(crate) again: bool,
}

/// The state of a backend that uses keys.
#[derive(Debug)]
pub(crate) struct PublishKeys {
    rng: Rng,
    /// For this long after it was first sent a request may be sent again, in milliseconds.
    span: u64,
    /// Requests to be sent again, with the numbers of their messages.
    lost: Vec<(Vec<usize>, Keyed)>,
}

/// A request that is sent again arrives, and was accepted the first time, within this many
/// milliseconds.
const UNDER_WAY: u64 = 5_000;

impl PublishKeys {
    /// The server keeps keys for `grace` milliseconds.
    pub(crate) fn new(rng: Rng, grace: u64) -> Self {
        Self { rng, span: grace.saturating_sub(UNDER_WAY), lost: Vec::new() }
    }

    /// Where the next request carries its keys, if it has any.
    pub(crate) fn spelled(&mut self) -> Option<Spelled> {
        let all = [Spelled::Header, Spelled::Quoted, Spelled::Query, Spelled::Items];
        self.rng.chance(60).then(|| *self.rng.pick(&all))
    }

    /// A request that was sent before, and is to be sent again now.
    pub(crate) fn again(&mut self, now: u64) -> Option<(Vec<usize>, Keyed)> {
        let span = self.span;
        self.lost.retain(|(_, keyed)| now < keyed.sent + span);
        let is_due = !self.lost.is_empty() && self.rng.chance(70);
        is_due.then(|| self.lost.remove(0)).map(|(numbers, keyed)| (numbers, Keyed { again: true, ..keyed }))
    }

    /// A request is about to be sent for the first time. Sometimes it is sent twice, the second
    /// directly after the first.
    pub(crate) fn first(&mut self, ctx: &Ctx<'_>, request: &Request, numbers: &[usize]) -> Keyed {
        let twice = self.rng.chance(8);
        let keyed = Keyed { request: request.clone(), sent: ctx.now(), again: twice };
        if twice {
            self.lost.push((numbers.to_vec(), keyed.clone()));
        }
        keyed
    }

    /// The answer to a request will not arrive, or was not final.
    pub(crate) fn lost(&mut self, numbers: Vec<usize>, keyed: Keyed) {
        self.lost.push((numbers, keyed));
    }

    /// All of a request was accepted. Sometimes the client forgets that.
    pub(crate) fn accepted(&mut self, numbers: Vec<usize>, keyed: Keyed) {
        if self.rng.chance(10) {
            self.lost(numbers, keyed);
        }
    }
}

impl Keyed {
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }
}
