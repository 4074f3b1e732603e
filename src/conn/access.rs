//! The access log: one line for each finished exchange, at `debug`.
//!
//! Nothing is stored while that level is off. The query is omitted, because it may contain a token.

use log::{Level, debug, log_enabled};

use crate::base::ids::ListenerKind;
use crate::base::ticks::Tick;
use crate::conn::phase::Conn;
use crate::wire::http::head::Head;

/// A request in progress.
#[derive(Debug)]
pub struct AccessEntry {
    method: &'static str,
    path: Box<str>,
    since: Tick,
    /// 0 until the response begins.
    status: u16,
    bytes: u64,
}

const TARGET: &str = "encke::access";

impl AccessEntry {
    /// Starts with the request's head, if the log is on.
    pub fn begin(now: Tick, head: &Head<'_>) -> Option<Box<Self>> {
        log_enabled!(target: TARGET, Level::Debug).then(|| {
            let method = head.method.as_str();
            Box::new(Self { method, path: head.path.into(), since: now, status: 0, bytes: 0 })
        })
    }

    /// Counts bytes of the response; the first ones contain the status.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.status == 0 {
            let digits = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            self.status =
                digits.and_then(|digits| digits.parse().ok()).filter(|&status| status >= 200).unwrap_or(0);
        }
    }

    /// Writes the line at the end of the exchange.
    pub fn finish(self, now: Tick, conn: &Conn) {
        let door = match conn.listener {
            ListenerKind::Public => "public",
            ListenerKind::Private => "private",
            ListenerKind::XmlSocket => "xmlsocket",
        };
        let peer = conn.peer().map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        let Self { method, path, since, status, bytes } = self;
        let ms = now.since(since).as_millis();
        debug!(target: TARGET, door, peer:% = peer, method, path:% = path, status, bytes, ms; "finished");
    }
}
