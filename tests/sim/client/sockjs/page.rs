//! The responses of a page: one after the other, broken ones, and a second one beside the first.

use super::super::Ctx;
use super::super::http_conn::{HttpConn, SLACK};
use super::frames::Frame;
use super::receive::{Asked, Receive, Remains};
use super::session::Goes;
use super::socket::{Heard, Socket};
use super::{Alarm, Lost, Page, Second, ring};
use crate::net::{How, LinkId};

/// The frame of a second response.
const STILL_OPEN: u16 = 2010;

impl Receive {
    /// Its connection has ended; returns the last frames.
    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, how: How) -> Vec<Frame> {
        let replies = self.conn.end(ctx, how);
        self.replies(ctx, replies)
    }
}

impl Page {
    pub(super) fn next_in(&mut self, ctx: &mut Ctx<'_>, after: u64) {
        self.generation += 1;
        ring(ctx, after, Alarm::Next, self.generation);
    }

    /// Requests the next response.
    pub(super) fn next(&mut self, ctx: &mut Ctx<'_>) {
        if self.gone || ctx.phase.over || self.main.is_some() || self.socket.is_some() {
            return;
        }
        self.generation += 1;
        let may_be_over = self.lost.is_some() || !self.session.lives_at(ctx.now() + SLACK);
        self.renews |= may_be_over && self.is_sending(ctx);
        if std::mem::take(&mut self.renews) {
            self.names += 1;
            self.session.renew();
            self.lost = None;
            let server = ctx.rng.below(1_000);
            self.path = format!("{}/{server:03}/n{}-{}", self.service, self.session.book, self.names);
            if ctx.rng.chance(self.traits.sockets) {
                return self.open_socket(ctx);
            }
        }
        let spare = self.spare.take();
        let mut main = self.request(ctx, spare);
        main.may_begin = !self.session.lives_at(main.arrives) || self.lost.is_some();
        if ctx.rng.chance(self.traits.cuts) {
            let few = ctx.rng.chance(50);
            main.cut_after = Some(ctx.rng.size(1, if few { 400 } else { 6_000 }));
            self.unwell(ctx);
        }
        let arrives = main.arrives.saturating_sub(ctx.now());
        self.main = Some(main);
        if ctx.rng.chance(self.traits.seconds) {
            let after = arrives + SLACK + ctx.rng.below(2_000);
            ring(ctx, after, Alarm::Second, self.generation);
        }
        if ctx.rng.chance(self.traits.leaves) {
            let after = ctx.rng.range(1, 4_000);
            ring(ctx, after, Alarm::Leave, self.generation);
        }
        self.watch_silence(ctx);
        self.check_well(ctx);
    }

    /// A request for strings of its session.
    fn request(&mut self, ctx: &mut Ctx<'_>, spare: Option<HttpConn>) -> Receive {
        let carrier = *ctx.rng.pick(&self.traits.carriers);
        let asked =
            Asked { path: &self.path, listed: &self.session.listed, carrier, style: self.traits.style };
        Receive::ask(ctx, &asked, spare)
    }

    // ---- frames ----

    /// Frames of its response, which may be complete.
    pub(super) fn heard(&mut self, ctx: &mut Ctx<'_>, frames: Vec<Frame>) {
        for frame in frames {
            let Some(main) = &mut self.main else { return };
            let (begins, via) = (main.frames == 0, main.via());
            main.frames += 1;
            if matches!(frame, Frame::Close(STILL_OPEN, _)) {
                self.still_open(ctx, begins);
                continue;
            }
            if begins {
                self.find_lost(ctx);
            }
            self.session.take(ctx, frame, via, begins);
        }
        if self.session.is_blurred {
            return self.renew_soon(ctx);
        }
        if self.main.as_ref().is_some_and(|main| main.done) {
            self.done(ctx);
        }
        self.check_well(ctx);
    }

