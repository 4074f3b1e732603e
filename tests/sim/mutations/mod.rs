//! Deliberate breakages of the shard, each of which some seed must catch: the proof that the rules
//! can fail. The list is `encke::turn::mutation::Mutation`; `scripts/mutations` runs this;
//! `ENCKE_SIM_MUTATION=Name` runs only that one.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use encke::turn::mutation::Mutation;

use crate::run;

thread_local! {
    /// The breakage of all shards of this thread. A world stays on the thread that made it.
    static CHOSEN: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Seeds that are tried with each breakage: those that find no fault in an intact server.
const SEEDS: u64 = crate::SEEDS;

/// The limit of further seeds, if neither those, the hostile inputs nor the seeds of earlier faults
/// have caught it.
const SEEDS_MAX: u64 = 4 * SEEDS;

/// The breakage of a new shard.
pub(crate) fn chosen() -> Option<Mutation> {
    CHOSEN.get()
}

#[test]
fn every_mutation_is_caught() {
    let only = std::env::var("ENCKE_SIM_MUTATION").ok();
    let wanted = |mutation: &Mutation| only.as_ref().is_none_or(|only| *only == format!("{mutation:?}"));
    let mutations: Vec<Mutation> = Mutation::ALL.into_iter().filter(wanted).collect();
    let survivors = Mutex::new(Vec::new());
    crate::on_all_cores(&mutations, |&mutation| {
        let began = Instant::now();
        CHOSEN.set(Some(mutation));
        match caught_by(mutation) {
            Some(why) => println!("{mutation:?}, {} ms: {why}", began.elapsed().as_millis()),
            None => survivors.lock().unwrap_or_else(PoisonError::into_inner).push(mutation),
        }
    });
    let survivors = survivors.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(survivors.is_empty(), "nobody noticed {survivors:?}");
}

/// Where in the search a breakage was caught that took long to find.
enum Place {
    Seed(u64),
    Hostile,
}

/// The place that is tried first. If that fails, the whole search follows.
fn known(mutation: Mutation) -> Option<Place> {
    match mutation {
        Mutation::NeverYield | Mutation::LoseSnapshot | Mutation::BeginBeforeItsLogs => Some(Place::Hostile),
        Mutation::BeginWithoutNumber => Some(Place::Seed(49884)),
        Mutation::ForgetKeys => Some(Place::Seed(crate::KEYED + 1)),
        Mutation::GapToldOnce => Some(Place::Seed(52)),
        Mutation::LastOffByOne => Some(Place::Seed(37)),
        Mutation::RecycleLosesCursor => Some(Place::Seed(35)),
        Mutation::ForgetUnwritten => Some(Place::Seed(18)),
        Mutation::ForgetEnds | Mutation::PongsUnchecked => Some(Place::Seed(13)),
        Mutation::QueryHasTheLastWord => Some(Place::Seed(12)),
        Mutation::SilentGap => Some(Place::Seed(7)),
        Mutation::SendAwayAtOnce => Some(Place::Seed(20)),
        Mutation::IgnoreCongestion => Some(Place::Seed(8)),
        Mutation::BoundlessOutbox => Some(Place::Seed(6)),
        Mutation::CrowdUnseen | Mutation::EmptyUpgrade => Some(Place::Seed(5)),
        _ => None,
    }
}

/// What notices this thread's breakage, and why.
fn caught_by(mutation: Mutation) -> Option<String> {
    let first = match known(mutation) {
        Some(Place::Seed(seed)) => shown_by(std::iter::once(seed)),
        Some(Place::Hostile) => crate::hostile::run().err(),
        None => None,
    };
    first
        .or_else(|| crate::streams::run().err())
        .or_else(|| shown_by((0..SEEDS).chain(crate::KEYED_SEEDS)))
        .or_else(|| crate::hostile::run().err())
        .or_else(|| shown_by(crate::FOUND_LATER.into_iter()))
        .or_else(|| shown_by(SEEDS..SEEDS_MAX))
}

/// The first seed that fails, and why.
fn shown_by(mut seeds: impl Iterator<Item = u64>) -> Option<String> {
    let failure = seeds.find_map(|seed| run(seed).err())?;
    Some(format!("seed {}: {}", failure.seed, failure.why))
}
