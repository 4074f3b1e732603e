//! The result of a run as one value: programs read it as JSON, people as a table or a page.
//!
//! The field names are the JSON's, and scripts rely on them. A number that does not apply is
//! `null`; a list or map that does not apply is empty. This module measures nothing and knows no
//! targets; it only judges whether the run can be trusted ([`Report::verdict`]). It never emits a
//! number that is not finite.

mod chart;
mod charts;
mod facts;
mod format;
mod html;
mod scale;
mod steps;
mod table;
mod verdict;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use html::page;
pub use steps::Step;

/// The findings of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The scenario: `fanout`, `idle`, …
    pub scenario: String,
    /// The server's kind, as the command line names it.
    pub preset: Option<String>,
    /// How the clients were connected: `sse`, `longpoll`, …
    pub transport: Option<String>,
    /// Clients at the start of the measured phase.
    pub clients: Option<u64>,
    /// Every option of the run by its long flag's name, so that it can be repeated.
    #[serde(deserialize_with = "or_empty")]
    pub options: Map<String, Value>,
    /// Messages that reached a client, counted for each client.
    pub deliveries: Option<u64>,
    /// Messages that the server accepted.
    pub published: Option<u64>,
    /// Deliveries that were owed, never arrived, and are covered by no gap.
    pub lost: Option<u64>,
    /// Deliveries that arrived again.
    pub doubled: Option<u64>,
    /// Deliveries that arrived after a later one of the same channel.
    pub disordered: Option<u64>,
    /// Gaps that the server reported to clients.
    pub gaps: Option<u64>,
    /// Errors of clients or publishers, and how often each occurred.
    #[serde(deserialize_with = "or_empty")]
    pub errors: BTreeMap<String, u64>,
    /// Length of the measured phase.
    pub seconds: Option<f64>,
    /// From the time at which a message was due to be sent until it was read, over all deliveries,
    /// in milliseconds.
    #[serde(deserialize_with = "or_empty")]
    pub latency_ms: Latency,
    /// The same until the slowest subscriber had it, over messages, in milliseconds.
    #[serde(deserialize_with = "or_empty")]
    pub last_ms: Last,
    /// The server, measured from outside. Null throughout if no process was named.
    #[serde(deserialize_with = "or_empty")]
    pub server: Server,
    /// The load test's own processes.
    #[serde(deserialize_with = "or_empty")]
    pub generator: Generator,
    /// Connections opened, answered and closed in a second.
    pub connections_per_s: Option<f64>,
    /// Numbers that only this scenario has, by names that end in their unit.
    #[serde(deserialize_with = "or_empty")]
    pub details: BTreeMap<String, f64>,
    /// The results of each step of a rising rate.
    #[serde(deserialize_with = "or_empty")]
    pub steps: Vec<Step>,
    /// The latency curve: milliseconds, and the percentage of deliveries (0 to 100) that took no
    /// longer.
    #[serde(deserialize_with = "or_empty")]
    pub histogram: Vec<(f64, f64)>,
    /// The run over time, including connecting.
    #[serde(deserialize_with = "or_empty")]
    pub timeline: Vec<Sample>,
}

/// Quantiles of the latency in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Half of the deliveries took no longer.
    pub p50: Option<f64>,
    /// Nine of ten.
    pub p90: Option<f64>,
    /// 99 of 100.
    pub p99: Option<f64>,
    /// 999 of 1,000.
    pub p999: Option<f64>,
    /// The longest of all.
    pub max: Option<f64>,
}

/// How long messages took until their slowest subscriber had them, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Last {
    /// Of half of the messages.
    pub median: Option<f64>,
    /// Of the slowest message.
    pub max: Option<f64>,
}

/// The resources of the server's processes. CPU is that of the measured phase alone; memory is PSS
/// in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Seconds in its own code.
    pub cpu_user_s: Option<f64>,
    /// Seconds in the kernel on its behalf.
    pub cpu_system_s: Option<f64>,
    /// Both, for a million deliveries; if nothing is delivered, for a million connections.
    pub cpu_s_per_million: Option<f64>,
    /// Before the first client connected.
    pub pss_before: Option<u64>,
    /// After the measured phase.
    pub pss_after: Option<u64>,
    /// The highest reading.
    pub pss_peak: Option<u64>,
    /// The growth by all clients, divided by their number.
    pub bytes_per_connection: Option<f64>,
    /// Threads of all its processes.
    pub threads: Option<u64>,
}

