//! A client's reader of SockJS frames, by serde and from the protocol's description.

use std::fmt;

/// A transport over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Xhr,
    Jsonp,
    XhrStreaming,
    EventSource,
    Htmlfile,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Open,
    Beat,
    Strings(Vec<String>),
    Close(u16, String),
}

/// The function that a response calls.
pub(super) const CALLBACK: &str = "_jp.a1";

impl Carrier {
    pub(super) const ALL: [Self; 5] =
        [Self::Xhr, Self::Jsonp, Self::XhrStreaming, Self::EventSource, Self::Htmlfile];

    /// The last segment of its path.
    pub(super) fn leaf(self) -> &'static str {
        match self {
            Self::Xhr => "xhr",
            Self::Jsonp => "jsonp",
            Self::XhrStreaming => "xhr_streaming",
            Self::EventSource => "eventsource",
            Self::Htmlfile => "htmlfile",
        }
    }

    /// Its name in `open`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Xhr => "sockjs-xhr",
            Self::Jsonp => "sockjs-jsonp",
            Self::XhrStreaming => "sockjs-xhr-streaming",
            Self::EventSource => "sockjs-eventsource",
            Self::Htmlfile => "sockjs-htmlfile",
        }
    }

    /// Whether a response has one frame.
    pub(super) fn polls(self) -> bool {
        match self {
            Self::Xhr | Self::Jsonp => true,
            Self::XhrStreaming | Self::EventSource | Self::Htmlfile => false,
        }
    }

    /// Whether the request is a POST.
    pub(super) fn posts(self) -> bool {
        match self {
            Self::Xhr | Self::XhrStreaming => true,
            Self::Jsonp | Self::EventSource | Self::Htmlfile => false,
        }
    }

    /// Whether the request names the function.
    pub(super) fn calls(self) -> bool {
        match self {
            Self::Jsonp | Self::Htmlfile => true,
            Self::Xhr | Self::XhrStreaming | Self::EventSource => false,
        }
    }

    /// The bytes before and after each frame.
    fn around(self) -> (String, &'static str) {
        match self {
            Self::Xhr | Self::XhrStreaming => (String::new(), "\n"),
            Self::EventSource => ("data: ".to_owned(), "\r\n\r\n"),
            Self::Htmlfile => ("<script>\np(\"".to_owned(), "\");\n</script>\r\n"),
            Self::Jsonp => (format!("/**/{CALLBACK}(\""), "\");\r\n"),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("o"),
            Self::Beat => f.write_str("h"),
            Self::Strings(strings) => write!(f, "a{strings:?}"),
            Self::Close(code, reason) => write!(f, "c[{code},{reason:?}]"),
        }
    }
}

impl Frame {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("no frame: {text:?}");
        match text.split_at_checked(1) {
            Some(("o", "")) => Ok(Self::Open),
            Some(("h", "")) => Ok(Self::Beat),
            Some(("a", list)) => {
                let strings: Vec<String> = serde_json::from_str(list).map_err(|_| bad())?;
                if strings.is_empty() { Err(bad()) } else { Ok(Self::Strings(strings)) }
            }
            Some(("c", pair)) => {
                let (code, reason) = serde_json::from_str(pair).map_err(|_| bad())?;
                Ok(Self::Close(code, reason))
            }
            _ => Err(bad()),
        }
    }
}

/// Finds the frames in a body.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    carrier: Carrier,
    rest: Vec<u8>,
    /// The bytes before the first frame are complete.
    begun: bool,
    /// Bytes of complete frames.
    pub(super) size: usize,
}

impl Decoder {
    pub(super) fn new(carrier: Carrier) -> Self {
        Self { carrier, rest: Vec::new(), begun: carrier.polls(), size: 0 }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, String> {
        self.rest.extend_from_slice(bytes);
        if !self.begun && !self.begin()? {
            return Ok(Vec::new());
        }
        let (before, after) = self.carrier.around();
        let mut frames = Vec::new();
        while let Some(at) = memchr::memmem::find(&self.rest, after.as_bytes()) {
            let part: Vec<u8> = self.rest.drain(..at + after.len()).take(at).collect();
            self.size += at + after.len();
            let part = String::from_utf8(part).map_err(|error| error.to_string())?;
            let text = part.strip_prefix(&before).ok_or_else(|| format!("no frame begins so: {part:?}"))?;
            frames.push(Frame::parse(&self.spoken(text)?)?);
        }
        Ok(frames)
    }

    /// The body is complete.
    pub(super) fn is_clean(&self) -> bool {
        self.begun && self.rest.is_empty()
    }

    /// Takes the bytes before the first frame. Says whether they are complete.
    fn begin(&mut self) -> Result<bool, String> {
        let end: &[u8] = match self.carrier {
            Carrier::Xhr | Carrier::Jsonp => return Ok(true),
            Carrier::XhrStreaming => b"\n",
            Carrier::EventSource => b"\r\n",
            Carrier::Htmlfile => b"\r\n\r\n",
        };
        let Some(at) = memchr::memmem::find(&self.rest, end) else { return Ok(false) };
        let text: Vec<u8> = self.rest.drain(..at + end.len()).take(at).collect();
        let text = String::from_utf8(text).map_err(|error| error.to_string())?;
        let is_right = match self.carrier {
            Carrier::Xhr | Carrier::Jsonp => true,
            Carrier::XhrStreaming => text.len() == 2048 && text.bytes().all(|byte| byte == b'h'),
            Carrier::EventSource => text.is_empty(),
            Carrier::Htmlfile => {
                text.len() >= 1024 && text.contains(&format!("parent.{CALLBACK};")) && text.starts_with("<!")
            }
        };
        self.begun = true;
        if is_right { Ok(true) } else { Err(format!("a response begins with {text:?}")) }
    }

    /// The frame that a text stands for.
    fn spoken(&self, text: &str) -> Result<String, String> {
        match self.carrier {
            Carrier::Xhr | Carrier::XhrStreaming => Ok(text.to_owned()),
            Carrier::EventSource => {
                let plain = text.split('%').skip(1).all(|rest| rest.starts_with("25"));
                if plain { Ok(text.replace("%25", "%")) } else { Err(format!("an event's data: {text:?}")) }
            }
            Carrier::Jsonp | Carrier::Htmlfile => {
                if text.contains(['<', '\u{2028}', '\u{2029}']) {
                    return Err(format!("a script's string: {text:?}"));
                }
                serde_json::from_str(&format!("\"{text}\"")).map_err(|error| format!("{error}: {text:?}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_carrier_is_read_wherever_it_is_split() {
        for (carrier, body) in [
            (Carrier::Xhr, "a[\"x%\"]\n".to_owned()),
            (Carrier::Jsonp, "/**/_jp.a1(\"a[\\\"x%\\\"]\");\r\n".to_owned()),
            (Carrier::XhrStreaming, format!("{}\na[\"x%\"]\n", "h".repeat(2048))),
            (Carrier::EventSource, "\r\ndata: a[\"x%25\"]\r\n\r\n".to_owned()),
        ] {
            for step in 1..body.len() {
                let mut decoder = Decoder::new(carrier);
                let frames: Vec<_> =
                    body.as_bytes().chunks(step).flat_map(|part| decoder.feed(part).unwrap()).collect();
                assert_eq!(frames, [Frame::Strings(vec!["x%".to_owned()])], "{carrier:?}, {step}");
                assert!(decoder.is_clean());
            }
        }
    }
}
