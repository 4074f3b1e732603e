//! The sum of all counters, in the Prometheus format.
//!
//! Counting and adding up are in `turn::metrics` and `api`; this file has the names, the help texts
//! and the format.

use std::fmt::Write;

use crate::protocol::tcp::event::StreamClose;
use crate::transport::REGISTRY;
use crate::turn::hook::VERDICTS;
use crate::turn::inquiry::Sample;
use crate::turn::metrics::Histogram;

impl Sample {
    /// Prometheus text exposition format, version 0.0.4.
    pub(crate) fn prometheus(&self) -> String {
        let mut text = Exposition::default();
        let version = std::iter::once((env!("CARGO_PKG_VERSION"), 1));
        text.labelled("info", "gauge", "The version of the node.", "version", version);
        self.connections(&mut text);
        self.deliveries(&mut text);
        self.streams(&mut text);
        self.troubles(&mut text);
        text.0
    }

    fn connections(&self, text: &mut Exposition) {
        let m = &self.metrics;
        let doors = ["public", "private", "xmlsocket"];
        text.labelled(
            "connections",
            "gauge",
            "Connections open now, by door.",
            "door",
            doors.into_iter().zip(m.open),
        );
        text.labelled(
            "connections_accepted_total",
            "counter",
            "Connections accepted, by door.",
            "door",
            doors.into_iter().zip(m.accepted),
        );
        text.labelled(
            "connections_refused_total",
            "counter",
            "Connections refused since all that ENCKE_CONNECTIONS allows were taken, by door.",
            "door",
            doors.into_iter().zip(m.turned_away),
        );
        text.single(
            "connections_unheard_total",
            "counter",
            "Connections closed since their address had ENCKE_SILENT_PER_ADDRESS that said nothing.",
            m.unheard,
        );
    }

    fn deliveries(&self, text: &mut Exposition) {
        let m = &self.metrics;
        let names = || REGISTRY.iter().map(|row| row.name());
        text.labelled(
            "responses",
            "gauge",
            "Responses that carry messages, open now.",
            "transport",
            names().zip(m.attached),
        );
        text.labelled(
            "responses_total",
            "counter",
            "Responses that carry messages, since the start.",
            "transport",
            names().zip(m.exchanges),
        );
        text.single(
            "sessions",
            "gauge",
            "Sessions that have not ended, with and without a connection.",
            self.sessions as u64,
        );
        text.single(
            "channels",
            "gauge",
            "Channels, patterns and private logs, each counted on each shard that has it.",
            self.channels as u64,
        );
        text.single("messages_in_total", "counter", "Messages published.", m.messages_in);
        text.single("messages_out_total", "counter", "Messages handed to connections.", m.messages_out);
        text.labelled(
            "bytes_total",
            "counter",
            "Bytes read from and written to connections.",
            "direction",
            ["in", "out"].into_iter().zip(m.bytes),
        );
        text.single(
            "encoded_total",
            "counter",
            "Envelopes encoded, each once for all who receive it in one form.",
            m.encoded,
        );
        text.single(
            "deflated_total",
            "counter",
            "Messages compressed, each once for all who receive it compressed.",
            m.deflated,
        );
    }

    fn streams(&self, text: &mut Exposition) {
        let m = &self.metrics;
        text.single(
            "tcp_streams",
            "gauge",
            "TCP streams that have a connection to a server, or are about to.",
            m.streams_open,
        );
        text.labelled(
            "tcp_streams_closed_total",
            "counter",
            "TCP streams that are over, by the cause.",
            "cause",
            StreamClose::ALL.iter().map(|code| code.text()).zip(m.streams_closed),
        );
        text.labelled(
            "tcp_streams_refused_total",
            "counter",
            "TCP streams that were not opened, by error code.",
            "cause",
            m.streams_refused.iter().copied(),
        );
        text.labelled(
            "tcp_bytes_total",
            "counter",
            "Bytes of TCP streams to servers (up) and from them (down).",
            "direction",
            ["up", "down"].into_iter().zip(m.stream_bytes),
        );
    }

    fn troubles(&self, text: &mut Exposition) {
        let m = &self.metrics;
        text.single("recycled_total", "counter", "Streams asked to make room for another.", m.recycled);
        text.single(
            "guests_moved_total",
            "counter",
            "Streams of users whose home is another node, ended so that they go there.",
            m.moved,
        );
        text.single(
            "sessions_parted_total",
            "counter",
            "Sessions made for the later of two clients that replaced each other in one.",
            m.parted,
        );
        text.single("gaps_total", "counter", "Gaps reported to clients.", m.gaps);
        text.single(
            "slow_consumer_falls_total",
            "counter",
            "Streams that fell back to their cursor.",
            m.falls,
        );
        text.single(
            "stalled_total",
            "counter",
            "Connections cut since they took nothing for ENCKE_WRITE_TIMEOUT.",
            m.stalled,
        );
        text.labelled(
            "refusals_total",
            "counter",
            "Requests refused, by cause.",
            "cause",
            m.refusals.iter().copied(),
        );
        text.single(
            "unaccepted_total",
            "counter",
            "Connections refused for lack of descriptors.",
            m.unaccepted,
        );
        text.single(
            "log_dropped_total",
            "counter",
            "Lines of the log that were dropped, since nobody read it fast enough.",
            m.log_dropped,
        );
        text.single("hand_offs_total", "counter", "Connections sent to another shard.", m.hand_offs);
        let hooks = VERDICTS.into_iter().zip(m.hooks);
        text.labelled("hook_calls_total", "counter", "Calls of web hooks, by outcome.", "outcome", hooks);
        text.single("mailbox_depth", "gauge", "Letters that wait between shards.", m.mailbox as u64);
        text.single("log_messages", "gauge", "Messages held in logs.", self.log_messages as u64);
        text.single(
            "channel_bytes",
            "gauge",
            "Memory held by channels and subscriptions, messages aside, in bytes.",
            self.channel_bytes as u64,
        );
        text.single("log_bytes", "gauge", "Memory held by logs, in bytes.", self.log_bytes as u64);
        text.single(
            "input_bytes",
            "gauge",
            "Unfinished input that is kept, in bytes.",
            self.input_bytes as u64,
        );
        text.histogram("turn_seconds", "How long a turn of a shard's loop works.", &m.turns);
    }
}

/// Lines of the exposition format.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP encke_{name} {help}\n# TYPE encke_{name} {kind}\n");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "encke_{name} {value}");
    }

    fn labelled<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, kind, help);
        for (of, value) in values {
            let _ = writeln!(self.0, "encke_{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "sums below 2^52 microseconds are exact")]
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut sum = 0;
        for (i, count) in histogram.buckets.iter().enumerate() {
            sum += count;
            let bound = Histogram::bound(i).map_or("+Inf".to_owned(), |us| format!("{}", us as f64 / 1e6));
            let _ = writeln!(self.0, "encke_{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(self.0, "encke_{name}_sum {}\nencke_{name}_count {sum}", histogram.sum as f64 / 1e6);
    }
}
