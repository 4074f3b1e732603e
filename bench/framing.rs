//! A message on its way to the wire: its envelope, a transport's format, HTTP's chunk. The unit is
//! one message.
//!
//! A shard does this once for each message and form, not for each receiver.

use std::hint::black_box;

use encke::base::position::{Epoch, Position};
use encke::protocol::Protocol;
use encke::protocol::native::envelope::{Encoding, Message, message};
use encke::transport::{Coding, Dialect, Encoder, Envelope, Form, Framing, TransportId};

use crate::rig::payload;
use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    let position = Position { epoch: Epoch::new(7), n: 123_456 };
    for (size, len) in [("100 B", 100), ("1 KiB", 1 << 10)] {
        let published = Message {
            channel: "/chat/room1".into(),
            from: Some("bob".into()),
            data: payload(len).into(),
            encoding: Encoding::Json,
        };
        let mut json = Vec::new();
        message(&published, position, &mut json);
        suite.bench(("framing", &format!("envelope, {size}")), Pass::Elements(1), Vec::new, |out| {
            out.clear();
            black_box(message(black_box(&published), position, out));
        });
        let encoder = Encoder::new(position.epoch);
        for name in ["sse", "stream", "ws"] {
            let Some(transport) = TransportId::by_name(name) else { continue };
            let form = Form {
                transport,
                dialect: Dialect::default(),
                protocol: Protocol::Native,
                coding: Coding::Identity,
                framing: Framing::Chunked,
            };
            let envelope = Envelope { position: Some(position), ..Envelope::plain(&json) };
            let id = format!("{name} chunk, {size}");
            suite.bench(
                ("framing", &id),
                Pass::Elements(1),
                || (),
                |()| {
                    drop(black_box(form.encode(black_box(&envelope), &encoder)));
                },
            );
        }
    }
}
