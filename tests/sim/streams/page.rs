//! The page: its requests, some of which are lost, and what it makes of the envelopes.

use std::collections::VecDeque;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use encke::base::ids::ListenerKind;
use encke::base::slab::ConnKey;
use encke::shard::Input;
use serde_json::{Value, json};

use super::socket::UPGRADE;
use super::{Carrier, PageStream, Streams, TRANSPORTS, noise};

impl Streams {
    /// Sends a request on a connection of its own. The answer may be lost.
    pub(super) fn request(&mut self, request: &str) -> Option<String> {
        if self.rng.chance(4) {
            return None;
        }
        let conn = self.shard.accept(self.now, ListenerKind::Public, None).expect("there is room");
        self.give(Input::Bytes { conn, bytes: request.as_bytes() });
        self.turn();
        let answer = self.read(conn, usize::MAX);
        self.give(Input::Broken { conn });
        (!self.rng.chance(6)).then(|| String::from_utf8_lossy(&answer).into_owned())
    }

    /// Takes bytes of a response.
    pub(super) fn read(&mut self, conn: ConnKey, mut most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while most > 0 {
            let Some(outbox) = self.shard.outbox(conn).filter(|outbox| !outbox.is_empty()) else { break };
            let mut slices = [std::io::IoSlice::new(&[]); 8];
            let used = outbox.slices(&mut slices);
            let some = slices[..used].iter().flat_map(|slice| slice.iter().copied());
            let some: Vec<u8> = some.take(most).collect();
            most -= some.len();
            self.give(Input::Written { conn, bytes: some.len() });
            all.extend(some);
        }
        all
    }

    pub(super) fn begin(&mut self) {
        loop {
            let request = "GET /u/alice/poll HTTP/1.1\r\nHost: sim\r\n\r\n";
            let Some(answer) = self.request(request) else { continue };
            let header = |name: &str| {
                let (_, rest) = answer.split_once(name).expect("a header");
                rest.split("\r\n").next().expect("a line").to_owned()
            };
            (self.session, self.position) = (header("Encke-Session: "), header("Encke-Position: "));
            break;
        }
        for number in 1..=self.rng.range(1, 4) as u32 {
            let most = *self.rng.pick(&[0, 1, 3_000, 50_000]);
            let up = noise(&mut self.rng, most);
            let (credit, window) = (self.window, self.window);
            debug_assert_eq!(credit, window);
            self.pages.push(PageStream {
                number,
                up,
                confirmed: 0,
                credit,
                end_confirmed: false,
                got: Vec::new(),
                acked: 0,
                ack_sent: 0,
                saw_end: false,
                closed: None,
                stalls: 0,
            });
            while !self.command(&json!({ "stream": number, "open": "there" })) {}
        }
    }

    /// Sends a command by a request; returns whether its answer arrived.
    pub(super) fn command(&mut self, command: &Value) -> bool {
        let body = json!({ "tcp": command }).to_string();
        let request = format!(
            "POST /u/alice/send?session={} HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n\r\n{body}",
            self.session,
            body.len()
        );
        let Some(answer) = self.request(&request) else { return false };
        let json = answer.split_once("\r\n\r\n").expect("a head").1;
        self.answered(command, &serde_json::from_str(json).expect("JSON"));
        true
    }

    /// A command has its answer.
    pub(super) fn answered(&mut self, command: &Value, answer: &Value) {
        self.trace.push(format!("{:.90} -> {answer}", command.to_string()));
        let number = command["stream"].as_u64().expect("a number");
        let page = self.pages.iter_mut().find(|page| u64::from(page.number) == number).expect("a stream");
        match &answer["ok"]["tcp"] {
            Value::Null => {
                let code = answer["error"]["code"].as_str().expect("an error");
                assert_eq!(code, "tcp-unknown-stream", "{:.200} is refused: {answer}", command.to_string());
            }
            state => {
                if let (Some(at), Some(credit)) = (state["at"].as_u64(), state["credit"].as_u64()) {
                    page.confirmed = page.confirmed.max(at as usize);
                    page.credit = page.credit.max(credit as usize);
                }
            }
        }
        page.end_confirmed |= command["end"] == true && page.confirmed == page.up.len();
        if let Some(at) = command["ack"].as_u64() {
            page.acked = page.acked.max(at as usize);
        }
    }

    /// The page asks for old messages of a channel. They come by the session's own log and, if they
    /// are large, push those of the streams out of it before the page has had them.
    fn ask_for_history(&mut self) {
        let data = "x".repeat(self.rng.size(1, 12_000));
        let mut items = vec![json!({ "publish": "/news", "data": data }); 4];
        items.extend([json!({ "subscribe": "/news", "last": 8 }), json!({ "unsubscribe": "/news" })]);
        let body = Value::from(items).to_string();
        let (session, len) = (&self.session, body.len());
        let head =
            format!("POST /u/alice/send?session={session} HTTP/1.1\r\nHost: sim\r\nContent-Length: {len}");
        self.request(&format!("{head}\r\n\r\n{body}"));
    }

