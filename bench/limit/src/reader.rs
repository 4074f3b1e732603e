//! The other end of a self-contained run: connects, reads and discards, in a separate process so
//! that its CPU time does not count. It ends when the writer has closed every socket.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::cli::Read;

/// Connects, reports that on the standard output, and reads until the end.
pub(crate) fn run(plan: &Read) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(plan.sockets);
    for index in 0..plan.sockets {
        let mut stream = TcpStream::from_std(connect(plan.from, index)?);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        streams.push(Some(stream));
    }
    println!("connected");
    io::stdout().flush()?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut left = streams.len();
    while left > 0 {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            let slot = &mut streams[event.token().0];
            if slot.as_mut().is_some_and(|stream| has_ended(stream, &mut buffer)) {
                *slot = None;
                left -= 1;
            }
        }
    }
    Ok(())
}

fn has_ended(stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return true,
            // A read that did not fill the buffer has emptied the socket.
            Ok(count) if count < buffer.len() => return false,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// The `index`-th connection. Each source address has some 28,000 ports, and 127.0.0.0/8 has enough
/// addresses.
fn connect(to: SocketAddr, index: usize) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let source =
        Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(index / CONNECTIONS_PER_SOURCE % 250).unwrap_or(0));
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    socket.connect(&to.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Well below the number of ports of one address.
const CONNECTIONS_PER_SOURCE: usize = 10_000;
