//! The WebSocket that returns each message, for testing proxies between a client and the server.
//!
//! It has no session. Its outbox is bounded like any other, so a client that sends without reading
//! only delays itself.

use crate::base::frame::Frame;
use crate::base::slab::ConnKey;
use crate::base::ticks::Tick;
use crate::conn::Conns;
use crate::conn::phase::{Phase, Step};
use crate::conn::socket::NORMAL;
use crate::conn::unfinished::Deadline;
use crate::request::Upgrade;
use crate::request::reply::Reply;
use crate::transport::{Dialect, ws};
use crate::turn::cx::Cx;
use crate::turn::timer::Timer;
use crate::wire::websocket::{Decoder, Opcode, Past, WebSocketEvent, WebSocketLimits};

/// A WebSocket that returns each message.
#[derive(Debug)]
pub struct Echo {
    decoder: Decoder,
    dialect: Dialect,
    deadline: Deadline,
}

impl Echo {
    /// For a new WebSocket.
    pub fn new(dialect: Dialect, past: Past) -> Self {
        Self { decoder: Decoder::new(past), dialect, deadline: Deadline::default() }
    }

    /// Buffered bytes of an unfinished message.
    pub fn input_bytes(&self) -> usize {
        self.decoder.unfinished_bytes()
    }

    /// Whether the unfinished message has passed its deadline.
    pub fn is_late(&self, now: Tick) -> bool {
        self.deadline.is_over(now)
    }
}

impl Conns {
    /// Opens a WebSocket that echoes.
    pub(crate) fn open_echo(&mut self, cx: &mut Cx, key: ConnKey, upgrade: &Upgrade, reply: &Reply) {
        let now = cx.now;
        let headers = upgrade.headers();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let mut head = Vec::with_capacity(256);
        reply.switch("websocket", &headers, &mut head);
        let dialect = ws::compressing(Dialect::default(), upgrade.window_bits());
        self.push(cx, key, Frame::from(head));
        let conn = &mut self.slab[key];
        conn.phase = Phase::Echo(Box::new(Echo::new(dialect, upgrade.past())));
        conn.alarm.set(&mut cx.wheel, now + cx.config.idle_timeout, Timer::Conn(key));
    }

    /// Echoes bytes.
    pub(crate) fn echo(&mut self, cx: &mut Cx, key: ConnKey, input: &[u8]) -> Step {
        let now = cx.now;
        let Some(conn) = self.slab.get_mut(key) else { return Step::Stop };
        let Phase::Echo(echo) = &mut conn.phase else { return Step::Stop };
        if conn.outbox.len() >= cx.config.outbox_bytes {
            return Step::Stop;
        }
        let dialect = echo.dialect;
        let compression = ws::compression(dialect);
        let limits = WebSocketLimits { message_bytes_max: cx.config.body_bytes, compression };
        let decoded = echo.decoder.decode(input, &limits, self.inflater.get_or_insert_default());
        echo.deadline.look(echo.decoder.is_idle(), now + cx.config.body_timeout);
        let idle = now + cx.config.idle_timeout;
        let due = echo.deadline.due().map_or(idle, |due| due.min(idle));
        conn.alarm.set(&mut cx.wheel, due, Timer::Conn(key));
        let (used, event) = match decoded {
            Ok(decoded) => decoded,
            Err(violation) => return self.break_off(cx, key, violation.into()),
        };
        let mut back = Vec::new();
        let encoder = &cx.encoder;
        match event {
            None | Some(WebSocketEvent::Pong(_)) => {}
            Some(WebSocketEvent::Text(text)) => {
                ws::message(dialect, Opcode::Text, text.as_bytes(), encoder, &mut back);
            }
            Some(WebSocketEvent::Binary(bytes)) => {
                ws::message(dialect, Opcode::Binary, &bytes, encoder, &mut back);
            }
            Some(WebSocketEvent::Ping(payload)) => ws::control(Opcode::Pong, &payload, &mut back),
            Some(WebSocketEvent::Close(close)) => {
                self.close_socket(cx, key, close.map_or(NORMAL, |(code, _)| code), "");
                return Step::Used(used);
            }
        }
        self.push(cx, key, Frame::from(back));
        Step::Used(used)
    }
}
