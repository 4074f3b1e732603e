//! A server of event streams with one fault: it does to one message what none may do.
//!
//! Every request but `GET` publishes its body to all streams. One thread a connection; what it lacks in speed it has in plainness.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is wrong with it; messages are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Loses(u32),
    Doubles(u32),
    /// Sends it behind the next.
    Delays(u32),
    Refuses(u32),
    /// Closes a publisher's connection after so many requests, as it may: it says so.
    EndsAfter(u32),
}

/// A running server. It ends with the test.
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
}

struct State {
    fault: Fault,
    streams: Vec<TcpStream>,
    messages: u32,
    delayed: Option<String>,
}

impl Faulty {
    pub(crate) fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has one");
        let state = State { fault, streams: Vec::new(), messages: 0, delayed: None };
        let state = Arc::new(Mutex::new(state));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    for count in 1.. {
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut state = state.lock().ok()?;
        if first.starts_with("GET ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").ok()?;
            state.streams.push(stream);
            return Some(());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let is_good = state.publish(&String::from_utf8(body).ok()?);
        let ends = matches!(state.fault, Fault::EndsAfter(requests) if requests == count);
        let status = if is_good { "200 OK" } else { "500 Internal Server Error" };
        let connection = if ends { "Connection: close\r\n" } else { "" };
        stream
            .write_all(format!("HTTP/1.1 {status}\r\n{connection}Content-Length: 0\r\n\r\n").as_bytes())
            .ok()?;
        if ends {
            // What the publisher has already sent stays unread; closing now could take the answer with it.
            stream.shutdown(std::net::Shutdown::Write).ok()?;
            reader.read_to_end(&mut Vec::new()).ok()?;
            return None;
        }
    }
    None
}

impl State {
    fn publish(&mut self, payload: &str) -> bool {
        self.messages += 1;
        let is_it = |number: u32| number == self.messages;
        match self.fault {
            Fault::Loses(number) if is_it(number) => {}
            Fault::Refuses(number) if is_it(number) => return false,
            Fault::Delays(number) if is_it(number) => self.delayed = Some(payload.to_owned()),
            Fault::Doubles(number) if is_it(number) => {
                self.send(payload);
                self.send(payload);
            }
            Fault::None
            | Fault::Loses(_)
            | Fault::Refuses(_)
            | Fault::Delays(_)
            | Fault::Doubles(_)
            | Fault::EndsAfter(_) => {
                self.send(payload);
                if let Some(delayed) = self.delayed.take() {
                    self.send(&delayed);
                }
            }
        }
        true
    }

    fn send(&mut self, payload: &str) {
        let event = format!("data: {payload}\n\n");
        self.streams.retain_mut(|stream| stream.write_all(event.as_bytes()).is_ok());
    }
}
