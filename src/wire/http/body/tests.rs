//! Valid and invalid bodies, and that the cuts between reads change nothing.

use proptest::prelude::*;

use super::*;

const BYTES_MAX: usize = 64;

/// Payload, consumed bytes and progress after feeding `input` in pieces that end at the given cuts.
fn fed(
    body: BodyFraming,
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Result<(Vec<u8>, usize, Progress), Reject> {
    let mut decoder = BodyDecoder::new(body, BYTES_MAX)?;
    let (mut out, mut start) = (Vec::new(), 0);
    for cut in cuts.into_iter().chain([input.len()]) {
        let (used, progress) = decoder.decode(&input[start..cut], &mut out)?;
        start += used;
        if progress == Progress::Done {
            break;
        }
        assert_eq!(start, cut, "an unfinished body takes all of its input");
    }
    Ok((out, start, decoder.progress()))
}

/// The same, having checked that one byte at a time gives the same.
fn decoded(body: BodyFraming, input: &[u8]) -> Result<(Vec<u8>, usize, Progress), Reject> {
    let whole = fed(body, input, []);
    assert_eq!(fed(body, input, 0..input.len()), whole, "{:?}", String::from_utf8_lossy(input));
    whole
}

fn chunks(input: &str) -> Result<(String, usize, Progress), Reject> {
    decoded(BodyFraming::Chunked, input.as_bytes())
        .map(|(out, used, progress)| (String::from_utf8(out).expect("text"), used, progress))
}

#[test]
fn no_body_takes_nothing() {
    for body in [BodyFraming::None, BodyFraming::Length(0)] {
        assert_eq!(decoded(body, b"GET /"), Ok((vec![], 0, Progress::Done)));
    }
}

#[test]
fn a_counted_body_takes_its_count() {
    assert_eq!(decoded(BodyFraming::Length(3), b"abcdef"), Ok((b"abc".to_vec(), 3, Progress::Done)));
    assert_eq!(decoded(BodyFraming::Length(3), b"ab"), Ok((b"ab".to_vec(), 2, Progress::More)));
}

#[test]
fn too_long_a_body_is_refused_before_it_is_read() {
    let too_large = Reject::BodyTooLarge { bytes_max: BYTES_MAX };
    assert!(BodyDecoder::new(BodyFraming::Length(64), BYTES_MAX).is_ok());
    for length in [65, u64::MAX] {
        assert_eq!(BodyDecoder::new(BodyFraming::Length(length), BYTES_MAX).err(), Some(too_large));
    }
    assert_eq!(chunks("41\r\n"), Err(too_large));
    assert_eq!(chunks("ffffffff\r\n"), Err(too_large));
    let parts = format!("20\r\n{}\r\n21\r\n", "a".repeat(32));
    assert_eq!(chunks(&parts), Err(too_large));
}

#[test]
fn chunks_are_joined() {
    let body = "4\r\nWiki\r\n00C\r\npedia in \r\nc\r\n0\r\n\r\n";
    assert_eq!(
        chunks(&format!("{body}GET /")),
        Ok(("Wikipedia in \r\nc".into(), body.len(), Progress::Done))
    );
    assert_eq!(chunks("0\r\n\r\n"), Ok((String::new(), 5, Progress::Done)));
    assert_eq!(chunks("00000000\r\n\r\n"), Ok((String::new(), 12, Progress::Done)));
    assert_eq!(chunks("1\r\na\r\n0\r\n"), Ok(("a".into(), 9, Progress::More)));
}

#[test]
fn sizes_that_two_readers_could_read_differently_are_refused() {
    for bad in [
        "\r\n",
        ";a\r\n",
        "g\r\n",
        "+1\r\n",
        "-1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1 ;a\r\n",
        "0x1\r\n",
        "1_0\r\n",
        "000000001\r\n",
        "1\t\r\n",
        "1\0\r\n",
        "\n",
        "1,1\r\n",
    ] {
        assert_eq!(chunks(bad), Err(Reject::BadChunkSize), "{bad:?}");
    }
    assert_eq!(chunks("1\na\n0\n\n"), Err(Reject::BareLf));
    assert_eq!(chunks("1\ra"), Err(Reject::BareCr));
    assert_eq!(chunks("1\r\r\n"), Err(Reject::BareCr));
}

#[test]
fn chunk_data_ends_where_its_size_says() {
    for bad in ["1\r\nab\r\n", "1\r\na\n0\r\n\r\n", "1\r\na\r0", "1\r\na0\r\n\r\n", "2\r\na\r\n0\r\n\r\n"] {
        assert_eq!(chunks(bad), Err(Reject::BadChunkEnd), "{bad:?}");
    }
}

#[test]
fn extensions_are_dropped_and_bounded() {
    assert_eq!(chunks("1;a=\"b;\t\u{e9}\"\r\nx\r\n0;c\r\n\r\n").map(|done| done.0), Ok("x".into()));
    assert_eq!(chunks("1;a\nb\r\nx\r\n"), Err(Reject::BareLf));
    assert_eq!(chunks("1;a\rb\r\nx\r\n"), Err(Reject::BareCr));
    assert_eq!(chunks("1;\0\r\n"), Err(Reject::BadChunkExtension));
    let extended = |len: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(len));
    assert!(chunks(&extended(256)).is_ok());
    assert_eq!(chunks(&extended(257)), Err(Reject::BadChunkExtension));
    assert_eq!(
        chunks(&"1;aaaaaaaaaa\r\nx\r\n".repeat(26)),
        Err(Reject::BadChunkExtension),
        "of the whole body"
    );
}

