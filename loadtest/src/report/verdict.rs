//! Whether a run can be believed, and what in it needs an explanation.
//!
//! It judges the measurement, never the server's speed. A run in which messages were lost measures nothing: what is not delivered
//! costs no CPU and takes no time.

use super::{Report, quotient, spell};

/// Whether the run can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything came, once and in order.
    Sound,
    /// Something was lost, doubled or out of order.
    Broken,
    /// Messages were published and none came.
    Silent,
    /// The server ended before the run did.
    Gone,
    /// Nothing was published, so there was nothing to lose.
    Uncounted,
}

impl Report {
    /// Whether the run can be believed.
    pub fn verdict(&self) -> Verdict {
        let wrong = [self.lost, self.doubled, self.disordered].iter().flatten().any(|count| *count > 0);
        let published = self.published.is_some_and(|published| published > 0);
        match self.deliveries {
            _ if wrong => Verdict::Broken,
            _ if self.is_server_gone() => Verdict::Gone,
            Some(0) if published => Verdict::Silent,
            Some(deliveries) if deliveries > 0 => Verdict::Sound,
            _ => Verdict::Uncounted,
        }
    }

    /// Memory was measured at first, and there was none to measure at last. A drain is meant to end so.
    fn is_server_gone(&self) -> bool {
        self.server.pss_before.is_some() && self.server.pss_after.is_none() && self.scenario != "drain"
    }

    /// Whether its numbers must not be used, and the command says so by its exit code.
    pub fn is_worthless(&self) -> bool {
        match self.verdict() {
            Verdict::Broken | Verdict::Silent | Verdict::Gone => true,
            Verdict::Sound | Verdict::Uncounted => false,
        }
    }

    /// The verdict in words.
    pub(super) fn sentence(&self) -> String {
        match self.verdict() {
            Verdict::Sound => "Nothing lost, doubled or out of order.".to_owned(),
            Verdict::Broken => format!("{}: NOT trustworthy.", self.wrongs()),
            Verdict::Silent => "Messages were published and not one came: NOT trustworthy.".to_owned(),
            Verdict::Gone => "The server ended before the run did: NOT trustworthy.".to_owned(),
            Verdict::Uncounted => "No messages were counted in this run.".to_owned(),
        }
    }

    /// What went wrong, counted: `17 lost, 2 doubled`.
    pub(super) fn wrongs(&self) -> String {
        let named = [(self.lost, "lost"), (self.doubled, "doubled"), (self.disordered, "out of order")];
        let some =
            named.into_iter().filter_map(|(count, name)| Some((count.filter(|count| *count > 0)?, name)));
        some.map(|(count, name)| format!("{} {name}", spell::count(count))).collect::<Vec<_>>().join(", ")
    }

