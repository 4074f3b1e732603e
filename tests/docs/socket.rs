//! The client that plays a dialogue: WebSocket or XMLSocket, written from the RFC and separate from
//! the server's own code.
//!
//! It formats messages as the documents do: a text message unchanged, a binary one as its record's
//! header and the payload in base64, a closing frame as `(close 1000 words)`, the connection's end
//! as `(end)`. Pings are answered and not shown.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// One connection.
pub(crate) struct Socket {
    stream: TcpStream,
    kind: Kind,
    /// Received bytes that are not shown yet.
    input: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    WebSocket,
    XmlSocket,
    Ended,
}

impl Socket {
    /// Opens `ws://ADDRESS/PATH`, optionally followed by a subprotocol, or `tcp://ADDRESS`.
    pub(crate) fn open(target: &str, patience: Duration) -> Self {
        let (url, protocol) = target.split_once(' ').unwrap_or((target, ""));
        let (scheme, rest) = url.split_once("://").unwrap_or_else(|| panic!("{target} is no URL"));
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{target}: {error}"));
        stream.set_read_timeout(Some(patience)).expect("a timeout can be set");
        let kind = if scheme == "ws" { Kind::WebSocket } else { Kind::XmlSocket };
        let mut socket = Self { stream, kind, input: Vec::new() };
        if kind == Kind::WebSocket {
            socket.shake_hands(address, path, protocol);
        }
        socket
    }

