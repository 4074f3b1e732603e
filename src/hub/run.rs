//! Consecutive messages of one channel, delivered as one.
//!
//! A burst reaches each subscriber as one reference to one piece of bytes, so that all messages of
//! the burst share the cost of a delivery. Nothing else may happen between them: a session that
//! subscribes, leaves or reads in between would see half a run. So a run lives within one call, and
//! its messages have consecutive numbers.

use std::cell::RefCell;
use std::rc::Rc;

use crate::base::frame::Frame;
use crate::base::slab::ChannelKey;
use crate::hub::publication::Publication;
use crate::transport::gzip::Sum;
use crate::transport::{Encoded, Encoder, Form};

/// Messages that were accepted one after another for the same channel and patterns.
#[derive(Debug, Default)]
pub struct Run {
    channels: Vec<ChannelKey>,
    publications: Vec<Rc<Publication>>,
    /// Bytes, by [`Publication::weight`]: more than any encoding takes.
    weight: usize,
    /// Subscribers of one channel use several forms, in any order; each is made once.
    encoded: RefCell<Vec<(Form, Encoded)>>,
}

impl Run {
    /// The channel first, then the patterns that match it.
    pub fn channels(&self) -> &[ChannelKey] {
        &self.channels
    }

    /// Its messages, oldest first.
    pub fn publications(&self) -> &[Rc<Publication>] {
        &self.publications
    }

    /// Whether a message for these channels may join it, if a run may weigh `most` bytes. Any may
    /// join an empty one.
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

    /// All its messages in this form, encoded at the first call after it is complete.
    pub fn encoded(&self, form: Form, encoder: &Encoder) -> Encoded {
        if let [only] = &*self.publications {
            return only.encoded(form, encoder);
        }
        if let Some((_, known)) = self.encoded.borrow().iter().find(|(known, _)| *known == form) {
            return known.clone();
        }
        let (mut bytes, mut sum) = (Vec::with_capacity(self.weight), Sum::default());
        for publication in &self.publications {
            let one = publication.encoded(form, encoder);
            bytes.extend_from_slice(&one.frame);
            sum.add(one.sum);
        }
        let encoded = Encoded { frame: Frame::from(bytes), sum };
        self.encoded.borrow_mut().push((form, encoded.clone()));
        encoded
    }
}

#[cfg(test)]
mod tests {
    use crate::base::position::Epoch;
    use crate::hub::publication::tests::{form, publication};
    use crate::hub::run::*;
    use crate::transport::Framing;

    #[test]
    fn a_run_is_encoded_once_for_each_form_however_the_forms_alternate() {
        let mut run = Run::default();
        (1..=3).for_each(|n| run.push(Vec::new(), publication(n, 2)));
        let forms = [Framing::Chunked, Framing::UntilClose].map(form);
        let encoder = &Encoder::new(Epoch::new(7));
        let first = forms.map(|form| run.encoded(form, encoder).frame);
        let again = forms.map(|form| run.encoded(form, encoder).frame);
        for (i, form) in forms.into_iter().enumerate() {
            let pieces: Vec<_> =
                run.publications().iter().map(|each| each.encoded(form, encoder).frame.to_vec()).collect();
            assert_eq!(*first[i], *pieces.concat());
            assert_eq!(first[i].as_ptr(), again[i].as_ptr(), "the same bytes for all subscribers");
        }
    }

    #[test]
    fn a_run_ends_where_another_channel_begins_or_its_weight_is_reached() {
        let mut run = Run::default();
        assert!(run.admits(&[], 0));
        run.push(Vec::new(), publication(1, 2));
        assert!(run.admits(&[], 1000) && !run.admits(&[], 100));
    }
}
