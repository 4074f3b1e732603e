//! A request head (RFC 9112 2-6): its line, its headers, and the framing of the body that follows.
//!
//! `scan` splits and admits the lines; this file interprets the headers that control the
//! connection, and passes the others on unchanged. All of it borrows from the read buffer, so a
//! connection without a current request holds no head.
//!
//! Invariant: every result of [`parse`] has exactly one interpretation of where the request ends.

use httparse::Header;

use super::request_line::{self, RequestLine};
use super::scan::{self, HeadLines, Scan};
use super::{HeadLimits, Method, Reject, Scanned, Version};

use crate::wire::limits::CONTENT_LENGTH_DIGITS_MAX;

/// The verdict on the bytes so far.
#[derive(Clone, Debug)]
pub enum Parsed<'a> {
    /// The head has not ended: call again with the same bytes, more after them, and this.
    Partial(Scanned),
    /// A whole head.
    Complete {
        /// The head.
        head: Head<'a>,
        /// Its bytes in the buffer; the body begins there.
        len: usize,
    },
}

/// A request head that passed every check.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded; begins with `/`, or is `*` of an OPTIONS.
    pub path: &'a str,
    /// The query without its `?`, still percent-encoded; empty if there is none.
    pub query: &'a str,
    /// The version.
    pub version: Version,
    /// Host and optional port; empty only for HTTP/1.0 without a `Host`.
    pub host: &'a str,
    /// How the body is framed.
    pub body: BodyFraming,
    /// Whether the connection may serve another request after this one.
    pub keep_alive: KeepAlive,
    /// The client waits for `100 Continue` before it sends the body, which is not empty.
    pub expect_continue: bool,
    headers: Vec<Header<'a>>,
    /// The lengths of the header names, a bit for each: most headers that are looked up do not
    /// exist, and this avoids the search.
    lengths: u64,
}

fn length_bit(len: usize) -> u64 {
    1 << len.min(63)
}

/// How a request body is framed (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The client's wish for the connection after this request (RFC 9112 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// It may be used again.
    Keep,
    /// It closes after the response.
    Close,
}

/// Parses the head at the start of `buf`. `from` is what the last call on these bytes returned in
/// [`Parsed::Partial`], or the default. Any refusal is final, and closes the connection.
pub fn parse<'a>(buf: &'a [u8], from: Scanned, limits: &HeadLimits) -> Result<Parsed<'a>, Reject> {
    match scan::scan(buf, from, limits)? {
        Scan::Partial(scanned) => Ok(Parsed::Partial(scanned)),
        Scan::Complete(HeadLines { request_line, headers, len }) => {
            let head = head_of(request_line, headers)?;
            Ok(Parsed::Complete { head, len })
        }
    }
}

fn head_of<'a>(line: RequestLine<'a>, headers: Vec<Header<'a>>) -> Result<Head<'a>, Reject> {
    let RequestLine { method, target, version } = line;
    let lengths = headers.iter().fold(0, |all, header| all | length_bit(header.name.len()));
    let mut head = Head {
        method,
        path: target.path,
        query: target.query,
        version,
        host: "",
        body: BodyFraming::None,
        keep_alive: KeepAlive::Close,
        expect_continue: false,
        headers,
        lengths,
    };
    head.host = host_of(&head, target.authority)?;
    head.body = body_of(&head)?;
    // The server does not wait for such a body: some proxies announce one that never arrives.
    if head.has_body() && head.method == Method::Get && head.lists("upgrade", "websocket") {
        return Err(Reject::HandshakeBody);
    }
    head.keep_alive = keep_alive_of(&head);
    head.expect_continue = expect_continue_of(&head)?;
    for name in SINGLETONS {
        head.only(name, Reject::RepeatedHeader { name })?;
    }
    Ok(head)
}

