//! A connected socket, TCP or Unix, as one type, and one that may be encrypted.
//!
//! All calls are non-blocking. `sockets` decides what they mean for the connection (ended, broken,
//! try later); this file holds only the difference between the kinds.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use super::tls::TlsStream;
use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UnixStream},
};

/// A connected, non-blocking socket in a table. Dropping it closes it and takes it out of its poll.
pub(super) trait PolledStream {
    /// Reads once. `Ok(0)` is the end of the peer's bytes.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `slices` as the kernel accepts, with one system call. One slice needs no
    /// list, which saves the kernel copying and checking it.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends our FIN once the kernel has sent its buffered bytes.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// What the poll knows of it.
    fn source(&mut self) -> &mut dyn Source;

    /// Whether a read that fills less than its buffer has taken all that there is (epoll(7),
    /// question 9).
    fn short_reads_are_dry(&self) -> bool {
        true
    }

    /// Whether the kernel has no room after a write that took less than was offered, or all of it.
    fn is_full(&self, took_less: bool) -> bool {
        took_less
    }

    /// The kernel has room again.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Registers for edge-triggered events.
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.source().register(registry, token, interest)
    }

    /// Registers for other events than before.
    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interest)
    }

    /// Removes the socket from its poll, so that another thread's can add it.
    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}

/// A plain socket.
#[derive(Debug)]
pub enum NetStream {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl PolledStream for NetStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(stream), [only]) => stream.write(only),
            (Self::Tcp(stream), slices) => stream.write_vectored(slices),
            (Self::Unix(stream), [only]) => stream.write(only),
            (Self::Unix(stream), slices) => stream.write_vectored(slices),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

/// A socket to a backend.
#[derive(Debug)]
pub(super) enum BackendStream {
    Plain(NetStream),
    Tls(Box<TlsStream>),
}

impl PolledStream for BackendStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(slices),
            Self::Tls(stream) => stream.write(slices),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown_write(),
            Self::Tls(stream) => stream.shutdown_write(),
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Plain(stream) => stream.source(),
            Self::Tls(stream) => &mut stream.stream,
        }
    }

    /// TLS gives one record at a time.
    fn short_reads_are_dry(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// TLS takes less for reasons of its own, and may hold what it took.
    fn is_full(&self, took_less: bool) -> bool {
        match self {
            Self::Plain(_) => took_less,
            Self::Tls(stream) => stream.is_blocked(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
