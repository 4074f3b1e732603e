//! Consecutive messages of one channel, handed out as one.
//!
//! A burst reaches each subscriber as one reference to one piece of bytes, so that what a delivery costs is shared by all messages of the
//! burst. Nothing else may happen between them: whoever subscribes, leaves or reads in between would see half a run. So a run lives
//! within one call, and its messages have consecutive numbers.

use std::rc::Rc;

use super::publication::Publication;
use crate::base::frame::Frame;
use crate::base::position::Epoch;
use crate::base::slab::ChannelKey;
use crate::transport::Form;

/// Messages that were taken in one after another for the same channel and patterns.
#[derive(Debug, Default)]
pub struct Run {
    channels: Vec<ChannelKey>,
    publications: Vec<Rc<Publication>>,
    /// Bytes, as [`Publication::weight`] has them: more than any encoding takes.
    weight: usize,
}

impl Run {
    /// The channel first, then the patterns that match it.
    pub fn channels(&self) -> &[ChannelKey] {
        &self.channels
    }

    /// Oldest first.
    pub fn publications(&self) -> &[Rc<Publication>] {
        &self.publications
    }

    /// Whether a message for these channels may join it, where a run may weigh `most` bytes. Any may join an empty one.
    pub fn admits(&self, channels: &[ChannelKey], most: usize) -> bool {
        self.publications.is_empty() || (self.channels == channels && self.weight < most)
    }

    /// Adds the next message. It must be [admitted](Self::admits).
    pub fn push(&mut self, channels: Vec<ChannelKey>, publication: Rc<Publication>) {
        debug_assert!(self.admits(&channels, usize::MAX));
        debug_assert!(self.publications.last().is_none_or(|last| last.n + 1 == publication.n));
        self.channels = channels;
        self.weight += publication.weight();
        self.publications.push(publication);
    }

    /// The number of the first message; `None` if there is none.
    pub fn first(&self) -> Option<u64> {
        self.publications.first().map(|publication| publication.n)
    }

    /// The number of the last message; `None` if there is none.
    pub fn last(&self) -> Option<u64> {
        self.publications.last().map(|publication| publication.n)
    }

    /// All its messages as `form` spells them.
    pub fn frame(&self, form: Form, epoch: Epoch) -> Frame {
        if let [only] = &*self.publications {
            return only.frame(form, epoch);
        }
        let mut bytes = Vec::with_capacity(self.weight);
        for publication in &self.publications {
            bytes.extend_from_slice(&publication.frame(form, epoch));
        }
        Frame::from(bytes)
    }
}
