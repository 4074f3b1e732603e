//! The page's function that a script calls: the query's `c`, or else its `callback`.

use crate::wire::percent;

/// Why a callback is refused: with 500, and without creating a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCallback {
    /// The query names none.
    Missing,
    /// It is empty or too long, or has a character that clients do not use in names.
    Invalid,
}

impl BadCallback {
    /// The body of the refusal, as defined by the protocol.
    pub fn body(self) -> &'static str {
        match self {
            Self::Missing => "\"callback\" parameter required",
            Self::Invalid => "invalid \"callback\" parameter",
        }
    }
}

/// Parses the name from an undecoded query.
///
/// # Errors
/// Refuses a query without a name, and an invalid name: clients use `A-Za-z0-9_.-`.
pub fn callback(query: &str) -> Result<Box<str>, BadCallback> {
    let mut other = None;
    for pair in percent::query(query, PAIRS_MAX) {
        let (key, value) = pair.map_err(|_| BadCallback::Invalid)?;
        match &*key {
            "c" => return checked(&value),
            "callback" => other = other.or(Some(value)),
            _ => {}
        }
    }
    checked(&other.ok_or(BadCallback::Missing)?)
}

fn checked(name: &str) -> Result<Box<str>, BadCallback> {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = (1..=CALLBACK_BYTES_MAX).contains(&name.len()) && name.bytes().all(of_names);
    is_name.then(|| name.into()).ok_or(BadCallback::Invalid)
}

/// Parameters of a query. Clients send two.
const PAIRS_MAX: usize = 16;

/// Bytes of a name. Clients generate names of ten; a longer one could be a script.
const CALLBACK_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_under_either_key_and_decoded() {
        for query in ["c=_jp.abc012", "t=1&c=_jp%2Eabc012", "callback=_jp.abc012", "callback=x&c=_jp.abc012"]
        {
            assert_eq!(callback(query).as_deref(), Ok("_jp.abc012"), "{query}");
        }
        assert_eq!(callback("c=%63allback").as_deref(), Ok("callback"));
        assert!(callback(&format!("c={}", "x".repeat(32))).is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused_and_none_at_all_is_told_apart() {
        for query in ["", "t=1", "C=x"] {
            assert_eq!(callback(query), Err(BadCallback::Missing), "{query}");
        }
        for bad in
            ["c=", "c", "c=%20", "c=*", "c=abc(", "c=abc%28", "c=%", "c=a+b", "c=%c3%a9", "c=%0a", "c=a&b=%"]
        {
            let wanted = if bad == "c=a&b=%" { Ok("a".into()) } else { Err(BadCallback::Invalid) };
            assert_eq!(callback(bad), wanted, "{bad}");
        }
        assert_eq!(callback(&format!("c={}", "x".repeat(33))), Err(BadCallback::Invalid));
    }
}
