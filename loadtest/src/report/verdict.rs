//! Whether a run can be trusted, and which of its results need an explanation.
//!
//! This file judges the measurement, never the server's speed. A run in which messages were lost
//! measures nothing: a message that is not delivered costs no CPU and takes no time.

use super::{Report, format, quotient};

/// Whether the run can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every message arrived once and in order.
    Valid,
    /// Something was lost, doubled or out of order.
    Faulty,
    /// Messages were published and none arrived.
    NothingDelivered,
    /// The server ended before the run did.
    ServerEnded,
    /// Nothing was published, so nothing could be lost.
    NothingPublished,
}

impl Report {
    /// Whether the run can be trusted.
    pub fn verdict(&self) -> Verdict {
        let is_faulty = [self.lost, self.doubled, self.disordered].iter().flatten().any(|count| *count > 0);
        let published = self.published.is_some_and(|published| published > 0);
        match self.deliveries {
            _ if is_faulty => Verdict::Faulty,
            _ if self.has_server_ended() => Verdict::ServerEnded,
            Some(0) if published => Verdict::NothingDelivered,
            Some(deliveries) if deliveries > 0 => Verdict::Valid,
            _ => Verdict::NothingPublished,
        }
    }

    /// Whether the server's memory was measured at the beginning but not at the end. A drain is
    /// expected to end that way.
    fn has_server_ended(&self) -> bool {
        self.server.pss_before.is_some() && self.server.pss_after.is_none() && self.scenario != "drain"
    }

    /// Whether its numbers must not be used.
    pub fn is_worthless(&self) -> bool {
        match self.verdict() {
            Verdict::Faulty | Verdict::NothingDelivered | Verdict::ServerEnded => true,
            Verdict::Valid | Verdict::NothingPublished => false,
        }
    }

    /// The verdict in words.
    pub(super) fn sentence(&self) -> String {
        match self.verdict() {
            Verdict::Valid => "Nothing lost, doubled or out of order.".to_owned(),
            Verdict::Faulty => format!("{}: NOT trustworthy.", self.faults()),
            Verdict::NothingDelivered => {
                "Messages were published and none arrived: NOT trustworthy.".to_owned()
            }
            Verdict::ServerEnded => "The server ended before the run did: NOT trustworthy.".to_owned(),
            Verdict::NothingPublished => "No messages were counted in this run.".to_owned(),
        }
    }

    /// The faults, counted: `17 lost, 2 doubled`.
    pub(super) fn faults(&self) -> String {
        let named = [(self.lost, "lost"), (self.doubled, "doubled"), (self.disordered, "out of order")];
        let some =
            named.into_iter().filter_map(|(count, name)| Some((count.filter(|count| *count > 0)?, name)));
        some.map(|(count, name)| format!("{} {name}", format::count(count))).collect::<Vec<_>>().join(", ")
    }

    /// Warnings for readers of the numbers, one sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let all = [
            self.cost_of_loss(),
            self.announced_gaps(),
            self.failures(),
            self.busy_generator(),
            self.few_ticks(),
            self.few_deliveries(),
            self.unseen_server(),
        ];
        all.into_iter().flatten().collect()
    }

    fn cost_of_loss(&self) -> Option<String> {
        let why =
            "Lost messages cost no CPU and take no time, so the numbers of this run flatter the server.";
        (self.lost.is_some_and(|lost| lost > 0) || self.verdict() == Verdict::NothingDelivered)
            .then(|| why.to_owned())
    }

    fn announced_gaps(&self) -> Option<String> {
        let gaps = self.gaps.filter(|gaps| *gaps > 0)?;
        Some(format!(
            "The server reported {} gaps to clients. Messages that a gap covers do not count as lost.",
            format::count(gaps)
        ))
    }

    fn failures(&self) -> Option<String> {
        let failures: u64 = self.errors.values().sum();
        (failures > 0)
            .then(|| format!("{} connections or requests failed; see the errors.", format::count(failures)))
    }

    fn busy_generator(&self) -> Option<String> {
        let cores = quotient(self.generator.cpu_s?, self.seconds?)?;
        // Each worker is one thread; the publisher is one more.
        let threads = self.options.get("procs").and_then(serde_json::Value::as_f64).unwrap_or(1.0) + 1.0;
        (cores > BUSY_CORES * threads || (threads <= 2.0 && cores > BUSY_CORES)).then(|| {
            format!(
                "The load test used {} cores: it may itself be the limit and add to the latency. Try --procs.",
                format::number(cores)
            )
        })
    }

    fn few_ticks(&self) -> Option<String> {
        let cpu = self.server_cpu_s().filter(|cpu| *cpu < CPU_SECONDS_MIN)?;
        self.server.cpu_s_per_million?;
        Some(format!(
            "The server used {} of CPU, which the kernel counts in hundredths of a second: run longer for a better number.",
            format::millis(cpu * 1000.0)
        ))
    }

    fn few_deliveries(&self) -> Option<String> {
        let deliveries = self.deliveries.filter(|deliveries| (1..TAIL_MIN).contains(deliveries))?;
        self.latency_ms.p999?;
        Some(format!(
            "{} deliveries are too few for a reliable 99.9th percentile.",
            format::count(deliveries)
        ))
    }

    fn unseen_server(&self) -> Option<String> {
        let seen = self.server != super::Server::default();
        (!seen)
            .then(|| "The server's CPU and memory were not measured: name its process with --pid.".to_owned())
    }
}

