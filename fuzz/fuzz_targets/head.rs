//! Request heads: the cuts between reads and the bytes after the head change nothing, and a head
//! that is encoded from its parsed form parses the same.
#![no_main]

use encke::wire::http::head::{BodyFraming, Head, Parsed, parse};
use encke::wire::http::{HeadLimits, Method, Reject, Scanned, Version};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 1024, headers_max: 16 };

/// The outcome of feeding pieces of `step` bytes.
fn fed(bytes: &[u8], step: usize) -> Result<Option<(String, usize)>, Reject> {
    let mut scanned = Scanned::default();
    let mut cut = 0;
    while cut < bytes.len() {
        cut = (cut + step).min(bytes.len());
        match parse(&bytes[..cut], scanned, &LIMITS)? {
            Parsed::Partial(next) => scanned = next,
            Parsed::Complete { head, len } => return Ok(Some((format!("{head:?}"), len))),
        }
    }
    Ok(None)
}

/// The same head with its request line in canonical form.
fn rewritten(head: &Head<'_>) -> Vec<u8> {
    let query = if head.query.is_empty() { String::new() } else { format!("?{}", head.query) };
    let version = match head.version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let line = format!("{} {}{query} HTTP/{version}\r\n", head.method.as_str(), head.path);
    let mut bytes = line.into_bytes();
    for (name, value) in head.headers() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = fed(bytes, usize::MAX - bytes.len());
    assert_eq!(fed(bytes, 1), whole, "one byte at a time");
    assert_eq!(fed(bytes, usize::from(step).max(1)), whole, "in pieces of {step}");
    if let Err(reject) = whole {
        assert!((400..600).contains(&reject.code().status()));
        assert!(!reject.reason().is_empty());
        return;
    }
    let Ok(Parsed::Complete { head, len }) = parse(bytes, Scanned::default(), &LIMITS) else { return };
    assert!(len <= LIMITS.bytes_max && head.headers().count() <= LIMITS.headers_max);
    assert_eq!(fed(&bytes[..len], usize::MAX - len), whole, "what follows matters");
    assert!(head.path.starts_with('/') || (head.path == "*" && head.method == Method::Options));
    assert!(!head.host.is_empty() || head.version == Version::Http10);
    assert!(!bytes[..len].contains(&0));
    if matches!(head.body, BodyFraming::Chunked) {
        assert!(head.header("content-length").is_none());
    }

    let again = rewritten(&head);
    let again = parse(&again, Scanned::default(), &HeadLimits { bytes_max: 2048, ..LIMITS });
    let Ok(Parsed::Complete { head: again, .. }) = again else { panic!("{again:?} of a rewritten {head:?}") };
    assert_eq!((again.path, again.query, again.body), (head.path, head.query, head.body));
    assert_eq!((again.keep_alive, again.expect_continue), (head.keep_alive, head.expect_continue));
    assert!(again.headers().eq(head.headers()));
});