#[test]
fn trailers_are_dropped_but_strict() {
    let body = "0\r\nA: b\r\nC:\r\nD:\t\u{e9}\r\n\r\n";
    assert_eq!(chunks(body), Ok((String::new(), body.len(), Progress::Done)));
    for (bad, reject) in [
        ("0\r\nA: b\n\r\n", Reject::BareLf),
        ("0\r\nA\n", Reject::BareLf),
        ("0\r\n\n", Reject::BareLf),
        ("0\r\n\rX", Reject::BareCr),
        ("0\r\nA: b\rX", Reject::BareCr),
        ("0\r\n: b\r\n", Reject::BadTrailer),
        ("0\r\n A: b\r\n", Reject::BadTrailer),
        ("0\r\nA : b\r\n", Reject::BadTrailer),
        ("0\r\nA\r\n", Reject::BadTrailer),
        ("0\r\nA: \0\r\n", Reject::BadTrailer),
        ("0\r\nA: b\r\n c\r\n", Reject::BadTrailer),
    ] {
        assert_eq!(chunks(bad), Err(reject), "{bad:?}");
    }
    let endless = format!("0\r\n{}", "A: b\r\n".repeat(1000));
    assert_eq!(chunks(&endless), Err(Reject::TrailersTooLarge));
}

/// Bytes that look enough like chunks to reach every state.
fn chunklike() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "1\r\na\r\n",
        "3\r\nabc\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "\r\n",
        "\r",
        "\n",
        "A: b\r\n",
        ";x",
        "1",
        "g",
        ":",
        " ",
        "40\r\n",
        "2;e=f\r\n\r\n\r\n",
        "\0",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        input in chunklike(),
        length in prop::option::of(0..80_u64),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = length.map_or(BodyFraming::Chunked, BodyFraming::Length);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = fed(body, &input, []);
        prop_assert_eq!(&fed(body, &input, cuts), &whole);
        prop_assert_eq!(&fed(body, &input, 0..input.len()), &whole);
        if let Ok((out, ..)) = whole {
            prop_assert!(out.len() <= BYTES_MAX);
        }
    }

    #[test]
    fn what_was_cut_into_chunks_comes_out_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..9), 0..8)) {
        let mut wire = Vec::new();
        for part in &parts {
            super::super::response::chunk_head(part.len(), &mut wire);
            wire.extend_from_slice(part);
            wire.extend_from_slice(super::super::response::CHUNK_TAIL);
        }
        wire.extend_from_slice(super::super::response::LAST_CHUNK);
        prop_assert_eq!(decoded(BodyFraming::Chunked, &wire), Ok((parts.concat(), wire.len(), Progress::Done)));
    }
}
