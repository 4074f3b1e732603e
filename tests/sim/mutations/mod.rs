//! Deliberate breakages of the shard, each of which some seed must catch: the proof that the rules have teeth. The list is
//! `encke::shard::mutation::Mutation`; `scripts/mutations` runs this; `ENCKE_SIM_MUTATION=Name` only that one.

use std::sync::atomic::{AtomicUsize, Ordering};

use encke::shard::mutation::Mutation;

use crate::run;

/// The breakage that all shards are made with: its place in the list plus one.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Seeds that each breakage is given to show itself: those that find nothing in a whole server.
const SEEDS: u64 = crate::SEEDS;

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
        let by_seed = || (0..SEEDS).chain(crate::KEYED_SEEDS).find_map(|seed| run(seed).err());
        match by_seed() {
            Some(failure) => println!("{mutation:?}: seed {}: {}", failure.seed, failure.why),
            None => match crate::hostile::run() {
                Err(why) => println!("{mutation:?}: {why}"),
                Ok(()) => survivors.push(mutation),
            },
        }
    }
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}
