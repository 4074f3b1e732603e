//! The request line (RFC 9112 3): method, target in its four forms, version; and the host they
//! belong to.
//!
//! The target stays percent-encoded; splitting and decoding paths is the router's.

use std::net::Ipv6Addr;

use super::{Reject, is_token_byte};

use crate::wire::limits::HOST_BYTES_MAX;

/// A request method. Names are case-sensitive; all others are `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// Any other token, but not CONNECT, which is refused.
    Other,
}

impl Method {
    /// The method's name; `OTHER` for those that have no variant.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }
}

/// The supported protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks, closes unless asked to stay.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request line in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: Method,
    pub(super) target: RequestTarget<'a>,
    pub(super) version: Version,
}

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestTarget<'a> {
    /// Scheme and authority, of an absolute target only.
    pub(super) authority: Option<Authority<'a>>,
    /// Begins with `/`, or is `*`.
    pub(super) path: &'a str,
    /// After the `?`, empty without one.
    pub(super) query: &'a str,
}

/// Host and port as an absolute target names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// `host` or `host:port`.
    pub(super) host: &'a str,
    /// The port that the scheme implies.
    default_port: &'static str,
}

/// Judges a request line, given with its CRLF and free of other control bytes.
pub(super) fn check(line: &[u8]) -> Result<(), Reject> {
    let mut request = httparse::Request::new(&mut []);
    // Partial, since no empty line follows it.
    let judged = request.parse(line);
    match (judged, request.method, request.path, request.version) {
        (Ok(_), Some(method), Some(target), Some(version)) => read(method, target, version).map(|_| ()),
        _ => Err(fault(line.strip_suffix(b"\r\n").unwrap_or(line))),
    }
}

/// Interprets the parts of a request line: a token, a text without spaces, and the minor version.
pub(super) fn read<'a>(method: &str, target: &'a str, version: u8) -> Result<RequestLine<'a>, Reject> {
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "CONNECT" => return Err(Reject::ConnectUnsupported),
        _ => Method::Other,
    };
    let target = parse_target(target, method)?;
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    Ok(RequestLine { method, target, version })
}

/// Finds the fault of a request line that `httparse` refuses, given without its CRLF.
fn fault(line: &[u8]) -> Reject {
    let mut parts = line.split(|&byte| byte == b' ');
    if line.contains(&b'\t') || parts.clone().any(<[u8]>::is_empty) {
        return Reject::RequestLineSpacing;
    }
    let (name, version) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(b"PRI"), Some(b"*"), Some(b"HTTP/2.0"), None) => return Reject::Http2Preface,
        (Some(b"GET"), Some(_), None, None) => return Reject::Http09,
        (Some(name), Some(_), Some(version), None) => (name, version),
        _ => return Reject::BadRequestLine,
    };
    match (name, version.strip_prefix(b"HTTP/")) {
        (b"CONNECT", Some(b"1.0" | b"1.1")) => Reject::ConnectUnsupported,
        // Only bytes that are not UTF-8 are left.
        (name, Some(b"1.0" | b"1.1")) if name.iter().all(|&byte| is_token_byte(byte)) => {
            Reject::NonAsciiTarget
        }
        (_, Some(b"1.0" | b"1.1")) => Reject::BadRequestLine,
        (_, Some([b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9'])) => Reject::UnsupportedVersion,
        _ => Reject::BadRequestLine,
    }
}

fn parse_target(target: &str, method: Method) -> Result<RequestTarget<'_>, Reject> {
    if !target.is_ascii() {
        return Err(Reject::NonAsciiTarget);
    }
    if target.contains('#') {
        return Err(Reject::FragmentInTarget);
    }
    if target.starts_with('/') {
        return Ok(with_authority(None, target));
    }
    if target == "*" && method == Method::Options {
        return Ok(with_authority(None, target));
    }
    for (scheme, default_port) in [("http://", "80"), ("https://", "443")] {
        if let Some((head, rest)) = target.split_at_checked(scheme.len())
            && head.eq_ignore_ascii_case(scheme)
        {
            let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            check_host(host)?;
            return Ok(with_authority(Some(Authority { host, default_port }), path));
        }
    }
    Err(Reject::BadTarget)
}

fn with_authority<'a>(authority: Option<Authority<'a>>, path_and_query: &'a str) -> RequestTarget<'a> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    RequestTarget { authority, path: if path.is_empty() { "/" } else { path }, query }
}

impl Authority<'_> {
    /// Whether a `Host` header names the same host and port; the scheme's own port may be left out.
    pub(super) fn is(&self, host: &str) -> bool {
        self.without_default_port(self.host).eq_ignore_ascii_case(self.without_default_port(host))
    }

    fn without_default_port<'h>(&self, host: &'h str) -> &'h str {
        match host.rsplit_once(':') {
            Some((name, port)) if port.is_empty() || port == self.default_port => name,
            _ => host,
        }
    }
}

/// Checks `host [":" port]` (RFC 9110 7.2). Of the host characters of RFC 3986 the sub-delimiters
/// are refused: no name in use has them, and a comma has passed for two hosts.
pub(super) fn check_host(host: &str) -> Result<(), Reject> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(Reject::BadHost)?;
            address.parse::<Ipv6Addr>().map_err(|_| Reject::BadHost)?;
            // The address is valid; only the port remains to be checked.
            ("v6", if port.is_empty() { "" } else { port.strip_prefix(':').ok_or(Reject::BadHost)? })
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let port_is_fine =
        port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let name_is_fine = !name.is_empty()
        && name.len() <= HOST_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b));
    if port_is_fine && name_is_fine { Ok(()) } else { Err(Reject::BadHost) }
}
