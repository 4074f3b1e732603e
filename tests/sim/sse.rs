//! An event stream parser from the HTML standard (section 9.2.6), independent of the server's
//! writer.

/// A browser's event, or a change of its state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A message event with the `lastEventId` that it would have.
    Message { data: String, last_id: String },
    /// The last event id changed without an event.
    Id(String),
    /// The reconnection time changed.
    Retry(u64),
}

/// The parser's state between reads.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    started: bool,
    data: Option<String>,
    kind: String,
    id: Option<String>,
    last_id: String,
}

impl Parser {
    /// A stream that continues after `last_id`.
    pub(crate) fn new(last_id: &str) -> Self {
        Self { last_id: last_id.to_owned(), ..Self::default() }
    }

    /// Takes bytes of the body.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Happening>, String> {
        self.buffer.extend_from_slice(bytes);
        if !self.started && self.buffer.len() >= 3 {
            self.started = true;
            if self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
        }
        let mut out = Vec::new();
        while let Some((line, used)) = next_line(&self.buffer) {
            let line = String::from_utf8(line.to_vec()).map_err(|error| error.to_string())?;
            self.buffer.drain(..used);
            self.line(&line, &mut out);
        }
        Ok(out)
    }

    fn line(&mut self, line: &str, out: &mut Vec<Happening>) {
        if line.is_empty() {
            return self.dispatch(out);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                let data = self.data.get_or_insert_default();
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => out.extend(value.parse().ok().map(Happening::Retry)),
            _ => {}
        }
    }

    fn dispatch(&mut self, out: &mut Vec<Happening>) {
        let id = self.id.take();
        let kind = std::mem::take(&mut self.kind);
        if let Some(id) = &id {
            id.clone_into(&mut self.last_id);
        }
        match self.data.take() {
            None => out.extend(id.map(Happening::Id)),
            // A named event does not reach `onmessage`.
            Some(_) if !kind.is_empty() && kind != "message" => {}
            Some(mut data) => {
                data.pop();
                out.push(Happening::Message { data, last_id: self.last_id.clone() });
            }
        }
    }
}

/// The first line, and its length with the line end. A CR at the very end may be half of a CR LF,
/// so it waits.
fn next_line(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let end = buffer.iter().position(|&b| b == b'\n' || b == b'\r')?;
    match (buffer[end], buffer.get(end + 1)) {
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some((&buffer[..end], end + 2)),
        _ => Some((&buffer[..end], end + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_they_came() {
        let stream = b"\xef\xbb\xbfretry: 5\n\nid: 1\ndata: a\ndata: b\n\n: note\n\nid: 2\r\n\r\nevent: x\ndata: c\n\ndata:d\r\r";
        let expected = [
            Happening::Retry(5),
            Happening::Message { data: "a\nb".into(), last_id: "1".into() },
            Happening::Id("2".into()),
        ];
        for step in 1..stream.len() {
            let mut parser = Parser::default();
            let all: Vec<_> = stream.chunks(step).flat_map(|part| parser.feed(part).unwrap()).collect();
            assert_eq!(all, expected, "{step}");
        }
    }
}
