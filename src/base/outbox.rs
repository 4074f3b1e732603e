//! The pending bytes of one socket: references to frames, and the kernel's offset in the first one.
//!
//! It owns no bytes and enforces no budget: callers check [`Outbox::len`] before they push. An
//! empty outbox owns no memory.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::frame::Frame;

/// Frames in the order in which they go out.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: Frames,
    /// Bytes of the first frame that are already written.
    written: u32,
    /// Bytes that are still to be written.
    len: u32,
}

/// One frame is by far the commonest case: it needs no list.
#[derive(Debug, Default)]
enum Frames {
    #[default]
    None,
    One(Frame),
    /// Boxed, so that the many outboxes that hold none or one stay small.
    #[expect(clippy::box_collection, reason = "few outboxes hold many frames")]
    Many(Box<VecDeque<Frame>>),
}

impl Outbox {
    /// Whether no bytes are pending.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pending bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Appends a frame. An empty one is dropped.
    ///
    /// # Panics
    /// At 4 GiB, far above every budget.
    pub fn push(&mut self, frame: Frame) {
        if frame.is_empty() {
            return;
        }
        self.len = u32::try_from(self.len as usize + frame.len()).expect("outbox over 4 GiB");
        match &mut self.frames {
            frames @ Frames::None => *frames = Frames::One(frame),
            Frames::Many(list) => list.push_back(frame),
            frames @ Frames::One(_) => {
                // A second frame is usually followed by more.
                let mut list = Box::new(VecDeque::with_capacity(8));
                if let Frames::One(first) = std::mem::take(frames) {
                    list.extend([first, frame]);
                }
                *frames = Frames::Many(list);
            }
        }
    }

    /// Puts a frame before all others, of which nothing may be written yet. An empty one is
    /// dropped.
    ///
    /// # Panics
    /// At 4 GiB, far above every budget.
    pub fn push_first(&mut self, frame: Frame) {
        debug_assert_eq!(self.written, 0, "a frame before bytes that are written");
        let rest = std::mem::take(self);
        self.push(frame);
        match rest.frames {
            Frames::None => {}
            Frames::One(frame) => self.push(frame),
            Frames::Many(list) => list.into_iter().for_each(|frame| self.push(frame)),
        }
    }

    /// The next bytes to write, if they are the only slice.
    pub fn only(&self) -> Option<&[u8]> {
        match &self.frames {
            Frames::One(frame) => Some(&frame[self.written as usize..]),
            Frames::None | Frames::Many(_) => None,
        }
    }

    /// Fills `out` with the next bytes to write, in order, and returns the number of slices.
    pub fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let (first, rest): (Option<&Frame>, _) = match &self.frames {
            Frames::None => (None, None),
            Frames::One(frame) => (Some(frame), None),
            Frames::Many(list) => (list.front(), Some(list.iter().skip(1))),
        };
        let first = first.map(|frame| &frame[self.written as usize..]);
        let frames = first.into_iter().chain(rest.into_iter().flatten().map(|frame| &**frame));
        out.iter_mut().zip(frames).map(|(slot, bytes)| *slot = IoSlice::new(bytes)).count()
    }

    /// The kernel took the next `count` bytes.
    ///
    /// # Panics
    /// If there were fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "more was written than there was");
        self.len -= count as u32;
        if self.len == 0 {
            *self = Self::default();
            return;
        }
        let mut done = self.written as usize + count;
        if let Frames::Many(list) = &mut self.frames {
            while let Some(frame) = list.front().filter(|frame| frame.len() <= done) {
                done -= frame.len();
                list.pop_front();
            }
        }
        self.written = done as u32;
    }

    /// Drops everything: the socket is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

const _: () = assert!(std::mem::size_of::<Outbox>() <= 32);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gathered(outbox: &Outbox, most: usize) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); most];
        let used = outbox.slices(&mut slices);
        slices[..used].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn an_outbox_that_drained_owns_nothing() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(Frame::from(&b"abc"[..]));
        }
        outbox.advance(9);
        assert!(outbox.is_empty() && matches!(outbox.frames, Frames::None));
    }

    proptest! {
        #[test]
        fn bytes_come_out_in_order_however_they_are_taken(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20),
            takes in prop::collection::vec((1usize..30, 1usize..5), 0..40),
        ) {
            let mut outbox = Outbox::default();
            let mut expected: Vec<u8> = Vec::new();
            for frame in frames {
                expected.extend(&frame);
                outbox.push(Frame::from(frame));
            }
            for (count, slots) in takes {
                let seen = gathered(&outbox, slots);
                prop_assert!(expected.starts_with(&seen));
                prop_assert_eq!(seen.is_empty(), expected.is_empty());
                let count = count.min(seen.len());
                outbox.advance(count);
                expected.drain(..count);
                prop_assert_eq!(outbox.len(), expected.len());
                prop_assert!(outbox.only().is_none_or(|only| only == expected));
            }
            prop_assert_eq!(gathered(&outbox, 64), expected);
        }
    }
}
