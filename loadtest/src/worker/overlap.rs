//! Two long polls of one session at a time, each on its own connection: one waits at the server
//! while the other's answer and next request are on their way.
//!
//! Both are read before either is processed, and answers are processed in the order of their
//! positions: the server answers the older poll first, but the newer one's bytes may be seen first.
//! An incomplete answer does not count. If one connection breaks the client reconnects with its
//! position, on one connection at first.

use std::io::{self, ErrorKind, Read};
use std::mem;

use mio::net::TcpStream;

use super::client::{Client, Next, beginning, broken, invalid, is_good};
use super::link::Link;
use super::scratch::ReadScratch;
use crate::clock::now;
use crate::dialect::position_number;
use crate::http::Response;

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulled {
    /// No bytes.
    Nothing,
    /// Some bytes of an answer.
    Bytes,
    /// The connection has ended.
    End {
        /// Whether between two answers, or at a possible end of this one.
        clean: bool,
    },
}

/// The order of two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The first one is complete and precedes whatever the other becomes.
    First,
    /// The second one.
    Second,
    /// None is complete, or an incomplete one precedes it.
    Neither,
}

impl Client {
    /// Takes the connection of the second poll, whose only request is the last of `steps` steps.
    pub fn connect_second(&mut self, stream: TcpStream, steps: usize) {
        self.spare = Some(Link::new(stream, steps.saturating_sub(1)));
    }

    /// Reads both connections until they are empty, handles complete answers, and polls again for
    /// each.
    pub(super) fn catch_up_both(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<Next> {
        let mut ended = None;
        loop {
            let mut is_dry = true;
            // Read again until both are empty in succession: then everything read was sent before
            // anything unread.
            for _ in 0..2 {
                match self.pull(scratch)? {
                    Pulled::Nothing => {}
                    Pulled::Bytes => is_dry = false,
                    Pulled::End { clean } => ended = Some(Next::Ended { clean }),
                }
                self.change_over();
            }
            if is_dry || ended.is_some() {
                break;
            }
        }
        loop {
            match turn(self.link.as_ref(), self.spare.as_ref()) {
                Turn::Neither => break,
                Turn::First => {}
                Turn::Second => self.change_over(),
            }
            if let Some(end) = self.take_answer(scratch)? {
                return Ok(end);
            }
        }
        let lacks_second = self.is_subscribed() && self.spare.is_none();
        Ok(ended.unwrap_or(if lacks_second { Next::ConnectSecond } else { Next::Wait }))
    }

    /// Swaps the two connections.
    pub(super) fn change_over(&mut self) {
        mem::swap(&mut self.link, &mut self.spare);
    }

    /// Reads once. The link keeps what it read.
    fn pull(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<Pulled> {
        let is_opening = !self.is_subscribed();
        let Some(link) = self.link.as_mut().filter(|link| link.is_connected) else {
            return Ok(Pulled::Nothing);
        };
        let count = match link.stream.read(scratch.buffer) {
            Ok(0) => return Ok(Pulled::End { clean: link.response.ends_with_connection() }),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Pulled::Nothing);
            }
            Err(error) if is_opening => return Err(error),
            Err(_) => return Ok(Pulled::End { clean: false }),
        };
        let taken = link.response.take(&scratch.buffer[..count], &mut link.tail).map_err(broken)?;
        if taken < count {
            return Err(invalid("bytes behind the end of a response"));
        }
        match link.response.status() {
            Some(status) if !is_good(status, false) => {
                Err(io::Error::other(format!("status {status}: {}", beginning(&link.tail))))
            }
            Some(_) | None => Ok(Pulled::Bytes),
        }
    }

    /// Handles the complete answer of the current connection, and polls again; returns the end if
    /// it was the last one.
    fn take_answer(&mut self, scratch: &mut ReadScratch<'_>) -> io::Result<Option<Next>> {
        let Some(link) = &mut self.link else { return Ok(None) };
        scratch.body.clear();
        scratch.body.append(&mut link.tail);
        scratch.requests.captures.headers(&link.response, &mut self.captured);
        let keeps_alive = link.response.keeps_alive();
        link.step = scratch.requests.sequence.len().saturating_sub(1);
        self.items(now(), scratch)?;
        if !keeps_alive {
            return Ok(Some(Next::Ended { clean: true }));
        }
        self.ask(scratch).map(|()| None)
    }
}

/// Which answer is next.
fn turn(first: Option<&Link>, second: Option<&Link>) -> Turn {
    let answer = |link: Option<&Link>| link.map(|link| PollAnswer::of(&link.response));
    match (answer(first), answer(second)) {
        (Some(PollAnswer::Whole(one)), other) if other.is_none_or(|other| other.is_behind(one)) => {
            Turn::First
        }
        (other, Some(PollAnswer::Whole(one))) if other.is_none_or(|other| other.is_behind(one)) => {
            Turn::Second
        }
        _ => Turn::Neither,
    }
}

/// How much of an answer has arrived, with the number of its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PollAnswer {
    Nothing,
    /// Its position has not arrived.
    Begun,
    Part(u64),
    Whole(u64),
}

impl PollAnswer {
    fn of(response: &Response) -> Self {
        let at = || response.header("encke-position").map_or(0, position_number);
        match response.status() {
            Some(_) if response.is_done() => Self::Whole(at()),
            Some(_) => Self::Part(at()),
            None if response.has_begun() => Self::Begun,
            None => Self::Nothing,
        }
    }

    /// Whether it comes after an answer with the position `at`.
    fn is_behind(self, at: u64) -> bool {
        match self {
            Self::Nothing => true,
            Self::Begun => false,
            Self::Part(other) | Self::Whole(other) => at <= other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The given number of bytes of an answer with a position.
    fn answer(at: u64, bytes: usize) -> PollAnswer {
        let text = format!("HTTP/1.1 200 OK\r\nEncke-Position: e-{at}\r\nContent-Length: 2\r\n\r\n[]");
        let mut response = Response::new();
        response.take(&text.as_bytes()[..bytes.min(text.len())], &mut Vec::new()).unwrap();
        PollAnswer::of(&response)
    }

    #[test]
    fn an_answer_is_known_by_what_is_there_of_it() {
        let length = "HTTP/1.1 200 OK\r\nEncke-Position: e-7\r\nContent-Length: 2\r\n\r\n[]".len();
        let all: Vec<PollAnswer> = [0, 10, length - 1, length].map(|bytes| answer(7, bytes)).into();
        assert_eq!(all, [PollAnswer::Nothing, PollAnswer::Begun, PollAnswer::Part(7), PollAnswer::Whole(7)]);
    }

    #[test]
    fn the_answer_with_the_lower_position_comes_first() {
        assert!(
            PollAnswer::Nothing.is_behind(7)
                && PollAnswer::Part(8).is_behind(7)
                && PollAnswer::Whole(7).is_behind(7)
        );
        assert!(
            !PollAnswer::Begun.is_behind(7)
                && !PollAnswer::Part(6).is_behind(7)
                && !PollAnswer::Whole(6).is_behind(7)
        );
        assert_eq!(turn(None, None), Turn::Neither);
    }
}
