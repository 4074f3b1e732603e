//! What the coordinator and its workers send each other: one line of JSON for each message.
//!
//! The coordinator sends first. A worker whose input ends stops, so none outlives its coordinator.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ledger::{Account, Published};
use crate::plan::Plan;

/// A message of the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message: the worker's whole task.
    Plan(Box<Plan>),
    /// All clients connect and subscribe. Answered with `Ready`.
    Connect,
    /// Instead of `Connect`: a number of connections at a time connect, send a request, take the
    /// first byte and close. Answered with `ChurnDone`.
    Churn {
        /// Connections at a time.
        concurrency: u32,
        /// For how long.
        span: Duration,
    },
    /// All connections are closed; each client returns at a random time within the span. Answered
    /// with `Ready`.
    Disconnect {
        /// The span.
        within: Duration,
    },
    /// Stalled clients and slow readers stop reading.
    PauseReading,
    /// They read again.
    ResumeReading,
    /// Answered with `Delivered` once the worker has counted that many deliveries and every client
    /// waits for the next message.
    AwaitDeliveries {
        /// Identifies the answer.
        round: u32,
        /// This worker's deliveries since the beginning of the run, including those that gaps
        /// cover.
        owed: u64,
    },
    /// Answered with `Latencies`: those since the last such request.
    TakeLatencies,
    /// The run is over. Answered with `Counts`, after which the worker ends.
    Finish(Published),
}

/// A message of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// All clients are subscribed.
    Ready,
    /// Sent at a fixed interval.
    Progress(Progress),
    /// The answer to `AwaitDeliveries`.
    Delivered {
        /// Which one.
        round: u32,
    },
    /// The answer to `TakeLatencies`: nanoseconds and how often.
    Latencies(Vec<(u64, u64)>),
    /// The result of a churn.
    ChurnDone {
        /// Connections that received their first byte.
        connections: u64,
        /// From connecting to the first byte: nanoseconds and how often.
        latencies: Vec<(u64, u64)>,
        /// Errors and how often.
        errors: BTreeMap<String, u64>,
    },
    /// The result of a run.
    Counts {
        /// Deliveries.
        account: Account,
        /// Errors and how often.
        errors: BTreeMap<String, u64>,
        /// Streams that the server ended.
        endings: Endings,
    },
    /// An error that occurred for the first time; the client tries again.
    Warning(String),
    /// The worker cannot continue.
    Failed(String),
}

/// The progress of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Subscribed clients.
    pub clients: u64,
    /// Deliveries so far; in a churn, connections.
    pub delivered: u64,
    /// Deliveries that gaps cover.
    pub in_gaps: u64,
    /// Heartbeats: items without a message.
    pub heartbeats: u64,
    /// Streams that the server has ended.
    pub ended: u64,
}

/// How streams ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Endings {
    /// With the proper end of the response.
    pub clean: u64,
    /// In the middle of the response.
    pub cut: u64,
    /// The delay that each `close` named, in milliseconds, before the client may return.
    pub afters: Vec<u64>,
}

/// A message as a line.
pub fn line(value: &impl Serialize) -> Vec<u8> {
    // Values of plain fields always have a JSON form.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Splits bytes that arrive in arbitrary pieces into lines.
#[derive(Debug, Default)]
pub struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Takes bytes; returns the messages of the complete lines.
    ///
    /// # Errors
    /// When a line is not a message of this type.
    pub fn take<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Vec<T>, String> {
        self.0.extend_from_slice(bytes);
        let Some(end) = memchr::memrchr(b'\n', &self.0) else { return Ok(Vec::new()) };
        let lines = self.0[..end].split(|&byte| byte == b'\n').map(serde_json::from_slice);
        let all = lines.collect::<Result<_, _>>().map_err(|error| format!("unknown message: {error}"));
        self.0.drain(..=end);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_wherever_their_bytes_are_cut() {
        let text =
            [line(&FromWorker::Ready), line(&FromWorker::Delivered { round: 7 }), line(&FromWorker::Ready)]
                .concat();
        for step in 1..=text.len() {
            let mut lines = LineBuffer::default();
            let parts = text.chunks(step).flat_map(|part| lines.take::<FromWorker>(part).unwrap());
            let all: Vec<FromWorker> = parts.collect();
            assert!(
                matches!(all[..], [FromWorker::Ready, FromWorker::Delivered { round: 7 }, FromWorker::Ready]),
                "{step}"
            );
        }
        assert!(LineBuffer::default().take::<FromWorker>(b"{}\n").is_err());
    }
}
