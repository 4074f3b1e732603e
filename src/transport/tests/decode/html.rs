//! Documents as an HTML parser reads them: as much of the tokenizer (HTML, 13.2.5) as endless
//! documents need.

use super::{Item, Script, literal};

/// A reader of a frame's document.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    events: EventsAs,
    /// The script that defines the event function has run.
    is_defined: bool,
}

/// How an event's script carries its envelope.
#[derive(Clone, Copy, Debug)]
enum EventsAs {
    Attribute,
    Literal,
}

impl Page {
    pub(crate) fn frame() -> Self {
        Self { events: EventsAs::Attribute, is_defined: false }
    }

    pub(crate) fn htmlfile() -> Self {
        Self { events: EventsAs::Literal, is_defined: false }
    }

    /// One token: text, a comment, a tag, or a whole script element.
    pub(super) fn next(&mut self, input: &[u8]) -> Option<(usize, Option<Item>)> {
        if *input.first()? != b'<' {
            let end = input.iter().position(|&byte| byte == b'<').unwrap_or(input.len());
            assert!(input[..end].iter().all(u8::is_ascii_whitespace), "text in the document");
            return Some((end, None));
        }
        if b"<!--".starts_with(&input[..input.len().min(4)]) {
            return Some((find(input, b"-->")? + 3, Some(Item::Beat)));
        }
        let (name, attributes, open) = tag(input)?;
        if name != "script" {
            return Some((open, None));
        }
        let text_end = open + find(&input[open..].to_ascii_lowercase(), b"</script")?;
        let close = text_end + find(&input[text_end..], b">")? + 1;
        let text = std::str::from_utf8(&input[open..text_end]).expect("UTF-8");
        assert!(!text.contains("<!--"), "a script's text is read otherwise after <!--");
        Some((close, self.script(text, &attributes)))
    }

    fn script(&mut self, text: &str, attributes: &[(String, String)]) -> Option<Item> {
        if !std::mem::replace(&mut self.is_defined, true) {
            assert!(text.contains("function e("), "what events call is defined first: {text}");
            return None;
        }
        match self.events {
            EventsAs::Attribute => {
                assert_eq!(text, "e()", "the policy knows this script alone");
                let [(name, value)] = attributes else { panic!("attributes: {attributes:?}") };
                assert_eq!(name, "data-m");
                Some(if value == SILENCE { Item::Beat } else { Item::Json(value.clone()) })
            }
            EventsAs::Literal => {
                assert_eq!(attributes, []);
                let inner = text.strip_prefix("e(").and_then(|rest| rest.strip_suffix(')')).expect("a call");
                Some(if inner == SILENCE { Item::Beat } else { Item::Script(Script(literal(inner))) })
            }
        }
    }
}

/// The envelope of a heartbeat.
const SILENCE: &str = "{}";

type Attributes = Vec<(String, String)>;

/// A tag at the front: its name, its attributes, its length.
fn tag(input: &[u8]) -> Option<(String, Attributes, usize)> {
    let word = |from: usize| {
        let len = input[from..].iter().position(|&byte| b" \n>='\"".contains(&byte))?;
        Some((String::from_utf8(input[from..from + len].to_ascii_lowercase()).expect("UTF-8"), from + len))
    };
    let (name, mut at) = word(1)?;
    let mut attributes = Attributes::new();
    loop {
        match *input.get(at)? {
            b'>' => return Some((name, attributes, at + 1)),
            b' ' | b'\n' => at += 1,
            _ => {
                let (attribute, end) = word(at)?;
                at = end;
                let mut value = String::new();
                if *input.get(at)? == b'=' {
                    let quote = *input.get(at + 1)?;
                    if quote == b'"' || quote == b'\'' {
                        let len = input[at + 2..].iter().position(|&byte| byte == quote)?;
                        value = references(&input[at + 2..at + 2 + len]);
                        at += len + 3;
                    } else {
                        (value, at) = word(at + 1)?;
                    }
                }
                attributes.push((attribute, value));
            }
        }
    }
}

/// An attribute's value, with character references resolved. Any other `&` is an error.
fn references(value: &[u8]) -> String {
    let value = std::str::from_utf8(value).expect("UTF-8");
    assert!(!value.contains(['\0', '\r']), "a parser would change this");
    let mut pieces = value.split('&');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').expect("a character reference ends");
        let known = match name {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "#39" => "'",
            other => panic!("&{other};"),
        };
        out.push_str(known);
        out.push_str(rest);
    }
    out
}

fn find(input: &[u8], what: &[u8]) -> Option<usize> {
    input.windows(what.len()).position(|window| window == what)
}
