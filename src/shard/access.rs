//! The access log: one line for each finished exchange, at `debug`.
//!
//! Nothing is kept while that level is off. The query is left out, for it may hold a token.

use log::{Level, debug, log_enabled};

use crate::base::ids::Door;
use crate::base::ticks::Tick;
use crate::shard::conn::Conn;
use crate::wire::http::head::Head;

/// A request that is being answered.
#[derive(Debug)]
pub struct Access {
    method: &'static str,
    path: Box<str>,
    since: Tick,
    /// 0 until the response begins.
    status: u16,
    bytes: u64,
}

const TARGET: &str = "encke::access";

impl Access {
    /// Begins with the request's head, if anyone wants to know.
    pub fn begin(now: Tick, head: &Head<'_>) -> Option<Box<Self>> {
        log_enabled!(target: TARGET, Level::Debug).then(|| {
            let method = head.method.as_str();
            Box::new(Self { method, path: head.path.into(), since: now, status: 0, bytes: 0 })
        })
    }

    /// Bytes go out; the first of them say the status.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.status == 0 {
            let digits = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            self.status =
                digits.and_then(|digits| digits.parse().ok()).filter(|&status| status >= 200).unwrap_or(0);
        }
    }

    /// The exchange is over.
    pub fn finish(self, now: Tick, conn: &Conn) {
        let door = match conn.door {
            Door::Public => "public",
            Door::Private => "private",
            Door::XmlSocket => "xmlsocket",
        };
        let peer = conn.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        let Self { method, path, since, status, bytes } = self;
        let ms = now.since(since).as_millis();
        debug!(target: TARGET, door, peer:% = peer, method, path:% = path, status, bytes, ms; "finished");
    }
}
