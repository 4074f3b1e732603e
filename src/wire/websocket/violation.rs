//! Why a WebSocket was failed: one variant per cause, one table each from cause to close code,
//! label and sentence.
//!
//! All of them are final: the close frame carries the sentence, and nothing more is read.

use std::borrow::Cow;

/// A rule of RFC 6455 or 7692 that the client broke, or a bound that it went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A frame without a mask.
    Unmasked,
    /// A reserved bit without a negotiated meaning in this place.
    ReservedBits,
    /// An opcode of 3 to 7 or 11 to 15.
    ReservedOpcode,
    /// A control frame with more than 125 bytes.
    ControlTooLong,
    /// A control frame that is not the last of its message.
    ControlFragmented,
    /// A continuation of nothing.
    NothingToContinue,
    /// A new message within one that has not ended.
    MessageUnfinished,
    /// A length not in its shortest form.
    LengthNotMinimal,
    /// A length with its highest bit set.
    LengthOverflow,
    /// The message is, or will be, longer than allowed.
    TooBig {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// Text, or the reason of a close, that is not UTF-8.
    BadUtf8,
    /// A compressed message that cannot be decompressed.
    BadDeflate,
    /// A close frame of one byte.
    CloseTruncated,
    /// A close code that may not be sent.
    CloseCode {
        /// The received code.
        code: u16,
    },
}

impl Violation {
    /// The code to close with (RFC 6455 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::TooBig { .. } => 1009,
            Self::BadUtf8 | Self::BadDeflate => 1007,
            Self::Unmasked
            | Self::ReservedBits
            | Self::ReservedOpcode
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::NothingToContinue
            | Self::MessageUnfinished
            | Self::LengthNotMinimal
            | Self::LengthOverflow
            | Self::CloseTruncated
            | Self::CloseCode { .. } => 1002,
        }
    }

    /// The cause in kebab-case, the label of its counter.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unmasked => "ws-unmasked",
            Self::ReservedBits => "ws-reserved-bits",
            Self::ReservedOpcode => "ws-reserved-opcode",
            Self::ControlTooLong => "ws-control-too-long",
            Self::ControlFragmented => "ws-control-fragmented",
            Self::NothingToContinue => "ws-nothing-to-continue",
            Self::MessageUnfinished => "ws-message-unfinished",
            Self::LengthNotMinimal => "ws-length-not-minimal",
            Self::LengthOverflow => "ws-length-overflow",
            Self::TooBig { .. } => "ws-too-big",
            Self::BadUtf8 => "ws-bad-utf8",
            Self::BadDeflate => "ws-bad-deflate",
            Self::CloseTruncated => "ws-close-truncated",
            Self::CloseCode { .. } => "ws-close-code",
        }
    }

    /// One sentence for the close frame: what is wrong, and what is allowed. It fits, with any
    /// number in it.
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Self::Unmasked => "a frame has no mask; clients mask every frame".into(),
            Self::ReservedBits => {
                "a reserved bit is set; RSV1 may be, on the first frame of a message, with permessage-deflate"
                    .into()
            }
            Self::ReservedOpcode => "a frame has a reserved opcode; 0, 1, 2, 8, 9 and 10 are defined".into(),
            Self::ControlTooLong => "a control frame is too long; it may have 125 bytes".into(),
            Self::ControlFragmented => "a control frame is fragmented; it must be whole".into(),
            Self::NothingToContinue => "a continuation frame without an unfinished message".into(),
            Self::MessageUnfinished => "a message began before the previous one ended".into(),
            Self::LengthNotMinimal => "a length is not in its shortest form".into(),
            Self::LengthOverflow => "a length has its highest bit set".into(),
            Self::TooBig { bytes_max } => {
                format!("the message is too long; it may have {bytes_max} bytes").into()
            }
            Self::BadUtf8 => "the text is not UTF-8; send bytes as a binary message".into(),
            Self::BadDeflate => "the message cannot be decompressed".into(),
            Self::CloseTruncated => "a close frame has one byte; it has none, or a code of two bytes".into(),
            Self::CloseCode { code } => {
                format!("the close code {code} may not be sent; 1000 and 3000 to 4999 are allowed").into()
            }
        }
    }
}
