//! Bytes of a connection that were received and not parsed. Nearly all connections have none, so an
//! empty tail is one pointer.

use std::ops::Deref;

/// Bytes that were received and not parsed.
#[derive(Debug, Default)]
pub struct Tail(Option<Box<Unparsed>>);

#[derive(Debug)]
struct Unparsed {
    bytes: Vec<u8>,
    /// How many of them have been parsed since.
    parsed: usize,
}

impl Tail {
    /// Appends bytes.
    pub fn append(&mut self, more: &[u8]) {
        match &mut self.0 {
            _ if more.is_empty() => {}
            None => self.0 = Some(Box::new(Unparsed { bytes: more.to_vec(), parsed: 0 })),
            Some(unparsed) => {
                unparsed.bytes.drain(..std::mem::take(&mut unparsed.parsed));
                unparsed.bytes.extend_from_slice(more);
            }
        }
    }

    /// The first `count` bytes are parsed. The rest stays where it is: a tail that is used up piece
    /// by piece is not moved for each.
    pub fn advance(&mut self, count: usize) {
        let Some(unparsed) = &mut self.0 else { return };
        unparsed.parsed += count;
        if unparsed.parsed >= unparsed.bytes.len() {
            self.0 = None;
        }
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Bytes that it holds on the heap.
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |unparsed| unparsed.bytes.capacity())
    }
}

impl Deref for Tail {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |unparsed| &unparsed.bytes[unparsed.parsed..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_it_in_the_order_in_which_they_came() {
        let mut tail = Tail::default();
        assert_eq!((&*tail, tail.capacity()), (&b""[..], 0));
        tail.append(b"abcd");
        tail.advance(1);
        assert_eq!(&*tail, b"bcd");
        tail.append(b"ef");
        assert_eq!(&*tail, b"bcdef");
        tail.advance(4);
        assert_eq!(&*tail, b"f");
        tail.advance(1);
        assert_eq!((&*tail, tail.capacity()), (&b""[..], 0));
    }

    #[test]
    fn an_empty_tail_is_one_pointer_and_owns_nothing() {
        assert_eq!(size_of::<Tail>(), 8);
        let mut tail = Tail::default();
        tail.append(b"");
        assert!(tail.0.is_none());
        tail.append(b"x");
        tail.clear();
        assert!(tail.0.is_none());
    }
}
