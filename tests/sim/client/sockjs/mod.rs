//! A page that speaks SockJS, by every transport, with commands of the native protocol.
//!
//! It knows no positions that the server would take: what a broken response had not written comes
//! again, and nothing else does. `Remains` tells it what the server had written.

mod commands;
mod frames;
mod page;
mod receive;
mod sends;
mod session;
mod socket;

use std::fmt;

use self::commands::Uplink;
use self::frames::{Carrier, Frame};
use self::receive::Receive;
use self::session::Session;
use self::socket::Socket;
use super::http_conn::HttpConn;
use super::profile::style;
use super::{Client, Ctx};
use crate::net::{Chunks, How, LinkId, Reading, Style};
use crate::oracle::BookId;
use crate::rng::Rng;

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    session: Session,
    /// The path of the service at its user, and that of the session.
    service: String,
    path: String,
    traits: Traits,
    place: Place,
    /// The response that it waits for, and one that it requests although it has that.
    main: Option<Receive>,
    second: Option<Second>,
    spare: Option<HttpConn>,
    socket: Option<Socket>,
    /// The response that broke last, until the next one shows what became of the session.
    lost: Option<Lost>,
    uplink: Uplink,
    /// When it last gave up a request with commands.
    unsent_at: u64,
    /// The next request names another session.
    renews: bool,
    names: u64,
    tokens: u64,
    generation: u64,
    gone: bool,
}

/// A second response of a session.
#[derive(Debug)]
struct Second {
    receive: Receive,
    /// Its frames, until the first response has ended.
    frames: Vec<Frame>,
    /// The first response, by its link and its time.
    beside: (LinkId, u64),
}

/// A response that broke.
#[derive(Debug)]
struct Lost {
    link: LinkId,
    carrier: Carrier,
    frames: usize,
    via: session::Via,
}

/// What a page may use.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) pool: Vec<String>,
    pub(crate) channels: Vec<String>,
    /// The server's settings: milliseconds, and bytes of a stream.
    pub(crate) disconnect: u64,
    pub(crate) response_bytes: usize,
}

/// The behaviour of a page. Numbers are probabilities in percent.
#[derive(Clone, Debug)]
pub(crate) struct Traits {
    carriers: Vec<Carrier>,
    style: Style,
    /// Uses a socket for its next session.
    sockets: u64,
    /// Cuts a response, or leaves it.
    cuts: u64,
    leaves: u64,
    /// Waits for so long that its session may be over.
    naps: u64,
    /// Requests a second response.
    seconds: u64,
    commands: bool,
}

impl Traits {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let mut carriers: Vec<Carrier> = Carrier::ALL.into_iter().filter(|_| rng.chance(50)).collect();
        if carriers.is_empty() {
            carriers = vec![*rng.pick(&Carrier::ALL)];
        }
        let mut style = style(rng);
        if style.reading == Reading::Never {
            (style.reading, style.capacity) = (Reading::Prompt, 4 * 1024);
        }
        if rng.chance(35) {
            // Many answers are longer, so that some of them are written only in part.
            style.capacity = rng.size(200, 900);
        }
        style.up = if style.up == Chunks::Bytewise { Chunks::Random } else { style.up };
        let faulty = rng.chance(70);
        Self {
            carriers,
            style,
            sockets: if rng.chance(40) { rng.range(10, 90) } else { 0 },
            cuts: if faulty { rng.range(5, 30) } else { 0 },
            leaves: if faulty { rng.range(0, 8) } else { 0 },
            naps: if faulty { rng.range(0, 6) } else { 0 },
            seconds: rng.range(5, 40),
            commands: rng.chance(80),
        }
    }
}

impl fmt::Display for Traits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.carriers, if self.sockets > 0 { ", sockets" } else { "" })
    }
}

/// The purpose of an alarm: part of its token, beside a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    /// The next request.
    Next,
    Command,
    /// A batch should have been answered by now.
    Due,
    /// A response should have brought something by now.
    Silence,
    /// It requests a second response, which should have been refused by now.
    Second,
    Refused,
    /// It leaves its response.
    Leave,
}

const ALARMS: [Alarm; 7] =
    [Alarm::Next, Alarm::Command, Alarm::Due, Alarm::Silence, Alarm::Second, Alarm::Refused, Alarm::Leave];

fn ring(ctx: &mut Ctx<'_>, after: u64, alarm: Alarm, number: u64) {
    ctx.alarm(after, number * ALARMS.len() as u64 + alarm as u64);
}

impl Page {
    pub(crate) fn new(rng: &mut Rng, (book, user): (BookId, String), traits: Traits, place: Place) -> Self {
        let mut listed = place.pool.clone();
        rng.shuffle(&mut listed);
        listed.truncate(rng.size(0, 2));
        let service = format!("/u/{}/sockjs", crate::request::segment(&user, rng));
        Self {
            session: Session::new(book, user, place.disconnect, listed),
            service,
            path: String::new(),
            traits,
            place,
            main: None,
            second: None,
            spare: None,
            socket: None,
            lost: None,
            uplink: Uplink::default(),
            unsent_at: 0,
            renews: true,
            names: 0,
            tokens: 0,
            generation: 0,
            gone: false,
        }
    }
}

