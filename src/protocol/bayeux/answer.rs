//! Messages to clients: answers, each with the id of its request, advice, and events.
//!
//! An event has neither `successful` nor an id: clients recognise answers by the first, and a
//! foreign id would complete another's request. Events are encoded the same for every receiver.

use std::io::Write;

use super::fault::BayeuxFault;
use super::message::{BayeuxHead, Timesync};
use super::stamp::{self, Stamp};
use super::{CONNECTION_TYPES, VERSION};
use crate::base::ticks::Span;
use crate::protocol::Wrap;
use crate::protocol::bayeux::limits::CROWD_INTERVAL_MS;
use crate::protocol::native::envelope::{Encoding, Message};
use crate::wire::json::{escape_into, quoted};

/// The client's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// To connect again.
    Retry {
        /// How long the server holds the next connect.
        timeout: Span,
        /// How long a session lives without a connect.
        max_interval: Span,
        /// Whether its browser has too many clients, so that it must wait.
        clients: MultipleClients,
    },
    /// Handshake, after this time.
    Handshake(Span),
    /// To do nothing.
    Nothing,
}

/// The number of clients of a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultipleClients {
    /// One, as far as the server knows.
    Alone,
    /// Several: this one must not hold a connection.
    Several,
}

/// An answer being built.
#[derive(Debug)]
pub struct BayeuxAnswer {
    json: Vec<u8>,
}

impl BayeuxAnswer {
    /// The answer to a message: its outcome.
    pub fn to(head: &BayeuxHead, outcome: Result<(), &BayeuxFault>) -> Self {
        Self::on(&head.channel, head.id.as_deref(), outcome).with_stamp(head.stamp)
    }

    /// The answer to a message of a channel, with an id.
    pub fn on(channel: &str, id: Option<&str>, outcome: Result<(), &BayeuxFault>) -> Self {
        let mut json = Vec::with_capacity(192);
        json.push(b'{');
        if let Some(id) = id {
            json.extend_from_slice(b"\"id\":");
            json.extend_from_slice(id.as_bytes());
            json.push(b',');
        }
        if !channel.is_empty() {
            json.extend_from_slice(b"\"channel\":");
            escape_into(channel, &mut json);
            json.push(b',');
        }
        match outcome {
            Ok(()) => json.extend_from_slice(b"\"successful\":true"),
            Err(fault) => {
                json.extend_from_slice(b"\"successful\":false,\"error\":");
                escape_into(&fault.to_string(), &mut json);
            }
        }
        Self { json }
    }

    /// Adds the time of the answer, if requested.
    #[must_use]
    pub fn with_stamp(self, stamp: Stamp) -> Self {
        match stamp {
            Stamp::At(unix_ms) => self.with("timestamp", &format!("\"{}\"", stamp::spelled(unix_ms))),
            Stamp::Unasked | Stamp::Asked => self,
        }
    }

    /// Adds a member, whose value is JSON.
    #[must_use]
    pub fn with(mut self, name: &str, json: &str) -> Self {
        _ = write!(self.json, ",\"{name}\":{json}");
        self
    }

    /// Adds the members of a successful handshake.
    #[must_use]
    pub fn with_session(self, client: &str) -> Self {
        let types: Vec<_> = CONNECTION_TYPES.iter().map(|name| format!("\"{name}\"")).collect();
        self.with_version()
            .with("supportedConnectionTypes", &format!("[{}]", types.join(",")))
            .with("clientId", &format!("\"{client}\""))
    }

    /// Adds the version.
    #[must_use]
    pub fn with_version(self) -> Self {
        self.with("version", &format!("\"{VERSION}\"")).with("minimumVersion", &format!("\"{VERSION}\""))
    }

