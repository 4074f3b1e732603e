//! Durations, sizes and counts as people write them: `25s`, `64KiB`, `1_000_000`.
//!
//! A duration or a size always has its unit, so that the meaning of `60` is never a guess. There
//! are no fractions and no sums (`1.5s`, `1m30s`): one whole number, one unit.

use crate::base::ticks::Span;

/// Reads a duration such as `500ms`, `25s`, `2m` or `1h`.
///
/// # Errors
/// A text that says what is wrong and what is allowed, without the value.
pub fn span(text: &str) -> Result<Span, String> {
    scaled(text, &SPAN_UNITS, "a duration", "25s").map(Span::from_millis)
}

/// Reads a size such as `512B`, `64KiB`, `1MiB` or `2GiB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let bytes = scaled(text, &SIZE_UNITS, "a size", "64KiB")?;
    usize::try_from(bytes).map_err(|_| TOO_LARGE.to_owned())
}

/// Reads a whole number; `_` may group its digits.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let (digits, rest) = split(text);
    if digits.is_empty() || !rest.is_empty() {
        return Err("not a whole number, as in 1000 or 1_000".to_owned());
    }
    number(digits).and_then(|n| usize::try_from(n).map_err(|_| TOO_LARGE.to_owned()))
}

/// A span in its largest whole unit: `90s`, `2m`.
pub(super) fn spell_span(span: Span) -> String {
    spell(span.as_millis(), &SPAN_UNITS)
}

/// A size in its largest whole unit: `1536B`, `2MiB`.
pub(super) fn spell_bytes(bytes: usize) -> String {
    spell(bytes as u64, &SIZE_UNITS)
}

/// A count with its digits in groups of three.
pub(super) fn spell_count(count: usize) -> String {
    let digits = count.to_string();
    let mut spelled = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            spelled.push('_');
        }
        spelled.push(digit);
    }
    spelled
}

/// A unit and how many of the smallest one it holds, smallest first.
type Unit = (&'static str, u64);

fn scaled(text: &str, units: &[Unit], what: &str, example: &str) -> Result<u64, String> {
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(format!("not {what}: a whole number and a unit, as in {example}"));
    }
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if unit.is_empty() {
        return Err(format!("{what} needs its unit ({}), as in {example}", names()));
    }
    let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("{what} is one whole number and one unit ({}), as in {example}", names()));
    };
    number(digits)?.checked_mul(*scale).ok_or_else(|| TOO_LARGE.to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

fn number(digits: &str) -> Result<u64, String> {
    if digits.starts_with('_') || digits.ends_with('_') {
        return Err("an underscore must be between two digits, as in 1_000".to_owned());
    }
    digits.replace('_', "").parse().map_err(|_| TOO_LARGE.to_owned())
}

fn spell(amount: u64, units: &[Unit]) -> String {
    let fits = |unit: &&Unit| unit.1 == 1 || (amount > 0 && amount.is_multiple_of(unit.1));
    let (name, scale) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    // Zero is written in the unit that people use, not in the smallest one.
    if amount == 0 && units == SPAN_UNITS { "0s".to_owned() } else { format!("{}{name}", amount / scale) }
}

const TOO_LARGE: &str = "too large a number";

const SPAN_UNITS: [Unit; 4] = [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000)];

const SIZE_UNITS: [Unit; 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_spelled_back() {
        for text in ["1ms", "999ms", "25s", "90s", "2m", "1h", "25h", "0s"] {
            assert_eq!(span(text).map(spell_span), Ok(text.to_owned()));
        }
        for text in ["0B", "512B", "1536B", "64KiB", "1MiB", "3GiB"] {
            assert_eq!(bytes(text).map(spell_bytes), Ok(text.to_owned()));
        }
        for text in ["0", "7", "999", "1_000", "12_345", "1_000_000"] {
            assert_eq!(count(text).map(spell_count), Ok(text.to_owned()));
        }
    }

    #[test]
    fn the_error_for_a_duration_without_a_unit_asks_for_one() {
        let reason = span("25").unwrap_err();
        assert!(reason.contains("needs its unit") && reason.contains("ms, s, m, h"), "{reason}");
        assert!(bytes("65536").unwrap_err().contains("needs its unit"));
    }

    #[test]
    fn fractions_sums_signs_and_other_units_are_refused() {
        for text in ["", "s", "-1s", "+1s", "1.5s", "1m30s", "25S", "25 s", "1d", "0x1s", "٣s"] {
            assert!(span(text).is_err(), "{text}");
        }
        for text in ["", "KiB", "-1B", "1.5MiB", "64KB", "64k", "64kib", "1TiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["", "_1", "1_", "-1", "+1", "1e3", "1,000", "ten", " 1"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_that_overflows_is_refused_and_does_not_wrap() {
        for text in ["18446744073709551616ms", "18446744073709551615s", "5124095576030432h"] {
            assert_eq!(span(text), Err(TOO_LARGE.to_owned()), "{text}");
        }
        assert_eq!(bytes("18446744073709551615GiB"), Err(TOO_LARGE.to_owned()));
        assert_eq!(count("18446744073709551616"), Err(TOO_LARGE.to_owned()));
    }
}
