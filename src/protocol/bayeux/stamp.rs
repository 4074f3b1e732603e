//! The timestamp extension: the answer to a message with a timestamp has one, too.
//!
//! In RFC 1123 format, like CometD's clients, because it names the zone. The client's own timestamp
//! is not read.

use std::time::{Duration, UNIX_EPOCH};

/// Whether an answer has a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// No: the message had none.
    #[default]
    Unasked,
    /// Yes, once the time is known.
    Asked,
    /// At this many milliseconds since 1970.
    At(i64),
}

impl Stamp {
    /// The same, for an answer at this time.
    #[must_use]
    pub fn at(self, unix_ms: i64) -> Self {
        match self {
            Self::Unasked => Self::Unasked,
            Self::Asked | Self::At(_) => Self::At(unix_ms),
        }
    }
}

/// A time as RFC 1123 has it: `Sat, 21 Nov 2026 16:20:00 GMT`. Years before 1970 and after 9999
/// become the nearest one in this range.
pub fn spelled(unix_ms: i64) -> String {
    let seconds = u64::try_from(unix_ms / 1000).unwrap_or(0).min(SECONDS_MAX);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The last second of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_rfc_1123_has_them() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_772_323_200, "Sun, 01 Mar 2026 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MAX / 1000, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(spelled(unix * 1000), text);
        }
    }

    #[test]
    fn only_what_is_asked_for_is_stamped() {
        assert_eq!((Stamp::Unasked.at(7), Stamp::Asked.at(7)), (Stamp::Unasked, Stamp::At(7)));
        assert_eq!(Stamp::At(7).at(8), Stamp::At(8), "what was held is stamped when it is answered");
    }
}
