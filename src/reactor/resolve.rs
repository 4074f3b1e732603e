//! Resolving the names of TCP targets, off the shards' threads: the system's resolver blocks.
//!
//! A name waits in one bounded queue; its addresses go by mail to the shard that asked. The threads
//! end when all [`Resolver`]s are gone. How long a name may take is the dial's business.

use std::net::ToSocketAddrs as _;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::post::{Letter, Postbox};
use crate::base::slab::StreamKey;
use crate::config::Config;
use crate::reactor::limits::{RESOLVERS, RESOLVES_WAITING_MAX};
use crate::shard::ShardId;
use crate::turn::stream::DialFailure;

/// The shards' end: takes names and never blocks.
#[derive(Clone)]
pub struct Resolver {
    names: Sender<Name>,
}

/// The task of one thread.
pub struct ResolverThread {
    names: Receiver<Name>,
    postbox: Postbox,
}

struct Name {
    from: ShardId,
    stream: StreamKey,
    host: Box<str>,
    port: u16,
}

/// The shards' end and the threads' tasks; no threads if there is nothing to connect to.
pub fn resolver(config: &Config, postbox: &Postbox) -> (Resolver, Vec<ResolverThread>) {
    let (names, taken) = bounded(RESOLVES_WAITING_MAX);
    let thread = || ResolverThread { names: taken.clone(), postbox: postbox.clone() };
    let threads =
        std::iter::repeat_with(thread).take(if config.tcp.is_used() { RESOLVERS } else { 0 }).collect();
    (Resolver { names }, threads)
}

impl Resolver {
    /// Queues a name. Its addresses come by mail.
    ///
    /// # Errors
    /// If too many names wait.
    pub(super) fn ask(
        &self,
        from: ShardId,
        stream: StreamKey,
        host: Box<str>,
        port: u16,
    ) -> Result<(), DialFailure> {
        let full = |_| DialFailure::Full("too many names wait to be resolved".to_owned());
        self.names.try_send(Name { from, stream, host, port }).map_err(full)
    }
}

impl ResolverThread {
    /// Resolves names until all shards have dropped their end.
    pub fn run(self) {
        while let Ok(Name { from, stream, host, port }) = self.names.recv() {
            let found = (&*host, port).to_socket_addrs().map(Iterator::collect);
            let found = found.map_err(|error| DialFailure::Unknown(error.to_string()));
            self.postbox.send(from, Letter::Resolved { stream, found });
        }
    }
}
