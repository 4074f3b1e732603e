//! Names of a node's parts: its listeners and its shards.

/// Which listener a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// For clients.
    Public,
    /// For backends and operators.
    Private,
    /// For XMLSocket clients.
    XmlSocket,
}

/// Names one shard of a node: 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The shard's bit in a set of shards.
    pub fn bit(self) -> u64 {
        1 << self.0
    }
}
