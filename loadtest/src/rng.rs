//! Random numbers that are the same for the same seed: when clients return, how large a room is.
//!
//! `ChaCha8`, as in the server: any seed gives a good stream on every machine, and drawing is cheap
//! enough for once per message.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// The next number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is below 2^-32 for all bounds used here.
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// The time between two arrivals of a Poisson process with `rate` arrivals in a unit of time.
    pub fn gap(&mut self, rate: f64) -> f64 {
        // A fraction holds 53 bits. It is never 0, whose logarithm is infinite.
        let share = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -share.ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exponentially_distributed() {
        let mut rng = Rng::new(3);
        let gaps: Vec<f64> = (0..100_000).map(|_| rng.gap(4.0)).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let long = gaps.iter().filter(|gap| **gap > 0.5).count() as f64 / gaps.len() as f64;
        // The mean is 1 / rate, and a share of e to the -rate * 0.5 is longer than 0.5.
        assert!((mean - 0.25).abs() < 0.005 && (long - 0.1353).abs() < 0.005, "{mean} {long}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_all_are_below_the_bound() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..100).map(|_| rng.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((0..10).all(|n| draw(7).contains(&n)));
        assert_eq!(Rng::new(1).below(0), 0);
    }
}
