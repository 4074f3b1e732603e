//! One cookie out of a `Cookie` header (RFC 6265 4.2).
//!
//! Works on bytes, so that another application's cookie that is not UTF-8 does not hide ours.
//! Setting cookies is not done here.

/// The value of the first cookie called `name`, which is compared exactly; quotes around it are taken off.
/// `None` also if that value is not UTF-8.
pub fn value<'a>(header: &'a [u8], name: &str) -> Option<&'a str> {
    let mut rest = header;
    loop {
        let end = memchr::memchr(b';', rest);
        let pair = rest[..end.unwrap_or(rest.len())].trim_ascii();
        if let Some([b'=', value @ ..]) = pair.strip_prefix(name.as_bytes()) {
            return str::from_utf8(unquoted(value)).ok();
        }
        rest = &rest[end? + 1..];
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_named_cookie_is_found_among_others() {
        let header = b"a=1; encke_token=x.y=z; b=2";
        assert_eq!(value(header, "encke_token"), Some("x.y=z"));
        assert_eq!(value(header, "a"), Some("1"));
        assert_eq!(value(header, "b"), Some("2"));
        assert_eq!(value(header, "c"), None);
    }

    #[test]
    fn names_are_whole_and_exact() {
        let header = b"xencke_token=1; encke_tokenx=2; Encke_Token=3; other=encke_token=4";
        assert_eq!(value(header, "encke_token"), None);
    }

    #[test]
    fn the_first_of_two_wins() {
        assert_eq!(value(b"t=1; t=2", "t"), Some("1"));
    }

    #[test]
    fn quotes_are_no_part_of_the_value() {
        assert_eq!(value(b"t=\"a b\"", "t"), Some("a b"));
        assert_eq!(value(b"t=\"", "t"), Some("\""));
    }

    #[test]
    fn foreign_bytes_hide_nothing() {
        assert_eq!(value(b"l\xff=\xfe;;; =; flag; t=", "t"), Some(""));
        assert_eq!(value(b"t=\xff; t=2", "t"), None);
    }
}
