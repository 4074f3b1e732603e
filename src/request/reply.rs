//! How to write the response to one request: the part of its head that the response needs.

use crate::auth::origins::{OriginVerdict, Preflight, Provenance};
use crate::base::frame::Frame;
use crate::config::Config;
use crate::protocol::native::command;
use crate::request::limits::COPY_BYTES_MAX;
use crate::transport::{Framing, Opening, jsonp};
use crate::wire::http::head::{Head, KeepAlive};
use crate::wire::http::response::{ResponseFraming, ResponseHead};
use crate::wire::http::{Method, Reject, Version};
use crate::wire::refusal::Refusal;

/// What a request's head determines about its response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The client's HTTP version.
    pub version: Version,
    /// Whether the connection continues afterwards.
    pub keep_alive: KeepAlive,
    /// Whether the response has a body.
    pub body: BodyWanted,
    /// The page's origin, if it is a foreign one that is allowed.
    pub origin: Option<Box<str>>,
    /// The origin that the request names, for the log lines of TCP streams; `None` if the node has
    /// no targets.
    pub page: Option<Box<str>>,
    /// The form of refusals.
    pub refusals: Refusals,
    /// Whether the client accepts compressed responses.
    pub gzip: Gzip,
}

/// What `Accept-Encoding` says about gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// It is accepted.
    Accepted,
    /// It is not accepted, or not mentioned.
    Unasked,
}

impl Gzip {
    /// Reads `Accept-Encoding` (RFC 9110, section 12.5.3).
    pub fn accepted(header: Option<&str>) -> Self {
        let welcome = |item: &str| {
            let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
            let zero = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0_f32));
            coding.trim().eq_ignore_ascii_case("gzip") && !zero
        };
        if header.is_some_and(|header| header.split(',').any(welcome)) {
            Self::Accepted
        } else {
            Self::Unasked
        }
    }
}

/// The header of a compressed response.
pub const CONTENT_ENCODING: (&str, &str) = ("Content-Encoding", "gzip");

/// The form in which a client can see a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// A status, and JSON.
    Status,
    /// A script that calls this function: a script element hides every status but 200.
    Script(Box<str>),
    /// A message, where there is no HTTP.
    Message,
}

/// Whether a response's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyWanted {
    /// Yes.
    Body,
    /// No (HEAD): only its length is sent.
    Head,
}

impl BodyWanted {
    /// For bytes that are no request: HEAD, if they begin like one.
    pub fn by(input: &[u8]) -> Self {
        let line = input.trim_ascii_start();
        if line.starts_with(b"HEAD ") { Self::Head } else { Self::Body }
    }
}

/// A complete response.
#[derive(Debug)]
pub struct WholeResponse<'a> {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// Further headers.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// `Content-Type` of all JSON.
pub const JSON: &str = "application/json; charset=utf-8";

impl Reply {
    /// For a request with this head.
    pub fn to(head: &Head<'_>, config: &Config) -> Self {
        let page = if config.tcp.is_used() { Provenance::named_origin(head) } else { None };
        Self {
            version: head.version,
            keep_alive: head.keep_alive,
            body: if head.method == Method::Head { BodyWanted::Head } else { BodyWanted::Body },
            origin: None,
            page: page.map(Into::into),
            refusals: Refusals::Status,
            gzip: if config.gzip { Gzip::accepted(head.header("accept-encoding")) } else { Gzip::Unasked },
        }
    }

    /// For a request that could not be parsed.
    pub fn closing() -> Self {
        Self {
            version: Version::Http11,
            keep_alive: KeepAlive::Close,
            body: BodyWanted::Body,
            origin: None,
            page: None,
            refusals: Refusals::Status,
            gzip: Gzip::Unasked,
        }
    }

    /// For a connection that speaks no HTTP.
    pub fn xmlsocket() -> Self {
        Self { refusals: Refusals::Message, ..Self::closing() }
    }

