//! A shard and a minimal driver: the reactor's part without sockets, clock or mail.
//!
//! Written bytes are gathered as in the reactor and then dropped, all at once: there are no slow
//! readers. Time stands still, so no timer fires.

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;

use encke::auth::gate::Keys;
use encke::base::ids::{ListenerKind, ShardId};
use encke::base::slab::ConnKey;
use encke::base::ticks::{Span, Tick};
use encke::config::Config;
use encke::shard::{Identity, Input, Shard};
use encke::turn::input::Effect;

/// One shard, a backend's connection to it, and the pending writes.
pub(crate) struct Rig {
    shard: Shard,
    backend: ConnKey,
    dirty: Vec<ConnKey>,
}

/// The output of one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The number of `writev` calls that the reactor would have made.
    pub(crate) writes: usize,
    pub(crate) bytes: usize,
}

impl Rig {
    /// The only shard of its node, with room for everything.
    pub(crate) fn new() -> Self {
        let day = Span::from_secs(24 * 3600);
        let config = Config {
            sessions: 1 << 24,
            channels: 1 << 24,
            // Small logs fill soon, so that each new message displaces one.
            channel_bytes: 1024,
            message_bytes: 1024,
            session_grace: day,
            channel_age: day,
            memory: 1 << 34,
            ..Config::default()
        };
        let identity = Identity {
            id: ShardId(0),
            shards: 1,
            home_key: (1, 2),
            seed: [7; 32],
            unix_ms_at_zero: 1_700_000_000_000,
        };
        let mut shard = Shard::new(NOW, Arc::new(config), Arc::new(Keys::open()), identity);
        let backend = shard.accept(NOW, ListenerKind::Private, None).expect("there is room for the first");
        Self { shard, backend, dirty: Vec::new() }
    }

    /// A browser connects.
    pub(crate) fn connect(&mut self) -> ConnKey {
        self.shard.accept(NOW, ListenerKind::Public, None).expect("there is no bound on connections")
    }

    /// A connection has ended.
    pub(crate) fn break_off(&mut self, conn: ConnKey) {
        self.give(Input::Broken { conn });
    }

    /// Bytes arrive from a browser.
    pub(crate) fn say(&mut self, conn: ConnKey, bytes: &[u8]) {
        self.give(Input::Bytes { conn, bytes });
    }

    /// Bytes arrive from the backend.
    pub(crate) fn publish(&mut self, request: &[u8]) {
        self.give(Input::Bytes { conn: self.backend, bytes: request });
    }

    /// Ends the turn and writes everything.
    pub(crate) fn turn(&mut self) -> Written {
        self.turn_with(|_, _| {})
    }

    /// The same, and shows the bytes of each connection.
    pub(crate) fn turn_with(&mut self, mut look: impl FnMut(ConnKey, &[IoSlice<'_>])) -> Written {
        self.give(Input::EndTurn);
        let mut written = Written::default();
        while !self.dirty.is_empty() {
            let mut conns = std::mem::take(&mut self.dirty);
            for conn in conns.drain(..) {
                self.write(conn, &mut written, &mut look);
            }
            if self.dirty.is_empty() {
                // The list keeps its memory.
                self.dirty = conns;
            }
        }
        written
    }

    fn write(
        &mut self,
        conn: ConnKey,
        written: &mut Written,
        look: &mut impl FnMut(ConnKey, &[IoSlice<'_>]),
    ) {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let Some(outbox) = self.shard.outbox(conn).filter(|outbox| !outbox.is_empty()) else { return };
            let used = black_box(outbox.slices(&mut slices));
            look(conn, &slices[..used]);
            let bytes = slices[..used].iter().map(|slice| slice.len()).sum();
            written.writes += 1;
            written.bytes += bytes;
            self.give(Input::Written { conn, bytes });
        }
    }

    fn give(&mut self, input: Input<'_>) {
        self.shard.handle(NOW, input);
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Write(conn) => self.dirty.push(conn),
                Effect::Pause(_)
                | Effect::Resume(_)
                | Effect::ShutdownWrite(_)
                | Effect::Close(_)
                | Effect::HandOff { .. }
                | Effect::Mail { .. }
                | Effect::Hook { .. }
                | Effect::Stream { .. }
                | Effect::FetchKeys
                | Effect::Drained => {}
            }
        }
    }
}

/// A browser's request for `target`, with the headers that a browser sends.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{BROWSER}\r\n").into_bytes()
}

/// A browser's request that sends JSON, with a cookie of its own or `""`.
pub(crate) fn send(target: &str, cookie: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    let between = if cookie.is_empty() { "" } else { "; " };
    let headers = BROWSER.trim_end();
    format!(
        "POST {target} HTTP/1.1\r\n{headers}{between}{cookie}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A backend's request, as the usual HTTP libraries write it.
pub(crate) fn post(target: &str, content_type: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost:8081\r\nUser-Agent: backend/1.0\r\nAccept: */*\r\n\
         Content-Type: {content_type}\r\nContent-Length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A JSON string of `len` bytes.
pub(crate) fn payload(len: usize) -> String {
    format!("\"{}\"", "x".repeat(len.saturating_sub(2)))
}

/// Chromium's headers for an `EventSource`.
const BROWSER: &str = "Host: push.example.org\r\nConnection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nAccept: text/event-stream\r\n\
Cache-Control: no-cache\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
Referer: https://push.example.org/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9\r\nCookie: theme=dark; visitor=4f1c2a9be77d\r\n";

/// The constant time.
const NOW: Tick = Tick::from_millis(1_000_000);

/// As many as the reactor gathers for one call.
const SLICES: usize = 64;
