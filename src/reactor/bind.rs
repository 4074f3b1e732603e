//! Binding the listening sockets of the node, one of each TCP address for every shard.
//!
//! Done before any shard starts, by the main thread, so that an unavailable address stops the start
//! with an error that names it and its variable. A socket that a supervisor has opened at the same
//! address is used instead of one of our own. Per-connection options are set on the *listening*
//! sockets: accepted sockets inherit them on Linux, which saves five system calls for each
//! connection.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive};

use super::{activation::Inherited, fault::Fault, listeners::Listener, system};
use crate::reactor::limits::{KEEPALIVE_IDLE_MIN, PROBE_INTERVAL};
use crate::{
    config::{ApiListen, Config, Listen},
    shard::ListenerKind,
};

/// The bound sockets and their addresses.
#[derive(Debug)]
pub struct BoundSockets {
    /// For each shard its listeners.
    pub shards: Vec<Vec<(ListenerKind, Listener)>>,
    /// The public addresses, with the ports that the kernel chose.
    pub public: Vec<SocketAddr>,
    /// The addresses for XMLSocket, with the ports that the kernel chose.
    pub xmlsocket: Vec<SocketAddr>,
    /// The private addresses, as they would be written in `ENCKE_API_LISTEN`.
    pub api: Vec<String>,
    /// Socket files; they are removed when this is dropped.
    pub files: Vec<SocketFile>,
}

/// The file of a Unix socket. Dropping it removes the file, if it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode: a node started after us may have put its own socket there.
    identity: Option<(u64, u64)>,
}

/// Binds everything that `config` lists, for `shards` shards.
///
/// # Errors
/// Names the address, its variable and the reason.
pub fn bind(config: &Config, shards: usize) -> Result<BoundSockets, Fault> {
    let mut opener = Opener { tuning: Tuning::default(), inherited: Inherited::take()? };
    let mut bound = BoundSockets {
        shards: (0..shards).map(|_| Vec::new()).collect(),
        public: vec![],
        xmlsocket: vec![],
        api: vec![],
        files: vec![],
    };
    for listen in &config.listen {
        let address = bound.add_tcp(&mut opener, config, ListenerKind::Public, listen, "ENCKE_LISTEN")?;
        bound.public.push(address);
    }
    for listen in &config.xmlsocket_listen {
        let address =
            bound.add_tcp(&mut opener, config, ListenerKind::XmlSocket, listen, "ENCKE_XMLSOCKET_LISTEN")?;
        bound.xmlsocket.push(address);
    }
    for listen in &config.api_listen {
        match listen {
            ApiListen::Tcp(listen) => {
                let address =
                    bound.add_tcp(&mut opener, config, ListenerKind::Private, listen, "ENCKE_API_LISTEN")?;
                bound.api.push(address.to_string());
            }
            ApiListen::Unix(path) => {
                bound
                    .add_unix(&mut opener.inherited, config, path)
                    .map_err(Fault::doing(format!("listen at unix:{} (ENCKE_API_LISTEN)", path.display())))?;
                bound.api.push(format!("unix:{}", path.display()));
            }
        }
    }
    opener.inherited.all_used()?;
    Ok(bound)
}

impl BoundSockets {
    fn add_tcp(
        &mut self,
        opener: &mut Opener,
        config: &Config,
        kind: ListenerKind,
        listen: &Listen,
        variable: &str,
    ) -> Result<SocketAddr, Fault> {
        let (sockets, address) = opener
            .open(config, listen, self.shards.len())
            .map_err(Fault::doing(format!("listen at {} ({variable})", spelled(listen))))?;
        for (shard, socket) in self.shards.iter_mut().zip(sockets) {
            shard.push((kind, Listener::Tcp(mio::net::TcpListener::from_std(socket.into()))));
        }
        Ok(address)
    }

    fn add_unix(&mut self, inherited: &mut Inherited, config: &Config, path: &Path) -> io::Result<()> {
        let listener = match inherited.unix(path) {
            // Its file is the supervisor's.
            Some(listener) => listener,
            None => self.bind_unix(config, path)?,
        };
        for shard in &mut self.shards {
            let clone = mio::net::UnixListener::from_std(listener.try_clone()?);
            shard.push((ListenerKind::Private, Listener::Unix(clone)));
        }
        Ok(())
    }

    fn bind_unix(&mut self, config: &Config, path: &Path) -> io::Result<UnixListener> {
        clear_the_way(path)?;
        let socket = system::stream_socket(Domain::UNIX, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        self.files.push(SocketFile::new(path));
        // Before listen, so that only owner and group can ever connect.
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        socket.listen(backlog(config))?;
        Ok(UnixListener::from(std::os::fd::OwnedFd::from(socket)))
    }
}

impl SocketFile {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            fs::remove_file(&self.path).unwrap_or_else(|error| {
                log::warn!("could not remove the socket {}: {error}", self.path.display());
            });
        }
    }
}

/// The source of listening sockets.
struct Opener {
    tuning: Tuning,
    inherited: Inherited,
}

impl Opener {
    /// One listening socket for each shard, all at the same address.
    fn open(
        &mut self,
        config: &Config,
        listen: &Listen,
        shards: usize,
    ) -> io::Result<(Vec<Socket>, SocketAddr)> {
        let passed = self.inherited.tcp(listen, shards)?;
        let Some(first) = passed.first() else {
            return tcp_group(&mut self.tuning, config, listen, shards);
        };
        let address = local_address(first)?;
        for socket in &passed {
            tune(&mut self.tuning, config, socket);
        }
        Ok((passed, address))
    }
}

