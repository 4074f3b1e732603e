//! The two supported requests, and where one ends.

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// To receive messages from now on.
    Listen,
    /// To send this body to all.
    Publish(&'a [u8]),
    /// To send each line of this body to all.
    PublishLines(&'a [u8]),
    /// Anything else.
    Unknown,
}

/// Bytes that are not a request, or one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Longest body: a burst of thousands of messages fits.
const BODY_MAX: usize = 64 * 1024 * 1024;

/// Longest head.
const HEAD_MAX: usize = 16 * 1024;

/// The first request in `bytes` and its length; `None` while it is incomplete. A body has a length,
/// never chunks.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let at = match head.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => at,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Broken),
    };
    let value = |name: &str| {
        let header = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value.trim_ascii())
    };
    if value("transfer-encoding").is_some() {
        return Err(Broken);
    }
    let len = value("content-length").map_or(Some(0), |text| std::str::from_utf8(text).ok()?.parse().ok());
    let end = len.filter(|&len| len <= BODY_MAX).map(|len| at + len).ok_or(Broken)?;
    let Some(body) = bytes.get(at..end) else { return Ok(None) };
    let lines = value("content-type").is_some_and(|kind| kind.starts_with(b"application/x-ndjson"));
    let request = match (head.method, head.path) {
        (Some("GET"), _) => Request::Listen,
        (Some("POST"), Some("/publish")) if lines => Request::PublishLines(body),
        (Some("POST"), Some("/publish")) => Request::Publish(body),
        _ => Request::Unknown,
    };
    Ok(Some((request, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_found_when_its_last_byte_is_there() {
        let get = "GET /u/1/sse HTTP/1.1\r\nHost: a\r\n\r\n";
        let publish = "POST /publish HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        let lines =
            "POST /publish HTTP/1.1\r\ncontent-type: application/x-ndjson\r\ncontent-length: 3\r\n\r\na\nb";
        let other = "PUT /publish HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
        for (text, expected) in [
            (get, Request::Listen),
            (publish, Request::Publish(b"hello")),
            (lines, Request::PublishLines(b"a\nb")),
            (other, Request::Unknown),
        ] {
            for end in 0..text.len() {
                assert_eq!(first(&text.as_bytes()[..end]), Ok(None), "{text} {end}");
            }
            let more = format!("{text}GET");
            assert_eq!(first(more.as_bytes()), Ok(Some((expected, text.len()))));
        }
    }

    #[test]
    fn what_has_no_clear_end_is_refused() {
        for header in ["Content-Length: x", "Content-Length: 99999999999", "Transfer-Encoding: chunked"] {
            let text = format!("POST /publish HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(first(text.as_bytes()), Err(Broken), "{header}");
        }
        assert_eq!(first(b"\0"), Err(Broken));
    }
}
