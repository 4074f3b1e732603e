//! Numbers that look random and are the same for the same seed: when clients return, how large a room is.
//!
//! `SplitMix64`: far from secret, quick, and good enough to spread things.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is below 2^-32 for all bounds that matter here.
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A span between two arrivals that know nothing of each other, of which there are `rate` in a unit of time.
    pub fn gap(&mut self, rate: f64) -> f64 {
        // 53 bits are what a fraction holds; never 0, whose logarithm is endless.
        let share = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -share.ln() / rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_those_of_arrivals_at_random() {
        let mut chance = Chance::new(3);
        let gaps: Vec<f64> = (0..100_000).map(|_| chance.gap(4.0)).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let long = gaps.iter().filter(|gap| **gap > 0.5).count() as f64 / gaps.len() as f64;
        // 1 / rate, and e to the -rate * 0.5.
        assert!((mean - 0.25).abs() < 0.005 && (long - 0.1353).abs() < 0.005, "{mean} {long}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_all_are_below_the_bound() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..100).map(|_| chance.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((0..10).all(|n| draw(7).contains(&n)));
        assert_eq!(Chance::new(1).below(0), 0);
    }
}
