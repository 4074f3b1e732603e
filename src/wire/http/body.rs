//! Decodes a request body as it arrives (RFC 9112 6-7): a counted one, or chunks.
//!
//! Byte-driven, so the result does not depend on how the body is cut into reads, and it holds
//! nothing of the body: bytes go straight to the caller's buffer, never more than the bound. Chunk
//! extensions and trailers are checked and dropped. Anything after the body is left in the input.

use super::head::BodyFraming;
use super::{Reject, is_token_byte};

use crate::wire::limits::{CHUNK_EXTENSION_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, TRAILER_BYTES_MAX};

/// The state of one body's decoding.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: BodyState,
    /// Payload bytes that chunks may still announce.
    room: usize,
    /// The bound, for naming it.
    bytes_max: usize,
    extension_room: u16,
    trailer_room: u16,
}

/// Whether the body has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input was consumed and more must come.
    More,
    /// The body is complete; input that was not consumed belongs to the next request.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// Payload of a counted body.
    Counted {
        left: usize,
    },
    /// In the digits of a chunk size.
    Size {
        digits: u8,
        size: u32,
    },
    /// After the `;` of a chunk size.
    Extension {
        size: u32,
    },
    /// After the carriage return of a size line.
    SizeEnd {
        size: u32,
    },
    /// Payload of a chunk.
    Chunk {
        left: u32,
    },
    /// Chunk data is complete: CR, then LF.
    ChunkCr,
    ChunkLf,
    /// After the last chunk, at the start of a line.
    TrailerStart,
    /// In a trailer's name.
    TrailerName,
    /// After a trailer's colon.
    TrailerValue,
    /// After the carriage return of a trailer.
    TrailerLf,
    /// After the carriage return of the empty line.
    FinalLf,
    Done,
}

/// Where the payload goes.
pub trait Sink {
    /// Takes a piece.
    fn take(&mut self, piece: &[u8]);
}

impl Sink for Vec<u8> {
    fn take(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// Nowhere: the body is passed over.
#[derive(Clone, Copy, Debug)]
pub struct Void;

impl Sink for Void {
    fn take(&mut self, _: &[u8]) {}
}

impl BodyDecoder {
    /// A decoder for a body of at most `bytes_max` bytes. A `Content-Length` over that is refused
    /// at once, before any of it is read.
    pub fn new(body: BodyFraming, bytes_max: usize) -> Result<Self, Reject> {
        let state = match body {
            BodyFraming::None | BodyFraming::Length(0) => BodyState::Done,
            BodyFraming::Length(length) => match usize::try_from(length) {
                Ok(left) if left <= bytes_max => BodyState::Counted { left },
                Ok(_) | Err(_) => return Err(Reject::BodyTooLarge { bytes_max }),
            },
            BodyFraming::Chunked => BodyState::Size { digits: 0, size: 0 },
        };
        Ok(Self {
            state,
            room: bytes_max,
            bytes_max,
            extension_room: CHUNK_EXTENSION_BYTES_MAX,
            trailer_room: TRAILER_BYTES_MAX,
        })
    }

    /// The body, if it is a counted one of which nothing was decoded yet and `input` has all of it:
    /// then it need not be copied.
    pub fn whole<'a>(&self, input: &'a [u8]) -> Option<&'a [u8]> {
        let BodyState::Counted { left } = self.state else { return None };
        input.get(..left)
    }

    /// Gives the payload found in `input` to `out`. Returns how many bytes of `input` were
    /// consumed, which is all of them unless the body is done. A refusal is final.
    pub fn decode(&mut self, input: &[u8], out: &mut impl Sink) -> Result<(usize, Progress), Reject> {
        let mut rest = input;
        while let Some(&byte) = rest.first() {
            let used = match self.state {
                BodyState::Done => break,
                BodyState::Counted { left } => {
                    let take = left.min(rest.len());
                    out.take(&rest[..take]);
                    let left = left - take;
                    self.state = if left == 0 { BodyState::Done } else { BodyState::Counted { left } };
                    take
                }
                BodyState::Chunk { left } => {
                    let take = rest.len().min(left as usize);
                    out.take(&rest[..take]);
                    let left = left - take as u32;
                    self.state = if left == 0 { BodyState::ChunkCr } else { BodyState::Chunk { left } };
                    take
                }
                BodyState::Size { .. }
                | BodyState::Extension { .. }
                | BodyState::SizeEnd { .. }
                | BodyState::ChunkCr
                | BodyState::ChunkLf
                | BodyState::TrailerStart
                | BodyState::TrailerName
                | BodyState::TrailerValue
                | BodyState::TrailerLf
                | BodyState::FinalLf => {
                    self.state = self.step(byte)?;
                    1
                }
            };
            rest = &rest[used..];
        }
        Ok((input.len() - rest.len(), self.progress()))
    }

