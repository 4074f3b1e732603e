//! Bytes that are encoded once and sent to many.

use std::ops::Deref;
use std::rc::Rc;

/// Immutable bytes, shared by reference count within one shard. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(Rc<[u8]>);

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({:?})", String::from_utf8_lossy(&self.0))
    }
}
