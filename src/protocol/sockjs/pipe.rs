//! What only SockJS knows of a session: the service at its other end, and how it ends.

use std::collections::VecDeque;
use std::rc::Rc;

use super::browser::SessionOwner;
use super::close::SockjsClose;
use crate::base::slab::PendingKey;
use crate::protocol::Protocol;
use crate::protocol::native::envelope::{CloseCode, Encoding, Message};

/// What the strings of a page are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Commands of the native protocol up, its envelopes down.
    Encke,
    /// A backend: strings up go to a web hook, and strings down are what it sends.
    Backend,
    /// A TCP server, by its place among the targets: strings are its bytes.
    Server(u16),
    /// One of the public test suite's.
    Test(TestService),
}

/// The services of the public test suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestService {
    /// Each string comes back. A streaming response has 4,096 bytes.
    Echo,
    /// The same without WebSockets, and the usual length of a response.
    EchoWithoutSocket,
    /// The same with a cookie, and the usual length of a response.
    EchoWithCookie,
    /// Each session is closed as soon as it is open.
    Close,
    /// A string comes each second.
    Ticker,
    /// A number brings as many letters as that power of two.
    Amplify,
    /// Each string goes to all sessions of the service.
    Broadcast,
}

impl TestService {
    /// The service that is mounted at `/{name}`.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "disabled_websocket_echo" => Self::EchoWithoutSocket,
            "cookie_needed_echo" => Self::EchoWithCookie,
            "close" => Self::Close,
            "ticker" => Self::Ticker,
            "amplify" => Self::Amplify,
            "broadcast" => Self::Broadcast,
            _ => return None,
        })
    }
}

impl Service {
    /// What its sessions get.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Encke => Protocol::Native,
            Self::Backend | Self::Test(_) => Protocol::Strings,
            Self::Server(_) => Protocol::Text,
        }
    }

    /// Bytes of a streaming response, if the service has a number of its own.
    pub fn response_bytes(self) -> Option<u32> {
        (self == Self::Test(TestService::Echo)).then_some(4096)
    }

    /// Whether its clients may use WebSockets; `allowed` decides unless the service does.
    pub fn takes_sockets(self, allowed: bool) -> bool {
        match self {
            Self::Encke | Self::Backend | Self::Server(_) => allowed,
            Self::Test(service) => service != TestService::EchoWithoutSocket,
        }
    }

    /// Whether its responses set a cookie for balancers; `asked` decides unless the service does.
    pub fn sets_cookie(self, asked: bool) -> bool {
        match self {
            Self::Encke | Self::Backend | Self::Server(_) => asked,
            Self::Test(service) => service == TestService::EchoWithCookie,
        }
    }
}

/// What only SockJS knows of a session.
#[derive(Debug)]
pub struct Pipe {
    /// The other end.
    pub service: Service,
    /// The name by which a request finds the session; a WebSocket's session has none.
    pub name: Option<Rc<PipeName>>,
    /// The browser that may continue it.
    pub owner: SessionOwner,
    /// How it ends.
    pub end: End,
    /// The session's cursor before the answer to its last poll, until that answer is written.
    pub unwritten_after: Option<u64>,
    /// Calls with its strings, if there are any; boxed, because most sessions have none.
    pub calls: Option<Box<Calls>>,
}

/// Calls of a web hook, or of a TCP stream, with a session's strings: one at a time, which keeps
/// their order.
#[derive(Debug)]
pub struct Calls {
    /// The one that is not answered yet.
    pub under_way: PendingKey,
    /// Those that wait for it, oldest first, with their bodies.
    pub waiting: VecDeque<(PendingKey, Vec<u8>)>,
}

// Each session has one.
const _: () = assert!(std::mem::size_of::<Pipe>() <= 72);

/// How a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on. If the server ends it, the reason gives the frame.
    Open,
    /// With this frame, after the strings that wait.
    Closing(Box<SockjsClose>),
}

/// The name by which a client's requests find their session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipeName {
    /// The service: the ids of each are its own.
    service: Service,
    /// The user, by the path or a token, and behind it the segment of the path, which the client
    /// chose at random. One text, because each session keeps it.
    text: Box<str>,
    /// Bytes of the user's name.
    user_bytes: u32,
}

impl PipeName {
    /// The name of a user's session.
    pub fn new(service: Service, user: &str, segment: &str) -> Self {
        // The path's bytes are bounded far below.
        let user_bytes = u32::try_from(user.len()).unwrap_or(u32::MAX);
        Self { service, text: [user, segment].concat().into(), user_bytes }
    }
}

impl SockjsClose {
    /// The frame for a reason of the native protocol.
    pub fn because(code: CloseCode) -> Self {
        match code {
            CloseCode::Closed | CloseCode::Ended => Self::NORMAL,
            CloseCode::Drain => Self { code: 1012, reason: "the node restarts".into() },
            CloseCode::Busy => Self { code: 1013, reason: "the node is busy; come back later".into() },
            CloseCode::Moved => Self { code: 1012, reason: "the user's node may be back".into() },
            CloseCode::Replaced
            | CloseCode::Expired
            | CloseCode::TooManySessions
            | CloseCode::Recycle
            | CloseCode::Elsewhere => Self { code: 3000, reason: code.name().into() },
        }
    }
}

/// Appends a message as a string: JSON that is a string is decoded, other JSON stays as it is.
/// Nothing for presence and TCP streams.
pub fn string_of(message: &Message, out: &mut Vec<u8>) {
    match message.encoding {
        Encoding::Presence | Encoding::Stream => {}
        Encoding::Verbatim => out.extend_from_slice(message.data.as_bytes()),
        Encoding::Json | Encoding::Base64 => match serde_json::from_str::<String>(&message.data) {
            Ok(text) => out.extend_from_slice(text.as_bytes()),
            Err(_) => out.extend_from_slice(message.data.as_bytes()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_string_that_its_data_are() {
        let cases = [
            (r#""a\"b\u00e9""#, Encoding::Json, "a\"bé"),
            (r#"{"a": "b"}"#, Encoding::Json, r#"{"a": "b"}"#),
            ("17", Encoding::Json, "17"),
            (r#""AAE=""#, Encoding::Base64, "AAE="),
            (r#""as it is""#, Encoding::Verbatim, r#""as it is""#),
            (r#"{"joined":1}"#, Encoding::Presence, ""),
        ];
        for (data, encoding, string) in cases {
            let message = Message { channel: "/c".into(), from: None, data: data.into(), encoding };
            let mut out = Vec::new();
            string_of(&message, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), string);
        }
    }
}
