//! Payloads: checked once when they are published, text escaped into a string. The unit is one byte
//! of payload.

use std::fmt::Write as _;
use std::hint::black_box;

use encke::wire::json::{check, escape_into};

use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    for (name, len) in [("check 100 B", 100), ("check 1 KiB", 1 << 10), ("check 64 KiB", 1 << 16)] {
        let text = object(len);
        suite.bench(
            ("json", name),
            Pass::Bytes(text.len()),
            || (),
            |()| {
                assert!(check(black_box(text.as_bytes()), 64).is_ok());
            },
        );
    }
    let plain = "The quick brown fox jumps over the lazy dog. ".repeat(23);
    let escaped = "a \"quoted\" word,\n\ta tab and a line\n".repeat(30);
    for (name, text) in [("escape plain 1 KiB", plain), ("escape quotes 1 KiB", escaped)] {
        suite.bench(("json", name), Pass::Bytes(text.len()), Vec::new, |out| {
            out.clear();
            escape_into(black_box(&text), out);
        });
    }
}

/// An object of members of all kinds, about `len` bytes long.
fn object(len: usize) -> String {
    let mut text = String::from("{");
    let mut index = 0;
    while text.len() + 50 < len || index == 0 {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}"m{index}":{{"t":"word \u00e9","n":[{index},-1.5e3],"b":true}}"#);
        index += 1;
    }
    text.push('}');
    text
}