    /// The page does something for one of its streams.
    pub(super) fn uplink(&mut self) {
        if self.rng.chance(15) {
            return self.ask_for_history();
        }
        let which = self.rng.below(self.pages.len() as u64) as usize;
        let (action, size) = (self.rng.below(4), self.rng.size(1, 9_000));
        let back = self.rng.size(0, 2_000);
        let page = &mut self.pages[which];
        let number = page.number;
        page.stalls = page.stalls.saturating_sub(1);
        if page.closed.is_some() {
            return;
        }
        match action {
            0 | 1 => {
                // From anywhere that is confirmed: what comes again is dropped.
                let from = page.confirmed.saturating_sub(back);
                let end = (page.confirmed + size).min(page.up.len()).min(page.credit);
                if page.end_confirmed || (end == from && end < page.up.len()) {
                    return;
                }
                let (from, last) = (from.min(end), end == page.up.len());
                let bytes = page.up[from..end].to_vec();
                self.send(json!({ "stream": number, "at": from, "end": last }), Some(&bytes));
            }
            _ if page.acked < page.got.len() && page.stalls == 0 => {
                let got = page.got.len();
                self.send(json!({ "stream": number, "ack": got }), None);
            }
            _ => {}
        }
    }

    /// Sends a command up the WebSocket, if there is one, or by a request.
    fn send(&mut self, mut command: Value, bytes: Option<&[u8]>) {
        if self.carrier.as_ref().is_some_and(Carrier::is_socket) && self.rng.chance(70) {
            return self.send_up(command, bytes);
        }
        if let Some(bytes) = bytes {
            command["data"] = BASE64_STANDARD.encode(bytes).into();
        }
        self.command(&command);
    }

    /// The page reads from its response, opens one, or loses it.
    pub(super) fn downlink(&mut self) {
        if let Some(mut open) = self.carrier.take() {
            let most = *self.rng.pick(&[100, 3_000, 100_000]);
            let mut bytes = std::mem::take(&mut open.rest);
            bytes.extend(self.read(open.conn, most));
            let (rest, has_ended) = if open.is_socket() {
                self.frames(&mut open, &bytes)
            } else {
                (self.envelopes(&bytes, open.transport), false)
            };
            open.rest = rest;
            if has_ended || self.rng.chance(8) {
                // Cut at this byte.
                return self.give(Input::Broken { conn: open.conn });
            }
            self.carrier = Some(open);
            return;
        }
        let transport = *self.rng.pick(&TRANSPORTS);
        let sign = if transport.contains('?') { '&' } else { '?' };
        let target = format!("/u/alice/{transport}{sign}session={}&since={}", self.session, self.position);
        let upgrade = if transport.starts_with("ws") { UPGRADE } else { "" };
        let request = format!("GET {target} HTTP/1.1\r\nHost: sim\r\n{upgrade}\r\n");
        if !transport.contains("poll") {
            let conn = self.shard.accept(self.now, ListenerKind::Public, None).expect("there is room");
            self.carrier = Some(Carrier { conn, transport, rest: Vec::new(), asked: VecDeque::new() });
            self.give(Input::Bytes { conn, bytes: request.as_bytes() });
        } else if let Some(answer) = self.request(&request)
            && let Some((_, json)) = answer.split_once("\r\n\r\n")
            && !json.is_empty()
        {
            let all: Vec<Value> = serde_json::from_str(json).expect("an array");
            all.iter().for_each(|envelope| self.envelope(envelope, None, transport));
        }
    }

    /// Handles the complete envelopes in `bytes`; returns what follows them.
    pub(super) fn envelopes(&mut self, bytes: &[u8], transport: &'static str) -> Vec<u8> {
        // Chunks' heads and the response's are lines too; none of them begins with a brace.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..end].split(|byte| *byte == b'\n') {
            let line = if transport == "sse" { line.strip_prefix(b"data: ").unwrap_or(b"") } else { line };
            if line.first() == Some(&b'{') {
                let envelope: Value = serde_json::from_slice(line).expect("an envelope");
                self.envelope(&envelope, None, transport);
            }
        }
        bytes[end..].to_vec()
    }

    /// Handles an envelope; `raw` is its payload, if that comes behind it.
    pub(super) fn envelope(&mut self, envelope: &Value, raw: Option<&[u8]>, transport: &'static str) {
        self.trace.push(format!("{:.160}", envelope.to_string()));
        if let Some(id) = envelope["id"].as_str() {
            id.clone_into(&mut self.position);
        }
        if let Some(to) = envelope["gap"]["to"].as_str() {
            to.clone_into(&mut self.position);
            self.carried.insert("gap");
            for which in 0..self.pages.len() {
                let (number, got) = (self.pages[which].number, self.pages[which].got.len());
                if self.pages[which].closed.is_none() {
                    while !self.command(&json!({ "stream": number, "resume": got })) {}
                }
            }
        }
        let tcp = &envelope["tcp"];
        let Some(page) = self.pages.iter_mut().find(|page| tcp["stream"] == page.number) else { return };
        let decoded = || Some(BASE64_STANDARD.decode(envelope["data"].as_str()?).expect("base64"));
        if let Some(bytes) = raw.map(<[u8]>::to_vec).or_else(decoded) {
            let at = tcp["at"].as_u64().expect("an offset");
            self.carried.insert(transport);
            // Behind a gap, what follows it waits for what is asked for again.
            if let Some(known) = page.got.len().checked_sub(at as usize) {
                page.got.extend_from_slice(&bytes[known.min(bytes.len())..]);
            }
        }
        if let Some(credit) = tcp["credit"].as_u64() {
            page.credit = page.credit.max(credit as usize);
        }
        page.saw_end |= tcp["end"] == true && tcp["at"].as_u64() == Some(page.got.len() as u64);
        // Behind a gap, the end and this come again after the bytes.
        if let Some(code) = tcp["closed"]["code"].as_str().filter(|code| *code != "ok" || page.saw_end) {
            page.closed = Some(code.to_owned());
        }
    }
}
