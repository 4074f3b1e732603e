//! A browser with Bayeux pages: tabs that share cookies, each with its own session.
//!
//! Written from the specification and the behaviour of CometD's library; it knows nothing of
//! positions. A tab that acknowledges must get everything once and in order; one that does not may
//! miss what was on its way when a connection broke, and nothing else.

mod answers;
mod pipe;
mod server_message;
pub(crate) mod socket;
mod subscriptions;
mod tab;

use self::pipe::Mode;
use self::tab::Tab;
use super::{Client, Ctx};
use crate::client::http_conn::SLACK;
use crate::client::profile::style;
use crate::net::{Chunks, How, LinkId, Reading, Style};
use crate::oracle::BookId;
use crate::rng::Rng;

/// A browser.
#[derive(Debug)]
pub(crate) struct Browser {
    shared: Shared,
    tabs: Vec<Tab>,
}

/// The state that the tabs of a browser share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The path of the endpoint.
    path: String,
    cookie: Option<String>,
    /// Whether it keeps cookies. A client without works if the server trusts the client id alone.
    keeps: bool,
    pool: Vec<String>,
    channels: Vec<String>,
    /// Sessions created so far.
    sessions: u32,
}

/// The behaviour of a tab.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    modes: Vec<Mode>,
    style: Style,
    ack: bool,
    /// Loses this percentage of responses.
    loses: u64,
    /// Repeats a pending connect, with this probability in percent.
    repeats: u64,
    /// Sends FIN behind its connect, with this probability in percent.
    halves: u64,
    /// Changes its connection type, with this probability in percent.
    changes: u64,
    /// Connects that it gave up arrive late, with this probability in percent; only if it
    /// acknowledges.
    ghosts: u64,
    /// Subscribes, unsubscribes and publishes during its session.
    commands: bool,
}

impl Behaviour {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let mut modes: Vec<Mode> = Mode::ALL.into_iter().filter(|_| rng.chance(45)).collect();
        if modes.is_empty() {
            modes = vec![*rng.pick(&Mode::ALL)];
        }
        let mut style = style(rng);
        if style.reading == Reading::Never {
            (style.reading, style.capacity) = (Reading::Prompt, 16 * 1024);
        }
        // Requests are long here, and byte by byte they would take longer than any deadline.
        style.up = if style.up == Chunks::Bytewise { Chunks::Random } else { style.up };
        let faulty = rng.chance(50);
        Self {
            modes,
            style,
            ack: rng.chance(50),
            loses: if faulty { rng.range(0, 20) } else { 0 },
            repeats: if faulty { rng.range(0, 25) } else { 0 },
            halves: if rng.chance(20) { 15 } else { 0 },
            changes: rng.range(0, 20),
            ghosts: 0,
            commands: rng.chance(70),
        }
    }

    /// The same client, whose connects may arrive late if it acknowledges.
    pub(crate) fn haunted(mut self, by: u64) -> Self {
        self.ghosts = if self.ack { by } else { 0 };
        self
    }
}

impl std::fmt::Display for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}{}", self.modes, if self.ack { ", acknowledges" } else { "" })
    }
}

/// The purpose of an alarm: part of its token, beside the tab and a number of the tab's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    /// The next handshake or connect.
    Next,
    Command,
    /// A message that was sent on a socket should have been answered.
    Due,
    /// The tab stops waiting.
    Repeat,
    /// The server should not hold two connects of one browser.
    Crowd,
}

const ALARMS: [Alarm; 5] = [Alarm::Next, Alarm::Command, Alarm::Due, Alarm::Repeat, Alarm::Crowd];
const TABS_MAX: u64 = 4;

fn ring(ctx: &mut Ctx<'_>, tab: usize, after: u64, alarm: Alarm, number: u64) {
    let token = (number * ALARMS.len() as u64 + alarm as u64) * TABS_MAX + tab as u64;
    ctx.alarm(after, token);
}

