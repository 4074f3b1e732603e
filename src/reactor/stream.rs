//! A connected socket, TCP or Unix, as one type.
//!
//! All calls are non-blocking. `sockets` decides what they mean for the connection (ended, broken,
//! try later); this file holds only the difference between the two kinds.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};

/// One connected, non-blocking socket. Dropping it closes it and takes it out of its poll.
#[derive(Debug)]
pub enum NetStream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl NetStream {
    /// Reads once. `Ok(0)` is the end of the peer's bytes.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }

    /// Writes as much of `slices` as the kernel accepts, with one system call. One slice needs no
    /// list, which saves the kernel copying and checking it.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(stream), [only]) => stream.write(only),
            (Self::Tcp(stream), slices) => stream.write_vectored(slices),
            (Self::Unix(stream), [only]) => stream.write(only),
            (Self::Unix(stream), slices) => stream.write_vectored(slices),
        }
    }

    /// Sends our FIN once the kernel has sent its buffered bytes.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Registers for edge-triggered events.
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().register(registry, token, interest)
    }

    /// Registers for other events than before.
    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.source().reregister(registry, token, interest)
    }

    /// Removes the socket from its poll, so that another thread's can add it.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}
