//! The id of a session: its home, its key there, and an unguessable nonce.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::base::base32;
use crate::base::slab::{SessionKey, SlabKey};

/// The unguessable part of a session's id.
pub type Nonce = [u8; 12];

/// A session's public name. It contains its home's hash and its slot, so that finding the shard and
/// the session needs no table, and 96 random bits, so that it cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId {
    /// The hash of the user's name.
    pub home: u32,
    /// The slot.
    pub key: SessionKey,
    /// The unguessable part.
    pub nonce: Nonce,
}

/// Text that is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASession;

const BYTES: usize = 24;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&self.home.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.key.index().to_be_bytes());
        bytes[8..12].copy_from_slice(&self.key.generation().get().to_be_bytes());
        bytes[12..].copy_from_slice(&self.nonce);
        let mut text = String::with_capacity(1 + BYTES * 8 / 5 + 1);
        text.push('s');
        base32::encode(&bytes, &mut text);
        f.write_str(&text)
    }
}

impl FromStr for SessionId {
    type Err = NotASession;

    fn from_str(text: &str) -> Result<Self, NotASession> {
        let bytes: [u8; BYTES] = text.strip_prefix('s').and_then(base32::decode).ok_or(NotASession)?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let generation = NonZeroU32::new(word(8)).ok_or(NotASession)?;
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&bytes[12..]);
        Ok(Self { home: word(0), key: SessionKey::new(word(4), generation), nonce })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use crate::base::slab::SlabKey;
    use crate::request::session_id::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_reads_back_as_it_was_written(home: u32, index: u32, generation in 1u32.., nonce: Nonce) {
            let key = SessionKey::new(index, NonZeroU32::new(generation).unwrap());
            let id = SessionId { home, key, nonce };
            let text = id.to_string();
            prop_assert_eq!(text.len(), 40);
            prop_assert_eq!(text.parse(), Ok(id));
            prop_assert_eq!(text[1..].parse::<SessionId>(), Err(NotASession));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<SessionId>();
        }
    }
}