impl Shared {
    /// Takes the cookie of a response, if there is one.
    fn take_cookie(&mut self, cookie: Option<String>) {
        let Some(cookie) = cookie.filter(|_| self.keeps) else { return };
        self.cookie = match self.cookie.take() {
            // A handshake and a socket that crossed it set one each: both are kept.
            Some(old) if old.split('=').next() != cookie.split('=').next() => {
                Some(format!("{old}; {cookie}"))
            }
            _ => Some(cookie),
        };
    }
}

impl Browser {
    /// `user`: the user in the URL, if any.
    pub(crate) fn new(
        rng: &mut Rng,
        user: Option<String>,
        pool: Vec<String>,
        channels: Vec<String>,
        keeps: bool,
        tabs: Vec<(BookId, Behaviour)>,
    ) -> Self {
        assert!(tabs.len() as u64 <= TABS_MAX);
        let path = match &user {
            Some(user) => format!("/u/{}/bayeux", crate::request::segment(user, rng)),
            None => (*rng.pick(&["/bayeux", "/cometd"])).to_owned(),
        };
        let tabs = tabs.into_iter().enumerate().map(|(index, (book, behaviour))| {
            let mut first = pool.clone();
            rng.shuffle(&mut first);
            first.truncate(rng.size(1, 3));
            Tab::new(index, book, behaviour, user.clone(), first)
        });
        let tabs = tabs.collect();
        Self { shared: Shared { path, cookie: None, keeps, pool, channels, sessions: 0 }, tabs }
    }

    /// Browsers have few connections: the server must not hold a second connect.
    fn check_crowd(&self, ctx: &mut Ctx<'_>) {
        let holds = |tab: &&Tab| tab.holds(ctx, self.shared.cookie.as_deref());
        if self.tabs.iter().filter(holds).count() > 1 && !ctx.phase.over {
            ctx.fail("two connects of one browser are held");
        }
    }
}

impl Client for Browser {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        for tab in &mut self.tabs {
            let after = ctx.rng.below(1_500);
            tab.next_in(ctx, after);
            ring(ctx, tab.index, 1_000, Alarm::Command, 0);
        }
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        let Self { shared, tabs } = self;
        if let Some(tab) = tabs.iter_mut().find(|tab| tab.owns(link)) {
            tab.bytes(ctx, shared, link, bytes);
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        let Self { shared, tabs } = self;
        if let Some(tab) = tabs.iter_mut().find(|tab| tab.owns(link)) {
            tab.ended(ctx, shared, link, how);
        }
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, token: u64) {
        let (tab, token) = ((token % TABS_MAX) as usize, token / TABS_MAX);
        let kinds = ALARMS.len() as u64;
        let (alarm, number) = (ALARMS[(token % kinds) as usize], token / kinds);
        if alarm == Alarm::Crowd {
            return self.check_crowd(ctx);
        }
        let Self { shared, tabs } = self;
        let tab = &mut tabs[tab];
        match alarm {
            Alarm::Next if number == tab.generation => tab.next(ctx, shared),
            Alarm::Repeat if number == tab.generation => tab.repeat(ctx),
            Alarm::Command => tab.command(ctx, shared),
            Alarm::Due => tab.check_due(ctx, number),
            Alarm::Next | Alarm::Repeat | Alarm::Crowd => {}
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        if let Some(tab) = self.tabs.iter_mut().find(|tab| tab.owns(link)) {
            tab.late(ctx, link, ask);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        for tab in &mut self.tabs {
            tab.unwell(ctx);
        }
    }

    fn calm(&mut self, ctx: &mut Ctx<'_>) {
        for tab in &mut self.tabs {
            tab.calm(ctx);
        }
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        let Self { shared, tabs } = self;
        for tab in tabs {
            tab.leave(ctx, shared);
        }
    }
}

/// Long enough for a connect that may not be held to be answered.
const HELD_AFTER: u64 = 2 * SLACK;
