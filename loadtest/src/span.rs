//! How long things took: a histogram of nanoseconds that workers fill, the coordinator adds up, and the report reads.

use hdrhistogram::Histogram;

/// Times, to three digits, up to ten minutes.
#[derive(Clone, Debug)]
pub struct Spans(Histogram<u64>);

/// Longest time that is told apart from longer ones, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

impl Spans {
    /// None yet.
    pub fn new() -> Self {
        // The bounds are right, as the tests show.
        Self(Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|error| unreachable!("{error}")))
    }

    /// Adds one.
    pub fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
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

    /// The time in milliseconds that a share of all took at most. `None`, if there are none.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        (self.len() > 0).then(|| milliseconds(self.0.value_at_quantile(share)))
    }

    /// The longest in milliseconds.
    pub fn max_ms(&self) -> Option<f64> {
        (self.len() > 0).then(|| milliseconds(self.0.max()))
    }

    /// The curve of percentiles: milliseconds, and the share in percent that took at most as long; finer towards 100.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let steps = self.0.iter_quantiles(5);
        let steps = steps.map(|step| (milliseconds(step.value_iterated_to()), step.quantile_iterated_to() * 100.0));
        if self.len() > 0 { steps.collect() } else { Vec::new() }
    }
}

fn milliseconds(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_of_several_processes_add_up_to_one_of_all() {
        let (mut all, mut one, mut other) = (Spans::new(), Spans::new(), Spans::new());
        for nanos in (0..5000u64).map(|n| n * n * 37) {
            all.record(nanos);
            if nanos % 2 == 0 { one.record(nanos) } else { other.record(nanos) }
        }
        let mut sum = Spans::new();
        sum.add(&one.counts());
        sum.add(&other.counts());
        assert_eq!(sum.len(), all.len());
        for share in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(sum.quantile_ms(share), all.quantile_ms(share), "{share}");
        }
        assert_eq!(sum.curve(), all.curve());
    }

    #[test]
    fn no_times_give_no_numbers() {
        assert_eq!((Spans::new().quantile_ms(0.5), Spans::new().max_ms()), (None, None));
        assert!(Spans::new().curve().is_empty());
    }
}
