//! Headers that the protocol prescribes to the byte: caching, CORS, and the cookie for balancers.
//!
//! Whether an origin is allowed is not decided here: a refused one gets none of these.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use crate::wire::cookie;
use crate::wire::http::response::Header;

/// `Cache-Control` of responses that must not be stored: `/info`, and all that sessions send and
/// receive. Some browsers store the answers to POSTs too.
pub const NEVER_CACHED: Header =
    ("Cache-Control", Cow::Borrowed("no-store, no-cache, no-transform, must-revalidate, max-age=0"));

/// What keeps nginx and other proxies from collecting a response that streams.
pub const UNBUFFERED: (&str, &str) = ("X-Accel-Buffering", "no");

/// How long preflights and the page for frames are stored: a year, in seconds.
const YEAR: u64 = 365 * 24 * 60 * 60;

/// [`YEAR`] as text, for `Access-Control-Max-Age`.
const YEAR_TEXT: &str = "31536000";

/// The last second of the year 9999, in seconds since 1970.
const YEAR_9999: u64 = 253_402_300_799;

/// The headers of a response that is stored for a year from now, in seconds since 1970.
pub fn cached(unix_now: u64) -> [Header; 2] {
    // The years of such dates have four digits.
    let seconds = unix_now.saturating_add(YEAR).min(YEAR_9999);
    let until = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    [("Cache-Control", Cow::Borrowed("public, max-age=31536000")), ("Expires", Cow::Owned(until))]
}

/// The headers that let a page of another origin read a response. `origin` is that of the request,
/// if it has one; `names` are its `Access-Control-Request-Headers`.
pub fn cors(origin: Option<&str>, names: Option<&str>) -> impl Iterator<Item = Header> {
    // An asterisk forbids credentials, and credentials forbid an asterisk.
    let credentials = origin.map(|_| ("Access-Control-Allow-Credentials", Cow::Borrowed("true")));
    let names = names.filter(|names| !names.is_empty());
    let always = [
        ("Access-Control-Allow-Origin", origin.map_or(Cow::Borrowed("*"), |origin| origin.to_owned().into())),
        ("Vary", Cow::Borrowed("Origin")),
    ];
    let names = names.map(|names| ("Access-Control-Allow-Headers", names.to_owned().into()));
    always.into_iter().chain(credentials).chain(names)
}

/// The headers of the answer to a preflight, besides those of [`cors`] and [`cached`]. `methods`
/// are the path's.
pub fn preflight(methods: &'static str) -> [Header; 2] {
    [
        ("Access-Control-Allow-Methods", Cow::Borrowed(methods)),
        ("Access-Control-Max-Age", Cow::Borrowed(YEAR_TEXT)),
    ]
}

/// The value of a request's `JSESSIONID`, unless no server can have set it.
pub fn session_of(lines: &[u8]) -> Option<&str> {
    let of_cookies = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
    let is_own =
        |value: &&str| (1..=COOKIE_BYTES_MAX).contains(&value.len()) && value.bytes().all(of_cookies);
    cookie::values(lines, "JSESSIONID").find(is_own)
}

/// `Set-Cookie` with a browser's `JSESSIONID`, which balancers can route by.
pub fn session_cookie(value: &str, attributes: &str) -> Header {
    ("Set-Cookie", Cow::Owned(format!("JSESSIONID={value}; {attributes}")))
}

/// Bytes of a cookie's value that is sent back. Servers in Java use 32, and add their own name.
const COOKIE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(headers: impl IntoIterator<Item = Header>) -> String {
        let lines: Vec<_> = headers.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        lines.concat()
    }

    #[test]
    fn an_origin_is_repeated_with_credentials_and_without_one_everybody_may_read() {
        assert_eq!(
            listed(cors(Some("null"), Some("a, b, c"))),
            "Access-Control-Allow-Origin: null\nVary: Origin\nAccess-Control-Allow-Credentials: true\n\
             Access-Control-Allow-Headers: a, b, c\n"
        );
        assert_eq!(listed(cors(None, Some(""))), "Access-Control-Allow-Origin: *\nVary: Origin\n");
    }

    #[test]
    fn what_is_kept_is_kept_for_a_year() {
        assert_eq!(
            listed(cached(0)),
            "Cache-Control: public, max-age=31536000\nExpires: Fri, 01 Jan 1971 00:00:00 GMT\n"
        );
        assert_eq!(
            listed(preflight("OPTIONS, POST")),
            "Access-Control-Allow-Methods: OPTIONS, POST\nAccess-Control-Max-Age: 31536000\n"
        );
        assert!(listed(cached(u64::MAX)).ends_with("Expires: Fri, 31 Dec 9999 23:59:59 GMT\n"));
    }

    #[test]
    fn a_cookie_counts_if_a_server_can_have_set_it() {
        assert_eq!(session_of(b"a=1; JSESSIONID=abcdef"), Some("abcdef"));
        for bad in [&b""[..], b"JSESSIONID=", b"JSESSIONID=a\tb", b"JSESSIONID=\xff", b"JSESSIONID=a\\b"] {
            assert_eq!(session_of(bad), None, "{bad:?}");
        }
        let long = format!("JSESSIONID={}", "x".repeat(COOKIE_BYTES_MAX + 1));
        assert_eq!(session_of(long.as_bytes()), None);
        let header = session_cookie("abcdef", "path=/");
        assert_eq!(header, ("Set-Cookie", Cow::Borrowed("JSESSIONID=abcdef; path=/")));
    }
}
