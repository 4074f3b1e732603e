//! Deliberate breakages of the shard, each of which some seed must catch: the proof that the rules have teeth. The list is
//! `encke::shard::mutation::Mutation`; `scripts/mutations` runs this; `ENCKE_SIM_MUTATION=Name` only that one.

use std::sync::atomic::{AtomicUsize, Ordering};

use encke::shard::mutation::Mutation;

use crate::run;

/// The breakage that all shards are made with: its place in the list plus one.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Seeds that each breakage is given to show itself: those that find nothing in a whole server.
const SEEDS: u64 = crate::SEEDS;

/// Up to here it is given more, if neither those nor hostile shapes have shown it.
const SEEDS_MAX: u64 = 4 * SEEDS;

/// The breakage that a new shard is to have.
pub(crate) fn chosen() -> Option<Mutation> {
    CHOSEN.load(Ordering::SeqCst).checked_sub(1).map(|at| Mutation::ALL[at])
}

#[test]
fn every_mutation_is_caught() {
    let mut survivors = Vec::new();
    let only = std::env::var("ENCKE_SIM_MUTATION").ok();
    let wanted = |mutation: &Mutation| only.as_ref().is_none_or(|only| *only == format!("{mutation:?}"));
    for (at, mutation) in Mutation::ALL.iter().enumerate().filter(|(_, mutation)| wanted(mutation)) {
        CHOSEN.store(at + 1, Ordering::SeqCst);
        let shown = shown_by((0..SEEDS).chain(crate::KEYED_SEEDS))
            .or_else(|| crate::hostile::run().err())
            .or_else(|| shown_by(SEEDS..SEEDS_MAX));
        match shown {
            Some(why) => println!("{mutation:?}: {why}"),
            None => survivors.push(mutation),
        }
    }
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}

/// The first of some seeds that fails, and why.
fn shown_by(mut seeds: impl Iterator<Item = u64>) -> Option<String> {
    let failure = seeds.find_map(|seed| run(seed).err())?;
    Some(format!("seed {}: {}", failure.seed, failure.why))
}
