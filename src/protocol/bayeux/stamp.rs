//! The timestamp extension: a message that says when it was sent is answered by one that does, too.
//!
//! In the words of RFC 1123, as CometD's clients spell it, for those name their zone. What a client says of its own time is not read.

/// Whether an answer says when it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamp {
    /// The message did not, either.
    #[default]
    Unasked,
    /// It does, once the time is known.
    Asked,
    /// At so many milliseconds since 1970.
    At(i64),
}

impl Stamp {
    /// The same, of an answer that is given then.
    #[must_use]
    pub fn at(self, unix_ms: i64) -> Self {
        match self {
            Self::Unasked => Self::Unasked,
            Self::Asked | Self::At(_) => Self::At(unix_ms),
        }
    }
}

/// A time as RFC 1123 has it: `Sat, 21 Nov 2026 16:20:00 GMT`.
pub fn spelled(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    // 1970 began on a Thursday.
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{weekday}, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", MONTHS[month])
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days of 400 years, after which the calendar repeats itself.
const ERA: i64 = 146_097;

/// The year, the month from 0, and the day of the month, of a day since 1970. Years are counted from March, so that the day that some have more
/// is the last.
fn date(days: i64) -> (i64, usize, i64) {
    /// From the first of March of year 0 to 1970.
    const BEFORE: i64 = 719_468;
    let (era, of_era) = ((days + BEFORE).div_euclid(ERA), (days + BEFORE).rem_euclid(ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2).rem_euclid(12) as usize;
    let year = year + 400 * era + i64::from(month < 2);
    (year, month, day)
}

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
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ] {
            assert_eq!(spelled(unix * 1000), text);
        }
    }

    #[test]
    fn each_day_of_four_hundred_years_comes_after_the_one_before_it() {
        let lengths = |year: i64| {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..ERA {
            assert_eq!(date(days), (year, month, day));
            day += 1;
            if day > lengths(year)[month] {
                (day, month) = (1, month + 1);
            }
            if month == 12 {
                (month, year) = (0, year + 1);
            }
        }
    }

    #[test]
    fn only_what_is_asked_for_is_stamped() {
        assert_eq!((Stamp::Unasked.at(7), Stamp::Asked.at(7)), (Stamp::Unasked, Stamp::At(7)));
        assert_eq!(Stamp::At(7).at(8), Stamp::At(8), "what was held is stamped when it is answered");
    }
}