/// The resources of the load test itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generator {
    /// User and system seconds of all its processes in the measured phase.
    pub cpu_s: Option<f64>,
}

/// One moment of the run. Deliveries and CPU are totals since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Seconds since the beginning of the run.
    pub t: f64,
    /// Clients that are connected.
    pub clients: Option<u64>,
    /// Deliveries so far.
    pub deliveries: Option<u64>,
    /// CPU seconds that the server has used so far.
    pub cpu_s: Option<f64>,
    /// The server's memory in bytes. Reading it is expensive, so not every sample has it.
    pub pss: Option<u64>,
}

impl Report {
    /// A report of this scenario before the run.
    pub fn new(scenario: impl Into<String>) -> Self {
        Self { scenario: scenario.into(), ..Self::default() }
    }

    /// Sets latency and its curve from a histogram of nanoseconds. One without entries leaves them
    /// empty.
    pub fn set_latency(&mut self, nanos: &Histogram<u64>) {
        self.latency_ms = Latency::of(nanos);
        self.histogram = curve(nanos);
    }

    /// For programs: one object.
    pub fn json(&self) -> String {
        // A value of plain fields and string keys always has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// For people: lines of text.
    pub fn table(&self) -> String {
        table::table(self)
    }

    /// Deliveries a second over the measured phase.
    fn deliveries_per_s(&self) -> Option<f64> {
        quotient(self.deliveries? as f64, self.seconds?)
    }

    /// CPU seconds of the server, user and system.
    fn server_cpu_s(&self) -> Option<f64> {
        Some(self.server.cpu_user_s? + self.server.cpu_system_s?).filter(|cpu| cpu.is_finite())
    }

    /// The unit that [`Server::cpu_s_per_million`] counts.
    fn counted_by_the_million(&self) -> &'static str {
        let delivers = self.deliveries.is_some_and(|deliveries| deliveries > 0);
        if self.connections_per_s.is_some() && !delivers { "connections" } else { "deliveries" }
    }

    /// The growth of memory in bytes an hour while all clients were connected: the slope of a
    /// least-squares line. `None` if that was less than a minute, which is too short.
    fn memory_slope(&self) -> Option<f64> {
        let all = self.timeline.iter().filter_map(|sample| sample.clients).max()?;
        let full = self.timeline.iter().filter(|sample| sample.clients == Some(all));
        let points: Vec<(f64, f64)> = full
            .filter_map(|sample| Some((sample.t, sample.pss? as f64)))
            .filter(|(t, _)| t.is_finite())
            .collect();
        let span = points.last()?.0 - points.first()?.0;
        slope(&points).filter(|_| span >= SLOPE_SECONDS_MIN).map(|per_second| per_second * 3600.0)
    }
}

impl Latency {
    fn of(nanos: &Histogram<u64>) -> Self {
        let at = |quantile| (!nanos.is_empty()).then(|| millis(nanos.value_at_quantile(quantile)));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: (!nanos.is_empty()).then(|| millis(nanos.max())),
        }
    }
}

/// The curve of a histogram of nanoseconds: a few steps for each halving of the rest.
fn curve(nanos: &Histogram<u64>) -> Vec<(f64, f64)> {
    let steps = nanos.iter_quantiles(CURVE_STEPS);
    let mut points: Vec<(f64, f64)> =
        steps.map(|step| (millis(step.value_iterated_to()), step.quantile() * 100.0)).collect();
    // A bucket is wider than the values in it.
    if let Some(last) = points.last_mut() {
        last.0 = millis(nanos.max());
    }
    points.dedup();
    points
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// `None` for a divisor of zero.
fn quotient(of: f64, by: f64) -> Option<f64> {
    Some(of / by).filter(|quotient| by > 0.0 && quotient.is_finite())
}

/// Least squares. `None` if all points have the same `x`.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let across: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    quotient(along, across)
}

/// Other programs write null for a part that does not apply.
fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Points of the curve for each halving of the rest. Five are enough for a smooth line down to one
/// in a million.
const CURVE_STEPS: u32 = 5;

/// A shorter time has too few samples of memory, and the server's work after a burst weighs too
/// much in it.
const SLOPE_SECONDS_MIN: f64 = 60.0;

#[cfg(test)]
mod tests;