impl<'a> Head<'a> {
    /// The first header of this name (in any case), if its value is UTF-8. For the names in
    /// [`SINGLETONS`] the first is the only one.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        str::from_utf8(self.header_bytes(name).next()?).ok()
    }

    /// The values of all headers of this name, in order and unchanged.
    pub fn header_bytes(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let headers = if self.lengths & length_bit(name.len()) == 0 { &[] } else { &*self.headers };
        let is_named = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        headers.iter().filter(is_named).map(|header| header.value)
    }

    /// All headers in order: names unchanged, values as bytes.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// Whether a comma-separated list header, such as `Connection` or `Upgrade`, holds `token` in
    /// any case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.header_bytes(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether a body follows, according to the head: a chunked one may turn out to be empty.
    pub fn has_body(&self) -> bool {
        !matches!(self.body, BodyFraming::None | BodyFraming::Length(0))
    }

    /// For requests that are nothing without a body: refuses those that announce none (411).
    pub fn require_length(&self) -> Result<(), Reject> {
        match self.body {
            BodyFraming::None => Err(Reject::LengthRequired),
            BodyFraming::Length(_) | BodyFraming::Chunked => Ok(()),
        }
    }

    /// The value of a header that may occur once.
    fn only(&self, name: &str, repeated: Reject) -> Result<Option<&'a [u8]>, Reject> {
        let mut values = self.header_bytes(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(repeated),
        }
    }
}

/// RFC 9112 3.2: one valid `Host`, which an absolute target must agree with.
fn host_of<'a>(head: &Head<'a>, authority: Option<request_line::Authority<'a>>) -> Result<&'a str, Reject> {
    let Some(host) = head.only("host", Reject::RepeatedHost)? else {
        return match (head.version, authority) {
            (Version::Http11, _) => Err(Reject::MissingHost),
            (Version::Http10, authority) => Ok(authority.map_or("", |authority| authority.host)),
        };
    };
    let host = str::from_utf8(host).map_err(|_| Reject::BadHost)?;
    request_line::check_host(host)?;
    match authority {
        Some(authority) if !authority.is(host) => Err(Reject::AuthorityMismatch),
        Some(_) | None => Ok(host),
    }
}

/// RFC 9112 6: no body, a length, or chunks. Heads that two readers could interpret as different
/// lengths are refused.
fn body_of(head: &Head<'_>) -> Result<BodyFraming, Reject> {
    let length = head.only("content-length", Reject::RepeatedContentLength)?;
    let coding = head.only("transfer-encoding", Reject::RepeatedTransferEncoding)?;
    match (length, coding) {
        (None, None) => Ok(BodyFraming::None),
        (Some(_), Some(_)) => Err(Reject::TwoLengths),
        (Some(length), None) => parse_length(length).map(BodyFraming::Length),
        (None, Some(_)) if head.version == Version::Http10 => Err(Reject::TransferEncodingOnHttp10),
        (None, Some(coding)) => check_coding(coding).map(|()| BodyFraming::Chunked),
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Reject> {
    if value.is_empty() || value.len() > CONTENT_LENGTH_DIGITS_MAX || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reject::BadContentLength);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// RFC 9112 6.1: 501 for a coding that could be meant but is not known here, 400 where `chunked` is
/// not the last one or occurs twice, because the end of the request is then ambiguous.
fn check_coding(value: &[u8]) -> Result<(), Reject> {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.rsplit(|&byte| byte == b',');
    let chunked_is_last = codings.next().is_some_and(is_chunked);
    if chunked_is_last && !codings.clone().any(|coding| is_chunked(coding) || coding.trim_ascii().is_empty())
    {
        return Err(Reject::UnsupportedTransferCoding);
    }
    Err(Reject::BadTransferEncoding)
}

fn keep_alive_of(head: &Head<'_>) -> KeepAlive {
    let kept = match head.version {
        Version::Http11 => true,
        Version::Http10 => head.lists("connection", "keep-alive"),
    };
    if kept && !head.lists("connection", "close") { KeepAlive::Keep } else { KeepAlive::Close }
}

/// RFC 9110 10.1.1: an expectation of HTTP/1.0 is ignored, and so is one without a body.
fn expect_continue_of(head: &Head<'_>) -> Result<bool, Reject> {
    let Some(expected) = head.only("expect", Reject::RepeatedHeader { name: "expect" })? else {
        return Ok(false);
    };
    match head.version {
        Version::Http10 => Ok(false),
        Version::Http11 if expected.eq_ignore_ascii_case(b"100-continue") => {
            Ok(!matches!(head.body, BodyFraming::None | BodyFraming::Length(0)))
        }
        Version::Http11 => Err(Reject::UnsupportedExpectation),
    }
}

/// Headers that name the caller, the resource or the format: with two of them an intermediary could
/// have checked the one while we obey the other. `Host`, the lengths and `Expect` have checks of
/// their own.
pub const SINGLETONS: [&str; 6] =
    ["origin", "content-type", "encke-session", "last-event-id", "sec-websocket-key", "sec-fetch-site"];

#[cfg(test)]
mod tests;
