//! Deliberate breakages of the shard, each of which some seed must catch: the proof that the rules
//! can fail. The list is `encke::turn::mutation::Mutation`; `scripts/mutations` runs this;
//! `ENCKE_SIM_MUTATION=Name` runs only that one.

use std::sync::atomic::{AtomicUsize, Ordering};

use encke::turn::mutation::Mutation;

use crate::run;

/// The breakage of all shards: its place in the list plus one.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Seeds that are tried with each breakage: those that find no fault in an intact server.
const SEEDS: u64 = crate::SEEDS;

/// The limit of further seeds, if neither those, the hostile inputs nor the seeds of earlier faults
/// have caught it.
const SEEDS_MAX: u64 = 4 * SEEDS;

/// The breakage of a new shard.
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
        let shown = crate::streams::run()
            .err()
            .or_else(|| shown_by((0..SEEDS).chain(crate::KEYED_SEEDS)))
            .or_else(|| crate::hostile::run().err())
            .or_else(|| shown_by(crate::FOUND_LATER.into_iter()))
            .or_else(|| shown_by(SEEDS..SEEDS_MAX));
        match shown {
            Some(why) => println!("{mutation:?}: {why}"),
            None => survivors.push(mutation),
        }
    }
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}

/// The first seed that fails, and why.
fn shown_by(mut seeds: impl Iterator<Item = u64>) -> Option<String> {
    let failure = seeds.find_map(|seed| run(seed).err())?;
    Some(format!("seed {}: {}", failure.seed, failure.why))
}
