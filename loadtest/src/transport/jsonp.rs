//! Callback polling: a body is one script, `/**/f([…,\n…]);`, that calls a function with an array
//! of messages.
//!
//! A browser runs nothing of a script before it is complete, so this decoder waits, too. The
//! script's escapes (`<`, U+2028, U+2029) are JSON's; a stamp or a position contains none of them.

use memchr::memchr;

use super::{Piece, lines};
use crate::http::Broken;

pub(super) fn pieces<'a>(
    bytes: &'a [u8],
    is_end: bool,
    each: &mut impl FnMut(Piece<'a>),
) -> Result<usize, Broken> {
    if !is_end {
        return Ok(0);
    }
    let argument = argument(bytes).ok_or(Broken("a script that is no call of a function"))?;
    lines::pieces(argument, true, each);
    Ok(bytes.len())
}

/// The text between the parentheses.
fn argument(script: &[u8]) -> Option<&[u8]> {
    let call = script.trim_ascii().strip_suffix(b");")?;
    Some(&call[memchr(b'(', call)? + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(script: &str) -> Result<Vec<&str>, Broken> {
        let mut all = Vec::new();
        pieces(script.as_bytes(), true, &mut |piece| all.push(std::str::from_utf8(piece.data).unwrap()))?;
        Ok(all)
    }

    #[test]
    fn a_call_gives_the_elements_of_its_array() {
        assert_eq!(data("/**/f([{\"a\":\"(1)\"},\n{\"b\":2}]);\n"), Ok(vec!["{\"a\":\"(1)\"}", "{\"b\":2}"]));
        assert_eq!(data("/**/f([]);\n"), Ok(vec![""]));
    }

    #[test]
    fn what_calls_nothing_is_refused() {
        for script in ["", "[{}]", "/**/f([{}])", "f[];"] {
            assert!(data(script).is_err(), "{script}");
        }
    }
}
