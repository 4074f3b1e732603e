//! What differs between systems: all code here that is not for Linux alone builds on macOS and
//! FreeBSD too, and behaves as `docs/PORTABILITY.md` says.
//!
//! No other file asks for which system it is built, except `main.rs` for its allocator.

use std::{io, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};

/// Whether the kernel distributes the connections of one address among all sockets that listen
/// there (`SO_REUSEPORT`). Elsewhere one socket would get all of them, so the shards share it.
pub(super) const SPREADS_CONNECTIONS: bool = cfg!(target_os = "linux");

/// A stream socket that neither blocks nor is inherited by other programs.
pub(super) fn stream_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How long sent bytes may stay unacknowledged.
pub(super) fn set_tcp_user_timeout(socket: &Socket, span: Option<Duration>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return socket.set_tcp_user_timeout(span);
    #[cfg(not(target_os = "linux"))]
    not_here(socket, span)
}

/// The number of unsent bytes above which the kernel takes no more.
pub(super) fn set_tcp_notsent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return socket.set_tcp_notsent_lowat(bytes);
    #[cfg(not(target_os = "linux"))]
    not_here(socket, bytes)
}

#[cfg(not(target_os = "linux"))]
fn not_here<V>(_: &Socket, _: V) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Raises the soft limit of file descriptors towards the hard one. A system may allow less than its
/// hard limit says.
pub(super) fn raise_descriptors(hard: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    return rlimit::setrlimit(rlimit::Resource::NOFILE, hard, hard);
    #[cfg(not(target_os = "linux"))]
    rlimit::increase_nofile_limit(hard).map(|_| ())
}
