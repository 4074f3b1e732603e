//! The mask of clients' frames (RFC 6455 5.3).
//!
//! It protects intermediaries from bytes that scripts choose; the server only removes it.

/// Four bytes, of which the next byte of payload takes the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    /// The mask as the frame's head has it.
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Unmasks `bytes`, and rotates the mask for the rest of the payload.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let wide = u64::from_ne_bytes(std::array::from_fn(|at| self.0[at % 4]));
        let (words, tail) = bytes.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(self.0.iter().cycle()) {
            *byte ^= key;
        }
        self.0.rotate_left(bytes.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_unmasks_like_one_byte_after_the_other() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..=u8::MAX).collect();
        let masked: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for cut in 0..=masked.len() {
            let mut bytes = masked.clone();
            let mut mask = Mask::new(key);
            let (left, right) = bytes.split_at_mut(cut);
            mask.apply(left);
            mask.apply(right);
            assert_eq!(bytes, plain, "cut at {cut}");
        }
    }
}
