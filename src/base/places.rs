//! The published table of places: which node serves which user, computed from the nodes' names.
//!
//! A user's slot is a checksum of the id; a slot's nodes are ranked by a hash of name and slot
//! (rendezvous hashing), so that adding or removing a node moves only its own share. Balancers and
//! backends compute the same: `docs/SCALING.md` has the rule and test vectors. Knows no addresses.
//!
//! Invariant: a slot's home and deputy differ, and each is the index of a name.

use std::cmp::Reverse;

use sha2::{Digest, Sha256};

use crate::base::limits::{NODES_RANKED_MAX, SLOTS};

/// A slot: 0 to 16383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a user: zlib's CRC-32 of the decoded id, modulo the number of slots.
    pub fn of(user: &str) -> Self {
        Self((crc32fast::hash(user.as_bytes()) % u32::from(SLOTS)) as u16)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The nodes of one slot, as indices into the list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotNodes {
    /// The node that serves the slot's users.
    pub home: u16,
    /// The node that serves them while the home is away; `None` if there is no second node.
    pub deputy: Option<u16>,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places(Vec<SlotNodes>);

impl Places {
    /// The table of these names, which must be at least one and differ.
    ///
    /// # Panics
    /// Without names.
    pub fn new(names: &[impl AsRef<str>]) -> Self {
        assert!(!names.is_empty(), "a table without nodes");
        let bound = match names.len() {
            len if len > NODES_RANKED_MAX => usize::from(SLOTS).div_ceil(len),
            _ => usize::from(SLOTS),
        };
        let begun: Vec<_> = names.iter().map(|name| begin(name.as_ref())).collect();
        let mut held = vec![0_usize; names.len()];
        let nodes = Slot::all().map(|slot| {
            let ranks: Vec<_> = begun.iter().map(|begun| rank(begun, slot)).collect();
            let home = best(&ranks, |node| held[node] < bound).expect("the bounds cover all slots");
            held[home] += 1;
            let deputy = best(&ranks, |node| node != home);
            SlotNodes { home: index(home), deputy: deputy.map(index) }
        });
        Self(nodes.collect())
    }

    /// The nodes of a slot.
    pub fn nodes(&self, slot: Slot) -> SlotNodes {
        self.0[usize::from(slot.0)]
    }
}

/// The node of the highest rank among those that `fits` accepts. Equal ranks do not occur by
/// chance; the first name wins.
fn best(ranks: &[u64], fits: impl Fn(usize) -> bool) -> Option<usize> {
    let fitting = ranks.iter().enumerate().filter(|(node, _)| fits(*node));
    fitting.max_by_key(|(node, rank)| (**rank, Reverse(*node))).map(|(node, _)| node)
}

/// The part of a node's ranks that is the same for all slots.
fn begin(name: &str) -> Sha256 {
    Sha256::new().chain_update(name).chain_update("/")
}

/// The first eight bytes, big-endian, of the SHA-256 of `{name}/{slot}`.
fn rank(begun: &Sha256, slot: Slot) -> u64 {
    let digest = begun.clone().chain_update(slot.0.to_string()).finalize();
    u64::from_be_bytes(std::array::from_fn(|i| digest[i]))
}

fn index(node: usize) -> u16 {
    u16::try_from(node).expect("no more nodes than slots")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("n{n}")).collect()
    }

    fn homes(places: &Places, count: usize) -> Vec<usize> {
        let mut held = vec![0; count];
        for slot in Slot::all() {
            held[usize::from(places.nodes(slot).home)] += 1;
        }
        held
    }

    #[test]
    fn a_slot_is_the_checksum_that_every_standard_library_has() {
        // python3 -c 'import zlib; print(zlib.crc32("…".encode()) % 16384)'
        for (user, slot) in VECTORS {
            assert_eq!(Slot::of(user).number(), *slot, "{user}");
        }
    }

    #[test]
    fn the_highest_hash_of_name_and_slot_is_the_home() {
        // printf n1/0 | sha256sum | head -c 16
        let slot = Slot(11);
        let mut ranked: Vec<_> = names(5).into_iter().map(|name| (rank(&begin(&name), slot), name)).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let SlotNodes { home, deputy } = Places::new(&names(5)).nodes(slot);
        let name = |node: u16| format!("n{}", node + 1);
        assert_eq!((&ranked[0].1, &ranked[1].1), (&name(home), &name(deputy.unwrap())));
        assert_eq!(rank(&begin("n1"), Slot(0)), 17_933_509_091_486_372_222);
    }

    #[test]
    fn a_single_node_has_no_deputy() {
        let places = Places::new(&["only"]);
        assert!(Slot::all().all(|slot| places.nodes(slot) == SlotNodes { home: 0, deputy: None }));
    }

    #[test]
    fn slots_are_even_and_a_node_that_leaves_moves_only_its_own() {
        let ten = Places::new(&names(10));
        assert!(homes(&ten, 10).iter().all(|held| (1_500..1_800).contains(held)));
        let nine = Places::new(&names(9));
        for slot in Slot::all() {
            let (before, after) = (ten.nodes(slot), nine.nodes(slot));
            let expected = if before.home == 9 { before.deputy } else { Some(before.home) };
            assert_eq!(Some(after.home), expected);
        }
    }

    #[test]
    fn many_nodes_hold_no_more_than_their_share() {
        let places = Places::new(&names(101));
        let held = homes(&places, 101);
        let most = usize::from(SLOTS).div_ceil(101);
        assert_eq!(held.iter().max(), Some(&most));
        assert_eq!(held.iter().sum::<usize>(), usize::from(SLOTS));
        assert!(Slot::all().all(|slot| places.nodes(slot).deputy != Some(places.nodes(slot).home)));
    }

    #[test]
    fn the_order_of_the_names_does_not_matter() {
        let (forward, mut backward) = (names(7), names(7));
        backward.reverse();
        let (a, b) = (Places::new(&forward), Places::new(&backward));
        for slot in Slot::all() {
            assert_eq!(forward[usize::from(a.nodes(slot).home)], backward[usize::from(b.nodes(slot).home)]);
        }
    }

    /// The first column of the test vectors in `docs/SCALING.md`.
    const VECTORS: &[(&str, u16)] = &[
        ("alice", 15431),
        ("bob", 12608),
        ("42", 12424),
        ("ada@example.com", 5792),
        ("5f3a9c0e7d", 9484),
        ("a/b", 28),
        ("ein Benutzer", 12626),
        ("grüße", 2541),
        ("a+b%", 15129),
        ("用户", 8925),
        ("😀", 13636),
    ];
}