fn tcp_group(
    tuning: &mut Tuning,
    config: &Config,
    listen: &Listen,
    shards: usize,
) -> io::Result<(Vec<Socket>, SocketAddr)> {
    let (mut address, stack) = resolve(tuning, listen);
    let mut sockets = Vec::with_capacity(shards);
    probe(tuning, address, stack)?;
    let bound = if system::SPREADS_CONNECTIONS { shards } else { 1 };
    for _ in 0..bound {
        let socket = tcp_socket(tuning, address, stack)?;
        if bound > 1 {
            let way_out = "without it only one shard can listen: set ENCKE_SHARDS=1";
            socket.set_reuse_port(true).map_err(needed("SO_REUSEPORT", way_out))?;
        }
        socket.bind(&address.into())?;
        // With port 0 the first bind decides, and the others join it there.
        address = local_address(&socket)?;
        sockets.push(socket);
    }
    // Only now, when all are bound: if a later bind failed, clients of the first would be cut.
    for socket in &sockets {
        tune(tuning, config, socket);
        socket.listen(backlog(config))?;
    }
    for _ in bound..shards {
        sockets.push(sockets[0].try_clone()?);
    }
    Ok((sockets, address))
}

/// Fails if another process listens there already. The real sockets would not notice: with
/// `SO_REUSEPORT`, a second node started by mistake would bind at the same address and silently
/// take half of the connections.
fn probe(tuning: &mut Tuning, address: SocketAddr, stack: Stack) -> io::Result<()> {
    tcp_socket(tuning, address, stack)?.bind(&address.into())
}

fn tcp_socket(tuning: &mut Tuning, address: SocketAddr, stack: Stack) -> io::Result<Socket> {
    let socket = system::stream_socket(Domain::for_address(address), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        let way_out = "list the addresses of each family separately, as in 0.0.0.0:8080";
        socket.set_only_v6(stack == Stack::Single).map_err(needed("IPV6_V6ONLY", way_out))?;
    }
    // A restarted node must not wait for connections of its predecessor in TIME_WAIT.
    tuning.note("SO_REUSEADDR", "", socket.set_reuse_address(true));
    Ok(socket)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stack {
    Single,
    Dual,
}

fn resolve(tuning: &mut Tuning, listen: &Listen) -> (SocketAddr, Stack) {
    match *listen {
        Listen::At(address) => (address, Stack::Single),
        Listen::Any { port } => {
            let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            // A kernel without IPv6 refuses the socket, or, with IPv6 switched off, the bind.
            let v6_works = probe(tuning, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), Stack::Dual).is_ok();
            if v6_works {
                (both, Stack::Dual)
            } else {
                (SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), Stack::Single)
            }
        }
    }
}

fn spelled(listen: &Listen) -> String {
    match listen {
        Listen::At(address) => address.to_string(),
        Listen::Any { port } => format!("*:{port}"),
    }
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the kernel reports no address"))
}

/// Sets the optional socket options.
fn tune(tuning: &mut Tuning, config: &Config, socket: &Socket) {
    tuning.note("TCP_NODELAY", "ENCKE_TCP_NODELAY", socket.set_tcp_nodelay(config.tcp_nodelay));
    if let Some(span) = config.tcp_user_timeout {
        let span = Some(Duration::from_millis(span.as_millis()));
        tuning.note("TCP_USER_TIMEOUT", "ENCKE_TCP_USER_TIMEOUT", system::set_tcp_user_timeout(socket, span));
    }
    if let Some(bytes) = config.tcp_notsent_lowat {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        tuning.note(
            "TCP_NOTSENT_LOWAT",
            "ENCKE_TCP_NOTSENT_LOWAT",
            system::set_tcp_notsent_lowat(socket, bytes),
        );
    }
    if let Some(span) = config.tcp_keepalive {
        let idle = Duration::from_millis(span.as_millis()).max(KEEPALIVE_IDLE_MIN);
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(PROBE_INTERVAL);
        tuning.note("SO_KEEPALIVE", "ENCKE_TCP_KEEPALIVE", socket.set_tcp_keepalive(&keepalive));
    }
    if let Some(bytes) = config.send_buffer {
        tuning.note("SO_SNDBUF", "ENCKE_SEND_BUFFER", socket.set_send_buffer_size(bytes));
    }
}

/// Socket options that the kernel does not support: the node warns once of each and continues.
#[derive(Default)]
struct Tuning {
    warned: Vec<&'static str>,
}

impl Tuning {
    fn note(&mut self, option: &'static str, variable: &str, set: io::Result<()>) {
        let Err(error) = set else { return };
        if self.warned.contains(&option) {
            return;
        }
        self.warned.push(option);
        let about = if variable.is_empty() { String::new() } else { format!(" ({variable})") };
        log::warn!("the kernel does not support {option}{about}: {error}; continuing without it");
    }
}

/// A required socket option, with advice if the kernel lacks it.
fn needed(option: &str, way_out: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| {
        io::Error::new(error.kind(), format!("the kernel does not support {option}: {error}; {way_out}"))
    }
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.backlog).unwrap_or(i32::MAX)
}

/// Removes a socket file without a listener. Any other file is left alone.
fn clear_the_way(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is not a socket is in the way"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Owner and group may connect: the file's permissions are the Unix socket's access control.
const SOCKET_MODE: u32 = 0o660;

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