    /// Whether the body has ended; known before any input for an empty one.
    pub fn progress(&self) -> Progress {
        if self.state == BodyState::Done { Progress::Done } else { Progress::More }
    }

    /// Takes one byte that is no payload.
    fn step(&mut self, byte: u8) -> Result<BodyState, Reject> {
        match self.state {
            BodyState::Size { digits, size } => Self::size_byte(digits, size, byte),
            BodyState::Extension { size } => self.extension_byte(size, byte),
            BodyState::SizeEnd { size } if byte == b'\n' => self.start_chunk(size),
            BodyState::ChunkCr if byte == b'\r' => Ok(BodyState::ChunkLf),
            BodyState::ChunkLf if byte == b'\n' => Ok(BodyState::Size { digits: 0, size: 0 }),
            BodyState::ChunkCr | BodyState::ChunkLf => Err(Reject::BadChunkEnd),
            BodyState::TrailerStart if byte == b'\r' => Ok(BodyState::FinalLf),
            BodyState::TrailerStart | BodyState::TrailerName | BodyState::TrailerValue => {
                self.trailer_byte(byte)
            }
            BodyState::TrailerLf if byte == b'\n' => Ok(BodyState::TrailerStart),
            BodyState::FinalLf if byte == b'\n' => Ok(BodyState::Done),
            BodyState::SizeEnd { .. } | BodyState::TrailerLf | BodyState::FinalLf => Err(Reject::BareCr),
            // Never here: `decode` takes payload in bulk.
            state @ (BodyState::Counted { .. } | BodyState::Chunk { .. } | BodyState::Done) => Ok(state),
        }
    }

    /// RFC 9112 7.1: hexadecimal digits and nothing else; no sign, no `0x`, no white space.
    fn size_byte(digits: u8, size: u32, byte: u8) -> Result<BodyState, Reject> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if digits < CHUNK_SIZE_DIGITS_MAX => {
                Ok(BodyState::Size { digits: digits + 1, size: size << 4 | digit })
            }
            (b'\r', None) if digits > 0 => Ok(BodyState::SizeEnd { size }),
            (b';', None) if digits > 0 => Ok(BodyState::Extension { size }),
            (b'\n', None) if digits > 0 => Err(Reject::BareLf),
            _ => Err(Reject::BadChunkSize),
        }
    }

    /// RFC 9112 7.1.1; the content of extensions is ignored.
    fn extension_byte(&mut self, size: u32, byte: u8) -> Result<BodyState, Reject> {
        match byte {
            b'\r' => return Ok(BodyState::SizeEnd { size }),
            b'\n' => return Err(Reject::BareLf),
            byte if !is_text_byte(byte) => return Err(Reject::BadChunkExtension),
            _ => {}
        }
        self.extension_room = self.extension_room.checked_sub(1).ok_or(Reject::BadChunkExtension)?;
        Ok(BodyState::Extension { size })
    }

    /// A size line has ended; zero is the last chunk.
    fn start_chunk(&mut self, size: u32) -> Result<BodyState, Reject> {
        if size == 0 {
            return Ok(BodyState::TrailerStart);
        }
        let too_large = Reject::BodyTooLarge { bytes_max: self.bytes_max };
        self.room = self.room.checked_sub(size as usize).ok_or(too_large)?;
        Ok(BodyState::Chunk { left: size })
    }

    /// RFC 9112 7.1.2: `name: value`, one line each.
    fn trailer_byte(&mut self, byte: u8) -> Result<BodyState, Reject> {
        self.trailer_room = self.trailer_room.checked_sub(1).ok_or(Reject::TrailersTooLarge)?;
        let in_value = self.state == BodyState::TrailerValue;
        match byte {
            b'\n' => Err(Reject::BareLf),
            b'\r' if in_value => Ok(BodyState::TrailerLf),
            byte if in_value && is_text_byte(byte) => Ok(BodyState::TrailerValue),
            b':' if self.state == BodyState::TrailerName => Ok(BodyState::TrailerValue),
            byte if !in_value && is_token_byte(byte) => Ok(BodyState::TrailerName),
            _ => Err(Reject::BadTrailer),
        }
    }
}

/// A byte that is allowed in a line: no control byte but the tab.
fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests;
