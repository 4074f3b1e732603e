//! A histogram of durations in nanoseconds: workers record, the coordinator adds up, the report
//! reads.

use hdrhistogram::Histogram;

/// Times, to three digits, up to ten minutes.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// Longest time that is recorded exactly, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

impl Latencies {
    /// None yet.
    pub fn new() -> Self {
        // The bounds are right, as the tests show.
        Self(Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|error| unreachable!("{error}")))
    }

    /// Adds one.
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// What is sent to another process: each time that occurred, and how often.
    pub fn counts(&self) -> Vec<(u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// Adds what another process sent.
    pub fn add(&mut self, counts: &[(u64, u64)]) {
        for &(nanos, count) in counts {
            self.0.saturating_record_n(nanos, count);
        }
    }

    /// For the report.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_several_processes_add_up_to_one_of_all() {
        let (mut all, mut one, mut other) = (Latencies::new(), Latencies::new(), Latencies::new());
        for nanos in (0..5000u64).map(|n| n * n * 37) {
            all.record(nanos);
            if nanos % 2 == 0 { one.record(nanos) } else { other.record(nanos) }
        }
        let mut sum = Latencies::new();
        sum.add(&one.counts());
        sum.add(&other.counts());
        assert_eq!(sum.histogram().len(), 5000);
        for share in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let at = |latencies: &Latencies| latencies.histogram().value_at_quantile(share);
            assert_eq!(at(&sum), at(&all), "{share}");
        }
    }
}