    fn verdict(&self) -> OriginVerdict<'_> {
        self.origin.as_deref().map_or(OriginVerdict::NoOrigin, OriginVerdict::Allowed)
    }

    fn start<'o>(&self, out: &'o mut Vec<u8>, status: u16, content_type: &str) -> ResponseHead<'o> {
        let mut head = ResponseHead::start(out, status);
        if !content_type.is_empty() {
            head = head.header("Content-Type", content_type).header("X-Content-Type-Options", "nosniff");
        }
        for (name, value) in self.verdict().headers() {
            head = head.header(name, value);
        }
        head
    }

    /// A complete response, and whether the connection continues.
    pub fn page(&self, page: &WholeResponse<'_>) -> (Vec<u8>, KeepAlive) {
        let mut out = Vec::with_capacity(512 + page.body.len());
        let mut head = self.start(&mut out, page.status, page.content_type);
        for (name, value) in page.headers {
            head = head.header(name, value);
        }
        let framing = match page.status {
            204 | 304 => ResponseFraming::Bodiless,
            _ => ResponseFraming::Length(page.body.len()),
        };
        let then = head.finish(self.version, self.keep_alive, framing);
        match self.body {
            BodyWanted::Body => out.extend_from_slice(page.body),
            BodyWanted::Head => {}
        }
        (out, then)
    }

    /// The answer to a preflight.
    pub fn preflight(&self, asked: &Preflight) -> (Vec<u8>, KeepAlive) {
        let headers: Vec<_> = self.verdict().preflight_headers(asked).collect();
        self.page(&WholeResponse { status: 204, content_type: "", headers: &headers, body: b"" })
    }

    /// JSON that no cache may keep.
    pub fn json(&self, status: u16, body: &[u8]) -> (Vec<u8>, KeepAlive) {
        let headers = &[("Cache-Control", "no-store")];
        self.page(&WholeResponse { status, content_type: JSON, headers, body })
    }

    /// An array of JSON values, given without its brackets, in a form that the client can read,
    /// with the cookie to set.
    pub fn array(&self, items: &[u8], cookie: Option<&str>) -> (Vec<u8>, KeepAlive) {
        let mut headers = vec![("Cache-Control", "no-store")];
        headers.extend(cookie.map(|cookie| ("Set-Cookie", cookie)));
        let (content_type, body) = match &self.refusals {
            Refusals::Script(callback) => {
                headers.push(jsonp::SAVED_AS);
                (jsonp::SCRIPT, jsonp::call(callback, items))
            }
            Refusals::Status | Refusals::Message => (JSON, [b"[", items, b"]\n"].concat()),
        };
        self.page(&WholeResponse { status: 200, content_type, headers: &headers, body: &body })
    }

    /// A script that calls a function with an array of JSON values.
    fn script(&self, callback: &str, items: &[u8]) -> (Vec<u8>, KeepAlive) {
        let headers = &[("Cache-Control", "no-store"), jsonp::SAVED_AS];
        let body = jsonp::call(callback, items);
        self.page(&WholeResponse { status: 200, content_type: jsonp::SCRIPT, headers, body: &body })
    }

    /// A refusal. Errors of HTTP itself close the connection, because the start of the next request
    /// is uncertain. So does one that names another node: what follows on this connection would be
    /// for that node, too.
    pub fn refusal(&self, refusal: &Refusal) -> (Vec<u8>, KeepAlive) {
        if refusal.node.is_some() && self.keep_alive != KeepAlive::Close {
            return Self { keep_alive: KeepAlive::Close, ..self.clone() }.refusal(refusal);
        }
        let mut body = Vec::new();
        command::error(refusal, &mut body);
        match &self.refusals {
            Refusals::Status => body.push(b'\n'),
            Refusals::Message => {
                body.push(0);
                return (body, KeepAlive::Close);
            }
            Refusals::Script(callback) => return self.script(callback, &body),
        }
        let mut headers = vec![("Cache-Control", "no-store")];
        headers.extend(refusal.header);
        let seconds = refusal.after.map(|after| after.as_millis().div_ceil(1000).to_string());
        headers.extend(seconds.as_deref().map(|seconds| ("Retry-After", seconds)));
        self.page(&WholeResponse {
            status: refusal.status(),
            content_type: JSON,
            headers: &headers,
            body: &body,
        })
    }

    /// The response to bytes that are no request.
    pub fn reject(reject: Reject, body: BodyWanted) -> Vec<u8> {
        Self { body, ..Self::closing() }.refusal(&Refusal::from(reject)).0
    }

    /// How HTTP delimits an endless response on this connection.
    pub fn stream_framing(&self) -> Framing {
        match self.version {
            Version::Http11 => Framing::Chunked,
            Version::Http10 => Framing::UntilClose,
        }
    }

    /// The head of a 200 that says itself how it is cached, with these headers.
    pub fn head(
        &self,
        content_type: &str,
        headers: &[(&'static str, &str)],
        framing: ResponseFraming,
        out: &mut Vec<u8>,
    ) -> KeepAlive {
        let mut head = self.start(out, 200, content_type);
        for (name, value) in headers {
            head = head.header(name, value);
        }
        head.finish(self.version, self.keep_alive, framing)
    }

    /// The head of a 101: from here on the connection speaks `protocol`.
    pub fn switch(&self, protocol: &str, headers: &[(&'static str, &str)], out: &mut Vec<u8>) {
        let mut head = self.start(out, 101, "");
        for (name, value) in headers {
            head = head.header(name, value);
        }
        head.switch(protocol);
    }

    /// The head of a transport's response, which forbids proxies to store, change or delay it.
    pub fn transport_head(
        &self,
        opening: &Opening,
        headers: &[(&'static str, &str)],
        framing: ResponseFraming,
        out: &mut Vec<u8>,
    ) -> KeepAlive {
        let mut head = self
            .start(out, 200, opening.content_type)
            .header("Cache-Control", "no-store, no-transform")
            .header("X-Accel-Buffering", "no");
        if self.version == Version::Http10 {
            head = head.header("Pragma", "no-cache").header("Expires", "0");
        }
        let own = opening.headers.iter().map(|(name, value)| (*name, &**value));
        for (name, value) in own.chain(headers.iter().copied()) {
            head = head.header(name, value);
        }
        head.finish(self.version, self.keep_alive, framing)
    }
}

/// A response body gathered from shared frames: small ones are copied together, large ones are
/// referenced.
#[derive(Debug, Default)]
pub struct Body {
    pieces: Vec<Frame>,
    open: Vec<u8>,
    len: usize,
}

impl Body {
    /// Its length so far.
    pub fn bytes(&self) -> usize {
        self.len
    }

    /// Reserves memory, so that appending up to `bytes` moves nothing.
    pub fn reserve(&mut self, bytes: usize) {
        self.open.reserve(bytes);
    }

    /// Appends what `write` does.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.open.len();
        write(&mut self.open);
        self.len += self.open.len() - before;
    }

    /// Appends bytes.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        self.open.extend_from_slice(bytes);
    }

    /// Appends a frame.
    pub fn push(&mut self, frame: &Frame) {
        if frame.len() < COPY_BYTES_MAX {
            self.push_bytes(frame);
            return;
        }
        self.len += frame.len();
        let open = std::mem::take(&mut self.open);
        self.pieces.push(Frame::from(open));
        self.pieces.push(frame.clone());
    }

    /// The whole body.
    pub fn to_vec(&self) -> Vec<u8> {
        let pieces = self.pieces.iter().flat_map(|piece| piece.iter());
        pieces.chain(&self.open).copied().collect()
    }

    /// Passes the body to `send` in frames, after `head`, to which small pieces are appended.
    pub fn send_behind(self, head: &mut Vec<u8>, mut send: impl FnMut(Frame)) {
        if self.pieces.is_empty() {
            head.extend_from_slice(&self.open);
            return send(Frame::from(&**head));
        }
        send(Frame::from(&**head));
        self.pieces.into_iter().for_each(&mut send);
        send(Frame::from(self.open));
    }
}
