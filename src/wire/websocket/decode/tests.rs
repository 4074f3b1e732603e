//! Every rule with its close code; the RFC's examples; messages cut at every place.

mod rules;
mod stream;

use super::*;
use crate::wire::deflate::Deflater;
use crate::wire::websocket::frame::frame_head;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const PLAIN: WebSocketLimits = WebSocketLimits { message_bytes_max: 1000, compression: Compression::Off };

const DEFLATE: WebSocketLimits =
    WebSocketLimits { message_bytes_max: 1000, compression: Compression::Deflate };

/// A masked frame whose first byte is `flags`.
fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    frame_head(Opcode::Text, Compressed::No, payload.len(), &mut wire);
    wire[0] = flags;
    wire[1] |= 0x80;
    wire.extend_from_slice(&KEY);
    wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

/// A compressed message in one frame.
fn deflated(opcode: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    Deflater::new().message(message, &mut payload);
    frame(0xc0 | opcode, &payload)
}

/// The events of the pieces up to the first violation, and that.
fn fed<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &WebSocketLimits,
) -> (Vec<WebSocketEvent>, Option<Violation>) {
    let (mut decoder, mut inflater) = (Decoder::default(), Inflater::new());
    let mut events = Vec::new();
    for mut rest in pieces {
        while !rest.is_empty() {
            match decoder.decode(rest, limits, &mut inflater) {
                Ok((used, event)) => {
                    assert!(used > 0 && (event.is_some() || used == rest.len()));
                    rest = &rest[used..];
                    events.extend(event);
                }
                Err(violation) => return (events, Some(violation)),
            }
            assert!(!decoder.is_idle() || decoder.heap_bytes() == 0, "an idle decoder owns no heap");
            let most = limits.message_bytes_max + limits.message_bytes_max / 8 + 64 + CONTROL_ROOM;
            assert!(decoder.heap_bytes() <= most, "{} bytes held", decoder.heap_bytes());
        }
    }
    (events, None)
}

/// A control frame's payload beside the message, including the spare capacity of its vector.
const CONTROL_ROOM: usize = 256;

/// The outcome, which must be the same however the bytes are cut in two, and one at a time.
fn outcome(wire: &[u8], limits: &WebSocketLimits) -> (Vec<WebSocketEvent>, Option<Violation>) {
    let whole = fed([wire], limits);
    assert_eq!(fed(wire.chunks(1), limits), whole, "one byte at a time");
    for cut in 0..=wire.len() {
        let (left, right) = wire.split_at(cut);
        assert_eq!(fed([left, right], limits), whole, "cut at {cut}");
    }
    whole
}

fn events(wire: &[u8], limits: &WebSocketLimits) -> Vec<WebSocketEvent> {
    match outcome(wire, limits) {
        (events, None) => events,
        (_, Some(violation)) => panic!("{violation:?}: {wire:x?}"),
    }
}

fn violation(wire: &[u8], limits: &WebSocketLimits) -> Violation {
    match outcome(wire, limits) {
        (_, Some(violation)) => violation,
        (events, None) => panic!("{events:?} of {wire:x?}"),
    }
}

fn text(text: &str) -> WebSocketEvent {
    WebSocketEvent::Text(text.to_owned())
}