    /// Adds complete advice, which replaces all earlier advice.
    #[must_use]
    pub fn with_advice(mut self, advice: Advice) -> Self {
        let json = &mut self.json;
        match advice {
            // Every answer to a connect has it, so it avoids the formatter.
            Advice::Retry { timeout, max_interval, clients } => {
                let (interval, multiple) = match clients {
                    MultipleClients::Alone => (0, ""),
                    MultipleClients::Several => (CROWD_INTERVAL_MS, r#","multiple-clients":true"#),
                };
                let mut member = |name: &str, ms: u64| {
                    json.extend_from_slice(name.as_bytes());
                    json.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
                };
                member(r#","advice":{"reconnect":"retry","interval":"#, interval);
                member(r#","timeout":"#, timeout.as_millis());
                member(r#","maxInterval":"#, max_interval.as_millis());
                json.extend_from_slice(multiple.as_bytes());
                json.push(b'}');
            }
            Advice::Handshake(interval) => {
                json.extend_from_slice(br#","advice":{"reconnect":"handshake","interval":"#);
                json.extend_from_slice(itoa::Buffer::new().format(interval.as_millis()).as_bytes());
                json.push(b'}');
            }
            Advice::Nothing => json.extend_from_slice(br#","advice":{"reconnect":"none"}"#),
        }
        self
    }

    /// Adds the extensions' members: the number of the batch, or that batches will be numbered, and
    /// the clocks.
    #[must_use]
    pub fn with_ext(self, ack: Option<&str>, clocks: Option<Clocks>) -> Self {
        let ack = ack.map(|ack| format!("\"ack\":{ack}"));
        let clocks = clocks.map(Clocks::json);
        let ext: Vec<_> = ack.into_iter().chain(clocks).collect();
        if ext.is_empty() { self } else { self.with("ext", &format!("{{{}}}", ext.join(","))) }
    }

    /// The answer as JSON.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.push(b'}');
        self.json
    }
}

/// The client's clock beside ours, for the timesync extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The client's value.
    pub client: Timesync,
    /// Milliseconds since 1970 when it was received.
    pub received: i64,
    /// Milliseconds for which it was held.
    pub held: i64,
}

impl Clocks {
    fn json(self) -> String {
        let Self { client: Timesync { tc, l, o }, received, held } = self;
        let accuracy = tc.saturating_add(o).saturating_add(l).saturating_sub(received);
        format!(r#""timesync":{{"tc":{tc},"ts":{received},"p":{held},"a":{accuracy}}}"#)
    }
}

/// Appends an event: an array of one if it is alone in its frame. Nothing for presence, which
/// Bayeux does not have.
pub fn event(message: &Message, wrap: Wrap, out: &mut Vec<u8>) {
    if matches!(message.encoding, Encoding::Presence | Encoding::Verbatim) {
        return;
    }
    if wrap == Wrap::Whole {
        out.push(b'[');
    }
    out.extend_from_slice(b"{\"channel\":");
    escape_into(&message.channel, out);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(message.data.as_bytes());
    let encoding = (message.encoding == Encoding::Base64).then_some("\"encoding\":\"base64\"".to_owned());
    let from = message.from.as_deref().map(|from| format!("\"from\":{}", quoted(from)));
    let ext: Vec<_> = encoding.into_iter().chain(from).collect();
    if !ext.is_empty() {
        _ = write!(out, ",\"ext\":{{{}}}", ext.join(","));
    }
    out.push(b'}');
    if wrap == Wrap::Whole {
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::bayeux::fault::FaultCause;

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    fn head(channel: &str) -> BayeuxHead {
        BayeuxHead { channel: channel.into(), id: Some("\"7\"".into()), ..BayeuxHead::default() }
    }

    #[test]
    fn an_answer_repeats_channel_and_id_and_says_what_came_of_it() {
        let answer = BayeuxAnswer::to(&head("/a\"b"), Ok(()));
        assert_eq!(text(answer.finish()), r#"{"id":"7","channel":"/a\"b","successful":true}"#);
        let fault = FaultCause::Publish { channel: "/a" }.into();
        let answer = BayeuxAnswer::to(&head("/a"), Err(&fault)).with_advice(Advice::Handshake(Span::ZERO));
        assert_eq!(
            text(answer.finish()),
            r#"{"id":"7","channel":"/a","successful":false,"error":"403:/a:publish_denied","advice":{"reconnect":"handshake","interval":0}}"#
        );
    }

    #[test]
    fn an_answer_to_a_message_with_a_timestamp_has_one() {
        let stamped = BayeuxHead { stamp: Stamp::At(0), ..head("/c") };
        assert_eq!(
            text(BayeuxAnswer::to(&stamped, Ok(())).finish()),
            r#"{"id":"7","channel":"/c","successful":true,"timestamp":"Thu, 01 Jan 1970 00:00:00 GMT"}"#
        );
    }

    #[test]
    fn advice_is_complete_and_reports_multiple_clients() {
        let (timeout, max_interval) = (Span::from_secs(30), Span::from_secs(10));
        let advice = |clients| Advice::Retry { timeout, max_interval, clients };
        let advice = |clients| {
            text(BayeuxAnswer::to(&BayeuxHead::default(), Ok(())).with_advice(advice(clients)).finish())
        };
        assert_eq!(
            advice(MultipleClients::Alone),
            r#"{"successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":30000,"maxInterval":10000}}"#
        );
        assert!(advice(MultipleClients::Several).contains(r#""interval":2000,"#));
        assert!(advice(MultipleClients::Several).contains(r#""multiple-clients":true"#));
    }

    #[test]
    fn the_timesync_extension_gets_the_clocks() {
        let client = Timesync { tc: 1000, l: 5, o: 20 };
        let clocks = Clocks { client, received: 1030, held: 7 };
        let answer = BayeuxAnswer::to(&BayeuxHead::default(), Ok(())).with_ext(Some("3"), Some(clocks));
        assert_eq!(
            text(answer.finish()),
            r#"{"successful":true,"ext":{"ack":3,"timesync":{"tc":1000,"ts":1030,"p":7,"a":-5}}}"#
        );
    }

    #[test]
    fn an_event_has_no_id_and_its_payload_byte_exact() {
        let message = |from: Option<&str>, encoding| Message {
            channel: "/c".into(),
            from: from.map(Into::into),
            data: r#"{"b":1.0, "a":1e2}"#.into(),
            encoding,
        };
        let spelled = |message: &Message, wrap| {
            let mut out = Vec::new();
            event(message, wrap, &mut out);
            text(out)
        };
        assert_eq!(
            spelled(&message(None, Encoding::Json), Wrap::Item),
            r#"{"channel":"/c","data":{"b":1.0, "a":1e2}}"#
        );
        assert_eq!(
            spelled(&message(Some("b\"ob"), Encoding::Base64), Wrap::Whole),
            r#"[{"channel":"/c","data":{"b":1.0, "a":1e2},"ext":{"encoding":"base64","from":"b\"ob"}}]"#
        );
        assert_eq!(spelled(&message(None, Encoding::Presence), Wrap::Item), "");
    }
}