impl Client for Page {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        ctx.oracle.begin_life(self.session.book);
        let after = ctx.rng.below(1_500);
        self.next_in(ctx, after);
        ring(ctx, 1_000, Alarm::Command, 0);
    }

    fn bytes(&mut self, ctx: &mut Ctx<'_>, link: LinkId, bytes: &[u8]) {
        if self.main.as_ref().is_some_and(|main| main.conn.link == link) {
            let frames = self.main.as_mut().map(|main| main.bytes(ctx, bytes)).unwrap_or_default();
            self.heard(ctx, frames);
        } else if let Some(second) = self.second.as_mut().filter(|second| second.receive.conn.link == link) {
            let frames = second.receive.bytes(ctx, bytes);
            second.frames.extend(frames);
            self.heard_second(ctx);
        } else if self.uplink.owns(link) {
            let answered = self.uplink.bytes(ctx, bytes);
            self.sent(ctx, answered);
        } else if let Some(socket) = self.socket.as_mut().filter(|socket| socket.conn.link == link) {
            let heard = socket.bytes(ctx, bytes);
            self.heard_socket(ctx, heard);
        } else if let Some(spare) = self.spare.as_mut().filter(|spare| spare.link == link) {
            spare.feed(ctx, bytes);
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, link: LinkId, how: How) {
        if self.main.as_ref().is_some_and(|main| main.conn.link == link) {
            let frames = self.main.as_mut().map(|main| main.ended(ctx, how)).unwrap_or_default();
            self.heard(ctx, frames);
            if self.main.as_ref().is_some_and(|main| main.conn.link == link) {
                self.lose(ctx);
            }
        } else if let Some(second) = self.second.as_mut().filter(|second| second.receive.conn.link == link) {
            let frames = second.receive.ended(ctx, how);
            second.frames.extend(frames);
            self.heard_second(ctx);
            self.lose_second(ctx, link);
        } else if self.uplink.owns(link) {
            let answered = self.uplink.ended(ctx, how);
            self.sent(ctx, answered);
            self.unsent(ctx);
        } else if let Some(socket) = self.socket.as_mut().filter(|socket| socket.conn.link == link) {
            let heard = socket.ended(ctx, how);
            self.heard_socket(ctx, heard);
            self.socket_ended(ctx, how);
        } else if let Some(mut spare) = self.spare.take_if(|spare| spare.link == link) {
            spare.end(ctx, how);
        }
    }

    fn woken(&mut self, ctx: &mut Ctx<'_>, token: u64) {
        let kinds = ALARMS.len() as u64;
        let (alarm, number) = (ALARMS[(token % kinds) as usize], token / kinds);
        let is_current = number == self.generation;
        match alarm {
            Alarm::Next if is_current => self.next(ctx),
            Alarm::Silence if is_current => self.check_silence(ctx),
            Alarm::Second if is_current => self.ask_second(ctx),
            Alarm::Refused if is_current => self.check_refused(ctx),
            Alarm::Leave if is_current => self.leave_response(ctx),
            Alarm::Command => self.command(ctx),
            Alarm::Due => self.check_due(ctx, number),
            Alarm::Next | Alarm::Silence | Alarm::Second | Alarm::Refused | Alarm::Leave => {}
        }
    }

    fn late(&mut self, ctx: &mut Ctx<'_>, link: LinkId, ask: u32) {
        if self.uplink.owns(link) {
            if self.uplink.late(ctx, ask) {
                self.uplink.leave(ctx);
                self.unsent(ctx);
            }
            return;
        }
        let main = self.main.as_mut().map(|main| &mut main.conn).into_iter();
        let second = self.second.as_mut().map(|second| &mut second.receive.conn);
        let socket = self.socket.as_mut().map(|socket| &mut socket.conn);
        for conn in main.chain(second).chain(socket).filter(|conn| conn.link == link) {
            conn.late(ctx, ask);
        }
    }

    fn disturbed(&mut self, ctx: &mut Ctx<'_>) {
        self.unwell(ctx);
    }

    fn calm(&mut self, ctx: &mut Ctx<'_>) {
        (self.traits.cuts, self.traits.leaves, self.traits.naps) = (0, 0, 0);
        self.unwell(ctx);
        self.traits.style.reading = Reading::Prompt;
        self.traits.style.capacity = self.traits.style.capacity.max(4096);
        let conns = self.main.iter().map(|main| &main.conn).chain(&self.spare);
        let conns = conns.chain(self.second.iter().map(|second| &second.receive.conn));
        let conns = conns.chain(self.socket.iter().map(|socket| &socket.conn));
        for link in conns.map(|conn| conn.link).collect::<Vec<_>>() {
            ctx.net.read_promptly(link);
        }
        if let Some(main) = &mut self.main {
            main.cut_after = None;
        }
        self.uplink.calm(ctx);
    }

    fn leave(&mut self, ctx: &mut Ctx<'_>) {
        self.gone = true;
        self.unwell(ctx);
        self.uplink.leave(ctx);
        let conns = self.main.take().map(|main| main.conn).into_iter().chain(self.spare.take());
        let conns = conns.chain(self.second.take().map(|second| second.receive.conn));
        for mut conn in conns.chain(self.socket.take().map(|socket| socket.conn)) {
            if ctx.rng.chance(20) { ctx.net.silence(conn.link) } else { conn.abandon(ctx) }
        }
    }
}
