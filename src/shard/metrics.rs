//! What a shard counts. Each shard counts for itself; the scrape adds up.

use crate::transport::REGISTRY;

/// How many doors there are.
pub const DOORS: usize = 3;

/// Counters and gauges of one shard.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Connections accepted, by door: public, private, XMLSocket.
    pub accepted: [u64; DOORS],
    /// Connections refused since all were taken, by door.
    pub turned_away: [u64; DOORS],
    /// Connections closed unheard, since their address had too many that say nothing.
    pub unheard: u64,
    /// Connections open now, by door.
    pub open: [u64; DOORS],
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
    /// Gaps told.
    pub gaps: u64,
    /// Streams that fell back to their cursor.
    pub falls: u64,
    /// Connections cut since they took nothing for too long.
    pub stalled: u64,
    /// Refusals, by cause. Few causes, so a list serves.
    pub refusals: Vec<(&'static str, u64)>,
    /// Connections sent to other shards.
    pub hand_offs: u64,
    /// Letters in the mailbox, when it was last looked at.
    pub mailbox: usize,
    /// Connections refused for want of descriptors.
    pub unaccepted: u64,
    /// Lines of the log that could not be written.
    pub log_dropped: u64,
    /// How long turns worked.
    pub turns: Histogram,
    /// How long the last one did, in microseconds.
    pub last_turn: u32,
    /// Responses that were told to make room for another, since they had become long or old.
    pub recycled: u64,
    /// Sessions made for the later of two clients that replaced each other in one.
    pub parted: u64,
    /// Envelopes encoded, each once for all receivers of a form.
    pub encoded: u64,
    /// Messages compressed, each once for all receivers.
    pub deflated: u64,
    /// Calls of web hooks: taken, denied, unavailable.
    pub hooks: [u64; 3],
}

/// Durations in buckets that double.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Bucket `i` counts what took less than `2^(i + 4)` microseconds and not less than half of it; the last one all that took longer.
    pub buckets: [u64; 14],
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
        (bucket + 1 < 14).then(|| 16 << bucket)
    }
}

impl Metrics {
    /// Counts a turn that worked so long.
    pub fn turn(&mut self, micros: u32) {
        self.last_turn = micros;
        self.turns.record(micros);
    }

    /// Counts a refusal.
    pub fn refused(&mut self, code: &'static str) {
        match self.refusals.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.refusals.push((code, 1)),
        }
    }

    /// Adds another shard's.
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
        self.parted += other.parted;
        self.encoded += other.encoded;
        self.deflated += other.deflated;
        for &(code, count) in &other.refusals {
            match self.refusals.iter_mut().find(|(known, _)| *known == code) {
                Some((_, sum)) => *sum += count,
                None => self.refusals.push((code, count)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::metrics::*;

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
