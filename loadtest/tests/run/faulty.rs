//! A server with one fault, in one message.
//!
//! A `GET` subscribes, over the transport that its path names; every other request publishes its
//! body to all subscribers, once the expected number is connected and has answered its pings. One
//! thread for each connection: simple rather than fast.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::bayeux::{self, ClientMessage};
use crate::format::{self, Format};

/// The fault; messages are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Loses(u32),
    Doubles(u32),
    /// Sends it after the next one.
    Delays(u32),
    Refuses(u32),
    /// Closes a publisher's connection after this many requests, which is allowed: the response
    /// announces it.
    EndsAfter(u32),
}

/// A running server. It ends with the test.
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
}

/// The state that its threads share, and how they wake each other.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// The expected number of subscribers.
    expected: usize,
    subscribers: Vec<Subscriber>,
    /// Pings without a pong.
    unanswered: usize,
    messages: u32,
    delayed: Option<String>,
}

/// A connection that receives messages.
struct Subscriber {
    format: Format,
    stream: TcpStream,
    /// Messages that wait for its next request, if each message is a response.
    waiting: VecDeque<Vec<u8>>,
}

impl Faulty {
    pub(crate) fn start(fault: Fault, expected: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has one");
        let state =
            State { fault, expected, subscribers: Vec::new(), unanswered: 0, messages: 0, delayed: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut count, mut connects) = (0, 0);
    loop {
        let request = ReceivedRequest::read(&mut reader)?;
        if let Some(message) = ClientMessage::find(&request.body) {
            connects += u32::from(message == ClientMessage::Connect);
            if connects == 2 {
                let subscriber = Subscriber { format: Format::Polled, stream, waiting: VecDeque::new() };
                let number = shared.subscribe(subscriber)?;
                return shared.answer(number, &mut reader);
            }
            stream.write_all(message.response(&request.cookie).as_bytes()).ok()?;
            continue;
        }
        count += 1;
        if let Some(format) = Format::find(&request.line) {
            stream.write_all(format.head(&request.key).as_bytes()).ok()?;
            if format == Format::Pushed {
                introduced(&mut stream, &mut reader)?;
            }
            let number = shared.subscribe(Subscriber { format, stream, waiting: VecDeque::new() })?;
            return match format {
                Format::Call | Format::Polled => shared.answer(number, &mut reader),
                Format::Frames => shared.await_pongs(&mut reader),
                Format::Events | Format::Deflated | Format::Elements | Format::Parts | Format::Pushed => {
                    Some(())
                }
            };
        }
        let mut state = shared.ready()?;
        let is_good = state.publish(&request.body);
        shared.changed.notify_all();
        let ends = matches!(state.fault, Fault::EndsAfter(requests) if requests == count);
        let status = if is_good { "200 OK" } else { "500 Internal Server Error" };
        let connection = if ends { "Connection: close\r\n" } else { "" };
        stream
            .write_all(format!("HTTP/1.1 {status}\r\n{connection}Content-Length: 0\r\n\r\n").as_bytes())
            .ok()?;
        if ends {
            // The publisher's further bytes are unread; closing now could destroy the answer.
            stream.shutdown(std::net::Shutdown::Write).ok()?;
            reader.read_to_end(&mut Vec::new()).ok()?;
            return None;
        }
    }
}

/// Answers a Bayeux client's messages over its socket, until its second connect arrives.
fn introduced(stream: &mut TcpStream, reader: &mut impl Read) -> Option<()> {
    let mut connects = 0;
    while connects < 2 {
        let message = ClientMessage::find(&bayeux::read(reader)?)?;
        connects += u32::from(message == ClientMessage::Connect);
        if connects < 2 {
            stream.write_all(&format::frame(0x81, message.answer().as_bytes())).ok()?;
        }
    }
    Some(())
}

/// The parts of a request that matter here.
struct ReceivedRequest {
    line: String,
    /// `Sec-WebSocket-Key`.
    key: String,
    cookie: String,
    body: String,
}

impl ReceivedRequest {
    /// `None` at the end of the connection.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let (mut line, mut length) = (String::new(), 0);
        let (mut key, mut cookie) = (String::new(), String::new());
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut header = String::new();
        while reader.read_line(&mut header).ok()? > 2 {
            let (name, value) = header.split_once(':')?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "sec-websocket-key" => value.trim().clone_into(&mut key),
                "cookie" => value.trim().clone_into(&mut cookie),
                _ => {}
            }
            header.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { line, key, cookie, body: String::from_utf8(body).ok()? })
    }
}

impl Shared {
    /// Adds a subscriber; returns its number.
    fn subscribe(&self, subscriber: Subscriber) -> Option<usize> {
        let mut state = self.state.lock().ok()?;
        state.subscribers.push(subscriber);
        self.changed.notify_all();
        Some(state.subscribers.len() - 1)
    }

    /// Waits until all expected subscribers are connected and owe no answer.
    fn ready(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock().ok()?;
        let is_early = |state: &mut State| state.subscribers.len() < state.expected || state.unanswered > 0;
        self.changed.wait_while(state, is_early).ok()
    }

    /// Takes a subscriber's pongs. Anything else leaves its ping unanswered.
    fn await_pongs(&self, reader: &mut impl BufRead) -> Option<()> {
        loop {
            let mut pong = [0; 6 + format::PING.len()];
            reader.read_exact(&mut pong).ok()?;
            format::is_pong(&pong).then_some(())?;
            self.state.lock().ok()?.unanswered -= 1;
            self.changed.notify_all();
        }
    }

    /// Answers a subscriber's requests with one message each, as soon as there is one.
    fn answer(&self, number: usize, reader: &mut impl BufRead) -> Option<()> {
        loop {
            let state = self.state.lock().ok()?;
            let is_dry = |state: &mut State| state.subscribers[number].waiting.is_empty();
            let mut state = self.changed.wait_while(state, is_dry).ok()?;
            let subscriber = &mut state.subscribers[number];
            let response = subscriber.waiting.pop_front()?;
            subscriber.stream.write_all(&response).ok()?;
            drop(state);
            ReceivedRequest::read(reader)?;
        }
    }
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
        for subscriber in &mut self.subscribers {
            let message = subscriber.format.message(payload);
            if matches!(subscriber.format, Format::Call | Format::Polled) {
                subscriber.waiting.push_back(message);
            } else {
                // A disconnected subscriber misses messages; the load test reports that.
                let _ = subscriber.stream.write_all(&message);
                self.unanswered += usize::from(subscriber.format == Format::Frames);
            }
        }
    }
}
