//! What the coordinator and its workers say to each other: a line of JSON each, orders down and news up.
//!
//! The coordinator speaks first; a worker that hears nothing more leaves, so none outlives its coordinator.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::{Account, Published};
use crate::plan::Plan;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// The first: what it is all about.
    Plan(Box<Plan>),
    /// All clients connect and subscribe. Answered with `Ready`.
    Connect,
    /// Instead of that: so many at a time connect, ask, take the first byte and leave. Answered with `Churned`.
    Churn {
        /// At a time.
        concurrency: u32,
        /// How long.
        span: Duration,
    },
    /// All connections are cut; each client comes back at some moment within the span. Answered with `Ready`.
    Cut {
        /// Within.
        within: Duration,
    },
    /// Those that are to be slow become so.
    Hold,
    /// They read on.
    Release,
    /// Say `Settled` as soon as so many deliveries are there and every client waits for the next.
    Settle {
        /// To tell the answer from an earlier one's.
        round: u32,
        /// Deliveries of this worker since the beginning of the run, those included that gaps tell of.
        owed: u64,
    },
    /// Say how long deliveries took since this was last asked. Answered with `Lap`.
    Lap,
    /// The run is over. Answered with `Account`, then the worker leaves.
    Finish(Published),
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub enum News {
    /// All clients are subscribed.
    Ready,
    /// Now and then.
    Progress(Progress),
    /// What `Settle` asked for has come about.
    Settled {
        /// Which.
        round: u32,
    },
    /// What `Lap` asked for: nanoseconds and how often.
    Lap(Vec<(u64, u64)>),
    /// What came of a churn.
    Churned {
        /// Connections that had their first byte.
        connections: u64,
        /// From connecting to the first byte: nanoseconds and how often.
        spans: Vec<(u64, u64)>,
        /// What went wrong, and how often.
        errors: BTreeMap<String, u64>,
    },
    /// All that it counted.
    Account {
        /// Deliveries.
        account: Account,
        /// What went wrong, and how often.
        errors: BTreeMap<String, u64>,
        /// Streams that the server ended.
        endings: Endings,
    },
    /// Something went wrong that had not before; it tries again.
    Trouble(String),
    /// It cannot go on.
    Failed(String),
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Clients that are subscribed.
    pub clients: u64,
    /// Deliveries so far; of a churn, connections.
    pub delivered: u64,
    /// Deliveries that gaps have told of.
    pub told: u64,
    /// Signs of life that carried nothing.
    pub heartbeats: u64,
    /// Streams that the server has ended.
    pub ended: u64,
}

/// How streams ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Endings {
    /// With the response's proper end.
    pub clean: u64,
    /// In mid-air.
    pub cut: u64,
    /// What each `close` said: milliseconds until the client may come back.
    pub afters: Vec<u64>,
}

/// A line.
pub fn line(value: &impl Serialize) -> Vec<u8> {
    // Values of plain fields always have a JSON form.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Bytes that come torn, and the whole lines in them.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes; returns what the whole lines say.
    ///
    /// # Errors
    /// When a line says nothing that is known here.
    pub fn take<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Vec<T>, String> {
        self.0.extend_from_slice(bytes);
        let Some(end) = memchr::memrchr(b'\n', &self.0) else { return Ok(Vec::new()) };
        let lines = self.0[..end].split(|&byte| byte == b'\n').map(serde_json::from_slice);
        let all = lines
            .collect::<Result<_, _>>()
            .map_err(|error| format!("a line that is not understood: {error}"));
        self.0.drain(..=end);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_are_torn() {
        let text = [line(&News::Ready), line(&News::Settled { round: 7 }), line(&News::Ready)].concat();
        for step in 1..=text.len() {
            let mut lines = Lines::default();
            let parts = text.chunks(step).flat_map(|part| lines.take::<News>(part).unwrap());
            let all: Vec<News> = parts.collect();
            assert!(matches!(all[..], [News::Ready, News::Settled { round: 7 }, News::Ready]), "{step}");
        }
        assert!(Lines::default().take::<News>(b"{}\n").is_err());
    }
}
