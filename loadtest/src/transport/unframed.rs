//! No framing: a stamp is a message, wherever it is. For servers that pass on the publisher's bytes
//! unchanged.

use super::Piece;
use crate::stamp::Finder;

pub(super) fn pieces<'a>(bytes: &'a [u8], each: &mut impl FnMut(Piece<'a>)) -> usize {
    let used = bytes.len() - Finder::unfinished(bytes);
    if used > 0 {
        each(Piece { id: &[], data: &bytes[..used] });
    }
    used
}
