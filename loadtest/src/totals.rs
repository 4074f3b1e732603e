//! The sums of the workers' counts, and how they enter the report.
//!
//! The time until the last subscriber had a message is known only here, because its subscribers are
//! spread over the workers.

use std::collections::BTreeMap;

use crate::cli::Scenario;
use crate::ipc::Endings;
use crate::latencies::Latencies;
use crate::ledger::{Account, Sums};
use crate::report::Report;
use crate::settings::Settings;

/// The sums over the workers.
#[derive(Default)]
pub struct Totals {
    accounts: usize,
    sums: Sums,
    latencies: Option<Latencies>,
    /// For each message, by channel and serial: when it was due and when its last subscriber had
    /// it.
    last: BTreeMap<(u32, u32), (u64, u64)>,
    errors: BTreeMap<String, u64>,
    connections: Option<u64>,
    endings: Endings,
    details: BTreeMap<String, f64>,
}

impl Totals {
    /// Adds one worker's churn.
    pub fn churned(&mut self, connections: u64, latencies: &[(u64, u64)], errors: &BTreeMap<String, u64>) {
        *self.connections.get_or_insert(0) += connections;
        self.latencies.get_or_insert_with(Latencies::new).add(latencies);
        self.count_errors(errors);
        self.accounts += 1;
    }

    /// Adds one worker's counts.
    pub fn account(&mut self, account: Account, errors: &BTreeMap<String, u64>, endings: Endings) {
        self.sums.add(&account.sums);
        self.latencies.get_or_insert_with(Latencies::new).add(&account.latencies);
        for (channel, serial, due, last) in account.endings {
            let ending = self.last.entry((channel, serial)).or_insert((due, 0));
            ending.1 = ending.1.max(last);
        }
        self.count_errors(errors);
        self.endings.clean += endings.clean;
        self.endings.cut += endings.cut;
        self.endings.afters.extend(endings.afters);
        self.accounts += 1;
    }

    /// Adds errors.
    pub fn count_errors(&mut self, errors: &BTreeMap<String, u64>) {
        for (reason, count) in errors {
            *self.errors.entry(reason.clone()).or_default() += count;
        }
    }

    /// The number of workers that have reported.
    pub fn accounts(&self) -> usize {
        self.accounts
    }

    /// Adds a number that only this scenario has.
    pub fn detail(&mut self, name: &str, value: f64) {
        self.details.insert(name.to_owned(), value);
    }

    /// Adds the numbers of a single scenario.
    pub fn details(&mut self, settings: &Settings, heartbeats: u64) {
        match settings.scenario {
            Scenario::Idle | Scenario::Heartbeat => self.detail("heartbeats", heartbeats as f64),
            Scenario::Slow => {
                self.detail("told", self.sums.in_gaps as f64);
                self.detail("gaps_of_eager_clients", self.sums.undeserved as f64);
                self.detail("cut", self.endings.cut as f64);
            }
            Scenario::Drain => self.drained(settings.clients),
            Scenario::Transports => {
                let mean = self.latencies.as_ref().map_or(0.0, |latencies| latencies.histogram().mean());
                self.detail("latency_mean_ms", mean / 1e6);
            }
            Scenario::Fanout
            | Scenario::Unicast
            | Scenario::Mixed
            | Scenario::Rooms
            | Scenario::Longpoll
            | Scenario::Churn
            | Scenario::Reconnect
            | Scenario::Soak => {}
        }
    }

    fn drained(&mut self, clients: u32) {
        let mut afters = std::mem::take(&mut self.endings.afters);
        afters.sort_unstable();
        for (name, part) in [("after_min_ms", 0), ("after_median_ms", 2), ("after_max_ms", 4)] {
            if let Some(after) = afters.get((afters.len().max(1) - 1) * part / 4) {
                self.detail(name, *after as f64);
            }
        }
        self.detail("told", afters.len() as f64);
        self.detail("not_told", f64::from(clients) - afters.len() as f64);
        self.detail("ended_cleanly", self.endings.clean as f64);
    }

    /// Fills in the counts; returns the connections of a churn.
    pub fn fill(&mut self, report: &mut Report, published: bool) -> Option<u64> {
        if published {
            let sums = &self.sums;
            report.deliveries = Some(sums.delivered);
            (report.lost, report.gaps) = (Some(sums.lost), Some(sums.gaps));
            (report.doubled, report.disordered) = (Some(sums.doubled), Some(sums.disordered));
        }
        if self.sums.strays > 0 {
            self.errors.insert("messages of channels that nobody subscribed to".to_owned(), self.sums.strays);
        }
        report.details = std::mem::take(&mut self.details);
        report.errors = std::mem::take(&mut self.errors);
        if let Some(latencies) = &self.latencies {
            report.set_latency(latencies.histogram());
        }
        let mut last = Latencies::new();
        for (due, end) in self.last.values() {
            last.record(end.saturating_sub(*due));
        }
        let histogram = last.histogram();
        if !histogram.is_empty() {
            let milliseconds = |nanos: u64| Some(nanos as f64 / 1e6);
            report.last_ms.median = milliseconds(histogram.value_at_quantile(0.5));
            report.last_ms.max = milliseconds(histogram.max());
        }
        self.connections
    }
}
