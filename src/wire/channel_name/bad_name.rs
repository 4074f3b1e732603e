//! Every error in a channel name, and its sentence for the client.
//!
//! The sentence contains offsets and single bytes, never the name itself.

use std::fmt;

use crate::wire::channel_name::{SEGMENTS_MAX, USER_BYTES_MAX};

/// Why a text is no channel name. Every offset counts bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// The text does not begin with a slash.
    NoLeadingSlash,
    /// The text has more than `max` bytes.
    TooLong {
        /// Bytes in the text.
        bytes: usize,
        /// Bytes allowed for this sort of name.
        max: usize,
    },
    /// More than [`SEGMENTS_MAX`] segments.
    TooManySegments,
    /// Nothing between two slashes, or after the last one.
    EmptySegment {
        /// Where the segment should have begun.
        at: usize,
    },
    /// A byte that is not allowed in a segment.
    BadByte {
        /// Its offset.
        at: usize,
        /// Its value.
        byte: u8,
    },
    /// A `*` that is not the whole last segment.
    StrayWildcard {
        /// Its offset.
        at: usize,
    },
    /// A `%` in a personal name that two hexadecimal digits do not follow.
    BadEscape {
        /// The offset of the `%`.
        at: usize,
    },
    /// Something under `/u` that is not `/u/{user}`.
    NotPersonal,
    /// The user of a personal name is not UTF-8, holds NUL, or is not 1 to [`USER_BYTES_MAX`] bytes
    /// long.
    BadUser,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoLeadingSlash => f.write_str("a channel name begins with a slash, as in /chat/room1"),
            Self::TooLong { bytes, max } => {
                write!(f, "the channel name has {bytes} bytes; at most {max} are allowed")
            }
            Self::TooManySegments => write!(f, "the channel name has more than {SEGMENTS_MAX} segments"),
            Self::EmptySegment { at } => {
                write!(f, "the channel name's segment at offset {at} is empty; {ALLOWED}")
            }
            Self::BadByte { at, byte: b'%' } => {
                write!(f, "the channel name's % at offset {at} is not allowed; only /u/{{user}} has escapes")
            }
            Self::BadByte { at, byte } => {
                write!(f, "the channel name's byte 0x{byte:02x} at offset {at} is not allowed; {ALLOWED}")
            }
            Self::StrayWildcard { at } => {
                write!(f, "the channel name's * at offset {at} is misplaced; patterns end in /* or /**")
            }
            Self::BadEscape { at } => {
                write!(f, "the channel name's % at offset {at} needs two hexadecimal digits after it")
            }
            Self::NotPersonal => f.write_str("under /u there are only the personal channels, /u/{user}"),
            Self::BadUser => {
                write!(f, "a personal channel's user is 1 to {USER_BYTES_MAX} bytes of UTF-8 without NUL")
            }
        }
    }
}

impl std::error::Error for BadName {}

const ALLOWED: &str = "segments are made of A-Z a-z 0-9 - _ ! ~ ( ) $ @ .";