    /// Its response is complete.
    fn done(&mut self, ctx: &mut Ctx<'_>) {
        let Some(main) = self.main.take() else { return };
        let Remains { at, .. } = Remains::of(ctx.net, main.conn.link, main.carrier);
        let is_over = self.session.closed.is_some() || self.session.goes != Goes::Attached;
        main.check_end(ctx, self.place.response_bytes, is_over);
        let was_attached = self.session.goes == Goes::Attached;
        if was_attached {
            self.session.goes = Goes::After { min: at, max: at };
        }
        // A poll's answer has all that waits, if that fits.
        self.session.level |= main.carrier.polls()
            && was_attached
            && self.session.opened
            && self.lost.is_none()
            && main.decoder.size < ctx.phase.outbox_bytes;
        self.spare = Some(main.conn);
        if self.promote(ctx) {
            return;
        }
        if self.session.closed.is_some() {
            return self.after_end(ctx);
        }
        if ctx.rng.chance(self.traits.naps) {
            self.unwell(ctx);
            let delay = self.place.disconnect;
            let after = ctx.rng.range(delay / 2, delay * 2);
            return self.next_in(ctx, after);
        }
        let after = ctx.rng.below(60);
        self.next_in(ctx, after);
    }

    /// The session is over: the page asks once more, or has another one.
    fn after_end(&mut self, ctx: &mut Ctx<'_>) {
        self.unwell(ctx);
        self.renews = !ctx.rng.chance(60);
        let after = if self.renews || ctx.rng.chance(70) { 500 } else { 3 * self.place.disconnect };
        let after = ctx.rng.below(after);
        self.next_in(ctx, after);
    }

    /// The server believes that an earlier response is still under way.
    fn still_open(&mut self, ctx: &mut Ctx<'_>, begins: bool) {
        let explains = |lost: &Lost, asked: u64| {
            let remains = Remains::of(ctx.net, lost.link, lost.carrier);
            !remains.is_whole || remains.at + SLACK >= asked
        };
        let asked = self.main.as_ref().map_or(0, |main| main.via().asked);
        if begins && self.lost.is_none() && self.main.as_ref().is_some_and(|main| main.is_second) {
            // It was on its way when the first one ended.
            ctx.oracle.second_refused += 1;
            return;
        }
        if !begins || !self.lost.as_ref().is_some_and(|lost| explains(lost, asked)) {
            ctx.fail("another connection is said to be open, and none is");
        }
        self.unwell(ctx);
        self.session.goes = Goes::Unknown;
        self.renews = ctx.rng.chance(25);
    }

    // ---- broken responses ----

    /// Its response is lost.
    pub(super) fn lose(&mut self, ctx: &mut Ctx<'_>) {
        let Some(mut main) = self.main.take() else { return };
        main.conn.abandon(ctx);
        self.unwell(ctx);
        let still_lost = self.lost.is_some();
        if self.session.closed.is_some() || main.may_begin && main.frames == 0 || still_lost {
            // As clients do whose session could not begin.
            self.renews = true;
            if let Some(mut second) = self.second.take() {
                second.receive.conn.abandon(ctx);
            }
        } else {
            let (link, carrier) = (main.conn.link, main.carrier);
            self.lost = Some(Lost { link, carrier, frames: main.frames, via: main.via() });
            if self.promote(ctx) {
                return;
            }
        }
        let after = ctx.rng.range(1, 1_500);
        self.next_in(ctx, after);
    }

    /// The next response shows what became of the one that broke.
    fn find_lost(&mut self, ctx: &mut Ctx<'_>) {
        let Some(Lost { link, carrier, frames, mut via }) = self.lost.take() else { return };
        let remains = Remains::of(ctx.net, link, carrier);
        let is_refused = |frame: &Frame| matches!(frame, Frame::Close(..));
        if remains.is_whole {
            via.is_lost = true;
            for (at, frame) in remains.frames.into_iter().enumerate().skip(frames) {
                if !is_refused(&frame) {
                    self.session.take(ctx, frame, via, at == 0);
                }
            }
            self.session.goes = Goes::After { min: remains.at, max: remains.at };
        } else if remains.frames.iter().any(is_refused) {
            self.session.goes = Goes::Unknown;
        } else if carrier.polls() && remains.has_begun {
            ctx.oracle.strings_again += 1;
            // It ends when the server finds the connection broken.
            self.session.goes = Goes::After { min: remains.at, max: u64::MAX };
        } else {
            let has_streamed = frames > 0 || !remains.frames.is_empty();
            self.session.goes = if has_streamed { Goes::Over } else { Goes::Unknown };
        }
    }