/// Share of a core above which an event loop has no reserve left.
const BUSY_CORES: f64 = 0.85;

/// Server CPU seconds below which the rounding of the two readings, a hundredth each, exceeds 5 %.
const CPU_SECONDS_MIN: f64 = 0.4;

/// Deliveries below which fewer than ten lie beyond the 99.9th percentile.
const TAIL_MIN: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::super::{Generator, Server};
    use super::*;

    fn run() -> Report {
        let server = Server { cpu_user_s: Some(1.0), cpu_system_s: Some(2.0), ..Server::default() };
        Report {
            deliveries: Some(100_000),
            published: Some(10),
            lost: Some(0),
            seconds: Some(10.0),
            server,
            ..Report::new("fanout")
        }
    }

    #[test]
    fn a_complete_run_needs_no_remark() {
        assert_eq!((run().verdict(), run().remarks()), (Verdict::Valid, vec![]));
    }

    #[test]
    fn one_lost_message_makes_a_run_worthless() {
        let broken = Report { lost: Some(17), doubled: Some(2), ..run() };
        assert_eq!(broken.verdict(), Verdict::Faulty);
        assert_eq!(broken.sentence(), "17 lost, 2 doubled: NOT trustworthy.");
        assert_eq!(broken.remarks().len(), 1);
    }

    #[test]
    fn a_run_without_deliveries_is_not_valid() {
        assert_eq!(Report { deliveries: Some(0), ..run() }.verdict(), Verdict::NothingDelivered);
        assert_eq!(
            Report { deliveries: Some(0), published: Some(0), ..run() }.verdict(),
            Verdict::NothingPublished
        );
    }

    #[test]
    fn a_busy_load_test_is_remarked_on() {
        let busy = |cpu| Report { generator: Generator { cpu_s: Some(cpu) }, ..run() }.remarks().len();
        assert_eq!((busy(5.0), busy(9.5)), (0, 1));
        let mut two = Report { generator: Generator { cpu_s: Some(9.5) }, ..run() };
        two.options.insert("procs".to_owned(), 2.into());
        assert_eq!(two.remarks(), [""; 0]);
    }

    #[test]
    fn a_server_that_ends_early_makes_a_run_worthless_unless_it_drains() {
        let mut gone = run();
        gone.server.pss_before = Some(1);
        assert_eq!((gone.verdict(), gone.is_worthless()), (Verdict::ServerEnded, true));
        gone.scenario = "drain".to_owned();
        assert_eq!(gone.verdict(), Verdict::Valid);
        let stayed = Server { pss_after: Some(2), ..gone.server };
        assert_eq!(Report { server: stayed, scenario: "idle".to_owned(), ..gone }.verdict(), Verdict::Valid);
    }

    #[test]
    fn what_a_gap_covers_is_not_lost() {
        let with_gaps = Report { gaps: Some(3), ..run() };
        assert_eq!((with_gaps.verdict(), with_gaps.remarks().len()), (Verdict::Valid, 1));
    }
}
