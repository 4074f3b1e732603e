//! Cookies of one name out of a `Cookie` line (RFC 6265 4.2).
//!
//! Works on bytes, so that another application's cookie that is not UTF-8 does not hide ours.
//! Setting cookies is not done here.

/// The values of all cookies called `name`; see [`named`].
pub fn values<'a>(line: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a str> {
    named(line, [name]).map(|(_, value)| value)
}

/// The values of all cookies with one of `names`, each with the index of its name in that list, in
/// their order. Names are compared exactly; quotes around a value are removed. A name may occur
/// several times: browsers send one cookie for each path and domain that set it, without naming
/// these. Values that are not UTF-8 are ignored.
pub fn named<'a, const N: usize>(
    line: &'a [u8],
    names: [&'a str; N],
) -> impl Iterator<Item = (usize, &'a str)> {
    let mut rest = line;
    // Most requests carry other applications' cookies only: those cost a look for their end and
    // some at their first byte.
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            let pair = rest[..end].trim_ascii_start();
            rest = rest.get(end + 1..).unwrap_or_default();
            for (at, name) in names.iter().enumerate() {
                if let Some([b'=', value @ ..]) = pair.strip_prefix(name.as_bytes())
                    && let Ok(value) = str::from_utf8(unquoted(value.trim_ascii_end()))
                {
                    return Some((at, value));
                }
            }
        }
        None
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    fn value<'a>(line: &'a [u8], name: &'a str) -> Option<&'a str> {
        super::values(line, name).next()
    }

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
    fn all_of_one_name_come_in_their_order() {
        let all: Vec<_> = super::values(b"t=1; u=3; t=2;t=; t=\xff; t=4", "t").collect();
        assert_eq!(all, ["1", "2", "", "4"]);
    }

    #[test]
    fn several_names_are_told_apart() {
        let all: Vec<_> = super::named(b"u=1; tu=2; t=3; u=4", ["t", "u"]).collect();
        assert_eq!(all, [(1, "1"), (0, "3"), (1, "4")]);
    }

    #[test]
    fn quotes_are_no_part_of_the_value() {
        assert_eq!(value(b"t=\"a b\"", "t"), Some("a b"));
        assert_eq!(value(b"t=\"", "t"), Some("\""));
    }

    #[test]
    fn foreign_bytes_hide_nothing() {
        assert_eq!(value(b"l\xff=\xfe;;; =; flag; t=", "t"), Some(""));
        assert_eq!(value(b"t=\xff; t=2", "t"), Some("2"));
    }
}
