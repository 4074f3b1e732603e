//! One shard's part of the answer to an operator's query.

use serde_json::Value;

use crate::turn::metrics::Metrics;

/// One shard's part.
#[derive(Debug)]
pub enum InquiryPart {
    /// A JSON object or array.
    Json(Value),
    /// The shard's counters.
    Metrics(Box<Sample>),
}

/// One shard's counters at one time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub(crate) metrics: Metrics,
    pub(crate) sessions: usize,
    pub(crate) channels: usize,
    pub(crate) log_messages: usize,
    pub(crate) log_bytes: usize,
    pub(crate) input_bytes: usize,
    pub(crate) channel_bytes: usize,
    pub(crate) draining: u64,
}

/// How to combine the shards' parts.
#[derive(Clone, Debug)]
pub enum Inquiry {
    /// One shard has the answer.
    One,
    /// Merge lists of channels.
    Channels {
        /// Their number at most.
        limit: usize,
    },
    /// Add up one channel's subscribers.
    Channel,
    /// Add up the counters.
    Metrics,
    /// Ready, if all shards answer.
    Ready,
}

impl Sample {
    pub(crate) fn add(&mut self, other: &Self) {
        self.metrics.add(&other.metrics);
        self.sessions += other.sessions;
        self.channels += other.channels;
        self.log_messages += other.log_messages;
        self.log_bytes += other.log_bytes;
        self.input_bytes += other.input_bytes;
        self.channel_bytes += other.channel_bytes;
        self.draining += other.draining;
    }
}
