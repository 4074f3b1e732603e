//! A worker's whole task. It travels as JSON and is the only message before the run.
//!
//! A client's channels are a function of its number, so no list of clients is sent.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{MILLISECOND, SECOND, nanos};
use crate::preset::Preset;
use crate::rng::Rng;
use crate::rooms::{self, Partition};
use crate::transport::Transport;
use crate::transport::ws::Compression;

/// One worker's part of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Letters and digits that are unique to this run: part of the names of channels and users.
    pub run: String,
    /// Where the server listens for clients.
    pub server: SocketAddr,
    /// The `Host` of the clients' requests.
    pub host: String,
    /// The clients' transport.
    pub transport: Transport,
    /// Whether messages must arrive compressed.
    pub compression: Compression,
    /// The server's requests and formats.
    pub preset: Preset,
    /// The channels of the clients.
    pub layout: Layout,
    /// The numbers of this worker's clients.
    pub share: Range<u32>,
    /// The seed of all random choices.
    pub seed: u64,
    /// Connections a second of this worker; `None`: as fast as the server accepts them.
    pub connect_rate: Option<f64>,
    /// Between two requests of the transport `poll`.
    pub poll_every: PollEvery,
    /// While reading is paused, the first `stalled` clients do not read.
    pub stalled: u32,
    /// And this many more read slowly.
    pub slow_readers: u32,
    /// What a client does when its stream ends.
    pub ending: OnStreamEnd,
}

/// When the next poll follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PollEvery {
    /// This long after each answer.
    Fixed(Duration),
    /// As the answer advised; after a second if it gave no advice.
    Advised,
}

impl PollEvery {
    /// The wait in nanoseconds after an answer that advised this many milliseconds.
    pub fn nanos(self, advised: Option<u64>) -> u64 {
        match (self, advised) {
            (Self::Fixed(span), _) => nanos(span),
            (Self::Advised, Some(wait)) => wait * MILLISECOND,
            (Self::Advised, None) => SECOND,
        }
    }
}

/// What a client does when its stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnStreamEnd {
    /// It returns.
    Return,
    /// It does not return: the server is shutting down.
    Leave,
}

/// The channels of the clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// All in one channel.
    Shared,
    /// Each client in its own, with its number.
    Own {
        /// Clients.
        clients: u32,
    },
    /// Rooms of clients with consecutive numbers.
    Rooms {
        /// For each room, the number behind its last client.
        ends: Vec<u32>,
    },
    /// Several partitions into rooms; each client is in one room of each.
    Partitions {
        /// The partitions.
        partitions: Vec<Partition>,
    },
}

impl Layout {
    /// Rooms for all clients, each of which is in one.
    pub fn rooms(clients: u32, seed: u64) -> Self {
        Self::Rooms { ends: rooms::ends(clients, &mut Rng::new(seed)) }
    }

    /// Rooms for all clients, each of which is in several.
    pub fn partitions(clients: u32, each: u32, seed: u64) -> Self {
        let (mut rng, mut partitions, mut first) = (Rng::new(seed), Vec::new(), 0);
        for _ in 0..each {
            let partition = Partition::new(first, clients, &mut rng);
            first += partition.rooms();
            partitions.push(partition);
        }
        Self::Partitions { partitions }
    }

    /// The channels of a client.
    pub fn channels_of(&self, client: u32) -> Vec<u32> {
        match self {
            Self::Shared => vec![0],
            Self::Own { .. } => vec![client],
            Self::Rooms { ends } => vec![ends.partition_point(|end| *end <= client) as u32],
            Self::Partitions { partitions } => {
                partitions.iter().map(|partition| partition.channel(client)).collect()
            }
        }
    }

    /// The first channel of a client, which is the only one in most layouts.
    pub fn channel(&self, client: u32) -> u32 {
        self.channels_of(client).first().copied().unwrap_or(0)
    }

    /// The number of channels.
    pub fn channels(&self) -> u32 {
        match self {
            Self::Shared => 1,
            Self::Own { clients } => *clients,
            Self::Rooms { ends } => ends.len() as u32,
            Self::Partitions { partitions } => partitions.iter().map(Partition::rooms).sum(),
        }
    }

    /// The number of clients in a range that are in a channel.
    pub fn members(&self, channel: u32, among: &Range<u32>) -> u32 {
        let (from, to) = match self {
            Self::Shared => (among.start, among.end),
            Self::Own { .. } => (channel, channel + 1),
            Self::Rooms { ends } => {
                let end = |index: usize| ends.get(index).copied().unwrap_or(0);
                ((channel as usize).checked_sub(1).map_or(0, end), end(channel as usize))
            }
            Self::Partitions { partitions } => {
                return partitions.iter().map(|partition| partition.members(channel, among)).sum();
            }
        };
        to.min(among.end).saturating_sub(from.max(among.start))
    }
}

/// Divides clients among workers as evenly as possible.
pub fn shares(clients: u32, workers: u32) -> Vec<Range<u32>> {
    let workers = workers.max(1);
    let at = |worker: u32| (u64::from(clients) * u64::from(worker) / u64::from(workers)) as u32;
    (0..workers).map(|worker| at(worker)..at(worker + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::ROOM;

    #[test]
    fn every_client_is_in_one_room_and_rooms_have_the_promised_size() {
        let layout = Layout::rooms(10_000, 5);
        assert_eq!(layout, Layout::rooms(10_000, 5));
        let sizes: Vec<u32> = (0..layout.channels()).map(|room| layout.members(room, &(0..10_000))).collect();
        assert_eq!(sizes.iter().sum::<u32>(), 10_000);
        let whole = &sizes[..sizes.len() - 1];
        assert!(whole.iter().all(|size| (ROOM.0..=ROOM.1).contains(size)), "{sizes:?}");
        let small = whole.iter().filter(|size| **size < 30).count();
        assert!(small * 2 > whole.len() && whole.iter().any(|size| *size > 70));
    }

    #[test]
    fn channel_and_members_agree_in_every_layout_and_share() {
        let partitions = Layout::partitions(500, 4, 1);
        for layout in [Layout::Shared, Layout::Own { clients: 500 }, Layout::rooms(500, 1), partitions] {
            for share in shares(500, 3) {
                let mut counted = vec![0; layout.channels() as usize];
                share
                    .clone()
                    .flat_map(|client| layout.channels_of(client))
                    .for_each(|channel| counted[channel as usize] += 1);
                let members: Vec<u32> =
                    (0..layout.channels()).map(|channel| layout.members(channel, &share)).collect();
                assert_eq!(members, counted);
            }
        }
    }

    #[test]
    fn a_poll_keeps_to_the_advice_only_if_it_is_to() {
        let fixed = PollEvery::Fixed(Duration::from_millis(20));
        assert_eq!((fixed.nanos(None), fixed.nanos(Some(7))), (20 * MILLISECOND, 20 * MILLISECOND));
        assert_eq!(PollEvery::Advised.nanos(Some(1500)), 1500 * MILLISECOND);
        assert_eq!(PollEvery::Advised.nanos(None), SECOND);
    }

    #[test]
    fn shares_cover_all_clients_once() {
        assert_eq!(shares(10, 3), [0..3, 3..6, 6..10]);
        assert_eq!(shares(2, 3), [0..0, 0..1, 1..2]);
    }
}
