//! What a subscriber sends up a socket, and how responses make room for one another.

use super::*;

/// How long a response goes on at least after it was told to make room, in milliseconds.
const RECYCLE_PATIENCE: u64 = 10_000;

/// How long it goes on at most: whole seconds are kept.
const PATIENCE: u64 = RECYCLE_PATIENCE + 1_000;

impl Subscriber {
    /// Whether commands are on their way up the socket.
    pub(super) fn is_asking(&self) -> bool {
        self.current.as_ref().is_some_and(|exchange| exchange.via.is_duplex() && exchange.awaits_answers())
    }

    /// Sends commands up the socket; those that cannot go there are given back.
    pub(super) fn by_socket(&mut self, ctx: &mut Ctx<'_>, commands: Vec<Command>) -> Vec<Command> {
        let Some(exchange) = self.current.as_mut().filter(|exchange| exchange.via.is_duplex()) else {
            return commands;
        };
        let open = exchange.pending.is_open() && exchange.pending.closed.is_none();
        if !open || exchange.line.is_halved() || self.manner.deaf || ctx.rng.chance(10) {
            return commands;
        }
        let texts: Vec<String> = commands.iter().map(Command::spell).collect();
        let one_by_one = ctx.rng.chance(50);
        let texts = if one_by_one { texts } else { vec![format!("[{}]", texts.join(","))] };
        for text in texts {
            ctx.note(format_args!("l{} asks {text}", exchange.line.link));
            let bytes = match exchange.via {
                Via::XmlSocket => [text.as_bytes(), b"\0"].concat(),
                _ => message(ctx, text.as_bytes()),
            };
            exchange.line.push(ctx, &bytes);
        }
        exchange.unanswered = 0;
        exchange.commands.extend(commands);
        let after = exchange.line.arrives.saturating_sub(ctx.now()) + 2 * SLACK;
        ctx.alarm(after, UNANSWERED + KINDS * self.generation);
        Vec::new()
    }

    /// Commands should have been answered by now.
    pub(super) fn check_answers(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let sound = ctx.net.is_sound(exchange.line.link) && self.manner.style.capacity >= 4096;
        let since = exchange.line.arrives.max(ctx.net.link(exchange.line.link).prompt_since);
        if exchange.awaits_answers() && ctx.now() >= since + 2 * SLACK && sound {
            ctx.fail(format!("l{}: commands are not answered in time", exchange.line.link));
        }
    }

    /// A ping wants to be answered.
    pub(super) fn pinged(&mut self, ctx: &mut Ctx<'_>, exchange: &mut Exchange, payload: &[u8]) {
        let mute = exchange.line.is_halved() || ctx.net.link(exchange.line.link).lame;
        if !self.manner.deaf {
            exchange.unanswered = 0;
            if !exchange.line.is_halved() {
                let pong = frame(ctx, 0x8a, payload);
                exchange.line.push(ctx, &pong);
            }
            return;
        }
        // What it said before may have crossed the ping.
        if mute || ctx.now() < exchange.line.arrives + 500 {
            return;
        }
        exchange.unanswered += 1;
        if exchange.unanswered > 1 {
            ctx.fail(format!("l{}: pinged again, though no ping was answered", exchange.line.link));
        }
    }

    /// A stream has ended; mostly it must have said why.
    pub(super) fn check_end(&mut self, ctx: &mut Ctx<'_>, exchange: &Exchange) {
        // What a lost response said, nobody has read.
        let is_told = exchange.pending.closed.is_some() || exchange.lose;
        if exchange.unanswered > 0 && !is_told {
            ctx.oracle.deaf += 1;
        } else if !is_told && !had_its_time(ctx, exchange) && !exchange.line.is_halved() {
            ctx.fail(format!("a stream ended without a close, {:?}", exchange.line));
        }
    }

    // ---- recycling ----

    /// The response is to make room: the next one is opened soon, or, by those who cannot, once this one ends.
    pub(super) fn make_room(&mut self, ctx: &mut Ctx<'_>) {
        let generation = KINDS * self.generation;
        if !self.manner.plain && ctx.rng.chance(80) {
            let after = ctx.rng.below(3_000);
            ctx.alarm(after, SUPERSEDE + generation);
        }
        ctx.alarm(PATIENCE + 2 * SLACK, RECYCLED + generation);
    }

    /// Nobody has taken this response's place: it must be over by now.
    pub(super) fn check_recycled(&mut self, ctx: &mut Ctx<'_>) {
        let Some(exchange) = &self.current else { return };
        let Some(told) = exchange.pending.recycled else { return };
        let since = told.max(ctx.net.link(exchange.line.link).prompt_since);
        if ctx.now() >= since + PATIENCE + SLACK && ctx.net.is_sound(exchange.line.link) && !ctx.mood.over {
            ctx.fail(format!("l{} was to make room and goes on", exchange.line.link));
        }
    }
}

/// Whether a response was told to make room, and went on for as long as it may: it ends without
/// another word. A client that reads late learns late that it was told, but the server told it
/// after the request had arrived.
pub(super) fn had_its_time(ctx: &Ctx<'_>, exchange: &Exchange) -> bool {
    let Some(told) = exchange.pending.recycled else { return false };
    let is_lame = ctx.net.link(exchange.line.link).lame;
    let since = if is_lame { exchange.line.arrives } else { told.saturating_sub(SLACK) };
    ctx.now() >= since + RECYCLE_PATIENCE
}

/// A masked frame (RFC 6455, 5.2).
pub(crate) fn frame(ctx: &mut Ctx<'_>, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (ctx.rng.next() as u32).to_be_bytes();
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