    /// It no longer waits for its response, although nothing is wrong with it.
    pub(super) fn leave_response(&mut self, ctx: &mut Ctx<'_>) {
        if !ctx.phase.calm && !ctx.phase.over && self.main.is_some() {
            ctx.note(format_args!("leaves its response"));
            self.lose(ctx);
        }
    }

    fn watch_silence(&self, ctx: &mut Ctx<'_>) {
        let after = ctx.phase.heartbeat * 5 / 4 + 2 * SLACK;
        ring(ctx, after, Alarm::Silence, self.generation);
    }

    /// Whether its response, or its socket, has brought nothing for too long.
    pub(super) fn check_silence(&mut self, ctx: &mut Ctx<'_>) {
        let main = self.main.as_ref().map(|main| (main.conn.link, main.heard.max(main.arrives)));
        let socket = self.socket.as_ref().map(|socket| (socket.conn.link, socket.heard));
        let Some((link, heard)) = main.or(socket) else { return };
        let since = heard.max(ctx.net.link(link).prompt_since);
        let due = since + ctx.phase.heartbeat * 5 / 4 + 2 * SLACK;
        if ctx.now() < due {
            return ring(ctx, due - ctx.now(), Alarm::Silence, self.generation);
        }
        if ctx.net.is_sound(link) && ctx.net.is_unhindered(self.traits.style) && !ctx.phase.over {
            return ctx.fail(format!("l{link} brings nothing, not even a heartbeat"));
        }
        if main.is_some() {
            self.lose(ctx);
        } else {
            self.drop_socket(ctx);
        }
    }

    // ---- a second response ----

    /// Requests a second response while it has the first: that must not change.
    pub(super) fn ask_second(&mut self, ctx: &mut Ctx<'_>) {
        let Some(main) = &self.main else { return };
        let is_held = !main.may_begin || main.frames > 0;
        if !is_held || self.second.is_some() || self.lost.is_some() || ctx.phase.silent || ctx.phase.over {
            return;
        }
        let beside = (main.conn.link, main.arrives);
        let receive = self.request(ctx, None);
        let after = receive.arrives.saturating_sub(ctx.now()) + SLACK;
        ring(ctx, after, Alarm::Refused, self.generation);
        self.second = Some(Second { receive, frames: Vec::new(), beside });
    }

    /// The second response has brought something.
    pub(super) fn heard_second(&mut self, ctx: &mut Ctx<'_>) {
        let Some(second) = &self.second else { return };
        if let [Frame::Close(STILL_OPEN, reason)] = &second.frames[..]
            && reason == "Another connection still open"
            && second.receive.done
        {
            ctx.oracle.second_refused += 1;
            if let Some(mut second) = self.second.take() {
                second.receive.conn.abandon(ctx);
            }
        } else if self.main.is_none() && self.lost.is_none() {
            self.promote(ctx);
        }
    }

    /// It breaks by itself: its session may have gone on with it.
    pub(super) fn lose_second(&mut self, ctx: &mut Ctx<'_>, link: LinkId) {
        if self.second.as_ref().is_some_and(|second| second.receive.conn.link == link && !second.receive.done)
        {
            self.second = None;
            self.renew_soon(ctx);
        }
    }

    /// What becomes of its session is not known any more: it takes another one.
    pub(super) fn renew_soon(&mut self, ctx: &mut Ctx<'_>) {
        if self.socket.is_some() {
            return self.drop_socket(ctx);
        }
        let second = self.second.take().map(|second| second.receive);
        for mut receive in self.main.take().into_iter().chain(second) {
            receive.conn.abandon(ctx);
        }
        self.unwell(ctx);
        self.renews = true;
        self.next_in(ctx, 100);
    }

    /// The first response must still be the session's only one.
    pub(super) fn check_refused(&mut self, ctx: &mut Ctx<'_>) {
        let (Some(main), Some(second)) = (&self.main, &self.second) else { return };
        let same = second.beside == (main.conn.link, main.arrives);
        let links = [main.conn.link, second.receive.conn.link];
        let is_sound = links.iter().all(|link| ctx.net.is_sound(*link));
        if same && is_sound && ctx.net.is_unhindered(self.traits.style) && !ctx.phase.over {
            ctx.fail("a session has two responses");
        }
    }

