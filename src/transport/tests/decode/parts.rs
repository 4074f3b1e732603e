//! `multipart/x-mixed-replace` as engines read it: by `Content-Length`, or by looking for
//! delimiters.

use super::{Item, json};

/// A reader of parts.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    by: By,
    state: State,
    /// Whether the first delimiter has arrived: anything may precede it.
    is_begun: bool,
    /// The last line between parts was empty.
    is_blank: bool,
}

/// How the end of a part is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Length,
    Delimiter,
}

#[derive(Clone, Debug)]
enum State {
    Between,
    Headers {
        kind: Option<String>,
        length: Option<usize>,
    },
    /// Without a length it ends at the delimiter.
    Body {
        kind: String,
        length: Option<usize>,
    },
    Over,
}

impl Parts {
    pub(crate) fn by_length() -> Self {
        Self { by: By::Length, state: State::Between, is_begun: false, is_blank: false }
    }

    pub(crate) fn by_delimiter() -> Self {
        Self { by: By::Delimiter, ..Self::by_length() }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub(super) fn next(&mut self, input: &[u8]) -> Option<(usize, Option<Item>)> {
        if let State::Body { kind, length } = &self.state {
            let (body, used) = match (self.by, *length) {
                (By::Length, Some(length)) => (input.get(..length)?, length),
                (By::Length, None) | (By::Delimiter, _) => {
                    let end = input.windows(9).position(|window| window == b"\r\n--encke")?;
                    (&input[..end], end)
                }
            };
            // The head of the next picture precedes it, and at the end there is none.
            let is_last = length.is_none() && body.is_empty() && *input.get(used + 9..used + 11)? == *b"--";
            let item = if is_last { None } else { carried(kind, body) };
            // The line's end before the delimiter belongs to it.
            let used = if length.is_none() { used + 2 } else { used };
            (self.state, self.is_blank) = (State::Between, false);
            return Some((used, item));
        }
        let end = input.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&input[..end]).expect("UTF-8").to_owned();
        Some((end + 2, self.line(&line)))
    }

    fn line(&mut self, line: &str) -> Option<Item> {
        match &mut self.state {
            State::Between => match line {
                "--encke" => {
                    self.is_begun = true;
                    self.state = State::Headers { kind: None, length: None };
                }
                "--encke--" => self.state = State::Over,
                other => {
                    assert!(!self.is_begun || other.is_empty(), "between parts: {other:?}");
                    // One belongs to the delimiter.
                    if std::mem::replace(&mut self.is_blank, true) {
                        return Some(Item::Beat);
                    }
                }
            },
            State::Headers { kind, length } => {
                if line.is_empty() {
                    let (kind, length) = (kind.take(), *length);
                    self.state = State::Between;
                    match (kind, length) {
                        (Some(kind), Some(0)) => return carried(&kind, b""),
                        (Some(kind), length) => self.state = State::Body { kind, length },
                        // The last delimiter was set in advance.
                        (None, None) => {}
                        other => panic!("half the headers: {other:?}"),
                    }
                    return None;
                }
                match line.split_once(": ").expect("a header") {
                    ("Content-Type", value) => *kind = Some(value.to_owned()),
                    ("Content-Length", value) => *length = Some(value.parse().expect("a length")),
                    ("Encke-Heartbeat", _) => return Some(Item::Beat),
                    (name, _) => assert!(name.starts_with("Encke-"), "a header named {name:?}"),
                }
            }
            State::Body { .. } => unreachable!("bodies are no lines"),
            State::Over => panic!("after the end: {line:?}"),
        }
        None
    }
}

/// The content of a part.
fn carried(kind: &str, body: &[u8]) -> Option<Item> {
    if kind.starts_with("image/") {
        return Some(Item::Raw { kind: kind.to_owned(), payload: body.to_vec() });
    }
    assert_eq!(kind, "application/json; charset=utf-8");
    json(body.trim_ascii_end())
}
