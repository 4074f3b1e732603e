//! Rooms for clients that are in several at a time: each partition divides all clients into rooms,
//! with different neighbours in each partition.
//!
//! Membership is computed from a client's number, in both directions, so no list of members is sent
//! or kept.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Fewest and most clients of a room; the last one of a partition may be smaller.
pub const ROOM: (u32, u32) = (10, 100);

/// A division of all clients into rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The channel of its first room.
    pub first: u32,
    clients: u32,
    /// A client's place is its number times this, modulo the number of clients.
    stride: u32,
    /// The inverse of the stride.
    inverse: u32,
    /// For each room, the place after its last.
    ends: Vec<u32>,
}

impl Partition {
    /// Draws a partition.
    pub fn new(first: u32, clients: u32, rng: &mut Rng) -> Self {
        let (stride, inverse) = stride(clients, rng);
        Self { first, clients, stride, inverse, ends: ends(clients, rng) }
    }

    /// The number of its rooms.
    pub fn rooms(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The channel of a client's room.
    pub fn channel(&self, client: u32) -> u32 {
        let place = times(client, self.stride, self.clients);
        self.first + self.ends.partition_point(|end| *end <= place) as u32
    }

    /// The number of clients in a range that are in a channel's room; none if the room is of
    /// another partition.
    pub fn members(&self, channel: u32, among: &Range<u32>) -> u32 {
        let Some(room) = channel.checked_sub(self.first).map(|room| room as usize) else { return 0 };
        let Some(end) = self.ends.get(room) else { return 0 };
        let start = room.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let clients = (start..*end).map(|place| times(place, self.inverse, self.clients));
        clients.filter(|client| among.contains(client)).count() as u32
    }
}

/// Rooms for this many places: where each ends. Small ones are more frequent, as in real chats: the
/// number of rooms of a size falls with its square.
pub fn ends(places: u32, rng: &mut Rng) -> Vec<u32> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < places {
        let share = rng.below(1 << 20) as f64 / f64::from(1 << 20);
        let (least, most) = (f64::from(ROOM.0), f64::from(ROOM.1) + 1.0);
        // The inverse of the sum of that distribution.
        let size = 1.0 / (1.0 / least - share * (1.0 / least - 1.0 / most));
        at = (at + size as u32).min(places);
        ends.push(at);
    }
    ends
}

/// A factor that maps the numbers below `modulus` one to one, and the factor that maps them back.
fn stride(modulus: u32, rng: &mut Rng) -> (u32, u32) {
    loop {
        let stride = rng.below(modulus.into()) as u32;
        if let Some(inverse) = inverse(stride, modulus) {
            return (stride, inverse);
        }
    }
}

/// By Euclid's algorithm; `None` if the two have a common divisor.
fn inverse(of: u32, modulus: u32) -> Option<u32> {
    let (mut rest, mut next) = (i64::from(modulus), i64::from(of));
    let (mut factor, mut next_factor) = (0i64, 1i64);
    while next != 0 {
        let times = rest / next;
        (rest, next) = (next, rest - times * next);
        (factor, next_factor) = (next_factor, factor - times * next_factor);
    }
    (rest == 1).then(|| u32::try_from(factor.rem_euclid(modulus.into())).unwrap_or(0))
}

fn times(one: u32, other: u32, modulus: u32) -> u32 {
    (u64::from(one) * u64::from(other)).checked_rem(modulus.into()).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_leads_to_every_place_once_and_its_inverse_back() {
        for clients in [1, 2, 3, 10, 97, 1000] {
            let partition = Partition::new(0, clients, &mut Rng::new(clients.into()));
            let mut places: Vec<u32> =
                (0..clients).map(|client| times(client, partition.stride, clients)).collect();
            let back = places.iter().map(|place| times(*place, partition.inverse, clients));
            assert!(back.eq(0..clients), "{clients}");
            places.sort_unstable();
            assert!(places.into_iter().eq(0..clients), "{clients}");
        }
        assert_eq!((inverse(3, 10), inverse(5, 10), inverse(0, 10)), (Some(7), None, None));
    }

    #[test]
    fn partitions_are_independent_of_each_other() {
        let mut rng = Rng::new(1);
        let partitions = [Partition::new(0, 5000, &mut rng), Partition::new(0, 5000, &mut rng)];
        let [one, other] = partitions.each_ref().map(|partition| {
            let together = (1..5000).filter(|client| partition.channel(0) == partition.channel(*client));
            together.collect::<Vec<u32>>()
        });
        let both = one.iter().filter(|client| other.contains(client)).count();
        assert!(!one.is_empty() && both * 2 <= one.len(), "{one:?} {other:?}");
    }
}
