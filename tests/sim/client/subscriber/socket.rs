//! A subscriber's messages on a socket, and recycling.

use super::*;

/// How long at least a response continues after `recycle`, in milliseconds.
const RECYCLE_PATIENCE: u64 = 10_000;

/// How long it continues at most: the server counts whole seconds.
const PATIENCE: u64 = RECYCLE_PATIENCE + 1_000;

impl Subscriber {
    /// Whether commands are pending on the socket.
    pub(super) fn is_asking(&self) -> bool {
        self.current.as_ref().is_some_and(|exchange| exchange.via.is_duplex() && exchange.awaits_answers())
    }

    /// Sends commands on the socket; returns those that cannot go there.
    pub(super) fn by_socket(&mut self, ctx: &mut Ctx<'_>, commands: Vec<Command>) -> Vec<Command> {
        let Some(exchange) = self.current.as_mut().filter(|exchange| exchange.via.is_duplex()) else {
            return commands;
        };
        let open = exchange.pending.is_open() && exchange.pending.closed.is_none();
        if !open || exchange.conn.is_halved() || self.profile.deaf || ctx.rng.chance(10) {
            return commands;
        }
        let texts: Vec<String> = commands.iter().map(Command::spell).collect();
        let one_by_one = ctx.rng.chance(50);
        let texts = if one_by_one { texts } else { vec![format!("[{}]", texts.join(","))] };
        for text in texts {
            ctx.note(format_args!("l{} asks {text}", exchange.conn.link));
            let bytes = match exchange.via {
                Via::XmlSocket => [text.as_bytes(), b"\0"].concat(),
                _ => message(ctx, text.as_bytes()),
            };
            exchange.conn.push(ctx, &bytes);
        }
        exchange.unanswered = None;
        exchange.commands.extend(commands);
        let after = exchange.conn.arrives.saturating_sub(ctx.now()) + 2 * SLACK;
        ctx.alarm(after, UNANSWERED + KINDS * self.generation);
        Vec::new()
    }

    /// Commands should have been answered by now.
    pub(super) fn check_answers(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let sound = ctx.net.is_sound(exchange.conn.link) && self.profile.style.capacity >= 4096;
        let since = exchange.conn.arrives.max(ctx.net.link(exchange.conn.link).prompt_since);
        if exchange.awaits_answers() && ctx.now() >= since + 2 * SLACK && sound {
            ctx.fail(format!("l{}: commands are not answered in time", exchange.conn.link));
        }
    }

    /// Answers a ping, if its profile says so.
    pub(super) fn pinged(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, payload: &[u8]) {
        let mute = exchange.conn.is_halved() || ctx.net.link(exchange.conn.link).lame;
        if !self.profile.deaf {
            exchange.unanswered = None;
            if !exchange.conn.is_halved() {
                let pong = frame(ctx, 0x8a, payload);
                exchange.conn.push(ctx, &pong);
            }
            return;
        }
        // Its earlier messages may have crossed the ping.
        if mute || ctx.now() < exchange.conn.arrives + 500 {
            return;
        }
        if exchange.unanswered.replace(ctx.now()).is_some() {
            ctx.fail(format!("l{}: pinged again, though no ping was answered", exchange.conn.link));
        }
    }

    /// A stream has ended; usually it must have given the reason.
    pub(super) fn check_end(&mut self, ctx: &mut Ctx<'_>, exchange: &Exchange) {
        // The client has not read a lost response.
        let is_announced = exchange.pending.closed.is_some() || exchange.lose;
        if is_cut(ctx, exchange) && !is_announced {
            ctx.oracle.deaf += 1;
        } else if !is_announced && !had_its_time(ctx, exchange) && !exchange.conn.is_halved() {
            ctx.fail(format!("a stream ended without a close, {:?}", exchange.conn));
        }
    }

    // ---- recycling ----

    /// The response got `recycle`: the client opens the next one soon, or, if it cannot, once this
    /// one ends.
    pub(super) fn make_room(&mut self, ctx: &mut Ctx<'_>) {
        let generation = KINDS * self.generation;
        if !self.profile.plain && ctx.rng.chance(80) {
            let after = ctx.rng.below(3_000);
            ctx.alarm(after, SUPERSEDE + generation);
        }
        ctx.alarm(PATIENCE + 2 * SLACK, RECYCLED + generation);
    }

    /// No response has taken this one's place: it must have ended by now.
    pub(super) fn check_recycled(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let Some(announced) = exchange.pending.recycled else { return };
        let since = announced.max(ctx.net.link(exchange.conn.link).prompt_since);
        if ctx.now() >= since + PATIENCE + SLACK && ctx.net.is_sound(exchange.conn.link) && !ctx.phase.over {
            ctx.fail(format!("l{} was to make room and goes on", exchange.conn.link));
        }
    }
}

/// Whether a response got `recycle` and continued for as long as it may: it then ends without
/// `close`. A client that reads late gets it late, but the server sent it after the request had
/// arrived.
pub(super) fn had_its_time(ctx: &Ctx<'_>, exchange: &Exchange) -> bool {
    let Some(announced) = exchange.pending.recycled else { return false };
    let is_lame = ctx.net.link(exchange.conn.link).lame;
    let since = if is_lame { exchange.conn.arrives } else { announced.saturating_sub(SLACK) };
    ctx.now() >= since + RECYCLE_PATIENCE
}

/// Whether a socket's end may be a cut, for a ping that was not answered before the next one was
/// due. That may be a quarter of `ENCKE_HEARTBEAT` early.
pub(super) fn is_cut(ctx: &Ctx<'_>, exchange: &Exchange) -> bool {
    let due = |pinged: u64| pinged + ctx.phase.heartbeat * 3 / 4;
    exchange.pending.closed.is_none()
        && exchange.unanswered.is_some_and(|pinged| ctx.now() + SLACK >= due(pinged))
}

/// A masked frame (RFC 6455, 5.2).
pub(crate) fn frame(ctx: &mut Ctx<'_>, first: u8, payload: &[u8]) -> Vec<u8> {
    masked((ctx.rng.next() as u32).to_be_bytes(), first, payload)
}

/// The same with this mask.
pub(crate) fn masked(mask: [u8; 4], first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            out.push(0xfe);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0xff);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// A text message, perhaps in fragments with pings in between.
pub(crate) fn message(ctx: &mut Ctx<'_>, text: &[u8]) -> Vec<u8> {
    if ctx.rng.chance(60) {
        return frame(ctx, 0x81, text);
    }
    let (mut out, mut rest, mut opcode) = (Vec::new(), text, 1);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(ctx.rng.size(0, rest.len()));
        out.extend(frame(ctx, opcode, now));
        (rest, opcode) = (later, 0);
        if ctx.rng.chance(20) {
            out.extend(frame(ctx, 0x89, b"are you there?"));
        }
    }
    out.extend(frame(ctx, 0x80 | opcode, b""));
    out
}
