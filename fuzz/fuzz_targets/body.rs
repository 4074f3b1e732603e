//! Request bodies: the cuts between reads change nothing, the bound holds, bytes after the body
//! stay, and a payload in chunks comes out complete.
#![no_main]

use encke::wire::http::Reject;
use encke::wire::http::body::{BodyDecoder, Progress};
use encke::wire::http::head::BodyFraming;
use encke::wire::http::response::{CHUNK_TAIL, LAST_CHUNK, chunk_head};
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 512;

type Outcome = Result<(Vec<u8>, usize, Progress), Reject>;

/// Payload, consumed bytes and progress after feeding pieces of `step` bytes.
fn fed(body: BodyFraming, input: &[u8], step: usize) -> Outcome {
    let mut decoder = BodyDecoder::new(body, BYTES_MAX)?;
    let (mut out, mut used_in_all) = (Vec::new(), 0);
    for piece in input.chunks(step) {
        let (used, progress) = decoder.decode(piece, &mut out)?;
        used_in_all += used;
        assert!(out.len() <= BYTES_MAX);
        if progress == Progress::Done {
            break;
        }
        assert_eq!(used, piece.len(), "an unfinished body takes all of its input");
    }
    Ok((out, used_in_all, decoder.progress()))
}

fuzz_target!(|input: (Option<u16>, u8, &[u8])| {
    let (length, step, bytes) = input;
    let body = length.map_or(BodyFraming::Chunked, |length| BodyFraming::Length(u64::from(length)));
    let whole = fed(body, bytes, bytes.len().max(1));
    assert_eq!(fed(body, bytes, 1), whole, "one byte at a time");
    assert_eq!(fed(body, bytes, usize::from(step).max(1)), whole, "in pieces of {step}");
    if let Ok((out, used, Progress::Done)) = &whole {
        let alone = fed(body, &bytes[..*used], (*used).max(1));
        assert_eq!(alone, whole, "what follows matters");
        if let Some(length) = length {
            assert_eq!((out.len(), *used), (usize::from(length), usize::from(length)));
        }
    }

    let payload = &bytes[..bytes.len().min(BYTES_MAX)];
    let mut wire = Vec::new();
    for part in payload.chunks(usize::from(step).max(1)) {
        chunk_head(part.len(), &mut wire);
        wire.extend_from_slice(part);
        wire.extend_from_slice(CHUNK_TAIL);
    }
    wire.extend_from_slice(LAST_CHUNK);
    assert_eq!(
        fed(BodyFraming::Chunked, &wire, wire.len()),
        Ok((payload.to_vec(), wire.len(), Progress::Done))
    );
});
