//! Listening sockets that a supervisor opened before it started the node (systemd's socket
//! activation, `LISTEN_FDS`).
//!
//! A socket takes the place of one that the node would bind at the same address, so the listen
//! variables still say which addresses are public and which private. One socket for each shard
//! (`ReusePort=yes`) is as good as the node's own; if there are fewer, the shards share them. A
//! socket at an address that no variable lists stops the start: nobody would accept there.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use socket2::Socket;

use super::fault::Fault;
use crate::config::Listen;

/// The sockets that are not in use yet.
#[derive(Default)]
pub(super) struct Inherited {
    tcp: Vec<(SocketAddr, Socket)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Inherited {
    /// The sockets of this process's environment.
    ///
    /// # Errors
    /// When one of them is no listening stream socket.
    pub(super) fn take() -> Result<Self, Fault> {
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..passed.len() {
            inherited
                .add(&mut passed, index)
                .map_err(Fault::doing(format!("use socket {index} of LISTEN_FDS")))?;
        }
        Ok(inherited)
    }

    fn add(&mut self, passed: &mut ListenFd, index: usize) -> io::Result<()> {
        if let Ok(Some(listener)) = passed.take_unix_listener(index) {
            let address = listener.local_addr()?;
            let path = address.as_pathname().ok_or_else(|| other("it is a Unix socket without a path"))?;
            listener.set_nonblocking(true)?;
            self.unix.push((path.to_owned(), listener));
        } else if let Some(listener) = passed.take_tcp_listener(index)? {
            self.add_tcp(listener.into())?;
        }
        Ok(())
    }

    fn add_tcp(&mut self, socket: Socket) -> io::Result<()> {
        let address = socket.local_addr()?.as_socket().ok_or_else(|| other("it has no address"))?;
        socket.set_nonblocking(true)?;
        self.tcp.push((address, socket));
        Ok(())
    }

    /// The sockets at an address, one for each shard; none if there are none.
    ///
    /// # Errors
    /// When there are more sockets than shards, since the kernel would give some connections to
    /// a socket at which nobody accepts.
    pub(super) fn tcp(&mut self, listen: &Listen, shards: usize) -> io::Result<Vec<Socket>> {
        let (mut found, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tcp).into_iter().partition(|(address, _)| is_at(listen, *address));
        self.tcp = rest;
        let passed = found.len();
        if passed > shards {
            return Err(other(format!(
                "LISTEN_FDS has {passed} sockets for {shards} shards; at most one for each shard is allowed"
            )));
        }
        if passed > 0 {
            for index in 0..shards - passed {
                let (address, socket) = &found[index % passed];
                found.push((*address, socket.try_clone()?));
            }
        }
        Ok(found.into_iter().map(|(_, socket)| socket).collect())
    }

    /// The socket at a path.
    pub(super) fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let index = self.unix.iter().position(|(at, _)| at == path)?;
        Some(self.unix.swap_remove(index).1)
    }

    /// Checks that every socket has found its use.
    ///
    /// # Errors
    /// Names a socket that has not.
    pub(super) fn all_used(&self) -> Result<(), Fault> {
        let tcp = self.tcp.first().map(|(address, _)| address.to_string());
        let left = tcp.or_else(|| self.unix.first().map(|(path, _)| format!("unix:{}", path.display())));
        left.map_or(Ok(()), |left| {
            let reason = "no listen variable has this address; add it to ENCKE_LISTEN or ENCKE_API_LISTEN, or \
                          take it out of the socket unit";
            Err(Fault::other(format!("use the socket at {left} (LISTEN_FDS)"), reason))
        })
    }
}

fn is_at(listen: &Listen, address: SocketAddr) -> bool {
    match *listen {
        Listen::At(own) => own == address,
        Listen::Any { port } => address.ip().is_unspecified() && address.port() == port,
    }
}

fn other(reason: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, reason.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// `count` sockets at one address.
    fn passed(count: usize) -> (Inherited, Listen) {
        let mut inherited = Inherited::default();
        let socket = Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        for _ in 0..count {
            inherited.add_tcp(socket.try_clone().unwrap()).unwrap();
        }
        (inherited, Listen::At(address))
    }

    #[test]
    fn every_shard_gets_a_socket_however_few_there_are() {
        for count in 1..=3 {
            let (mut inherited, listen) = passed(count);
            assert_eq!(inherited.tcp(&listen, 3).unwrap().len(), 3);
            assert!(inherited.tcp(&listen, 3).unwrap().is_empty(), "they are in use");
            assert!(inherited.all_used().is_ok());
        }
    }

    #[test]
    fn a_socket_that_nobody_would_accept_at_stops_the_start() {
        let (mut inherited, listen) = passed(3);
        let error = inherited.tcp(&listen, 2).unwrap_err().to_string();
        assert!(error.contains("3 sockets for 2 shards"), "{error}");
        let (mut inherited, _) = passed(1);
        assert!(inherited.tcp(&Listen::At("127.0.0.1:1".parse().unwrap()), 1).unwrap().is_empty());
        let error = inherited.all_used().unwrap_err().to_string();
        assert!(error.contains("no listen variable has this address"), "{error}");
    }

    #[test]
    fn an_address_of_all_families_is_any_unspecified_one() {
        let at = |address: &str| is_at(&Listen::Any { port: 80 }, address.parse().unwrap());
        assert!(at("[::]:80") && at("0.0.0.0:80") && !at("127.0.0.1:80") && !at("[::]:81"));
    }
}
