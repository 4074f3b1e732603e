//! Bayeux at the faulty server: its answers before a client counts as subscribed, over requests and
//! over a socket.
//!
//! It is strict where a wrong client would go unnoticed: id and cookie must be returned exactly,
//! and only the second connect is held.

use std::io::Read;

/// The id and the cookie that it assigns, the same for all clients.
const ID: &str = "c0ffee";
const COOKIE: &str = "BAYEUX_BROWSER=b1";

/// A client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientMessage {
    Handshake,
    Subscribe,
    Connect,
    /// A message that it must not send.
    Wrong,
}

impl ClientMessage {
    /// Parses a message's text. `None` is a publish.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let message = match text.split_once("\"/meta/")?.1.split('"').next()? {
            "handshake" => return Some(Self::Handshake),
            "subscribe" if text.contains("\"subscription\":[\"/load/") => Self::Subscribe,
            "connect" => Self::Connect,
            _ => Self::Wrong,
        };
        Some(if text.contains(&format!("\"clientId\":\"{ID}\"")) { message } else { Self::Wrong })
    }

    /// The answer.
    pub(crate) fn answer(self) -> String {
        let rest = match self {
            Self::Handshake => {
                return format!(r#"[{{"channel":"/meta/handshake","successful":true,"clientId":"{ID}"}}]"#);
            }
            Self::Subscribe => r#""/meta/subscribe","successful":true"#,
            Self::Connect => r#""/meta/connect","successful":true"#,
            Self::Wrong => r#""/meta/wrong","successful":false"#,
        };
        format!("[{{\"channel\":{rest}}}]")
    }

    /// As a response. A client without the cookie is unknown.
    pub(crate) fn response(self, cookie: &str) -> String {
        let (message, line) = match self {
            Self::Handshake => (self, format!("Set-Cookie: {COOKIE}; Path=/; HttpOnly\r\n")),
            message if cookie == COOKIE => (message, String::new()),
            _ => (Self::Wrong, String::new()),
        };
        let body = message.answer();
        format!("HTTP/1.1 200 OK\r\n{line}Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// An event as it precedes the answer to a connect.
pub(crate) fn with_connect(payload: &str) -> String {
    let connect = ClientMessage::Connect.answer();
    format!("{},{}", &connect[..connect.len() - 1], &event(payload)[1..])
}

/// An event.
pub(crate) fn event(payload: &str) -> String {
    format!("[{{\"channel\":\"/load/c0\",\"data\":{payload}}}]")
}

/// The text of a client's next frame, which must be masked and complete.
pub(crate) fn read(reader: &mut impl Read) -> Option<String> {
    let mut head = [0; 2];
    reader.read_exact(&mut head).ok()?;
    let length = match (head[0], head[1].checked_sub(0x80)?) {
        (0x81, 126) => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).ok()?;
            usize::from(u16::from_be_bytes(length))
        }
        (0x81, short @ ..=125) => usize::from(short),
        _ => return None,
    };
    let (mut mask, mut payload) = ([0; 4], vec![0; length]);
    reader.read_exact(&mut mask).ok()?;
    reader.read_exact(&mut payload).ok()?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    String::from_utf8(payload).ok()
}
