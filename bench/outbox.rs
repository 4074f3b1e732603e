//! The pending bytes of one socket: frames go in, are gathered for a write, and go out. The unit is
//! one frame.

use std::hint::black_box;
use std::io::IoSlice;

use encke::base::frame::Frame;
use encke::base::outbox::Outbox;

use crate::suite::{Pass, Suite};

/// All benchmarks of this file.
pub(crate) fn all(suite: &mut Suite) {
    // All connections share the frames of one message, so only references are pushed.
    let state = || (Outbox::default(), Frame::from(&[b'x'; 180][..]));
    for (name, count) in [("1 frame", 1), ("100 frames", 100)] {
        suite.bench(("outbox", name), Pass::Elements(count), state, |(outbox, frame)| {
            (0..count).for_each(|_| outbox.push(frame.clone()));
            drain(outbox, usize::MAX);
        });
    }
    suite.bench(
        ("outbox", "100 frames, 1000 bytes a write"),
        Pass::Elements(100),
        state,
        |(outbox, frame)| {
            (0..100).for_each(|_| outbox.push(frame.clone()));
            drain(outbox, 1000);
        },
    );
}

/// Gathers and advances until nothing is left; the socket takes at most `room` bytes at a time.
fn drain(outbox: &mut Outbox, room: usize) {
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); 64];
        let used = black_box(outbox.slices(&mut slices));
        let bytes: usize = slices[..used].iter().map(|slice| slice.len()).sum();
        outbox.advance(bytes.min(room));
    }
}
