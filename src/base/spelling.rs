//! The edit distance of two names, for suggesting the intended one.

/// Levenshtein distance: bytes to insert, delete or change.
pub fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_bytes_put_in_taken_out_and_changed() {
        for (a, b, apart) in [
            ("", "", 0),
            ("a", "", 1),
            ("channel", "channels", 1),
            ("chanel", "channels", 2),
            ("version", "session", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (apart, apart), "{a} {b}");
        }
    }
}