    /// The first response has ended, so the second one is the session's. Says whether there is one.
    fn promote(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(Second { mut receive, frames, .. }) = self.second.take() else { return false };
        (receive.may_begin, receive.is_second) = (true, true);
        self.generation += 1;
        self.main = Some(receive);
        self.watch_silence(ctx);
        self.heard(ctx, frames);
        true
    }

    // ---- sockets ----

    fn open_socket(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut spare) = self.spare.take() {
            spare.abandon(ctx);
        }
        let is_raw = ctx.rng.chance(30);
        let path = if is_raw { &self.service } else { &self.path };
        self.socket = Some(Socket::open(ctx, path, &self.session.listed, self.traits.style, is_raw));
        self.watch_silence(ctx);
    }

    pub(super) fn heard_socket(&mut self, ctx: &mut Ctx<'_>, heard: Vec<Heard>) {
        for heard in heard {
            let Some(socket) = &self.socket else { return };
            let via = socket.via();
            match heard {
                Heard::Open if socket.is_raw => self.session.begin_raw(ctx, via),
                Heard::Open => {}
                Heard::Text(text) if socket.is_raw => {
                    ctx.note(format_args!("{} gets {text}", self.session.user));
                    self.session.string(ctx, &text, via);
                }
                Heard::Text(text) => match Frame::parse(&text) {
                    Ok(frame) => {
                        let begins = !self.session.opened;
                        self.session.take(ctx, frame, via, begins);
                    }
                    Err(why) => ctx.fail(why),
                },
                Heard::Ping => self.session.level = self.session.opened,
                Heard::Close(code) => {
                    let is_announced = self.session.closed.is_some() || socket.is_raw;
                    let raw_code = !socket.is_raw || code == 1000 || code == 1012;
                    if !is_announced || !raw_code || !(self.session.closing.is_some() || ctx.phase.over) {
                        ctx.fail(format!("a socket is closed with {code}"));
                    }
                }
                Heard::Refused(503) if ctx.phase.over => {}
                Heard::Refused(status) => ctx.fail(format!("a socket is refused with {status}")),
            }
        }
        if self.session.is_blurred {
            return self.renew_soon(ctx);
        }
        self.check_well(ctx);
    }

    /// A socket ends, and its session with it.
    pub(super) fn socket_ended(&mut self, ctx: &mut Ctx<'_>, how: How) {
        let Some(socket) = &self.socket else { return };
        let link = ctx.net.link(socket.conn.link);
        if how == How::Fin && !socket.is_closed && !link.lame && !link.broken && !ctx.phase.over {
            ctx.fail(format!("l{}: a socket ends without a reason", socket.conn.link));
        }
        self.drop_socket(ctx);
    }

    pub(super) fn drop_socket(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(mut socket) = self.socket.take() {
            socket.conn.abandon(ctx);
        }
        self.unwell(ctx);
        self.renews = true;
        let after = ctx.rng.range(20, 1_500);
        self.next_in(ctx, after);
    }

    // ---- whether it is well ----

    pub(super) fn unwell(&mut self, ctx: &mut Ctx<'_>) {
        self.session.level = false;
        ctx.oracle.well(self.session.book, None);
    }

    /// Whether it must get everything that is published from now on at once.
    pub(super) fn check_well(&mut self, ctx: &mut Ctx<'_>) {
        let conns = self.main.iter().map(|main| &main.conn).chain(&self.spare);
        let mut conns = conns.chain(self.socket.iter().map(|socket| &socket.conn));
        let is_sound = conns.all(|conn| ctx.net.is_sound(conn.link));
        let goes_on = self.session.opened && self.session.closed.is_none() && self.session.closing.is_none();
        let is_whole = self.lost.is_none()
            && !self.renews
            && self.main.as_ref().is_none_or(|main| main.cut_after.is_none());
        let well =
            self.session.level && goes_on && is_whole && is_sound && ctx.net.is_unhindered(self.traits.style);
        let now = ctx.now();
        ctx.oracle.well(self.session.book, well.then_some(now));
    }
}