    fn shake_hands(&mut self, address: &str, path: &str, protocol: &str) {
        let mut request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        if !protocol.is_empty() {
            request = format!("{request}Sec-WebSocket-Protocol: {protocol}\r\n");
        }
        self.write(format!("{request}\r\n").as_bytes());
        let end = loop {
            match self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.read() > 0, "no end of the response's head"),
            }
        };
        let head: Vec<u8> = self.input.drain(..end).collect();
        let head = String::from_utf8_lossy(&head);
        assert!(head.starts_with("HTTP/1.1 101 "), "no WebSocket: {head}");
        // RFC 6455, section 1.3.
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        let chosen = format!("Sec-WebSocket-Protocol: {protocol}\r\n");
        assert!(protocol.is_empty() || head.contains(&chosen), "the subprotocol is not chosen: {head}");
    }

    /// Sends a message in the documents' format.
    pub(crate) fn send(&mut self, message: &str) {
        let close = message.strip_prefix("(close ").and_then(|rest| rest.strip_suffix(')'));
        let bytes = match (self.kind, close) {
            (Kind::XmlSocket, _) => [message.as_bytes(), b"\0"].concat(),
            (Kind::WebSocket, Some(code)) => {
                let code: u16 = code.parse().unwrap_or_else(|_| panic!("{message}: no close code"));
                frame(CLOSE, &code.to_be_bytes())
            }
            (Kind::WebSocket, None) => frame(TEXT, message.as_bytes()),
            (Kind::Ended, _) => panic!("the connection has ended; this was to be sent: {message}"),
        };
        self.write(&bytes);
    }

    /// Sends a binary message: a record of `HEADER BASE64`.
    pub(crate) fn send_record(&mut self, spelled: &str) {
        let (header, payload) = spelled.rsplit_once(' ').unwrap_or((spelled, ""));
        let len = u16::try_from(header.len()).expect("the header is short").to_be_bytes();
        let payload = STANDARD.decode(payload).unwrap_or_else(|error| panic!("{spelled}: {error}"));
        self.write(&frame(BINARY, &[&len, header.as_bytes(), &payload].concat()));
    }

    /// The next message in the documents' format: with the sign of its direction.
    pub(crate) fn receive(&mut self) -> String {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            if self.read() == 0 {
                self.kind = Kind::Ended;
                assert!(self.input.is_empty(), "cut within a message: {:?}", self.input);
                return "< (end)".to_owned();
            }
        }
    }

    /// All received bytes have been shown.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket can be non-blocking");
        let mut byte = [0];
        let none = match self.stream.read(&mut byte) {
            Ok(len) => len == 0 && self.kind == Kind::Ended,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        none && self.input.is_empty()
    }

    /// Sends a close if that has not happened. Only the server's close can follow.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        let goodbye = match self.kind {
            Kind::Ended => return Ok(()),
            Kind::WebSocket => {
                self.write(&frame(CLOSE, &1000_u16.to_be_bytes()));
                "< (close 1000)"
            }
            Kind::XmlSocket => {
                self.stream.shutdown(Shutdown::Write).map_err(|error| error.to_string())?;
                "< (end)"
            }
        };
        let came = self.receive();
        if came == goodbye { Ok(()) } else { Err(came) }
    }

    fn take(&mut self) -> Option<String> {
        match self.kind {
            Kind::Ended => None,
            Kind::XmlSocket => {
                let end = self.input.iter().position(|byte| *byte == 0)?;
                let message: Vec<u8> = self.input.drain(..=end).take(end).collect();
                Some(format!("< {}", String::from_utf8(message).expect("a message is UTF-8")))
            }
            Kind::WebSocket => loop {
                let (opcode, payload) = self.take_frame()?;
                match opcode {
                    PING => self.write(&frame(PONG, &payload)),
                    PONG => {}
                    _ => return Some(spelled(opcode, &payload)),
                }
            },
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, len, ..] = self.input[..] else { return None };
        assert!(first & 0x70 == 0 && len & 0x80 == 0, "reserved bits or a mask: {first:x} {len:x}");
        assert!(first & 0x80 != 0, "a fragment");
        let (start, len) = match len {
            126 => (4, u16::from_be_bytes(self.input.get(2..4)?.try_into().ok()?).into()),
            127 => (10, u64::from_be_bytes(self.input.get(2..10)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        };
        let payload = self.input.get(start..start + len)?.to_vec();
        self.input.drain(..start + len);
        Some((first & 0x0f, payload))
    }

    fn read(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let len = match self.stream.read(&mut chunk) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("nothing more comes: {error}"),
        };
        self.input.extend_from_slice(&chunk[..len]);
        len
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

const MASKED: u8 = 0x80;
/// The marker of a length that follows in 16 bits.
const LONG: u8 = 126;

/// A client's frame. A mask of zeros is valid.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    if payload.len() < 126 {
        out.push(MASKED | payload.len() as u8);
    } else {
        out.push(MASKED | LONG);
        let len = u16::try_from(payload.len()).expect("examples are short");
        out.extend_from_slice(&len.to_be_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

fn spelled(opcode: u8, payload: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text is UTF-8");
    match (opcode, payload) {
        (CLOSE, []) => "< (close)".to_owned(),
        (CLOSE, [high, low, reason @ ..]) => {
            let code = u16::from_be_bytes([*high, *low]);
            let words = format!("{code} {}", text(reason));
            format!("< (close {})", words.trim_end())
        }
        (BINARY, [high, low, record @ ..]) => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let (header, bytes) = record.split_at_checked(len).expect("the header is as long as it says");
            format!("<< {} {}", text(header), STANDARD.encode(bytes)).trim_end().to_owned()
        }
        (TEXT, _) => format!("< {}", text(payload)),
        _ => panic!("a frame with opcode {opcode}: {payload:?}"),
    }
}

#[test]
fn frames_are_spelled_as_documents_do() {
    assert_eq!(frame(TEXT, b"hi"), b"\x81\x82\0\0\0\0hi");
    assert_eq!(frame(TEXT, &[b'x'; 126])[..4], [0x81, 0xfe, 0, 126]);
    assert_eq!(spelled(TEXT, b"{}"), "< {}");
    assert_eq!(spelled(BINARY, b"\0\x02{}\0\xff"), "<< {} AP8=");
    assert_eq!(spelled(CLOSE, b"\x03\xe8"), "< (close 1000)");
    assert_eq!(spelled(CLOSE, b"\x03\xf1no"), "< (close 1009 no)");
}