    /// What a reader of the numbers should know, a sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let all = [
            self.cost_of_loss(),
            self.told(),
            self.failures(),
            self.busy_generator(),
            self.few_ticks(),
            self.few_deliveries(),
            self.unseen_server(),
        ];
        all.into_iter().flatten().collect()
    }

    fn cost_of_loss(&self) -> Option<String> {
        let why = "What is not delivered costs no CPU and takes no time, so the numbers of this run flatter the server.";
        (self.lost.is_some_and(|lost| lost > 0) || self.verdict() == Verdict::Silent).then(|| why.to_owned())
    }

    fn told(&self) -> Option<String> {
        let gaps = self.gaps.filter(|gaps| *gaps > 0)?;
        Some(format!(
            "Clients were told {} times that they had missed messages. What a gap covers is not counted as lost.",
            spell::count(gaps)
        ))
    }

    fn failures(&self) -> Option<String> {
        let failures: u64 = self.errors.values().sum();
        (failures > 0).then(|| {
            format!("{} failures of connections or requests, listed as errors.", spell::count(failures))
        })
    }

    fn busy_generator(&self) -> Option<String> {
        let cores = quotient(self.generator.cpu_s?, self.seconds?)?;
        // Each worker is one thread; the publisher is one more.
        let threads = self.options.get("procs").and_then(serde_json::Value::as_f64).unwrap_or(1.0) + 1.0;
        (cores > BUSY * threads || (threads <= 2.0 && cores > BUSY)).then(|| {
            format!(
                "The load test used {} cores: it may be the limit itself, and part of the latency its own. Try --procs.",
                spell::number(cores)
            )
        })
    }

    fn few_ticks(&self) -> Option<String> {
        let cpu = self.server_cpu_s().filter(|cpu| *cpu < CPU_SECONDS_MIN)?;
        self.server.cpu_s_per_million?;
        Some(format!(
            "The server used {} of CPU, which the kernel counts in hundredths of a second: a longer run says more.",
            spell::millis(cpu * 1000.0)
        ))
    }

    fn few_deliveries(&self) -> Option<String> {
        let deliveries = self.deliveries.filter(|deliveries| (1..TAIL_MIN).contains(deliveries))?;
        self.latency_ms.p999?;
        Some(format!("{} deliveries are few for a 99.9th percentile.", spell::count(deliveries)))
    }

    fn unseen_server(&self) -> Option<String> {
        let seen = self.server != super::Server::default();
        (!seen).then(|| "The server's CPU and memory were not measured; --pid names its process.".to_owned())
    }
}

/// The share of a core from which on a thread that waits for readiness has no reserve left.
const BUSY: f64 = 0.85;

/// Below this the two readings' roundings, a hundredth each, weigh more than 5 %.
const CPU_SECONDS_MIN: f64 = 0.4;

/// Below this fewer than ten deliveries lie beyond the 99.9th percentile.
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
    fn a_run_in_which_all_came_needs_no_remark() {
        assert_eq!((run().verdict(), run().remarks()), (Verdict::Sound, vec![]));
    }

    #[test]
    fn one_lost_message_makes_a_run_worthless() {
        let broken = Report { lost: Some(17), doubled: Some(2), ..run() };
        assert_eq!(broken.verdict(), Verdict::Broken);
        assert_eq!(broken.sentence(), "17 lost, 2 doubled: NOT trustworthy.");
        assert_eq!(broken.remarks().len(), 1);
    }

    #[test]
    fn a_run_in_which_nothing_came_is_not_sound() {
        assert_eq!(Report { deliveries: Some(0), ..run() }.verdict(), Verdict::Silent);
        assert_eq!(Report { deliveries: Some(0), published: Some(0), ..run() }.verdict(), Verdict::Uncounted);
    }

    #[test]
    fn a_load_test_at_its_own_limit_says_so() {
        let busy = |cpu| Report { generator: Generator { cpu_s: Some(cpu) }, ..run() }.remarks().len();
        assert_eq!((busy(5.0), busy(9.5)), (0, 1));
        let mut two = Report { generator: Generator { cpu_s: Some(9.5) }, ..run() };
        two.options.insert("procs".to_owned(), 2.into());
        assert_eq!(two.remarks(), [""; 0]);
    }

    #[test]
    fn a_server_that_ends_early_spoils_the_run_unless_it_was_told_to() {
        let mut gone = run();
        gone.server.pss_before = Some(1);
        assert_eq!((gone.verdict(), gone.is_worthless()), (Verdict::Gone, true));
        gone.scenario = "drain".to_owned();
        assert_eq!(gone.verdict(), Verdict::Sound);
        let stayed = Server { pss_after: Some(2), ..gone.server };
        assert_eq!(Report { server: stayed, scenario: "idle".to_owned(), ..gone }.verdict(), Verdict::Sound);
    }

    #[test]
    fn what_is_told_is_not_lost() {
        let told = Report { gaps: Some(3), ..run() };
        assert_eq!((told.verdict(), told.remarks().len()), (Verdict::Sound, 1));
    }
}
