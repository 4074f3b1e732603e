//! Server-sent events as the HTML specification reads them (9.2.6), and old Opera's draft of them.

use super::Item;

/// A reader of events.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    opera: bool,
    name: String,
    data: Option<String>,
    id: String,
    /// The id of the last event that was dispatched, or that had no data.
    last: Option<String>,
    after_cr: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { opera: false, name: String::new(), data: None, id: String::new(), last: None, after_cr: false }
    }

    pub(crate) fn opera() -> Self {
        Self { opera: true, ..Self::new() }
    }

    pub(super) fn last_id(&self) -> Option<&str> {
        self.last.as_deref()
    }

    pub(super) fn next(&mut self, input: &[u8]) -> Option<(usize, Option<Item>)> {
        if std::mem::take(&mut self.after_cr) {
            match input.first() {
                None => self.after_cr = true,
                Some(b'\n') => return Some((1, None)),
                Some(_) => {}
            }
        }
        let end = input.iter().position(|byte| b"\r\n".contains(byte))?;
        self.after_cr = input[end] == b'\r';
        // Of a torn line half a character may be left.
        let line = String::from_utf8_lossy(&input[..end]);
        Some((end + 1, self.line(&line)))
    }

    fn line(&mut self, line: &str) -> Option<Item> {
        if line.is_empty() {
            return self.dispatch();
        }
        if line.starts_with(if self.opera { ';' } else { ':' }) {
            return Some(Item::Beat);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        // Opera's draft has the names of its fields in capitals.
        match if self.opera { field.to_ascii_lowercase() } else { field.to_owned() }.as_str() {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "id" if !self.opera && !value.contains('\0') => value.clone_into(&mut self.id),
            // Of a torn line anything may be left.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Item> {
        let name = std::mem::take(&mut self.name);
        self.last = Some(self.id.clone());
        let data = self.data.take()?;
        match (self.opera, &*name) {
            (false, "") | (true, "message") => Some(Item::Json(data)),
            // Other names have no listener.
            (false, "torn") => None,
            _ => panic!("an event named {name:?}"),
        }
    }
}
