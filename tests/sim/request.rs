//! Requests in the different forms of clients.

use std::fmt::{self, Write};

use crate::rng::Rng;

/// The content of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// The form of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spelling {
    pub(crate) old: bool,
    pub(crate) close: bool,
    pub(crate) absolute: bool,
    pub(crate) chunked: bool,
    pub(crate) expect: bool,
    pub(crate) small: bool,
}

impl Spelling {
    /// A random form; mostly the common one.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        Self {
            old: rng.chance(8),
            close: rng.chance(10),
            absolute: rng.chance(10),
            chunked: rng.chance(25),
            expect: rng.chance(10),
            small: rng.chance(30),
        }
    }
}

/// Without escapes, for the trace.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (at, (key, value)) in self.query.iter().enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { '?' } else { '&' })?;
        }
        for (name, value) in &self.headers {
            write!(f, " {name}: {value}")?;
        }
        match &self.body {
            Some(body) => write!(f, " {}", String::from_utf8_lossy(body)),
            None => Ok(()),
        }
    }
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), ..Self::default() }
    }

    pub(crate) fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST", path: path.into(), body: Some(body.into()), ..Self::default() }
    }

    pub(crate) fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self, spelling: Spelling, rng: &mut Rng) -> Vec<u8> {
        let mut head = format!("{} ", self.method);
        if spelling.absolute {
            head.push_str("http://sim");
        }
        head.push_str(&self.path);
        for (i, (key, value)) in self.query.iter().enumerate() {
            let _ = write!(head, "{}{key}={}", if i == 0 { '?' } else { '&' }, escaped(value, rng));
        }
        head.push_str(if spelling.old { " HTTP/1.0\r\n" } else { " HTTP/1.1\r\n" });
        let mut field = |name: &str, value: &str| {
            let name = if spelling.small { name.to_ascii_lowercase() } else { name.to_owned() };
            let _ = write!(head, "{name}: {value}\r\n");
        };
        field("Host", "sim");
        for (name, value) in &self.headers {
            field(name, value);
        }
        if spelling.close {
            field("Connection", "close");
        } else if spelling.old && rng.chance(50) {
            field("Connection", "keep-alive");
        }
        let Some(body) = &self.body else { return (head + "\r\n").into_bytes() };
        if spelling.expect && !spelling.old {
            field("Expect", "100-continue");
        }
        if spelling.chunked && !spelling.old {
            field("Transfer-Encoding", "chunked");
            return [(head + "\r\n").into_bytes(), chunked(body, rng)].concat();
        }
        field("Content-Length", &body.len().to_string());
        [(head + "\r\n").into_bytes(), body.clone()].concat()
    }
}

fn chunked(body: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rng.size(1, rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", now.len()).as_bytes());
        out.extend_from_slice(now);
        out.extend_from_slice(b"\r\n");
        rest = later;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Percent-encodes a query's value: all that must be, and at random some that need not be.
pub(crate) fn escaped(text: &str, rng: &mut Rng) -> String {
    percent(text, b"-._~/*,", rng)
}

/// The same for one segment of a path.
pub(crate) fn segment(text: &str, rng: &mut Rng) -> String {
    percent(text, b"-._~", rng)
}

fn percent(text: &str, safe: &[u8], rng: &mut Rng) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || safe.contains(&byte);
        if plain && !rng.chance(2) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
