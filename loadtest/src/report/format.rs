//! Numbers as people read them: grouped digits, three significant ones, a unit of fitting size. A
//! number that is missing or not finite is a dash.

/// Stands for a missing number.
const DASH: &str = "–";

/// A number in the given form, or a dash.
pub(super) fn or_dash(value: Option<f64>, form: fn(f64) -> String) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| DASH.to_owned(), form)
}

/// `10,000`, or a dash.
pub(super) fn count_or_dash(value: Option<u64>) -> String {
    value.map_or_else(|| DASH.to_owned(), count)
}

/// `10,000`
pub(super) fn count(value: u64) -> String {
    group(&value.to_string())
}

/// Three significant digits, but never fewer than are before the point: `0.0123`, `1.23`, `12.3`,
/// `12,345`.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.001 => format!("{value:.1e}"),
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 1.0 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => group(&format!("{value:.0}")),
    }
}

/// A time from milliseconds.
pub(super) fn millis(value: f64) -> String {
    if value.abs() < 9_999.5 { format!("{} ms", number(value)) } else { seconds(value / 1000.0) }
}

/// A time from seconds.
pub(super) fn seconds(value: f64) -> String {
    match value {
        span if span < 600.0 => format!("{} s", number(span)),
        span if span < 2.0 * 3600.0 => format!("{} min", number(span / 60.0)),
        span => format!("{} h", number(span / 3600.0)),
    }
}

/// CPU seconds, to the hundredth that the kernel counts.
pub(super) fn cpu(value: f64) -> String {
    if value.abs() < 99.995 { format!("{value:.2} s") } else { seconds(value) }
}

/// An amount of memory from bytes.
pub(super) fn bytes(value: f64) -> String {
    let unit = byte_unit(value);
    format!("{} {}", number(value / unit.0), unit.1)
}

/// The largest binary unit that is not larger than the value.
pub(super) fn byte_unit(value: f64) -> (f64, &'static str) {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    units.into_iter().find(|(size, _)| value.abs() >= *size).unwrap_or((1.0, "B"))
}

/// Commas between groups of three digits before the point.
pub(super) fn group(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_threes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([group("-1234.5"), group("-123")], ["-1,234.5", "-123"]);
    }

    #[test]
    fn a_number_keeps_three_digits_at_any_size() {
        let texts = [0.0, 0.00002, 0.0123, 0.5, 1.234, 9.996, 12.34, 99.96, 1234.5, -2.5].map(number);
        assert_eq!(
            texts,
            ["0", "2.0e-5", "0.0123", "0.500", "1.23", "10.0", "12.3", "100", "1,234", "-2.50"]
        );
    }

    #[test]
    fn units_fit_the_size() {
        assert_eq!([0.25, 12.0, 25_000.0].map(millis), ["0.250 ms", "12.0 ms", "25.0 s"]);
        assert_eq!([20.0, 900.0, 36_000.0].map(seconds), ["20.0 s", "15.0 min", "10.0 h"]);
        assert_eq!(
            [812.0, 2048.0, -3.0 * MIB, 5e9].map(bytes),
            ["812 B", "2.00 KiB", "-3.00 MiB", "4.66 GiB"]
        );
    }

    #[test]
    fn cpu_has_no_more_digits_than_the_kernel_counts() {
        assert_eq!([0.0, 0.07, 7.42, 512.3].map(cpu), ["0.00 s", "0.07 s", "7.42 s", "512 s"]);
    }

    #[test]
    fn a_missing_number_is_a_dash() {
        assert_eq!([None, Some(f64::NAN), Some(f64::INFINITY)].map(|it| or_dash(it, number)), [DASH; 3]);
        assert_eq!(count_or_dash(None), DASH);
    }
}
