//! No framing at all: a stamp is a message, wherever it stands. For servers that pass on the publisher's bytes and nothing else.

use super::Piece;
use crate::stamp::Finder;

pub(super) fn pieces<'a>(bytes: &'a [u8], each: &mut impl FnMut(Piece<'a>)) -> usize {
    let used = bytes.len() - Finder::unfinished(bytes);
    if used > 0 {
        each(Piece { id: &[], data: &bytes[..used] });
    }
    used
}
