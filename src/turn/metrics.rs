//! The counters of one shard. A scrape adds up those of all shards.

use crate::protocol::tcp::event::StreamClose;
use crate::transport::REGISTRY;
use crate::turn::limits::HISTOGRAM_BUCKETS;

/// The number of listeners.
pub const LISTENERS: usize = 3;

/// Counters and gauges of one shard.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections accepted, by listener: public, private, XMLSocket.
    pub accepted: [u64; LISTENERS],
    /// Connections refused because all were in use, by listener.
    pub turned_away: [u64; LISTENERS],
    /// Connections closed before they sent a byte, because their address had too many such
    /// connections.
    pub unheard: u64,
    /// Connections open now, by listener.
    pub open: [u64; LISTENERS],
    /// Responses that carry messages, open now, by transport.
    pub attached: [u64; REGISTRY.len()],
    /// Responses that carry messages, since the start, by transport.
    pub exchanges: [u64; REGISTRY.len()],
    /// Messages published to channels whose home this is.
    pub messages_in: u64,
    /// Messages handed to connections.
    pub messages_out: u64,
    /// Bytes read from and written to connections.
    pub bytes: [u64; 2],
    /// Gaps sent.
    pub gaps: u64,
    /// Streams that fell back to their cursor.
    pub falls: u64,
    /// Connections closed because the peer read nothing for too long.
    pub stalled: u64,
    /// Refusals, by cause. There are few causes, so a list is enough.
    pub refusals: Vec<(&'static str, u64)>,
    /// Connections handed off to other shards.
    pub hand_offs: u64,
    /// Letters in the mailbox, as last reported.
    pub mailbox: usize,
    /// Connections refused because no descriptor was left.
    pub unaccepted: u64,
    /// Log lines that could not be written.
    pub log_dropped: u64,
    /// Working times of turns.
    pub turns: Histogram,
    /// Working time of the last turn, in microseconds.
    pub last_turn: u32,
    /// Streams recycled because they were long or old.
    pub recycled: u64,
    /// Guests sent home.
    pub moved: u64,
    /// Sessions created for the later of two clients that replaced each other in one.
    pub parted: u64,
    /// Envelopes encoded, each once for all receivers of a form.
    pub encoded: u64,
    /// Messages compressed, each once for all receivers.
    pub deflated: u64,
    /// Hook calls: taken, denied, unavailable.
    pub hooks: [u64; 3],
    /// TCP streams that have a connection to a server, or are about to.
    pub streams_open: u64,
    /// TCP streams that are over, by the cause.
    pub streams_closed: [u64; StreamClose::ALL.len()],
    /// TCP streams that were not opened, by error code.
    pub streams_refused: Vec<(&'static str, u64)>,
    /// Bytes of TCP streams to and from servers.
    pub stream_bytes: [u64; 2],
}

/// Durations in buckets that double.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Bucket `i` counts durations below `2^(i + 4)` microseconds that exceed the bucket before;
    /// the last one counts all longer ones.
    pub buckets: [u64; HISTOGRAM_BUCKETS],
    /// Sum in microseconds.
    pub sum: u64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, micros: u32) {
        let bucket = (micros >> 3).checked_ilog2().unwrap_or(0) as usize;
        self.buckets[bucket.min(self.buckets.len() - 1)] += 1;
        self.sum += u64::from(micros);
    }

    /// The upper bound of a bucket in microseconds; `None` for the last.
    pub fn bound(bucket: usize) -> Option<u64> {
        (bucket + 1 < HISTOGRAM_BUCKETS).then(|| 16 << bucket)
    }
}

impl Metrics {
    /// Counts a turn by its working time.
    pub fn turn(&mut self, micros: u32) {
        self.last_turn = micros;
        self.turns.record(micros);
    }

    /// Counts a refusal.
    pub fn refused(&mut self, code: &'static str) {
        count(&mut self.refusals, (code, 1));
    }

    /// Counts a TCP stream that was not opened.
    pub fn stream_refused(&mut self, code: &'static str) {
        count(&mut self.streams_refused, (code, 1));
    }

    /// Adds another shard's counters.
    pub fn add(&mut self, other: &Self) {
        fn sum<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
        sum(&mut self.accepted, &other.accepted);
        sum(&mut self.open, &other.open);
        sum(&mut self.turned_away, &other.turned_away);
        self.unheard += other.unheard;
        sum(&mut self.attached, &other.attached);
        sum(&mut self.exchanges, &other.exchanges);
        sum(&mut self.bytes, &other.bytes);
        sum(&mut self.hooks, &other.hooks);
        sum(&mut self.streams_closed, &other.streams_closed);
        sum(&mut self.stream_bytes, &other.stream_bytes);
        self.streams_open += other.streams_open;
        sum(&mut self.turns.buckets, &other.turns.buckets);
        self.turns.sum += other.turns.sum;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.gaps += other.gaps;
        self.falls += other.falls;
        self.stalled += other.stalled;
        self.hand_offs += other.hand_offs;
        self.mailbox += other.mailbox;
        self.unaccepted += other.unaccepted;
        self.log_dropped += other.log_dropped;
        self.recycled += other.recycled;
        self.moved += other.moved;
        self.parted += other.parted;
        self.encoded += other.encoded;
        self.deflated += other.deflated;
        other.refusals.iter().for_each(|more| count(&mut self.refusals, *more));
        other.streams_refused.iter().for_each(|more| count(&mut self.streams_refused, *more));
    }
}

/// Adds to the count of a code.
fn count(all: &mut Vec<(&'static str, u64)>, (code, more): (&'static str, u64)) {
    match all.iter_mut().find(|(known, _)| *known == code) {
        Some((_, sum)) => *sum += more,
        None => all.push((code, more)),
    }
}

#[cfg(test)]
mod tests {
    use crate::turn::metrics::*;

    #[test]
    fn a_duration_falls_below_its_buckets_bound() {
        let mut histogram = Histogram::default();
        for micros in [0, 15, 16, 31, 32, 1_000, u32::MAX] {
            histogram.record(micros);
        }
        assert_eq!(histogram.buckets[..3], [2, 2, 1]);
        assert_eq!((histogram.buckets[6], histogram.buckets[13]), (1, 1));
        assert_eq!(
            (Histogram::bound(0), Histogram::bound(6), Histogram::bound(13)),
            (Some(16), Some(1024), None)
        );
    }
}
