//! WebSocket frames as a client reads them (RFC 6455, 5.2; RFC 7692, 7.2.2).

use super::{Item, inflate, record};

/// A reader of frames.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// The bits of the window, if compression was agreed on.
    window: Option<u8>,
    is_over: bool,
    /// The number of compressed messages.
    pub(crate) compressed: usize,
}

impl Frames {
    pub(crate) fn new(window: Option<u8>) -> Self {
        Self { window, is_over: false, compressed: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn next(&mut self, input: &[u8]) -> Option<(usize, Option<Item>)> {
        let [first, second, rest @ ..] = input else { return None };
        assert!(!self.is_over, "a frame after the close");
        let (opcode, is_compressed) = (first & 15, first & 0x40 != 0);
        assert_eq!(first & 0xb0, 0x80, "whole messages, and no reserved bits but the first");
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        let (len, head) = match second & 127 {
            126 => {
                let len = u16::from_be_bytes(*rest.first_chunk()?);
                assert!(len > 125, "a long spelling of a short length");
                (usize::from(len), 4)
            }
            127 => {
                let len = u64::from_be_bytes(*rest.first_chunk()?);
                assert!(len > 0xffff, "a long spelling of a short length");
                (len as usize, 10)
            }
            len => (usize::from(len), 2),
        };
        let payload = input.get(head..head + len)?;
        assert!(opcode < 8 || len <= 125 && !is_compressed, "a control frame");
        let message = if is_compressed {
            self.compressed += 1;
            let window = self.window.expect("compression was agreed on");
            inflate::message(payload, 1 << window)
        } else {
            payload.to_vec()
        };
        let item = match opcode {
            1 => Some(Item::Json(String::from_utf8(message).expect("UTF-8"))),
            2 => Some(record(&message)),
            8 => {
                assert_eq!(payload, [0x03, 0xe8], "1000 and no reason");
                self.is_over = true;
                None
            }
            9 => Some(Item::Ping(payload.to_vec())),
            10 => None,
            other => panic!("opcode {other}"),
        };
        Some((head + len, item))
    }
}
