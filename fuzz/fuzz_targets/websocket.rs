//! WebSocket frames from clients: the cuts between reads change no event and no verdict, no memory
//! is held over the bound or when idle, and a decoded message that is encoded again decodes the
//! same.
#![no_main]

use encke::wire::deflate::Inflater;
use encke::wire::websocket::{
    Compressed, Compression, Decoder, Opcode, Violation, WebSocketEvent, WebSocketLimits, close_payload,
    frame_head,
};
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 700;

/// Room beyond the bound: for the growth of a compressed message, and for a control frame.
const BESIDE: usize = BYTES_MAX / 8 + 64 + 256;

/// Events up to the first violation, and that violation, after feeding pieces of `step` bytes.
fn fed(
    bytes: &[u8],
    step: usize,
    limits: &WebSocketLimits,
    inflater: &mut Inflater,
) -> (Vec<WebSocketEvent>, Option<Violation>) {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for mut rest in bytes.chunks(step) {
        while !rest.is_empty() {
            let (used, event) = match decoder.decode(rest, limits, inflater) {
                Ok(decoded) => decoded,
                Err(violation) => return (events, Some(violation)),
            };
            assert!(used <= rest.len() && (event.is_some() || used == rest.len()), "not all was taken");
            assert!(decoder.heap_bytes() <= BYTES_MAX + BESIDE);
            assert!(!decoder.is_idle() || decoder.heap_bytes() == 0);
            rest = &rest[used..];
            events.extend(event);
        }
    }
    (events, None)
}

/// A masked frame with the content of an event.
fn sent(event: &WebSocketEvent) -> Vec<u8> {
    let (opcode, payload) = match event {
        WebSocketEvent::Text(text) => (Opcode::Text, text.clone().into_bytes()),
        WebSocketEvent::Binary(bytes) => (Opcode::Binary, bytes.clone()),
        WebSocketEvent::Ping(bytes) => (Opcode::Ping, bytes.clone()),
        WebSocketEvent::Pong(bytes) => (Opcode::Pong, bytes.clone()),
        WebSocketEvent::Close(None) => (Opcode::Close, Vec::new()),
        WebSocketEvent::Close(Some((code, reason))) => (Opcode::Close, close_payload(*code, reason)),
    };
    let mut wire = Vec::new();
    frame_head(opcode, Compressed::No, payload.len(), &mut wire);
    wire[1] |= 0x80;
    let mask = [7, 77, 177, 250];
    wire.extend_from_slice(&mask);
    wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (step, deflate, bytes) = input;
    let compression = if deflate { Compression::Deflate } else { Compression::Off };
    let limits = WebSocketLimits { message_bytes_max: BYTES_MAX, compression };
    let mut inflater = Inflater::new();
    let whole = fed(bytes, bytes.len().max(1), &limits, &mut inflater);
    assert_eq!(fed(bytes, 1, &limits, &mut inflater), whole, "one byte at a time");
    assert_eq!(fed(bytes, usize::from(step).max(1), &limits, &mut inflater), whole, "in pieces of {step}");

    // As a stream of bytes, the binary messages are the same bytes, cut in any way.
    let mut decoder = Decoder::default();
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let now = &rest[..rest.len().min(usize::from(step).max(1))];
        let Ok((used, event)) = decoder.decode_pieces(now, &limits, &mut inflater) else { break };
        assert!(decoder.unfinished_bytes() <= BYTES_MAX * 3);
        rest = &rest[used..];
        if let Some(WebSocketEvent::Binary(piece)) = event {
            pieces.extend(piece);
        }
    }
    let binary = whole.0.iter().filter_map(|event| match event {
        WebSocketEvent::Binary(bytes) => Some(&bytes[..]),
        _ => None,
    });
    assert!(deflate || pieces.starts_with(&binary.flatten().copied().collect::<Vec<_>>()));

    let (events, violation) = whole;
    for event in &events {
        match event {
            WebSocketEvent::Text(text) => assert!(text.len() <= BYTES_MAX),
            WebSocketEvent::Binary(bytes) => assert!(bytes.len() <= BYTES_MAX),
            WebSocketEvent::Ping(bytes) | WebSocketEvent::Pong(bytes) => assert!(bytes.len() <= 125),
            WebSocketEvent::Close(close) => {
                assert!(close.as_ref().is_none_or(|(_, reason)| reason.len() <= 123))
            }
        }
    }
    let again: Vec<u8> = events.iter().flat_map(sent).collect();
    assert_eq!(fed(&again, again.len().max(1), &limits, &mut inflater), (events, None));
    if let Some(violation) = violation {
        assert!([1002, 1007, 1009].contains(&violation.close_code()));
        assert!(violation.reason().len() <= 123 && !violation.code().is_empty());
    }
});
