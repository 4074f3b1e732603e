//! Session ids, epochs and nonces: maps those of the document to the real ones.

use std::collections::HashMap;

/// The real session ids, epochs and nonces for those of the document.
#[derive(Default)]
pub(crate) struct Names {
    real: HashMap<String, String>,
    written: HashMap<String, String>,
}

/// The epoch that documents use for another node's. It is not mapped.
const FOREIGN: &str = "zzzzzzzz";

impl Names {
    /// Whether a line equals the document's, with names exchanged throughout.
    pub(crate) fn agree(&mut self, written: &str, real: &str) -> bool {
        let (written, real) = (pieces(written), pieces(real));
        written.len() == real.len()
            && written.iter().zip(real).all(|(written, real)| self.same(written, real))
    }

    fn same(&mut self, written: &str, real: &str) -> bool {
        match (named(written), named(real)) {
            (Some(Named { name: FOREIGN, .. }), _) | (None, None) => written == real,
            (Some(written), Some(real)) if (written.before, written.after) == (real.before, real.after) => {
                let (name, to) = (written.name, real.name);
                let known = self.real.entry(name.to_owned()).or_insert_with(|| to.to_owned()) == to;
                known && self.written.entry(to.to_owned()).or_insert_with(|| name.to_owned()) == name
            }
            _ => false,
        }
    }

    /// A command with the real names; or the name that is still unknown.
    pub(crate) fn in_command(&self, command: &str) -> Result<String, String> {
        let real = |piece: &str| match named(piece) {
            None | Some(Named { name: FOREIGN, .. }) => Ok(piece.to_owned()),
            Some(Named { before, name, after }) => {
                self.real.get(name).map(|real| format!("{before}{real}{after}")).ok_or(name.to_owned())
            }
        };
        pieces(command).into_iter().map(real).collect()
    }
}

/// Runs of letters, digits and dashes, and the text between them.
fn pieces(text: &str) -> Vec<&str> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.as_bytes()
        .chunk_by(|a, b| in_word(char::from(*a)) == in_word(char::from(*b)))
        .fold((Vec::new(), 0), |(mut pieces, start), chunk| {
            pieces.push(&text[start..start + chunk.len()]);
            (pieces, start + chunk.len())
        })
        .0
}

/// A name, and the text around it.
struct Named<'a> {
    before: &'a str,
    name: &'a str,
    after: &'a str,
}

/// A session id, a position's epoch, or a nonce.
fn named(piece: &str) -> Option<Named<'_>> {
    let is_base32 = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if piece.len() == 40 && piece.starts_with('s') && is_base32(piece) {
        return Some(Named { before: "", name: piece, after: "" });
    }
    let (before, nonce) = piece.split_at(if piece.starts_with("nonce-") { 6 } else { 0 });
    if nonce.len() == 26 && is_base32(nonce) {
        return Some(Named { before, name: nonce, after: "" });
    }
    let (name, n) = piece.split_once('-')?;
    let is_position =
        name.len() == 8 && is_base32(name) && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    is_position.then(|| Named { before: "", name, after: &piece[name.len()..] })
}

#[test]
fn a_name_stands_for_one_other_name_throughout() {
    let mut names = Names::default();
    assert!(names.agree(r#"{"id":"aaaaaaaa-1"}"#, r#"{"id":"bbbbbbbb-1"}"#));
    assert!(names.agree("aaaaaaaa-2", "bbbbbbbb-2"));
    for (written, real) in [
        ("aaaaaaaa-1", "bbbbbbbb-2"),
        ("aaaaaaaa-1", "cccccccc-1"),
        ("dddddddd-1", "bbbbbbbb-1"),
        ("zzzzzzzz-1", "bbbbbbbb-1"),
        ("a b", "a c"),
        ("a", "a b"),
    ] {
        assert!(!names.agree(written, real), "{written} is taken for {real}");
    }
    assert_eq!(names.in_command("curl 'u?since=aaaaaaaa-7'"), Ok("curl 'u?since=bbbbbbbb-7'".to_owned()));
    assert_eq!(names.in_command("eeeeeeee-7"), Err("eeeeeeee".to_owned()));
}
